//! The builtins for the store itself.

use super::StoreOpaque;
use crate::error::{Error, Result};
use crate::instance::InstanceData;
use crate::trap::{TrapCode, TrapReason};

/// # Safety
///
/// Called by compiled code, so that nothing borrows the store.
pub(crate) unsafe fn new_epoch(store: *mut StoreOpaque, _: *mut InstanceData) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { StoreOpaque::whole(store) }.new_epoch()
}

/// # Safety
///
/// As for [`new_epoch`].
pub(crate) unsafe fn raise_trap(_: *mut StoreOpaque, _: *mut InstanceData, code: u32) -> Error {
    let code = u8::try_from(code).ok().and_then(TrapCode::from_u8);
    TrapReason(code.expect("compiled code names a trap")).into()
}

/// # Safety
///
/// As for [`new_epoch`].
pub(crate) unsafe fn check_trap(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    _failed: u32,
    code: u32,
) -> Error {
    // SAFETY: the caller's promise.
    unsafe { raise_trap(store, instance, code) }
}
