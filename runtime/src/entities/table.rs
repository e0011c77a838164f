//! [`Table`]: references that instances and the host share.

pub(crate) mod builtins;

use super::Val;
use crate::error::{Error, Result};
use crate::fallible::{self, NoMemory};
use crate::instance::InstanceData;
use crate::store::{AsContext, AsContextMut, Counted, StoreId, StoreOpaque};
use crate::trap::{TrapCode, TrapReason};
use crate::types::TableType;
use crate::vm::Shared;
use seqfault_jit::vm::{UNMADE, VMFuncRef, VMTable};
use std::ops::Range;
use std::ptr::{self, NonNull};

/// The most elements that a table can have, as in browsers.
///
/// Source: WebAssembly JavaScript interface, section "Implementation-defined Limits".
pub(crate) const MAX_TABLE_ELEMENTS: u64 = 10_000_000;

/// A table, in the store that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    store: StoreId,
    index: usize,
}

/// What a new table holds.
pub(crate) struct Contents<'a> {
    /// The first elements.
    pub(crate) template: &'a [u64],
    /// The instance of whose functions there may be some in the template that are not made.
    pub(crate) owner: Option<NonNull<InstanceData>>,
    /// The other elements.
    pub(crate) init: u64,
}

impl Contents<'_> {
    /// The same in all elements.
    pub(crate) fn all(init: u64) -> Contents<'static> {
        Contents { template: &[], owner: None, init }
    }
}

/// The instance that defines a table.
#[derive(Clone, Copy, Debug)]
struct Owner(NonNull<InstanceData>);

// SAFETY: the pointer is used only together with the store that owns both.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

/// A store's data for a table.
///
/// In the template of a table, functions are not made. What stands for one is replaced by the reference itself before it
/// is used or goes elsewhere. So it always stands for a function of the instance that defines the table.
#[derive(Debug)]
pub(crate) struct TableData {
    /// The part that compiled code reads; it describes `elements`. Compiled code also writes the elements, through the
    /// same address as the list itself. So references to them are made only for a moment, from that address, while no
    /// compiled code runs.
    vm: Shared<VMTable>,
    elements: Vec<u64>,
    ty: TableType,
    /// See [`Contents::owner`].
    owner: Option<Owner>,
}

impl Contents<'_> {
    fn elements(&self, len: usize) -> Result<Vec<u64>, NoMemory> {
        if self.template.is_empty() {
            return match self.init {
                // If there are many, they take no memory before they are written.
                0 => fallible::zeroes(len),
                init => fallible::repeated(init, len),
            };
        }
        let mut elements = fallible::with_capacity(len)?;
        elements.extend_from_slice(self.template);
        elements.resize(len, self.init);
        Ok(elements)
    }
}

impl TableData {
    fn new(ty: TableType, contents: &Contents<'_>) -> Result<TableData> {
        let len = ty.minimum as usize;
        let no_memory = |error| Error::from(error).context(format!("a table of {len} elements"));
        let mut elements = contents.elements(len).map_err(no_memory)?;
        let unmade = contents.owner.is_some();
        let vm = Shared::new(VMTable { base: elements.as_mut_ptr(), len, unmade });
        Ok(TableData { vm, elements, ty, owner: contents.owner.map(Owner) })
    }

    pub(crate) fn vm(&self) -> *mut VMTable {
        self.vm.get()
    }

    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    /// The type with the present size as its minimum: imports are matched against it.
    pub(crate) fn current_type(&self) -> TableType {
        TableType { minimum: self.len() as u64, ..self.ty.clone() }
    }

    fn maximum(&self) -> u64 {
        self.ty.maximum.unwrap_or(MAX_TABLE_ELEMENTS).min(MAX_TABLE_ELEMENTS)
    }

    /// Makes room for `delta` more elements; false if there is none.
    fn grow(&mut self, delta: usize, init: u64) -> bool {
        if fallible::reserve(&mut self.elements, delta).is_err() {
            return false;
        }
        self.elements.resize(self.elements.len() + delta, init);
        self.update_vm();
        true
    }

