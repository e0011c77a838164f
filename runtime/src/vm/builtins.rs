//! The builtins: the runtime's functions that compiled code calls, generated from the one list
//! ([`foreach_builtin`](seqfault_jit::foreach_builtin)).
//!
//! Each consists of a shim, an entry and a body. The shim records the frame in which wasm was left. The entry finds
//! store and instance, and unwinds if the body fails. Bodies are beside what they work on. They take store and
//! instance, then the arguments of the list. They may use both freely, because nothing borrows them while compiled code
//! runs.

use super::arch::{builtin_shim, checking_shim, keeping_shim};
use super::{exceptions, unwind};
use crate::error::Result;
use crate::instance::InstanceData;
use crate::store::StoreOpaque;
use crate::trap::{TrapCode, TrapReason};
use seqfault_jit::foreach_builtin;
use seqfault_jit::vm::{
    VMBuiltins, VMContext, VMCopyBytes, VMFillBytes, VMFillPairs, VMFillWords, VMHostContext,
    VMTag, VMVerdict, ValRaw,
};
use seqfault_mm::{Fault, FaultKind, copy};
use std::convert::Infallible;
use std::mem::{self, offset_of};
use std::ptr::NonNull;

/// The bodies.
mod bodies {
    pub(super) use super::exceptions::{throw, throw_ref};
    pub(super) use crate::entities::memory_builtins::*;
    pub(super) use crate::entities::table_builtins::*;
    pub(super) use crate::gc::builtins::*;
    pub(super) use crate::instance::builtins::*;
    pub(super) use crate::store::builtins::*;
}

