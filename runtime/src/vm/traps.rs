//! Traps that the hardware raises: from the signal to the entry of wasm.

use super::activation::Activation;
use super::{backtrace, unwind};
use crate::error::Result;
use crate::store::Pending;
use crate::trap::{Trap, TrapCode};
use seqfault_jit::code;
use seqfault_jit::vm::NULL_PAGE;
use seqfault_mm::FaultKind;
use seqfault_mm::signal::{self, Disposition, Signal};

/// Puts the process's signal handlers in place; once is enough.
pub(crate) fn install_signal_handlers() -> Result<()> {
    Ok(signal::install(on_signal)?)
}

/// What `seqfault-mm` could not resolve: a trap if compiled code did it at an instruction that may
/// trap, for a reason that fits.
///
/// Runs in the signal handler: it only reads and rewrites the context.
///
/// # Safety
///
/// Called by the handler, on the thread that raised the signal.
unsafe fn on_signal(signal: &mut Signal<'_>) -> Disposition {
    let Some(activation) = Activation::current() else { return Disposition::NotOurs };
    if !signal.by_kernel() {
        return Disposition::NotOurs;
    }
    let pc = signal.pc();
    // SAFETY: if this is the address of code, that code is running.
    let Some(site) = unsafe { code::lookup(pc) }.and_then(|unit| unit.trap_at(pc)) else {
        return Disposition::NotOurs;
    };
    let Some(code) = classify(signal, site) else { return Disposition::NotOurs };
    activation.set_trap(code);
    // A call needs the stack as a call would leave it.
    let sp = (signal.sp() & !15) - 8;
    let args = [pc as u64, signal.fp() as u64];
    signal.redirect(raise_trap as *const () as usize, sp, args);
    Disposition::Handled
}

/// Why the program traps, given what the instruction may trap for.
fn classify(signal: &Signal<'_>, site: TrapCode) -> Option<TrapCode> {
    if !matches!(signal.signo, libc::SIGSEGV | libc::SIGBUS) {
        return Some(site);
    }
    match (site, signal.fault) {
        (TrapCode::MemoryOutOfBounds, Some(fault)) => Some(match fault.kind {
            FaultKind::ResidentLimit => TrapCode::ResidentLimit,
            FaultKind::OutOfMemory => TrapCode::OutOfMemory,
            _ => TrapCode::MemoryOutOfBounds,
        }),
        (
            TrapCode::IndirectCallToNull
            | TrapCode::NullFunctionReference
            | TrapCode::UndefinedElement
            | TrapCode::TableOutOfBounds
            | TrapCode::ArrayOutOfBounds
            // A null reference where no object was ever made: there is no heap, and its base is null.
            | TrapCode::NullStruct
            | TrapCode::NullArray,
            None,
        ) => (signal.addr() < NULL_PAGE).then_some(site),
        // Accesses of the heap: its first bytes are those that a null reference leads to.
        (
            TrapCode::NullStruct
            | TrapCode::NullArray
            | TrapCode::ArrayOutOfBounds
            | TrapCode::GcHeapOutOfMemory,
            Some(fault),
        ) => Some(match fault.kind {
            FaultKind::ResidentLimit => TrapCode::ResidentLimit,
            FaultKind::OutOfMemory => TrapCode::OutOfMemory,
            _ => site,
        }),
        _ => None,
    }
}

/// Where the thread goes on after the handler: on the same stack, below the frame that trapped.
///
/// # Safety
///
/// Entered by [`on_signal`] only: `pc` and `fp` are those of the trapping frame.
unsafe extern "C" fn raise_trap(pc: usize, fp: usize) -> ! {
    let activation = Activation::current().expect("wasm was running");
    let code = activation.take_trap().expect("set by the handler");
    let store = activation.store();
    // SAFETY: that frame is the innermost of the store's, and nothing borrows the store while wasm
    // runs; all values that need dropping are moved into the store.
    unsafe {
        let trap = Trap::new(code, backtrace::capture(store, pc, fp));
        (*store).set_pending(Pending::Error(trap.into()));
        unwind::unwind(store)
    }
}
