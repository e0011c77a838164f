//! [`Global`]: one value that instances and the host share.

use super::Val;
use crate::error::{Error, Result};
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::types::{GlobalType, Mutability};
use seqfault_jit::vm::{VMGlobal, ValRaw};
use std::ptr::NonNull;

/// A global, in the store that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    store: StoreId,
    cell: NonNull<VMGlobal>,
    ty: GlobalType,
}

// SAFETY: the pointer is used only together with the store that owns what it leads to.
unsafe impl Send for Global {}
// SAFETY: as above.
unsafe impl Sync for Global {}

/// A global that the host made; those of instances lie in their contexts.
#[derive(Debug)]
pub(crate) struct GlobalCell(pub(crate) VMGlobal);

impl Global {
    /// A new global.
    ///
    /// # Errors
    ///
    /// When `value` is not one of the type's.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        value.check(ty.content)?;
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let cell = store.add_global(Box::new(GlobalCell(VMGlobal { bytes: [0; 16] })));
        let cell = NonNull::from(&mut cell.0);
        let global = Global { store: store.id(), cell, ty };
        // SAFETY: a cell of this store; the type has been checked.
        unsafe { write_global(cell.as_ptr(), value.to_raw(store)) };
        Ok(global)
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        store.as_context().opaque().check(self.store);
        self.ty
    }

    /// Its value.
    pub fn get(&self, store: impl AsContext) -> Val {
        let store = store.as_context().opaque();
        store.check(self.store);
        // SAFETY: the store owns the cell and is borrowed, so no guest writes it now; the cell
        // holds a value of its type.
        unsafe { Val::from_raw(store, read_global(self.cell.as_ptr()), self.ty.content) }
    }

    /// Changes its value.
    ///
    /// # Errors
    ///
    /// When it is immutable, or `value` is not one of its type's.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        if self.ty.mutability == Mutability::Const {
            return Err(Error::msg("the global is immutable"));
        }
        value.check(self.ty.content)?;
        // SAFETY: the store owns the cell and is borrowed; the type has been checked.
        unsafe { write_global(self.cell.as_ptr(), value.to_raw(store)) };
        Ok(())
    }

    pub(crate) fn from_cell(
        store: &StoreOpaque,
        cell: NonNull<VMGlobal>,
        ty: GlobalType,
    ) -> Global {
        Global { store: store.id(), cell, ty }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn cell(&self) -> *mut VMGlobal {
        self.cell.as_ptr()
    }

    pub(crate) fn global_type(&self) -> GlobalType {
        self.ty
    }
}

/// Reads a global as compiled code left it.
///
/// # Safety
///
/// The cell must be alive and not written at the same time.
pub(crate) unsafe fn read_global(cell: *const VMGlobal) -> ValRaw {
    // SAFETY: a cell has the size and alignment of a `ValRaw`, whose bits are all plain; the
    // caller promises the rest.
    unsafe { cell.cast::<ValRaw>().read() }
}

/// Writes a global as compiled code expects it.
///
/// # Safety
///
/// The cell must be alive and not used at the same time, and of the value's type.
pub(crate) unsafe fn write_global(cell: *mut VMGlobal, value: ValRaw) {
    // SAFETY: as for `read_global`.
    unsafe { cell.cast::<ValRaw>().write(value) };
}

const _: () = assert!(size_of::<VMGlobal>() == size_of::<ValRaw>());
const _: () = assert!(align_of::<VMGlobal>() >= align_of::<ValRaw>());
