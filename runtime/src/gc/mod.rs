//! The heap of a store: structs, arrays, exceptions and host values that the engine collects.
//!
//! | file | what |
//! |---|---|
//! | `heap` | [`GcHeap`]: the two halves of memory, allocation |
//! | `collect` | the collection, which copies what is alive |
//! | `host_data` | the host values behind `externref`s |
//! | `rooting` | [`Rooted`] and [`OwnedRooted`]: how the host holds references |
//! | `object` | fields and elements, read and written by the host |
//! | `refs` | the kinds of references, as the API has them |
//! | `arrays` | arrays that are made, filled and copied in pieces |
//! | `builtins` | what compiled code leaves to the runtime |
//!
//! A collection may happen at every allocation and moves everything. So no raw reference is held
//! across one, except in the places that [`StoreOpaque::visit_roots`] visits.

pub(crate) mod arrays;
pub(crate) mod builtins;
mod collect;
mod heap;
mod host_data;
mod object;
mod refs;
mod rooting;

use collect::{collect, collect_for_guest};
use heap::Release;
pub(crate) use heap::{GcHeap, RawRef};
pub use refs::{
    AnyRef, ArrayRef, ArrayRefPre, EqRef, ExnRef, ExternRef, I31, StructRef, StructRefPre,
};
pub(crate) use refs::{check_fields, hold_thrown, throw_again};
pub use rooting::{GcRef, OwnedRooted, RootScope, Rooted};
pub(crate) use rooting::{HeldRef, RootSet};

use crate::error::Result;
use crate::store::StoreOpaque;
use crate::trap::{TrapCode, TrapReason};

/// Collects the store's heap, and returns all memory that holds no object to the system.
///
/// # Safety
///
/// As for [`collect`].
///
/// # Errors
///
/// When the system has no memory for the copies: nothing has moved then.
pub(crate) unsafe fn collect_and_release(store: *mut StoreOpaque) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { collect(store, Release::All) }
}

/// Allocates an object of `size` bytes and writes its header. The other bytes keep their old
/// contents.
///
/// # Safety
///
/// As for [`collect`]: it may collect. `ty` must be the number of a type that lives as long as the
/// store, and the caller must fill the object in before the next allocation.
///
/// # Errors
///
/// When the heap is full, or the system has no memory.
pub(crate) unsafe fn allocate(
    store: *mut StoreOpaque,
    ty: u32,
    size: u64,
    len: u32,
) -> Result<RawRef> {
    // SAFETY: the caller's promise.
    unsafe { allocate_with(store, ty, size, len, |store| collect(store, Release::Most)) }
}

/// The same for a guest, which may be interrupted if it has to collect.
///
/// # Safety
///
/// As for [`allocate`]; code of the embedder may run, so nothing may borrow the store.
///
/// # Errors
///
/// The interruption, and as [`allocate`].
pub(crate) unsafe fn allocate_for_guest(
    store: *mut StoreOpaque,
    ty: u32,
    size: u64,
    len: u32,
) -> Result<RawRef> {
    // SAFETY: the caller's promise.
    unsafe { allocate_with(store, ty, size, len, |store| collect_for_guest(store)) }
}

/// Allocates; if there is no room, `collect` is to make some.
///
/// # Safety
///
/// As for [`allocate`], and what `collect` asks for.
unsafe fn allocate_with(
    store: *mut StoreOpaque,
    ty: u32,
    size: u64,
    len: u32,
    collect: impl FnOnce(*mut StoreOpaque) -> Result<()>,
) -> Result<RawRef> {
    // SAFETY: the caller's promise.
    unsafe {
        let (place, size) = find_room(store, size, collect)?;
        (*store).gc_heap_mut().write_header(place, size, ty, len)?;
        Ok(place)
    }
}

/// Finds room for an object, which the caller must give a header before anything else happens. Returns its place and its
/// size.
///
/// # Safety
///
/// As for [`collect`].
unsafe fn find_room(
    store: *mut StoreOpaque,
    size: u64,
    collect: impl FnOnce(*mut StoreOpaque) -> Result<()>,
) -> Result<(RawRef, u32)> {
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        seqfault_mm::prepare_thread()?;
        (*store).make_gc_heap()?;
        if (*store).gc_heap_mut().granted() == 0 {
            make_room(store, 0)?;
        }
        let size = u32::try_from(size).map_err(|_| TrapReason(TrapCode::GcHeapOutOfMemory))?;
        let vm = (*store).vm();
        let heap = (*store).gc_heap().expect("made above");
        let mut place = match heap.is_stressed() {
            true => None,
            false => heap.bump(&mut *vm, size),
        };
        if place.is_none() {
            collect(store)?;
            make_room(store, size)?;
            place = (*store).gc_heap().and_then(|heap| heap.bump(&mut *vm, size));
        }
        let place = place.ok_or(TrapReason(TrapCode::GcHeapOutOfMemory))?;
        Ok((place, size))
    }
}

/// Extends the usable heap as is good for `size` more bytes, if the embedder agrees. If it does not
/// agree, extends it by the least that suffices.
///
/// # Safety
///
/// `store` must be a live store that nothing else borrows, and have a heap.
///
/// # Errors
///
/// The limiter's, when there is no room for `size` bytes.
unsafe fn make_room(store: *mut StoreOpaque, size: u32) -> Result<()> {
    // SAFETY: the caller's promise; no borrow of the heap is alive while the embedder is asked.
    unsafe {
        let vm = (*store).vm();
        let heap = (*store).gc_heap_mut();
        let (granted, largest) = (heap.granted(), heap.largest());
        let needed = match heap.used(&*vm).checked_add(size) {
            Some(needed) if needed <= largest => needed,
            _ => return Ok(()),
        };
        let mut answer = Ok(false);
        for wish in heap.wishes(needed).into_iter().take_while(|&wish| wish > granted) {
            let (current, desired) = (granted as usize, wish as usize);
            answer =
                StoreOpaque::whole(store).memory_growing(current, desired, Some(largest as usize));
            if let Ok(true) = answer {
                (*store).gc_heap_mut().grant(wish);
                break;
            }
        }
        if (*store).gc_heap_mut().is_too_small(needed) {
            relocate(store, needed)?;
        }
        let heap = (*store).gc_heap_mut();
        heap.make_room(&mut *vm, needed);
        if needed > heap.granted() { answer.map(drop) } else { Ok(()) }
    }
}

/// Moves the heap to where a half has room for `needed` bytes. If the system refuses, the heap stays where it is, which
/// is an error only if `needed` bytes have no room there.
///
/// # Safety
///
/// As for [`make_room`].
unsafe fn relocate(store: *mut StoreOpaque, needed: u32) -> Result<()> {
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        if !(*store).gc_heap_mut().can_move() {
            collect(store, Release::Most)?;
        }
        let engine = (*store).engine().clone();
        let vm = (*store).vm();
        let moved = (*store).gc_heap_mut().relocate(&engine, &mut *vm, needed);
        if needed <= (*store).gc_heap_mut().half() { Ok(()) } else { moved }
    }
}
