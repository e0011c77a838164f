//! Traps that the hardware raises: from the signal to the entry of wasm.

use super::{backtrace, frames, unwind};
use crate::error::Result;
use crate::store::{Pending, StoreOpaque};
use crate::trap::{Trap, TrapCode};
use seqfault_jit::code;
use seqfault_jit::vm::{NULL_PAGE, VMStoreContext};
use seqfault_mm::signal::{self, Disposition, Signal};
use seqfault_mm::{Fault, FaultKind};

/// Installs the process's signal handlers, if that was not done yet.
pub(crate) fn install_signal_handlers() -> Result<()> {
    Ok(signal::install(on_signal)?)
}

/// Handles a signal that `seqfault-mm` could not resolve. It is a trap if compiled code raised it
/// at an instruction that may trap, for a reason that fits.
///
/// Runs in the signal handler: it reads code tables and the frames of compiled code, and rewrites
/// the context. It uses nothing of the thread; the frames tell which store it is.
///
/// # Safety
///
/// Called by the handler, on the thread that raised the signal.
unsafe fn on_signal(signal: &mut Signal<'_>) -> Disposition {
    // SAFETY: the caller's promise.
    match unsafe { trap_of(signal) } {
        Some(RaisedTrap { code, store, fault }) => {
            // The stack must look as after a call.
            let sp = (signal.sp() & !15) - 8;
            let (pc, fp) = (signal.pc() as u64, signal.fp() as u64);
            let [base, offset] =
                fault.map_or([0; 2], |fault| [fault.addr - fault.offset, fault.offset]);
            let store = store.expose_provenance() as u64;
            let args = [store, pc, fp, code as u64, base as u64, offset as u64];
            signal.redirect(raise_trap as *const () as usize, sp, args);
            Disposition::Handled
        }
        None => Disposition::NotOurs,
    }
}

/// What a signal means.
struct RaisedTrap {
    code: TrapCode,
    /// The store whose wasm has raised it.
    store: *mut VMStoreContext,
    /// The fault, if the address is in a region.
    fault: Option<Fault>,
}

/// # Safety
///
/// As for [`on_signal`].
unsafe fn trap_of(signal: &Signal<'_>) -> Option<RaisedTrap> {
    if !signal.by_kernel() {
        return None;
    }
    let pc = signal.pc();
    // SAFETY: if this is the address of compiled code, that code is running.
    let site = unsafe { code::lookup(pc) }?.trap_at(pc)?;
    let code = classify(signal, site)?;
    // SAFETY: as above; every function of compiled code that may trap has a frame by then.
    let store = unsafe { frames::running_store(pc, signal.fp()) }?;
    Some(RaisedTrap { code, store, fault: signal.fault })
}

/// Why the program traps, given the reason for which the instruction may trap.
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
            // A null reference where no object was ever made: there is no heap, and its base is
            // null.
            | TrapCode::NullStruct
            | TrapCode::NullArray,
            None,
        ) => (signal.addr() < NULL_PAGE).then_some(site),
        // Accesses to the heap: a null reference points to its first bytes.
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

/// Where the thread continues after the handler: on the same stack, below the frame that trapped.
///
/// # Safety
///
/// Entered by [`on_signal`] only: `pc` and `fp` are those of the trapping frame, whose store `vm`
/// belongs to; the fault was `offset` bytes behind the `base` of a region, or `base` is 0.
unsafe extern "C" fn raise_trap(
    vm: *mut VMStoreContext,
    pc: usize,
    fp: usize,
    code: u8,
    base: usize,
    offset: u64,
) -> ! {
    let code = TrapCode::from_u8(code).expect("what the handler has passed");
    // SAFETY: that frame is the innermost of the store, and nothing borrows the store while wasm
    // runs; all values that need dropping are moved into the store.
    unsafe {
        let store: *mut StoreOpaque = (*vm).store.cast();
        let backtrace = backtrace::capture(store, pc, fp);
        let fault = match code {
            TrapCode::MemoryOutOfBounds => backtrace::module_at(pc)
                .and_then(|module| (*store).memory_fault(base, offset, &module)),
            _ => None,
        };
        let trap = match fault {
            Some(fault) => Trap::out_of_bounds(fault, backtrace),
            None => Trap::new(code, backtrace),
        };
        (*store).set_pending(Pending::Error(trap.into()));
        unwind::unwind(store)
    }
}
