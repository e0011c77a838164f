//! [`Global`]: one value that instances and the host share.

use super::Val;
use crate::error::{Error, Result};
use crate::instance::InstanceData;
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::types::{GlobalType, Mutability};
use crate::vm::Shared;
use seqfault_jit::vm::{VMGlobal, ValRaw};
use std::ptr::NonNull;

/// A global, in the store that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    store: StoreId,
    cell: NonNull<VMGlobal>,
    owner: GlobalOwner,
}

/// The owner of a global, which knows its type.
#[derive(Clone, Copy, Debug)]
enum GlobalOwner {
    /// The host made it.
    Host(NonNull<GlobalCell>),
    /// An instance defines it, under this index.
    Instance(NonNull<InstanceData>, u32),
}

// SAFETY: the pointer is used only together with the store that owns what it leads to.
unsafe impl Send for Global {}
// SAFETY: as above.
unsafe impl Sync for Global {}

/// A global that the host made; those of instances are in their contexts.
#[derive(Debug)]
pub(crate) struct GlobalCell {
    pub(crate) vm: Shared<VMGlobal>,
    pub(crate) ty: GlobalType,
}

impl Global {
    /// A new global.
    ///
    /// # Errors
    ///
    /// When `value` is not one of the type's.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        value.check(store, &ty.content)?;
        let raw = value.to_raw(store);
        let vm = Shared::new(VMGlobal { bytes: [0; 16] });
        let cell = NonNull::new(vm.get()).expect("not null");
        // SAFETY: nobody else knows the cell yet; the type has been checked.
        unsafe { write_global(cell.as_ptr(), raw) };
        let owner = GlobalOwner::Host(store.add_global(Box::new(GlobalCell { vm, ty }))?);
        Ok(Global { store: store.id(), cell, owner })
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        self.global_type(store.as_context().opaque())
    }

    /// Its value.
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let content = self.global_type(store).content;
        // SAFETY: the store owns the cell and is borrowed, so no guest writes it now; the cell
        // holds a value of its type.
        unsafe { Val::from_raw(store, read_global(self.cell.as_ptr()), &content) }
    }

    /// Changes its value.
    ///
    /// # Errors
    ///
    /// When it is immutable, or `value` is not one of its type's.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let ty = self.global_type(store);
        if ty.mutability == Mutability::Const {
            return Err(Error::msg("the global is immutable"));
        }
        value.check(store, &ty.content)?;
        // SAFETY: the store owns the cell and is borrowed; the type has been checked.
        unsafe { write_global(self.cell.as_ptr(), value.to_raw(store)) };
        Ok(())
    }

    /// The global that an instance defines under an index.
    pub(crate) fn of_instance(store: &StoreOpaque, instance: &InstanceData, index: u32) -> Global {
        let cell = NonNull::new(instance.global(index)).expect("not null");
        let owner = GlobalOwner::Instance(instance.place(), index);
        Global { store: store.id(), cell, owner }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn cell(&self) -> *mut VMGlobal {
        self.cell.as_ptr()
    }

    pub(crate) fn global_type(&self, store: &StoreOpaque) -> GlobalType {
        store.check(self.store);
        match self.owner {
            // SAFETY: the store owns the cell, and its type never changes.
            GlobalOwner::Host(cell) => unsafe { (*cell.as_ptr()).ty.clone() },
            GlobalOwner::Instance(instance, index) => {
                // SAFETY: the store owns the instance, whose module never changes.
                let module = unsafe { (*instance.as_ptr()).module() };
                GlobalType::from_canonical(
                    &module.info().globals[index as usize],
                    &module.resolver(),
                )
            }
        }
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
