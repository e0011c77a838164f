//! The part of a store that does not depend on the embedder's data.

use super::arena::Arena;
use super::exceptions::Exceptions;
use super::{Counted, StoreInner, WholeStore};
use crate::engine::{Engine, RegisteredType, TypeId as EngineTypeId};
use crate::entities::{GlobalCell, MemoryData, TableData, TagCell};
use crate::error::{Error, Result};
use crate::fallible::{self, Few, NoMemory};
use crate::func::HostFuncInstance;
use crate::gc::{GcHeap, RawRef, RootSet};
use crate::instance::InstanceData;
use crate::interrupt::Interrupt;
use crate::vm::{self, Activation, Shared};
use seqfault_jit::vm::{VMStoreContext, VMTag};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Distinguishes stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoreId(NonZeroU64);

impl StoreId {
    fn next() -> StoreId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness matters.
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        StoreId(NonZeroU64::new(id).expect("fewer than 2^64 stores"))
    }
}

/// Why wasm was left, other than by returning.
pub(crate) enum Pending {
    /// A trap or an error; its backtrace has been taken.
    Error(Error),
    /// A panic in a host function or in the runtime, to continue in the caller.
    Panic(Box<dyn Any + Send>),
}

/// A store without the embedder's data.
pub struct StoreOpaque {
    /// The part that compiled code uses.
    vm: Shared<VMStoreContext>,
    /// The part that other threads may access.
    interrupt: Arc<Interrupt>,
    /// Set once the guest has waited.
    waits: Option<Waits>,
    id: StoreId,
    engine: Engine,
    data_type: TypeId,
    /// Converts from this part to the whole.
    whole: fn(*mut StoreOpaque) -> *mut dyn WholeStore,
    pending: Option<Pending>,
    /// How often the embedder let its guest go on when a check found that it was due.
    checks_answered: u64,
    /// The innermost entry into its wasm, or null.
    activation: *const Activation,
    pub(super) instances: Arena<InstanceData>,
    /// Owned by this store, or shared with others.
    pub(super) memories: Few<Arc<MemoryData>, 1>,
    tables: Arena<TableData>,
    globals: Arena<GlobalCell>,
    host_funcs: Arena<HostFuncInstance>,
    tags: Arena<TagCell>,
    exceptions: Exceptions,
    /// Made with the first object, or with the first instance that may make objects.
    gc_heap: Option<Box<GcHeap>>,
    roots: RootSet,
    /// The types of objects that the host has made.
    gc_types: HashMap<EngineTypeId, RegisteredType>,
}

/// A store's entry in the engine's list of stores to wake. Removed when the store is dropped.
struct Waits {
    engine: Engine,
    interrupt: Arc<Interrupt>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.engine.waiters().remove(&self.interrupt);
    }
}

// SAFETY: the raw pointers point to parts that the store owns, or into the engine and modules that
// it keeps alive. Only one thread at a time uses them: the one that has borrowed the store. For the
// embedder's data, the auto traits of `Store<T>`'s own field apply.
unsafe impl Send for StoreOpaque {}
// SAFETY: as above; nothing is changed through `&StoreOpaque`.
unsafe impl Sync for StoreOpaque {}

