//! What compiled code calls of the store itself.

use super::StoreOpaque;
use crate::error::Result;
use crate::instance::InstanceData;

/// # Safety
///
/// Called by compiled code, so that nothing borrows the store.
pub(crate) unsafe fn new_epoch(store: *mut StoreOpaque, _: *mut InstanceData) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { StoreOpaque::whole(store) }.new_epoch()
}
