//! The wasm frames of a store: following frame pointers through its activations, for backtraces
//! and for the references that frames hold.
//!
//! A wasm frame starts with its caller's frame pointer, and behind it the return address. A run of
//! wasm frames ends at the frame of the entry trampoline; the next run starts where the activation
//! before was left.

use super::activation::{Activation, Frames};
use crate::gc::RawRef;
use crate::module::Module;
use crate::store::StoreOpaque;
use crate::trap::{Backtrace, RawFrame};
use seqfault_jit::code;
use std::ops::ControlFlow;

/// The wasm frames of a store, seen from the host that wasm has called.
///
/// # Safety
///
/// The calling thread must have wasm of `store` on its stack, with its exit frame noted.
pub(super) unsafe fn at_exit(store: *mut StoreOpaque) -> Backtrace {
    // SAFETY: the caller's promise.
    unsafe {
        let frames = Frames::of((*store).vm());
        // A return address lies behind its call.
        capture(store, frames.exit_pc.wrapping_sub(1), frames.exit_fp)
    }
}

/// The wasm frames of a store, seen from an instruction in the innermost of them.
///
/// # Safety
///
/// `pc` and `fp` must be those of the innermost wasm frame of `store` on this thread's stack.
pub(super) unsafe fn capture(store: *mut StoreOpaque, pc: usize, fp: usize) -> Backtrace {
    // SAFETY: the caller's promise.
    let limit = unsafe { (*store).engine().config().max_backtrace_frames };
    let mut frames = Vec::new();
    let mut omitted = 0;
    // SAFETY: the caller's promise.
    unsafe {
        walk_store(store, pc, fp, |pc, _| match frames.len() < limit {
            true => frames.extend(raw_frame(pc)),
            false => omitted += 1,
        });
    }
    Backtrace::new(frames, omitted)
}

/// Calls `visit` with every place in the wasm frames of a store that holds a reference of its heap.
///
/// # Safety
///
/// If wasm of `store` is on a stack, it must be the calling thread's, with its exit frame noted.
pub(crate) unsafe fn visit_references(store: *mut StoreOpaque, visit: &mut dyn FnMut(*mut RawRef)) {
    // SAFETY: the caller's promise.
    let frames = unsafe { Frames::of((*store).vm()) };
    if frames.is_outermost() {
        return;
    }
    // SAFETY: the caller's promise. Code that is on the stack of a live store stays published; its
    // stack maps say where in the frames of its functions references lie while they call.
    unsafe {
        walk_store(store, frames.exit_pc.wrapping_sub(1), frames.exit_fp, |pc, fp| {
            let Some(unit) = code::lookup(pc) else { return };
            for &below in unit.references_at(pc + 1) {
                visit((fp - below as usize) as *mut RawRef);
            }
        });
    }
}

/// Visits an address and the frame pointer of each wasm frame of a store, from the given one
/// outwards. Addresses are those of calls, not of where they return to.
///
/// # Safety
///
/// `pc` and `fp` must be those of the innermost wasm frame of `store` on this thread's stack.
unsafe fn walk_store(
    store: *mut StoreOpaque,
    mut pc: usize,
    mut fp: usize,
    mut visit: impl FnMut(usize, usize),
) {
    // SAFETY: the caller's promise.
    let mut run = unsafe { Frames::of((*store).vm()) };
    let mut activation = Activation::current();
    while let Some(current) = activation {
        if current.store() == store {
            // SAFETY: the frames of one run, from the innermost to the trampoline.
            let stopped: Option<()> = unsafe {
                walk(pc, fp, run.entry_fp, |pc, fp| {
                    visit(pc, fp);
                    ControlFlow::Continue(())
                })
            };
            debug_assert!(stopped.is_none());
            run = current.saved();
            (pc, fp) = (run.exit_pc.wrapping_sub(1), run.exit_fp);
            if run.is_outermost() {
                break;
            }
        }
        activation = current.previous();
    }
}

/// Visits an address in each frame from `fp` until `entry_fp`, and the frame pointer, unless it is
/// told to stop. The address lies in the instruction that the frame is at: for a call it is the last
/// byte.
///
/// # Safety
///
/// The frames must be on the calling thread's stack, linked by frame pointers.
pub(super) unsafe fn walk<B>(
    mut pc: usize,
    mut fp: usize,
    entry_fp: usize,
    mut visit: impl FnMut(usize, usize) -> ControlFlow<B>,
) -> Option<B> {
    while fp != entry_fp {
        if let ControlFlow::Break(found) = visit(pc, fp) {
            return Some(found);
        }
        let frame = fp as *const usize;
        // SAFETY: a frame on this stack: its caller's frame pointer, then the return address.
        unsafe {
            fp = frame.read();
            pc = frame.add(1).read() - 1;
        }
    }
    None
}

/// The frame of the function that `pc` lies in, unless it is a trampoline.
unsafe fn raw_frame(pc: usize) -> Option<RawFrame> {
    // SAFETY: code that is on the stack of a live store stays published.
    let unit = unsafe { code::lookup(pc) }?;
    let func = unit.function_at(pc)?.func?;
    // SAFETY: functions with an index are owned by modules, and this one is in use.
    let module = unsafe { Module::from_owner(unit.owner()) };
    // A prologue stands for no instruction: then it is the function's start.
    let module_offset = unit.module_offset_at(pc).or_else(|| module.body_offset(func));
    Some(RawFrame { module, func, module_offset })
}