macro_rules! define_builtins {
    (
        returning {
            $($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $result:ty)?;)*
        }
        keeping { $($(#[$doc4:meta])* fn $keep:ident($($arg4:ident: $ty4:ty),* $(,)?);)* }
        checking { $($(#[$doc5:meta])* fn $check:ident($($arg5:ident: $ty5:ty),* $(,)?);)* }
        throwing { $($(#[$doc2:meta])* fn $throw:ident($($arg2:ident: $ty2:ty),* $(,)?);)* }
        failing { $($(#[$doc3:meta])* fn $fail:ident($($arg3:ident: $ty3:ty),* $(,)?);)* }
    ) => {
        mod entries {
            use super::*;

            $(pub(super) unsafe extern "C" fn $name(
                vmctx: *mut VMContext,
                $($arg: $ty),*
            ) $(-> $result)? {
                // SAFETY: called by compiled code, through its shim. The translator passes indices of the instance's
                // own parts, and references of the store.
                unsafe { run(vmctx, |store, instance| bodies::$name(store, instance, $($arg),*)) }
            })*

            $(pub(super) unsafe extern "C" fn $keep(vmctx: *mut VMContext, $($arg4: $ty4),*) {
                // SAFETY: as above.
                unsafe { run(vmctx, |store, instance| bodies::$keep(store, instance, $($arg4),*)) }
            })*

            // Only of checks that have failed: the shim returns from all others.
            $(pub(super) unsafe extern "C" fn $check(
                vmctx: *mut VMContext,
                $($arg5: $ty5),*
            ) -> ! {
                // SAFETY: as above.
                match unsafe {
                    run::<Infallible>(vmctx, |store, instance| {
                        Err(bodies::$check(store, instance, $($arg5),*))
                    })
                } {}
            })*

            $(pub(super) unsafe extern "C" fn $throw(
                vmctx: *mut VMContext,
                $($arg2: $ty2),*
            ) -> ! {
                // SAFETY: as above.
                unsafe { bodies::$throw(store_of(vmctx), $($arg2),*) }
            })*

            $(pub(super) unsafe extern "C" fn $fail(vmctx: *mut VMContext, $($arg3: $ty3),*) -> ! {
                // SAFETY: as above.
                match unsafe {
                    run::<Infallible>(vmctx, |store, instance| {
                        Err(bodies::$fail(store, instance, $($arg3),*))
                    })
                } {}
            })*
        }

        mod shims {
            use super::*;

            $(builtin_shim!(fn $name($($arg: $ty),*) $(-> $result)? => entries::$name);)*
            $(keeping_shim!(fn $keep($($arg4: $ty4),*) => entries::$keep);)*
            $(checking_shim!(fn $check($($arg5: $ty5),*) => entries::$check);)*
            $(builtin_shim!(fn $throw($($arg2: $ty2),*) -> ! => entries::$throw);)*
            $(builtin_shim!(fn $fail($($arg3: $ty3),*) -> ! => entries::$fail);)*
        }

        static BUILTINS: VMBuiltins = VMBuiltins {
            $($name: shims::$name,)*
            $($keep: shims::$keep,)*
            $($check: shims::$check,)*
            $($throw: shims::$throw,)*
            $($fail: shims::$fail,)*
            raise,
            copy_bytes: COPY_BYTES,
            fill_bytes: FILL_BYTES,
            fill_words: FILL_WORDS,
            fill_pairs: FILL_PAIRS,
        };
    };
}

foreach_builtin!(define_builtins);

// SAFETY: the same function types, but for the name of what is returned: two words of 64 bits.
const COPY_BYTES: VMCopyBytes =
    unsafe { mem::transmute::<copy::CopyBytes, VMCopyBytes>(copy::copy_routine()) };
// SAFETY: as above.
const FILL_BYTES: VMFillBytes =
    unsafe { mem::transmute::<copy::FillBytes, VMFillBytes>(copy::fill_routine()) };
// SAFETY: as above.
const FILL_WORDS: VMFillWords =
    unsafe { mem::transmute::<copy::FillWords, VMFillWords>(copy::fill_words_routine()) };
// SAFETY: as above.
const FILL_PAIRS: VMFillPairs =
    unsafe { mem::transmute::<copy::FillPairs, VMFillPairs>(copy::fill_pairs_routine()) };
const _: () = {
    assert!(offset_of!(VMVerdict, code) == offset_of!(copy::Verdict, code));
    assert!(offset_of!(VMVerdict, addr) == offset_of!(copy::Verdict, addr));
    assert!(size_of::<VMVerdict>() == size_of::<copy::Verdict>());
};

/// The table of builtins, for contexts.
pub(crate) fn builtins() -> *const VMBuiltins {
    &BUILTINS
}

/// # Safety
///
/// `vmctx` must be the context of a running instance.
unsafe fn store_of(vmctx: *mut VMContext) -> *mut StoreOpaque {
    // SAFETY: the caller's promise; contexts point to their store.
    unsafe { (*(*vmctx).store_context).store.cast() }
}

/// Runs the body of a builtin for the instance that has called it.
///
/// # Safety
///
/// `vmctx` must be the context of a running instance, and the caller compiled code, through
/// its shim.
unsafe fn run<R: Copy>(
    vmctx: *mut VMContext,
    body: impl FnOnce(*mut StoreOpaque, *mut InstanceData) -> Result<R>,
) -> R {
    // SAFETY: the caller's promise; contexts point to their instance.
    unsafe {
        let store = store_of(vmctx);
        let instance: *mut InstanceData = (*vmctx).instance.cast();
        unwind::catch_or_unwind(store, || body(store, instance))
    }
}

/// Unwinds: a host function has left an error in the store.
unsafe extern "C" fn raise(context: *mut VMHostContext) -> ! {
    // SAFETY: called by an exit trampoline; only it is between here and the wasm frames.
    unsafe {
        let store: *mut StoreOpaque = (*(*context).store_context).store.cast();
        exceptions::throw_pending(store);
        unwind::unwind(store)
    }
}

/// The trap for a fault of the runtime's own access to guest memory.
pub(crate) fn trap_of(fault: Fault) -> TrapReason {
    trap_of_kind(fault.kind)
}

/// The trap that a denied access means to the guest.
pub(crate) fn trap_of_kind(kind: FaultKind) -> TrapReason {
    TrapReason(match kind {
        FaultKind::ResidentLimit => TrapCode::ResidentLimit,
        FaultKind::OutOfMemory => TrapCode::OutOfMemory,
        _ => TrapCode::MemoryOutOfBounds,
    })
}
