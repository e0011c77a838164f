//! The builtins for memories.
//!
//! # Safety
//!
//! For all functions here: compiled code calls them, so nothing borrows the store; `instance` is
//! the one that the code runs in.

use super::{Expected, MemoryData, Waited, WaitingStore, discard_memory, grow_memory};
use crate::error::{Error, Result};
use crate::instance::InstanceData;
use crate::store::{StoreOpaque, in_pieces};
use crate::trap::MemoryFault;
use crate::vm::{trap_of, trap_of_kind};
use seqfault_jit::vm::ROUTINE_LIMIT;
use seqfault_mm::Region;
use seqfault_mm::copy::Verdict;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

pub(crate) unsafe fn memory_grow(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    delta: u64,
) -> Result<i64> {
    // SAFETY: see the head of this file.
    let old = unsafe { grow_memory(store, (*instance).memory(memory), delta)? };
    Ok(old.map_or(-1, |old| old as i64))
}

pub(crate) unsafe fn memory_copy(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    to: u32,
    to_addr: u64,
    from: u32,
    from_addr: u64,
    len: u64,
) -> Result<()> {
    // SAFETY: see the head of this file.
    let [to_data, from_data] =
        unsafe { [to, from].map(|memory| memory_of(store, instance, memory)) };
    let source = from_data.slice(Some(from), from_addr, len)?;
    let target = to_data.slice(Some(to), to_addr, len)?;
    let len = source.len();
    // Starts with the last piece where a piece would overwrite the source of a later one.
    let backward = std::ptr::eq(to_data, from_data) && source.start < target.start;
    let copy = |piece: Range<usize>| {
        let at = if backward { len - piece.end } else { piece.start };
        let to = (to_data.region(), target.start + at);
        let from = (from_data.region(), source.start + at);
        Ok(Region::copy(to, from, piece.len()).map_err(trap_of)?)
    };
    // SAFETY: see the head of this file.
    unsafe { in_pieces(store, len, ROUTINE_LIMIT, copy) }
}

pub(crate) unsafe fn memory_fill(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    addr: u64,
    byte: u32,
    len: u64,
) -> Result<()> {
    // SAFETY: see the head of this file.
    let data = unsafe { memory_of(store, instance, memory) };
    let range = data.slice(Some(memory), addr, len)?;
    let fill = |piece: Range<usize>| {
        let filled = data.region().fill(range.start + piece.start, byte as u8, piece.len());
        Ok(filled.map_err(trap_of)?)
    };
    // SAFETY: see the head of this file.
    unsafe { in_pieces(store, range.len(), ROUTINE_LIMIT, fill) }
}

pub(crate) unsafe fn memory_discard(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    addr: u64,
    len: u64,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe { discard_memory(store, (*instance).memory(memory), memory, addr, len) }
}

pub(crate) unsafe fn memory_atomic_wait32(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    index: u64,
    offset: u64,
    expected: u32,
    timeout: i64,
) -> Result<u32> {
    // SAFETY: see the head of this file.
    let memory = (memory, unsafe { memory_of(store, instance, memory) });
    // SAFETY: as above.
    unsafe { wait(store, memory, index, offset, Expected::U32(expected), timeout) }
}

pub(crate) unsafe fn memory_atomic_wait64(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    index: u64,
    offset: u64,
    expected: u64,
    timeout: i64,
) -> Result<u32> {
    // SAFETY: see the head of this file.
    let memory = (memory, unsafe { memory_of(store, instance, memory) });
    // SAFETY: as above.
    unsafe { wait(store, memory, index, offset, Expected::U64(expected), timeout) }
}

pub(crate) unsafe fn memory_atomic_notify(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    index: u64,
    offset: u64,
    count: u32,
) -> Result<u32> {
    // SAFETY: see the head of this file.
    let data = unsafe { memory_of(store, instance, memory) };
    data.notify(Some(memory), index, offset, count)
}

pub(crate) unsafe fn raise_out_of_bounds(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    index: u64,
    offset: u64,
) -> Error {
    // SAFETY: see the head of this file.
    let len = unsafe { memory_of(store, instance, memory) }.len();
    // The same as for a fault: the first byte that is outside.
    let address = index.checked_add(offset).map(|address| address.max(len as u64));
    MemoryFault::at(Some(memory), address, len).into()
}

pub(crate) unsafe fn check_bounds(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    _failed: u32,
    memory: u32,
    index: u64,
    offset: u64,
) -> Error {
    // SAFETY: as above.
    unsafe { raise_out_of_bounds(store, instance, memory, index, offset) }
}

pub(crate) unsafe fn raise_stopped(
    _: *mut StoreOpaque,
    _: *mut InstanceData,
    code: u64,
    addr: u64,
) -> Error {
    let stop = Verdict { code, addr }.check().expect_err("called for a routine that was stopped");
    trap_of_kind(stop.kind).into()
}

/// Waits. When the store is to be interrupted, asks it; if it may continue, waits on.
///
/// # Safety
///
/// `store` must be the one that runs on this thread, and not borrowed.
unsafe fn wait(
    store: *mut StoreOpaque,
    (number, memory): (u32, &MemoryData),
    index: u64,
    offset: u64,
    expected: Expected,
    timeout: i64,
) -> Result<u32> {
    let deadline = deadline(timeout);
    // SAFETY: the caller's promise. Both are outside of the store, and live as long as it.
    let (interrupt, epoch) = unsafe {
        let epoch: *const AtomicU64 = (*store).engine().epoch();
        (&*Arc::as_ptr((*store).join_waiters()), &*epoch)
    };
    loop {
        let waiting = WaitingStore { interrupt, epoch };
        match memory.wait(Some(number), index, offset, expected, deadline, Some(waiting))? {
            Waited::Done(result) => return Ok(result as u32),
            // SAFETY: the caller's promise; no borrow of the store is alive.
            Waited::Interrupted => unsafe { StoreOpaque::whole(store) }.new_epoch()?,
        }
    }
}

/// # Safety
///
/// `store` and `instance` must be those that run on this thread, and not be mutably borrowed.
unsafe fn memory_of<'a>(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
) -> &'a MemoryData {
    // SAFETY: the caller's promise; memories live as long as their stores, and outside of them.
    unsafe { &*Arc::as_ptr((*store).memory((*instance).memory(memory))) }
}

/// The end of a timeout in nanoseconds; never, if it is negative or beyond what the clock can
/// express.
fn deadline(timeout: i64) -> Option<Instant> {
    let timeout = u64::try_from(timeout).ok()?;
    Instant::now().checked_add(Duration::from_nanos(timeout))
}
