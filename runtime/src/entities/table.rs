//! [`Table`]: references that instances and the host share.

pub(crate) mod builtins;

use super::Val;
use crate::error::{Error, Result};
use crate::fallible::{self, NoMemory};
use crate::instance::InstanceData;
use crate::store::{
    AsContext, AsContextMut, Counted, Kept, RefusedByLimiter, StoreId, StoreOpaque, piece_of,
};
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
    /// What the table has, and while it grows ([`grow_table`]) what it will have.
    elements: Vec<u64>,
    /// How many elements the table has.
    len: usize,
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
        Ok(TableData { vm, elements, len, ty, owner: contents.owner.map(Owner) })
    }

    pub(crate) fn vm(&self) -> *mut VMTable {
        self.vm.get()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The type with the present size as its minimum: imports are matched against it.
    pub(crate) fn current_type(&self) -> TableType {
        TableType { minimum: self.len() as u64, ..self.ty.clone() }
    }

    fn maximum(&self) -> u64 {
        self.ty.maximum.unwrap_or(MAX_TABLE_ELEMENTS).min(MAX_TABLE_ELEMENTS)
    }

    /// Makes room for `len` elements in all; false if there is none. What another growth, during which this one happens, has
    /// added is removed.
    fn reserve(&mut self, len: usize) -> bool {
        self.give_up_growth();
        let reserved = fallible::reserve(&mut self.elements, len - self.len).is_ok();
        self.update_vm();
        reserved
    }

    /// Adds a piece of elements that the table does not have yet, towards `len` of them. Whether all are there now.
    fn lengthen(&mut self, len: usize, init: u64) -> bool {
        let end = len.min(self.elements.len() + piece_of(size_of::<u64>()));
        self.elements.resize(end, init);
        end == len
    }

    /// Gives the table all elements that were added.
    fn commit(&mut self) {
        self.len = self.elements.len();
        self.update_vm();
    }

    /// Removes the elements that were added.
    fn give_up_growth(&mut self) {
        self.elements.truncate(self.len);
    }

    /// Removes all elements. Nothing may access them again.
    pub(crate) fn empty(&mut self) {
        (self.elements, self.len) = (Vec::new(), 0);
        self.update_vm();
    }

    fn update_vm(&mut self) {
        let (base, len) = (self.elements.as_mut_ptr(), self.len);
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

    /// Whether functions in it may not be made.
    pub(crate) fn is_unmade(&self) -> bool {
        self.owner.is_some()
    }

    /// Some elements, with their functions made.
    pub(crate) fn made_elements(&mut self, range: Range<usize>) -> &mut [u64] {
        if self.is_unmade() {
            for index in range.clone() {
                self.elements[index] = self.made(self.elements[index]);
            }
        }
        &mut self.elements[range]
    }

    /// All functions in it are made now, and it gets no others.
    pub(crate) fn all_are_made(&mut self) {
        self.owner = None;
        self.update_vm();
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
        self.elements[..self.len].get(index).map(|&element| self.made(element))
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
        &mut self.elements[..self.len]
    }

    /// All that holds references, including what it will have once it has grown.
    pub(crate) fn all_elements_mut(&mut self) -> &mut [u64] {
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
            return Err(RefusedByLimiter::Table { elements: len }.into());
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
/// The elements are added in pieces, which `between` separates. Nobody sees any of them before all are there. If the table
/// has another size after `between`, the growth begins again from that size.
///
/// # Safety
///
/// As for [`allocate_table`]; `between` may use the store.
pub(crate) unsafe fn grow_table(
    store: *mut StoreOpaque,
    index: usize,
    delta: u64,
    init: u64,
    mut between: impl FnMut() -> Result<()>,
) -> Result<Option<u64>> {
    // SAFETY: the caller's promise, for all that follows: no borrow outlives its line.
    unsafe {
        let in_pieces = delta > piece_of(size_of::<u64>()) as u64;
        let init =
            Kept::new(&mut *store, init, (*store).table(index).holds_objects() && in_pieces)?;
        loop {
            let table = (*store).table(index);
            let (old, maximum) = (table.len(), table.maximum());
            let declared = table.ty.maximum.map(|maximum| maximum as usize);
            let new = match (old as u64).checked_add(delta) {
                Some(new) if new <= maximum => new as usize,
                _ => return Ok(None),
            };
            if !StoreOpaque::whole(store).table_growing(old, new, declared)? {
                return Ok(None);
            }
            let outcome = Growth { store, index, old, new }.run(&init, &mut between);
            if let Ok(Grown::Done) = outcome {
                return Ok(Some(old as u64));
            }
            if let Some(limiter) = StoreOpaque::whole(store).limiter() {
                limiter.table_grow_failed(old, new);
            }
            if let Grown::Refused = outcome? {
                return Ok(None);
            }
        }
    }
}

/// One attempt to grow a table.
struct Growth {
    store: *mut StoreOpaque,
    index: usize,
    old: usize,
    new: usize,
}

/// How an attempt ended.
enum Grown {
    Done,
    /// The system has no memory.
    Refused,
    /// The size has changed meanwhile.
    Disturbed,
}

impl Growth {
    /// # Safety
    ///
    /// As for [`grow_table`].
    unsafe fn run(self, init: &Kept, between: &mut dyn FnMut() -> Result<()>) -> Result<Grown> {
        // SAFETY: the caller's promise: each borrow ends before `between`.
        unsafe {
            if !(*self.store).table_mut(self.index).reserve(self.new) {
                return Ok(Grown::Refused);
            }
            loop {
                let table = (*self.store).table_mut(self.index);
                if table.len() != self.old {
                    return Ok(Grown::Disturbed);
                }
                if table.lengthen(self.new, init.bits()) {
                    table.commit();
                    return Ok(Grown::Done);
                }
                between()?;
            }
        }
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        // SAFETY: as for `run`, which has ended, perhaps by a panic of the embedder's.
        unsafe { (*self.store).table_mut(self.index).give_up_growth() };
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
        let old = unsafe { grow_table(store, self.index, delta, init, || Ok(()))? };
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
