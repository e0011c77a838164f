//! What compiled code calls to wait on a memory and to notify.

use super::builtins::run;
use crate::entities::{Expected, MemoryData, Waited, WaitingStore};
use crate::error::Result;
use crate::instance::InstanceData;
use crate::store::StoreOpaque;
use seqfault_jit::vm::VMContext;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

pub(super) unsafe extern "C" fn memory_atomic_wait32(
    vmctx: *mut VMContext,
    memory: u32,
    index: u64,
    offset: u64,
    expected: u32,
    timeout: i64,
) -> u32 {
    let expected = Expected::U32(expected);
    // SAFETY: called by compiled code; nothing borrows the store while that runs.
    unsafe {
        run(vmctx, |store, instance| {
            wait(store, instance, memory, index, offset, expected, timeout)
        })
    }
}

pub(super) unsafe extern "C" fn memory_atomic_wait64(
    vmctx: *mut VMContext,
    memory: u32,
    index: u64,
    offset: u64,
    expected: u64,
    timeout: i64,
) -> u32 {
    let expected = Expected::U64(expected);
    // SAFETY: as above.
    unsafe {
        run(vmctx, |store, instance| {
            wait(store, instance, memory, index, offset, expected, timeout)
        })
    }
}

pub(super) unsafe extern "C" fn memory_atomic_notify(
    vmctx: *mut VMContext,
    memory: u32,
    index: u64,
    offset: u64,
    count: u32,
) -> u32 {
    // SAFETY: as above.
    unsafe {
        run(vmctx, |store, instance| {
            Ok(memory_of(store, instance, memory).notify(index, offset, count)?)
        })
    }
}

/// Waits; when the store is to be interrupted, asks it, and waits on if it may.
///
/// # Safety
///
/// `store` and `instance` must be those that run on this thread, and not borrowed.
unsafe fn wait(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    index: u64,
    offset: u64,
    expected: Expected,
    timeout: i64,
) -> Result<u32> {
    let deadline = deadline(timeout);
    // SAFETY: the caller's promise. All of them lie outside of the store, and live as long as it.
    let (memory, interrupt, epoch) = unsafe {
        let epoch: *const AtomicU64 = (*store).engine().epoch();
        let interrupt = Arc::as_ptr((*store).join_waiters());
        (memory_of(store, instance, memory), &*interrupt, &*epoch)
    };
    loop {
        let waiting = WaitingStore { interrupt, epoch };
        match memory.wait(index, offset, expected, deadline, Some(waiting))? {
            Waited::Done(result) => return Ok(result as u32),
            // SAFETY: the caller's promise; no borrow of the store is alive.
            Waited::Interrupted => unsafe { StoreOpaque::whole(store) }.new_epoch()?,
        }
    }
}

/// # Safety
///
/// As for [`wait`].
unsafe fn memory_of<'a>(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
) -> &'a MemoryData {
    // SAFETY: the caller's promise; memories live as long as their stores, and outside of them.
    unsafe { &*Arc::as_ptr((*store).memory((*instance).memory(memory))) }
}

/// When a timeout in nanoseconds is over; never if it is negative, or beyond what clocks show.
fn deadline(timeout: i64) -> Option<Instant> {
    let timeout = u64::try_from(timeout).ok()?;
    Instant::now().checked_add(Duration::from_nanos(timeout))
}
