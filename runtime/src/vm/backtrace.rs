//! The wasm frames of a store, in all its activations: for backtraces, and for the references in
//! frames.
//!
//! A run of frames ends where the store was entered. The next run starts where the activation
//! around that one was left.

use super::activation::{self, Frames};
use super::frames;
use crate::fallible;
use crate::gc::RawRef;
use crate::module::Module;
use crate::store::StoreOpaque;
use crate::trap::{Backtrace, FrameInfo};
use seqfault_jit::code::{self, CodeKind, CodeUnit};
use std::convert::Infallible;
use std::ops::ControlFlow;

/// The wasm frames of a store, seen from the host function that wasm has called.
///
/// # Safety
///
/// Wasm of `store`, which the caller may use, must be on a stack, with its exit frame recorded.
pub(super) unsafe fn at_exit(store: *mut StoreOpaque) -> Backtrace {
    // SAFETY: the caller's promise.
    unsafe {
        let frames = Frames::of((*store).vm());
        // The return address is the instruction after the call.
        capture(store, frames.exit_pc.wrapping_sub(1), frames.exit_fp)
    }
}

/// The wasm frames of a store, seen from an instruction in the innermost of them.
///
/// # Safety
///
/// As for [`walk_store`].
pub(super) unsafe fn capture(store: *mut StoreOpaque, pc: usize, fp: usize) -> Backtrace {
    // SAFETY: the caller's promise.
    let limit = unsafe { (*store).engine().config().max_backtrace_frames };
    let mut frames = Vec::new();
    let mut omitted = 0;
    // SAFETY: the caller's promise.
    unsafe {
        // If there is no memory for them, frames are left out.
        walk_store(store, pc, fp, |unit, pc, _| match frames.len() < limit {
            true if fallible::reserve(&mut frames, 1).is_ok() => {
                frames.extend(frame_info(unit, pc));
            }
            _ => omitted += 1,
        });
    }
    Backtrace::new(frames, omitted)
}

/// Calls `visit` with every place in the wasm frames of a store that holds a reference of its heap.
///
/// # Safety
///
/// If wasm of `store`, which the caller may use, is on a stack, its exit frame must be recorded.
pub(crate) unsafe fn visit_references(store: *mut StoreOpaque, visit: &mut dyn FnMut(*mut RawRef)) {
    // SAFETY: the caller's promise.
    let frames = unsafe { Frames::of((*store).vm()) };
    if frames.is_outermost() {
        return;
    }
    // SAFETY: the caller's promise. Code that is on the stack of a live store stays published; its
    // stack maps say where the frames of its functions hold references during calls.
    unsafe {
        walk_store(store, frames.exit_pc.wrapping_sub(1), frames.exit_fp, |unit, pc, fp| {
            for &below in unit.references_at(pc + 1) {
                visit((fp - below as usize) as *mut RawRef);
            }
        });
    }
}

/// Visits each wasm frame of a store, as [`frames::walk`] does, from the given one outwards through
/// all its activations, whatever stacks they are on.
///
/// Returns only if it has reached the frame by which the store was first entered; otherwise it ends
/// the process.
///
/// # Safety
///
/// `pc` and `fp` must be those of the innermost wasm frame of `store`, which the caller may use.
unsafe fn walk_store(
    store: *mut StoreOpaque,
    mut pc: usize,
    mut fp: usize,
    mut visit: impl FnMut(&CodeUnit, usize, usize),
) {
    // SAFETY: the caller's promise. The frames of outer activations do not change before the host
    // functions that they have called return. If one of these has given the store to another
    // thread, the hand-over makes its writes visible there.
    unsafe {
        let mut runs = activation::runs(store).peekable();
        while let Some(run) = runs.next() {
            let walked = frames::walk(pc, fp, run.entry_fp, |unit, pc, fp| {
                visit(unit, pc, fp);
                ControlFlow::<Infallible>::Continue(())
            });
            let ControlFlow::Continue(entry_pc) = walked;
            frames::check_entry(entry_pc, run.entry_fp, (*store).vm());
            if let Some(outer) = runs.peek() {
                // The return address is the instruction after the call.
                (pc, fp) = (outer.exit_pc.wrapping_sub(1), outer.exit_fp);
            }
        }
    }
}

/// The module whose code is at `pc`, unless it is a trampoline.
///
/// # Safety
///
/// It must be code that is on the stack of a live store.
pub(super) unsafe fn module_at(pc: usize) -> Option<Module> {
    // SAFETY: such code stays published.
    let unit = unsafe { code::lookup(pc) }?;
    // SAFETY: functions with an index are owned by modules, and this module is in use.
    let of_module = || unsafe { Module::from_owner(unit.owner()) };
    matches!(unit.function_at(pc)?.kind, CodeKind::Function(_)).then(of_module)
}

/// The frame of the function that contains `pc`, unless it is a trampoline.
///
/// # Safety
///
/// `unit` must be published, and its code on the stack of a live store.
unsafe fn frame_info(unit: &CodeUnit, pc: usize) -> Option<FrameInfo> {
    let CodeKind::Function(func) = unit.function_at(pc)?.kind else { return None };
    // SAFETY: functions with an index are owned by modules, and this one is in use.
    let module = unsafe { Module::from_owner(unit.owner()) };
    // A prologue belongs to no instruction; the start of the function is used then.
    let module_offset = unit.module_offset_at(pc).or_else(|| module.body_offset(func));
    Some(FrameInfo { module, func, module_offset })
}
