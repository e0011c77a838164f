//! The collection: copies live objects to the idle half.
//!
//! Source: C. J. Cheney, "A nonrecursive list compacting algorithm", CACM 13 (1970). The copies themselves are the
//! queue of objects that are still to be scanned, so the depth of a structure does not matter.
//!
//! Roots are all places outside of the heap that hold a reference ([`StoreOpaque::visit_roots`]). Each is rewritten; a
//! place that is missed would hold a dangling reference from then on. The mode that collects at every allocation makes
//! such faults visible.

use super::heap::{RawRef, Release};
use super::host_data::HostData;
use crate::error::Result;
use crate::store::StoreOpaque;
use seqfault_jit::gc::{
    FILLED_OFFSET, GcLayout, HEADER_SIZE, I31_TAG, LENGTH_OFFSET, TYPE_OFFSET, array_size,
};
use seqfault_jit::vm::{FORWARDED, HOST_OBJECT, TYPE_KIND_BITS, UNFINISHED, VMType};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Bytes that are committed or returned to the system at once where the guest may be interrupted: some milliseconds.
const PIECE: u32 = 16 << 20;

/// Collects the store's heap, if it has one.
///
/// # Safety
///
/// `store` must be alive and not borrowed elsewhere. If its wasm is on a stack, of any thread, the frame that was left
/// must be recorded. No reference may be held outside of the store's roots.
///
/// # Errors
///
/// When the system has no memory for the copies: nothing has moved then.
pub(crate) unsafe fn collect(store: *mut StoreOpaque, release: Release) -> Result<()> {
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        let Some(heap) = (*store).gc_heap() else { return Ok(()) };
        seqfault_mm::prepare_thread()?;
        let next = (*(*store).vm()).gc_next as u32;
        let start = heap.prepare_idle(next - heap.start())?;
        let types = (*(*store).engine().types().vm()).types.load(Ordering::Acquire);
        let base = heap.base();
        let host_data = std::mem::take(&mut (*store).gc_heap_mut().host_data);
        let checked = heap.is_stressed().then(|| heap.objects(&*(*store).vm()));
        let mut copier = Copier { base, types, next: start, host_data, checked };
        StoreOpaque::visit_roots(store, &mut |root| copier.visit(root));
        copier.look_through(start);
        let Copier { next, mut host_data, .. } = copier;
        host_data.sweep();
        let heap = (*store).gc_heap_mut();
        heap.host_data = host_data;
        heap.flip(&mut *(*store).vm(), next, release);
        (*store).gc_heap_mut().host_data.drop_dead();
        Ok(())
    }
}

/// Collects the store's heap for a guest, which may be interrupted before objects move and after that, and while memory
/// is committed or returned to the system. It waits while objects move: they are in both halves then.
///
/// # Safety
///
/// As for [`collect`].
///
/// # Errors
///
/// The interruption, and as [`collect`].
pub(super) unsafe fn collect_for_guest(store: *mut StoreOpaque) -> Result<()> {
    // SAFETY: the caller's promise; no borrow is alive while the guest may be interrupted.
    unsafe {
        let begun = (*store).checks_answered();
        let used = (*store).gc_heap_mut().used(&*(*store).vm());
        // A small heap is not looked through twice.
        let large = if used > PIECE { used } else { 0 };
        let pieces = (0..large).step_by(PIECE as usize);
        for piece in pieces.map(|start| start..start.saturating_add(PIECE).min(used)) {
            // After code of the embedder, the heap may be another; what is missing is committed below.
            if (*store).checks_answered() == begun {
                (*store).gc_heap_mut().commit_idle(piece)?;
            }
            StoreOpaque::check_interrupt(store)?;
        }
        collect(store, Release::Later)?;
        loop {
            StoreOpaque::check_interrupt(store)?;
            if !(*store).gc_heap_mut().trim(PIECE) {
                return Ok(());
            }
        }
    }
}

/// The state of one collection.
struct Copier {
    base: *mut u8,
    types: *const VMType,
    /// The place of the next copy.
    next: RawRef,
    host_data: HostData,
    /// The range that all references must point to, if that is to be checked.
    checked: Option<Range<RawRef>>,
}

