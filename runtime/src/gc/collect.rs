//! The collection: copies what is alive to the idle half.
//!
//! Source: C. J. Cheney, "A nonrecursive list compacting algorithm", CACM 13 (1970). The copies
//! themselves are the queue of what is still to be looked through, so the depth of a structure does
//! not matter.
//!
//! Roots are every place outside of the heap that holds a reference ([`StoreOpaque::visit_roots`]).
//! Each is rewritten; a place that is missed holds a dangling reference from then on. The mode that
//! collects at every allocation makes such faults show.

use super::heap::RawRef;
use super::host_data::HostData;
use crate::error::Result;
use crate::store::StoreOpaque;
use seqfault_jit::gc::{GcLayout, HEADER_SIZE, I31_TAG, LENGTH_OFFSET, TYPE_OFFSET, array_size};
use seqfault_jit::vm::{FORWARDED, HOST_OBJECT, TYPE_KIND_BITS, VMType};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Collects the store's heap, if it has one. With `release`, all memory that holds no object goes
/// back to the system.
///
/// # Safety
///
/// `store` must be alive and not borrowed elsewhere; if its wasm is on a stack, of whatever thread,
/// the frame that was left must be noted. No reference may be held that is not one of the store's roots.
///
/// # Errors
///
/// When the system has no memory to copy to: nothing has moved then.
pub(crate) unsafe fn collect(store: *mut StoreOpaque, release: bool) -> Result<()> {
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

/// The state of one collection.
struct Copier {
    base: *mut u8,
    types: *const VMType,
    /// Where the next copy goes.
    next: RawRef,
    host_data: HostData,
    /// Where all references have to lead, if that is to be checked.
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

    /// The new place of an object, which is copied if it has none yet.
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
        // SAFETY: a reference that is neither null nor an integer leads to an object, whose header
        // says what follows it; there is room for a copy of everything in the idle half, and the
        // two halves do not overlap.
        unsafe {
            let from = self.base.add(reference as usize);
            let (ty, len) = header(from);
            if ty == FORWARDED {
                return len;
            }
            let size = size(self.layout(ty), len);
            let place = self.next;
            from.copy_to_nonoverlapping(self.base.add(place as usize), size as usize);
            self.next = place + size;
            from.add(TYPE_OFFSET as usize).cast::<u32>().write(FORWARDED);
            from.add(LENGTH_OFFSET as usize).cast::<u32>().write(place);
            if ty == HOST_OBJECT {
                self.host_data.mark(from.add(HEADER_SIZE as usize).cast::<u32>().read());
            }
            place
        }
    }

    /// Rewrites the references in all copies, from the first one on, including those that this
    /// itself makes.
    ///
    /// # Safety
    ///
    /// `at` must be where the first copy lies.
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

/// Bytes of an object.
fn size(layout: &GcLayout, len: u32) -> u32 {
    match layout {
        GcLayout::Fields(fields) => fields.size,
        GcLayout::Array { element_size, .. } => {
            array_size(*element_size, len).expect("it was allocated")
        }
    }
}