    fn update_vm(&mut self) {
        let (base, len) = (self.elements.as_mut_ptr(), self.elements.len());
        // SAFETY: the table is borrowed mutably, so no compiled code of its store runs.
        unsafe { self.vm.get().write(VMTable { base, len, unmade: self.owner.is_some() }) };
    }

    /// `len` elements from `start`, or the trap that the specification asks for.
    pub(crate) fn range(&self, start: u64, len: u64) -> Result<Range<usize>, TrapReason> {
        checked_range(start, len, self.len())
    }

    /// Whether its elements are references of the heap.
    pub(crate) fn holds_objects(&self) -> bool {
        self.ty.element.is_gc()
    }

    /// All elements, with all functions made. The first call takes time in proportion to the table, later ones do not.
    pub(crate) fn made_elements(&mut self) -> &mut [u64] {
        if self.owner.is_some() {
            for index in 0..self.elements.len() {
                self.elements[index] = self.made(self.elements[index]);
            }
            self.owner = None;
            self.update_vm();
        }
        &mut self.elements
    }

    /// The function reference at `index`, which is not null; made, if it was not.
    pub(crate) fn make_func_ref(&mut self, index: u64) -> *const VMFuncRef {
        let made = self.made(self.elements[index as usize]);
        self.elements[index as usize] = made;
        ptr::with_exposed_provenance(made as usize)
    }

    /// The element at `index`, with the function made, if there is one.
    pub(crate) fn get(&self, index: u64) -> Option<u64> {
        let index = usize::try_from(index).ok()?;
        self.elements.get(index).map(|&element| self.made(element))
    }

    /// An element, with the function made.
    fn made(&self, element: u64) -> u64 {
        let func_ref: *const VMFuncRef = ptr::with_exposed_provenance(element as usize);
        match self.owner {
            // SAFETY: such tables hold function references of the store, or what stands for one in the owner's module; the
            // owner lives as long as its elements.
            Some(Owner(owner)) if element != 0 => unsafe {
                match (*func_ref).type_id {
                    UNMADE => owner.as_ref().made_func_ref(func_ref).expose_provenance() as u64,
                    _ => element,
                }
            },
            _ => element,
        }
    }

    pub(crate) fn elements_mut(&mut self) -> &mut [u64] {
        &mut self.elements
    }
}

/// `len` elements from `start` out of `available`, or the trap for a table.
pub(crate) fn checked_range(
    start: u64,
    len: u64,
    available: usize,
) -> Result<Range<usize>, TrapReason> {
    match start.checked_add(len) {
        Some(end) if end <= available as u64 => Ok(start as usize..end as usize),
        _ => Err(TrapReason(TrapCode::TableOutOfBounds)),
    }
}

/// Makes a table, if the store's limiter agrees. Returns its index.
///
/// # Safety
///
/// `store` must be a live store that nothing else borrows; the elements must be its references, or
/// stand for functions of the owner, which must live as long as the table or until it is emptied.
pub(crate) unsafe fn allocate_table(
    store: *mut StoreOpaque,
    ty: TableType,
    contents: &Contents<'_>,
) -> Result<usize> {
    if ty.minimum > MAX_TABLE_ELEMENTS {
        return Err(Error::msg(format!(
            "a table of {} elements exceeds the limit of {MAX_TABLE_ELEMENTS}",
            ty.minimum
        )));
    }
    if ty.maximum.is_some_and(|maximum| maximum < ty.minimum) {
        return Err(Error::msg(format!("{ty} has a maximum below its minimum")));
    }
    let (len, maximum) = (ty.minimum as usize, ty.maximum.map(|maximum| maximum as usize));
    // SAFETY: the caller's promise, for all that follows: no borrow outlives its line.
    unsafe {
        StoreOpaque::check_count(store, Counted::Tables)?;
        if !StoreOpaque::whole(store).table_growing(0, len, maximum)? {
            return Err(Error::msg(format!(
                "the store's limiter refuses a table of {len} elements"
            )));
        }
        let made = TableData::new(ty, contents).and_then(|table| Ok((*store).add_table(table)?));
        match made {
            Ok(index) => Ok(index),
            Err(error) => {
                if let Some(limiter) = StoreOpaque::whole(store).limiter() {
                    limiter.table_grow_failed(0, len);
                }
                Err(error)
            }
        }
    }
}