impl Copier {
    /// Rewrites a root.
    ///
    /// # Safety
    ///
    /// `root` must be a place that holds a reference of the heap.
    unsafe fn visit(&mut self, root: *mut RawRef) {
        // SAFETY: the caller's promise.
        unsafe { *root = self.forward(*root) };
    }

    /// The new place of an object, which is copied unless it already was.
    ///
    /// # Safety
    ///
    /// `reference` must be one of the heap's.
    unsafe fn forward(&mut self, reference: RawRef) -> RawRef {
        if reference == 0 || reference & I31_TAG != 0 {
            return reference;
        }
        if let Some(objects) = &self.checked {
            assert!(
                objects.contains(&reference),
                "{reference:#x} is not in {objects:#x?}: an earlier collection has missed this reference"
            );
        }
        // SAFETY: a reference that is neither null nor an integer points to an object, whose header describes what
        // follows it. The idle half has room for a copy of everything, and the two halves do not overlap.
        unsafe {
            let from = self.base.add(reference as usize);
            let (ty, len) = header(from);
            if ty == FORWARDED {
                return len;
            }
            let size = size(self.layout(ty), len);
            let place = self.next;
            // Of an array that is being filled, the rest may not even be present.
            let present = if ty == UNFINISHED { filled(from) } else { size };
            from.copy_to_nonoverlapping(self.base.add(place as usize), present as usize);
            self.next = place + size;
            from.add(TYPE_OFFSET as usize).cast::<u32>().write(FORWARDED);
            from.add(LENGTH_OFFSET as usize).cast::<u32>().write(place);
            if ty == HOST_OBJECT {
                self.host_data.mark(from.add(HEADER_SIZE as usize).cast::<u32>().read());
            }
            place
        }
    }

    /// Rewrites the references in all copies, from the first one on, including the copies that this makes.
    ///
    /// # Safety
    ///
    /// `at` must be the place of the first copy.
    unsafe fn look_through(&mut self, mut at: RawRef) {
        while at < self.next {
            // SAFETY: copies lie one behind the other; layouts say where their references are.
            unsafe {
                let object = self.base.add(at as usize);
                let (ty, len) = header(object);
                let layout = self.layout(ty);
                match layout {
                    GcLayout::Fields(fields) => {
                        for &offset in &fields.references {
                            self.visit(object.add(offset as usize).cast());
                        }
                    }
                    GcLayout::Array { is_gc: false, .. } => {}
                    GcLayout::Array { is_gc: true, .. } => {
                        let elements: *mut RawRef = object.add(HEADER_SIZE as usize).cast();
                        for index in 0..len as usize {
                            self.visit(elements.add(index));
                        }
                    }
                }
                at += size(layout, len);
            }
        }
    }

    /// # Safety
    ///
    /// `ty` must be the number of an object's type.
    unsafe fn layout<'a>(&self, ty: u32) -> &'a GcLayout {
        // SAFETY: types of objects are alive, and so are their layouts.
        unsafe { &*(*self.types.add((ty >> TYPE_KIND_BITS) as usize)).layout }
    }
}

/// The number of an object's type, and its length.
///
/// # Safety
///
/// `object` must be the address of one.
unsafe fn header(object: *const u8) -> (u32, u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let ty = object.add(TYPE_OFFSET as usize).cast::<u32>().read();
        (ty, object.add(LENGTH_OFFSET as usize).cast::<u32>().read())
    }
}

/// Bytes of an unfinished array that are there.
///
/// # Safety
///
/// `array` must be the address of one.
#[cold]
unsafe fn filled(array: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { array.add(FILLED_OFFSET as usize).cast::<u32>().read() }
}

/// Bytes of an object.
fn size(layout: &GcLayout, len: u32) -> u32 {
    match layout {
        GcLayout::Fields(fields) => fields.size,
        GcLayout::Array { element_size, .. } => {
            array_size(*element_size, len).expect("it was allocated")
        }
    }
}