impl StoreOpaque {
    pub(super) fn new<T: 'static>(engine: &Engine) -> StoreOpaque {
        let interrupt = Interrupt::new();
        StoreOpaque {
            vm: Shared::new(VMStoreContext {
                stack_limit: usize::MAX,
                epoch_deadline: interrupt.deadline_ptr(),
                exit_fp: 0,
                exit_pc: 0,
                entry_fp: 0,
                entry_sp: 0,
                entry_handler: 0,
                caller_vmctx: std::ptr::null_mut(),
                gc_heap_base: std::ptr::null_mut(),
                gc_next: 0,
                gc_limit: 0,
                store: std::ptr::null_mut(),
            }),
            interrupt,
            waits: None,
            id: StoreId::next(),
            engine: engine.clone(),
            data_type: TypeId::of::<T>(),
            whole: |this| this.cast::<StoreInner<T>>(),
            pending: None,
            checks_answered: 0,
            activation: std::ptr::null(),
            instances: Arena::default(),
            memories: Few::new(),
            tables: Arena::default(),
            globals: Arena::default(),
            host_funcs: Arena::default(),
            tags: Arena::default(),
            exceptions: Exceptions::default(),
            gc_heap: None,
            roots: RootSet::default(),
            gc_types: HashMap::new(),
        }
    }

    pub(crate) fn id(&self) -> StoreId {
        self.id
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The type of the embedder's data.
    pub(crate) fn data_type(&self) -> TypeId {
        self.data_type
    }

    /// The part of the store that compiled code uses.
    pub(crate) fn vm(&self) -> *mut VMStoreContext {
        self.vm.get()
    }

    /// The whole store that this is a part of.
    ///
    /// Takes a pointer: the store may change through the result, so no reference to it may be held.
    ///
    /// # Safety
    ///
    /// `this` must be a live store that nothing else borrows.
    pub(crate) unsafe fn whole<'a>(this: *mut StoreOpaque) -> &'a mut dyn WholeStore {
        // SAFETY: this is the first part of a `StoreInner` of the type that `new` was given; the
        // caller promises that no other reference exists.
        unsafe { &mut *((*this).whole)(this) }
    }

    pub(crate) fn set_epoch_deadline(&mut self, ticks: u64) {
        self.interrupt.set_deadline(self.engine.current_epoch().saturating_add(ticks));
    }

    /// Lets wasm run without a deadline until one is set again.
    pub(super) fn clear_epoch_deadline(&mut self) {
        self.interrupt.set_deadline(u64::MAX);
    }

    /// Checks, between pieces of work that the host does for a guest, whether the guest is to be
    /// interrupted: an error if so. Code of the embedder may run, if it decides that.
    ///
    /// # Safety
    ///
    /// As for [`StoreOpaque::whole`]. A collection may happen, so references must be rooted.
    pub(crate) unsafe fn check_interrupt(this: *mut StoreOpaque) -> Result<()> {
        // SAFETY: the caller's promise; the first borrow ends before the second begins.
        unsafe {
            let store = &*this;
            if store.interrupt.is_due(store.engine.current_epoch()) {
                StoreOpaque::whole(this).new_epoch()?;
                (*this).checks_answered += 1;
            }
            Ok(())
        }
    }

    /// How often code of the embedder may have run in [`StoreOpaque::check_interrupt`].
    pub(crate) fn checks_answered(&self) -> u64 {
        self.checks_answered
    }

    pub(crate) fn interrupt(&self) -> &Arc<Interrupt> {
        &self.interrupt
    }

    /// Makes the engine wake the store's guest from waits when its deadline is reached.
    pub(crate) fn join_waiters(&mut self) -> &Arc<Interrupt> {
        let (engine, interrupt) = (&self.engine, &self.interrupt);
        self.waits.get_or_insert_with(|| {
            engine.waiters().add(interrupt);
            Waits { engine: engine.clone(), interrupt: Arc::clone(interrupt) }
        });
        interrupt
    }

    /// The innermost entry into its wasm, or null.
    pub(crate) fn activation(&self) -> *const Activation {
        self.activation
    }

    /// # Safety
    ///
    /// `activation` must be null, or keep its address until another one is set.
    pub(crate) unsafe fn set_activation(&mut self, activation: *const Activation) {
        self.activation = activation;
    }

    pub(crate) fn set_pending(&mut self, pending: Pending) {
        self.pending = Some(pending);
    }

    pub(crate) fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    pub(crate) fn take_pending(&mut self) -> Option<Pending> {
        self.pending.take()
    }

    /// # Panics
    ///
    /// When a handle is used with a store that it does not belong to.
    #[track_caller]
    pub(crate) fn check(&self, owner: StoreId) {
        assert!(owner == self.id, "object used with the wrong store");
    }

    /// Adds an instance. Returns its index and its final address.
    pub(crate) fn add_instance(
        &mut self,
        instance: Box<InstanceData>,
    ) -> Result<(usize, *mut InstanceData), NoMemory> {
        let index = self.instances.push(instance)?;
        let instance = self.instances.get(index);
        // SAFETY: it belongs to the store, and nothing has borrowed it.
        unsafe { InstanceData::set_place(instance) };
        Ok((index, instance.as_ptr()))
    }

    pub(crate) fn instance(&self, index: usize) -> &InstanceData {
        &self.instances[index]
    }

    /// How many of them the store has.
    pub(crate) fn count(&self, counted: Counted) -> usize {
        match counted {
            Counted::Instances => self.instances.len(),
            Counted::Tables => self.tables.len(),
            Counted::Memories => self.memories.len(),
        }
    }

    /// An error if the embedder does not allow one more of them.
    ///
    /// # Safety
    ///
    /// As for [`StoreOpaque::whole`].
    pub(crate) unsafe fn check_count(this: *mut StoreOpaque, counted: Counted) -> Result<()> {
        // SAFETY: the caller's promise; the first borrow ends before the second begins.
        unsafe {
            let present = (*this).count(counted);
            StoreOpaque::whole(this).check_count(counted, present)
        }
    }

    pub(crate) fn add_memory(&mut self, memory: Arc<MemoryData>) -> Result<usize, NoMemory> {
        fallible::reserve_few(&mut self.memories, 1)?;
        self.memories.push(memory);
        Ok(self.memories.len() - 1)
    }

    /// Keeps a shared memory alive as long as this store. Returns its index here.
    pub(crate) fn share_memory(&mut self, memory: &Arc<MemoryData>) -> Result<usize, NoMemory> {
        let known = self.memories.iter().position(|known| Arc::ptr_eq(known, memory));
        known.map_or_else(|| self.add_memory(Arc::clone(memory)), Ok)
    }

    pub(crate) fn memory(&self, index: usize) -> &Arc<MemoryData> {
        &self.memories[index]
    }

    pub(crate) fn add_table(&mut self, table: TableData) -> Result<usize, NoMemory> {
        self.tables.push(fallible::boxed(table)?)
    }

    pub(crate) fn table(&self, index: usize) -> &TableData {
        &self.tables[index]
    }

    pub(crate) fn table_mut(&mut self, index: usize) -> &mut TableData {
        &mut self.tables[index]
    }

    /// Two tables at once; they may be the same.
    pub(crate) fn two_tables(
        &mut self,
        a: usize,
        b: usize,
    ) -> Result<[&mut TableData; 2], &mut TableData> {
        if a == b {
            return Err(&mut self.tables[a]);
        }
        Ok(self.tables.two_mut(a, b))
    }

    /// Adds a global. Returns its final address.
    pub(crate) fn add_global(
        &mut self,
        global: Box<GlobalCell>,
    ) -> Result<NonNull<GlobalCell>, NoMemory> {
        let index = self.globals.push(global)?;
        Ok(self.globals.get(index))
    }

    /// Adds a host function. Returns its final address.
    pub(crate) fn add_host_func(
        &mut self,
        func: Box<HostFuncInstance>,
    ) -> Result<NonNull<HostFuncInstance>, NoMemory> {
        let index = self.host_funcs.push(func)?;
        Ok(self.host_funcs.get(index))
    }

    /// Adds a tag. Returns its final address.
    pub(crate) fn add_tag(&mut self, tag: Box<TagCell>) -> Result<NonNull<VMTag>, NoMemory> {
        let index = self.tags.push(tag)?;
        Ok(self.tags.get(index).cast())
    }

    /// The exception that is being thrown.
    pub(crate) fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    /// As [`StoreOpaque::exceptions`].
    pub(crate) fn exceptions_mut(&mut self) -> &mut Exceptions {
        &mut self.exceptions
    }

    /// Removes an instance that nothing refers to, if it was added last.
    pub(crate) fn remove_last_instance(&mut self, instance: *const InstanceData) {
        let last = self.instances.len().checked_sub(1);
        if last.is_some_and(|last| std::ptr::eq(&self.instances[last], instance)) {
            self.instances.pop();
        }
    }

    /// The heap, if there is one.
    pub(crate) fn gc_heap(&self) -> Option<&GcHeap> {
        self.gc_heap.as_deref()
    }

    /// The heap, which must have been made.
    pub(crate) fn gc_heap_mut(&mut self) -> &mut GcHeap {
        self.gc_heap.as_deref_mut().expect("there is an object")
    }

    /// Makes the heap, unless there is one.
    pub(crate) fn make_gc_heap(&mut self) -> Result<()> {
        if self.gc_heap.is_none() {
            let heap = Box::new(GcHeap::new(&self.engine)?);
            // SAFETY: the store's own context, which nobody uses meanwhile.
            heap.publish(unsafe { &mut *self.vm.get() }, heap.start());
            self.gc_heap = Some(heap);
        }
        Ok(())
    }

    pub(crate) fn roots(&self) -> &RootSet {
        &self.roots
    }

    pub(crate) fn roots_mut(&mut self) -> &mut RootSet {
        &mut self.roots
    }

    /// Keeps a type alive as long as the store, because objects of it may be alive.
    ///
    /// # Panics
    ///
    /// When it belongs to another engine.
    pub(crate) fn keep_type(&mut self, ty: &RegisteredType) {
        assert!(self.engine.types().owns(ty), "a type used with another engine than its own");
        self.gc_types.entry(ty.id()).or_insert_with(|| ty.clone());
    }

    /// Calls `visit` with every place outside of the heap that holds a reference into it.
    ///
    /// # Safety
    ///
    /// `store` must be alive and not borrowed; if its wasm is on a stack, the frame that was left
    /// must be recorded.
    pub(crate) unsafe fn visit_roots(store: *mut StoreOpaque, visit: &mut dyn FnMut(*mut RawRef)) {
        // SAFETY: the caller's promise.
        unsafe { vm::visit_references(store, visit) };
        // SAFETY: as above; frames hold no borrow of it.
        let store = unsafe { &mut *store };
        store.instances.iter_mut().for_each(|instance| instance.visit_references(visit));
        for global in store.globals.iter_mut().filter(|global| global.ty.content.is_gc()) {
            visit(global.vm.get().cast());
        }
        for table in store.tables.iter_mut().filter(|table| table.holds_objects()) {
            for element in table.all_elements_mut() {
                // Little-endian: the reference is in the first half.
                visit((&raw mut *element).cast());
            }
        }
        store.exceptions.visit(visit);
        store.roots.visit(visit);
    }
}