/// Grows a table by `delta` elements that are `init`. Returns the old size, or `None` if it may not grow.
///
/// # Safety
///
/// As for [`allocate_table`].
pub(crate) unsafe fn grow_table(
    store: *mut StoreOpaque,
    index: usize,
    delta: u64,
    init: u64,
) -> Result<Option<u64>> {
    // SAFETY: the caller's promise.
    let table = unsafe { &*store }.table(index);
    let (old, maximum) = (table.len() as u64, table.maximum());
    let declared = table.ty.maximum.map(|maximum| maximum as usize);
    let new = match old.checked_add(delta) {
        Some(new) if new <= maximum => new,
        _ => return Ok(None),
    };
    // SAFETY: the caller's promise; no borrow is alive.
    let whole = unsafe { StoreOpaque::whole(store) };
    if !whole.table_growing(old as usize, new as usize, declared)? {
        return Ok(None);
    }
    // SAFETY: as above; the first borrow ends before the second begins.
    unsafe {
        if (*store).table_mut(index).grow(delta as usize, init) {
            return Ok(Some(old));
        }
        if let Some(limiter) = StoreOpaque::whole(store).limiter() {
            limiter.table_grow_failed(old as usize, new as usize);
        }
        Ok(None)
    }
}

impl Table {
    /// A new table whose elements are `init`.
    ///
    /// # Errors
    ///
    /// When `init` is not one of the type's values, the store's limiter refuses, or there is no
    /// memory.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Val) -> Result<Table> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        init.check_reference(store, &ty.element)?;
        let init = init.to_reference(store);
        // SAFETY: the store is borrowed mutably; `to_reference` has checked that `init` belongs to it.
        let index = unsafe { allocate_table(store, ty, &Contents::all(init))? };
        Ok(Table { store: store.id(), index })
    }

    /// Its type, as declared.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        let store = store.as_context().opaque();
        store.check(self.store);
        store.table(self.index).ty.clone()
    }

    /// Elements in it now.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let store = store.as_context().opaque();
        store.check(self.store);
        store.table(self.index).len() as u64
    }

    /// One element, or `None` outside of the table.
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Option<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        let table = store.table(self.index);
        let bits = table.get(index)?;
        let element = table.ty.element.clone();
        // SAFETY: an element of a table of this store.
        Some(unsafe { Val::from_reference(store, bits, &element) })
    }

    /// Changes one element.
    ///
    /// # Errors
    ///
    /// When `index` is outside of the table, or `value` not of its type.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        value.check_reference(store, &store.table(self.index).ty.element)?;
        let bits = value.to_reference(store);
        let table = store.table_mut(self.index);
        let len = table.len();
        match table.elements_mut().get_mut(index as usize) {
            Some(element) => *element = bits,
            None => {
                let message = format!("index {index} is outside of a table of {len} elements");
                return Err(Error::msg(message));
            }
        }
        Ok(())
    }

    /// Grows it by `delta` elements that are `init`; the old size.
    ///
    /// # Errors
    ///
    /// When its maximum or the store's limiter does not allow it, or there is no memory.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Val) -> Result<u64> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        init.check_reference(store, &store.table(self.index).ty.element)?;
        let init = init.to_reference(store);
        // SAFETY: the store is borrowed mutably, and `init` is its own.
        let old = unsafe { grow_table(store, self.index, delta, init)? };
        old.ok_or_else(|| Error::msg(format!("the table cannot grow by {delta} elements")))
    }

    pub(crate) fn from_index(store: &StoreOpaque, index: usize) -> Table {
        Table { store: store.id(), index }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }
}
