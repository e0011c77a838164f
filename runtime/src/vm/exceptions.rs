//! Throwing: finds the handler for an exception and continues there, or leaves wasm.
//!
//! The frames of wasm are walked by their frame pointers, from the one that was left to the entry
//! trampoline. For each, the tables of its code say whether the call that it is in has handlers,
//! what they catch, and where they are: plain data, found without a lock. The thread then continues
//! in the handler, with the stack as it was at that call. If no frame up to the entry catches the
//! exception, it becomes the error of that entry. If the host function there returns the error, the
//! search continues in the frames around it.

use super::activation::Frames;
use super::{arch, backtrace, frames, unwind};
use crate::entities::{Tag, Val};
use crate::error::{Error, Result};
use crate::exception::ThrownException;
use crate::fallible;
use crate::gc::{self, RawRef};
use crate::store::{Pending, StoreOpaque};
use crate::types::ValType;
use seqfault_jit::code::CodeUnit;
use seqfault_jit::vm::{Catch, VMTag, ValRaw};
use std::ops::ControlFlow;
use std::ptr::NonNull;

/// `throw`.
///
/// # Safety
///
/// Called by compiled code, through its shim: `values` points to as many values as the tag says.
pub(super) unsafe fn throw(
    store: *mut StoreOpaque,
    tag: NonNull<VMTag>,
    values: *const ValRaw,
) -> ! {
    // SAFETY: the caller's promise; nothing borrows the store while compiled code runs.
    unsafe {
        let values = match tag.as_ref().values {
            // There is no array then.
            0 => &[],
            count => std::slice::from_raw_parts(values, count as usize),
        };
        unwind::catch_or_unwind(store, || Ok((*store).exceptions_mut().set(tag, values)?));
        propagate(store, tag, 0)
    }
}

/// `throw_ref`, with a reference that is not null.
///
/// # Safety
///
/// Called by compiled code, through its shim.
pub(super) unsafe fn throw_ref(store: *mut StoreOpaque, exception: u64) -> ! {
    // SAFETY: as in `throw`.
    unsafe {
        let exception = exception as RawRef;
        let tag = unwind::catch_or_unwind(store, || gc::throw_again(&mut *store, exception));
        propagate(store, tag, exception)
    }
}

/// Continues in the handler for the exception whose values have been set, or leaves wasm.
/// `exception` is the exception as an object, or 0 if there is no object yet.
///
/// # Safety
///
/// Wasm of `store` must be on the stack, with its exit frame recorded, and no frame above that may
/// hold anything that needs dropping.
unsafe fn propagate(store: *mut StoreOpaque, tag: NonNull<VMTag>, exception: RawRef) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(target) = find(store, tag) {
            go_on(store, tag, exception, target)
        }
        let mut error = match thrown(&mut *store, tag) {
            Ok(exception) => Error::from(exception),
            Err(no_memory) => no_memory,
        };
        error.attach_backtrace(backtrace::at_exit(store));
        (*store).set_pending(Pending::Error(error));
        unwind::unwind(store)
    }
}

/// If the host has returned an exception of this store to wasm, and a handler catches it, throws
/// it. Otherwise returns.
///
/// # Safety
///
/// As for [`propagate`].
pub(super) unsafe fn throw_pending(store: *mut StoreOpaque) {
    // SAFETY: the caller's promise: nothing else borrows the store.
    unsafe {
        let Some(Pending::Error(error)) = (*store).pending() else { return };
        let Some(exception) = error.downcast_ref::<ThrownException>() else { return };
        if exception.tag().store() != (*store).id() {
            return;
        }
        let tag = exception.tag().cell(&*store);
        let Some(target) = find(store, tag) else { return };
        let set =
            exception.raw_fields().and_then(|fields| (*store).exceptions_mut().set(tag, &fields));
        drop((*store).take_pending());
        if let Err(no_memory) = set {
            let mut error = Error::from(no_memory);
            error.attach_backtrace(backtrace::at_exit(store));
            return (*store).set_pending(Pending::Error(error));
        }
        go_on(store, tag, 0, target)
    }
}

/// Where an exception is caught.
struct Target {
    pc: usize,
    sp: usize,
    fp: usize,
    by_reference: bool,
}

/// The innermost handler for exceptions with this tag, among the frames since wasm was last
/// entered.
///
/// # Safety
///
/// Wasm of `store` must be on the stack, with its exit frame recorded.
unsafe fn find(store: *mut StoreOpaque, tag: NonNull<VMTag>) -> Option<Target> {
    // SAFETY: the caller's promise; all frames of a run are compiled code.
    unsafe {
        let run = Frames::of((*store).vm());
        frames::walk(run.exit_pc - 1, run.exit_fp, run.entry_fp, |unit, pc, fp| {
            match handler_of(unit, pc + 1, fp, tag) {
                Some(target) => ControlFlow::Break(target),
                None => ControlFlow::Continue(()),
            }
        })
        .break_value()
    }
}

/// The handler of one frame.
///
/// # Safety
///
/// `fp` must be the frame pointer of a frame of `unit` that is in a call returning to `returns_to`.
unsafe fn handler_of(
    unit: &CodeUnit,
    returns_to: usize,
    fp: usize,
    tag: NonNull<VMTag>,
) -> Option<Target> {
    let call = unit.handlers_at(returns_to)?;
    let sp = fp - call.frame_size as usize;
    let handler = call.handlers.iter().find(|handler| {
        // SAFETY: Cranelift keeps the context there during the call.
        let context = unsafe { *((sp + handler.context as usize) as *const *const u8) };
        // SAFETY: that context has the layout that the handler was made for.
        unsafe { catches(handler.catch, context, tag) }
    })?;
    let (pc, by_reference) = (unit.address(handler.code), handler.catch.by_reference());
    Some(Target { pc, sp, fp, by_reference })
}

/// # Safety
///
/// `context` must be an instance's, with the address of a tag at the offset in `catch`.
unsafe fn catches(catch: Catch, context: *const u8, tag: NonNull<VMTag>) -> bool {
    match catch.tag() {
        None => true,
        Some(offset) => {
            // SAFETY: the caller's promise.
            let own = unsafe { context.add(offset as usize).cast::<*const VMTag>().read() };
            std::ptr::eq(own, tag.as_ptr())
        }
    }
}

/// Continues in a handler.
///
/// # Safety
///
/// `target` must have been found for the exception whose values have been set.
unsafe fn go_on(
    store: *mut StoreOpaque,
    tag: NonNull<VMTag>,
    exception: RawRef,
    target: Target,
) -> ! {
    // SAFETY: the caller's promise; the handler expects exactly this, and no frame in between holds
    // anything that needs dropping.
    unsafe {
        let exception = match target.by_reference && exception == 0 {
            // The heap may be full; and a collection drops values of the host's.
            true => unwind::catch_or_unwind(store, || gc::hold_thrown(store, tag)),
            false => exception,
        };
        let values = (*store).exceptions_mut().hand_over() as usize;
        arch::continue_in_handler(target.pc, target.sp, target.fp, [exception as usize, values])
    }
}

/// The exception whose values have been set, as an error.
///
/// # Safety
///
/// The values must be those of an exception with this tag.
unsafe fn thrown(store: &mut StoreOpaque, tag: NonNull<VMTag>) -> Result<ThrownException> {
    let tag = Tag::from_cell(store, tag);
    let registered = tag.registered_type(store).clone();
    let params = registered.ty().as_func().expect("validated").params();
    let mut fields = fallible::with_capacity(params.len())?;
    for (index, &ty) in params.iter().enumerate() {
        let ty = &ValType::from_canonical(ty, &|id| registered.resolve(id));
        let raw = store.exceptions().values()[index];
        // SAFETY: the caller's promise.
        fields.push(unsafe { Val::from_raw(store, raw, ty) });
    }
    Ok(ThrownException::from_parts(store, tag, fields.into())?)
}
