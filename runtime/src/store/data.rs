//! The part of a store that does not depend on the embedder's data.

use super::arena::Arena;
use super::exceptions::{Exception, Exceptions};
use super::{StoreInner, WholeStore};
use crate::engine::Engine;
use crate::entities::{GlobalCell, MemoryData, TableData, TagCell};
use crate::error::{Error, Result};
use crate::func::HostFuncInstance;
use crate::instance::InstanceData;
use seqfault_jit::vm::{VMStoreContext, VMTag, ValRaw};
use std::any::{Any, TypeId};
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells stores apart.
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

/// Why wasm was left other than by returning.
pub(crate) enum Pending {
    /// A trap or an error; its backtrace has been taken.
    Error(Error),
    /// A panic in a host function or in the runtime, to go on in the caller.
    Panic(Box<dyn Any + Send>),
}

/// A store without the embedder's data.
pub struct StoreOpaque {
    /// What compiled code uses. First, and never moved: the store is boxed.
    vm: VMStoreContext,
    id: StoreId,
    engine: Engine,
    data_type: TypeId,
    whole: Option<NonNull<dyn WholeStore>>,
    pending: Option<Pending>,
    instances: Arena<InstanceData>,
    /// Owned, or shared with other stores.
    memories: Vec<Arc<MemoryData>>,
    tables: Arena<TableData>,
    globals: Arena<GlobalCell>,
    host_funcs: Arena<HostFuncInstance>,
    externrefs: Vec<Box<dyn Any + Send + Sync>>,
    tags: Arena<TagCell>,
    exceptions: Exceptions,
}

// SAFETY: the raw pointers lead to parts that the store owns, or into the engine and modules that
// it keeps alive; all is used by one thread at a time, the one that has borrowed the store. The
// embedder's data is guarded by `Store<T>`'s own auto traits through its field.
unsafe impl Send for StoreOpaque {}
// SAFETY: as above; through `&StoreOpaque` nothing is changed.
unsafe impl Sync for StoreOpaque {}

impl StoreOpaque {
    pub(super) fn new<T: 'static>(engine: &Engine) -> StoreOpaque {
        StoreOpaque {
            vm: VMStoreContext {
                stack_limit: usize::MAX,
                epoch_deadline: u64::MAX,
                exit_fp: 0,
                exit_pc: 0,
                entry_fp: 0,
                entry_sp: 0,
                entry_handler: 0,
                caller_vmctx: std::ptr::null_mut(),
                store: std::ptr::null_mut(),
            },
            id: StoreId::next(),
            engine: engine.clone(),
            data_type: TypeId::of::<T>(),
            whole: None,
            pending: None,
            instances: Arena::default(),
            memories: Vec::new(),
            tables: Arena::default(),
            globals: Arena::default(),
            host_funcs: Arena::default(),
            externrefs: Vec::new(),
            tags: Arena::default(),
            exceptions: Exceptions::default(),
        }
    }

    /// Tells the store where it lies, which it must never leave.
    pub(super) fn set_whole<T: 'static>(&mut self, whole: NonNull<StoreInner<T>>) {
        self.vm.store = whole.as_ptr().cast();
        self.whole = Some(whole);
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

    /// What compiled code uses of the store.
    pub(crate) fn vm(&self) -> *mut VMStoreContext {
        (&raw const self.vm).cast_mut()
    }

    /// Asks the whole store, which this is a part of.
    ///
    /// Takes a pointer: the answer may change the store, so no reference to it may be held.
    ///
    /// # Safety
    ///
    /// `this` must be a live store that nothing else borrows.
    pub(crate) unsafe fn whole<'a>(this: *mut StoreOpaque) -> &'a mut dyn WholeStore {
        // SAFETY: set when the store was made, to where it lies for good; the caller promises that
        // no other reference exists.
        unsafe { (*this).whole.expect("set when the store was made").as_mut() }
    }

    pub(crate) fn set_epoch_deadline(&mut self, ticks: u64) {
        self.vm.epoch_deadline = self.engine.current_epoch().saturating_add(ticks);
    }

    /// Lets wasm run until a deadline is set again.
    pub(super) fn clear_epoch_deadline(&mut self) {
        self.vm.epoch_deadline = u64::MAX;
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

    pub(crate) fn add_instance(&mut self, instance: Box<InstanceData>) -> usize {
        self.instances.push(instance)
    }

    pub(crate) fn instance(&self, index: usize) -> &InstanceData {
        &self.instances[index]
    }

    pub(crate) fn instance_mut(&mut self, index: usize) -> &mut InstanceData {
        &mut self.instances[index]
    }

    pub(crate) fn add_memory(&mut self, memory: Arc<MemoryData>) -> usize {
        self.memories.push(memory);
        self.memories.len() - 1
    }

    /// Keeps a memory of several stores alive as long as this one; its index here.
    pub(crate) fn share_memory(&mut self, memory: &Arc<MemoryData>) -> usize {
        let known = self.memories.iter().position(|known| Arc::ptr_eq(known, memory));
        known.unwrap_or_else(|| self.add_memory(Arc::clone(memory)))
    }

    pub(crate) fn memory(&self, index: usize) -> &Arc<MemoryData> {
        &self.memories[index]
    }

    pub(crate) fn add_table(&mut self, table: TableData) -> usize {
        self.tables.push(Box::new(table))
    }

    pub(crate) fn table(&self, index: usize) -> &TableData {
        &self.tables[index]
    }

    pub(crate) fn table_mut(&mut self, index: usize) -> &mut TableData {
        &mut self.tables[index]
    }

    /// Two tables at once, or one twice.
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

    pub(crate) fn add_global(&mut self, global: Box<GlobalCell>) -> &mut GlobalCell {
        let index = self.globals.push(global);
        &mut self.globals[index]
    }

    pub(crate) fn add_host_func(&mut self, func: Box<HostFuncInstance>) -> &mut HostFuncInstance {
        let index = self.host_funcs.push(func);
        &mut self.host_funcs[index]
    }

    /// Keeps a tag; where it lies for good.
    pub(crate) fn add_tag(&mut self, tag: Box<TagCell>) -> NonNull<VMTag> {
        let index = self.tags.push(tag);
        NonNull::from(&mut self.tags[index]).cast()
    }

    /// Keeps an exception that somebody is to hold a reference to; its number is never 0.
    pub(crate) fn add_exception(
        &mut self,
        tag: NonNull<VMTag>,
        fields: Box<[ValRaw]>,
    ) -> Result<u32> {
        self.exceptions.add(tag, fields)
    }

    pub(crate) fn exception(&self, number: u32) -> &Exception {
        self.exceptions.get(number)
    }

    /// Takes over what an exception carries that is being thrown.
    pub(crate) fn set_thrown(&mut self, fields: &[ValRaw]) {
        self.exceptions.set_thrown(fields);
    }

    /// The same for an exception that is thrown again; its tag.
    pub(crate) fn set_thrown_again(&mut self, number: u32) -> NonNull<VMTag> {
        self.exceptions.set_thrown_again(number)
    }

    /// What the exception that was thrown last carries.
    pub(crate) fn thrown(&self) -> &[ValRaw] {
        self.exceptions.thrown()
    }

    /// Keeps the exception that was thrown last, which has this tag.
    pub(crate) fn hold_thrown(&mut self, tag: NonNull<VMTag>) -> Result<u32> {
        let fields = self.exceptions.thrown().into();
        self.exceptions.add(tag, fields)
    }

    /// Keeps a host value for the store's lifetime; the number is never 0.
    pub(crate) fn add_externref(&mut self, value: Box<dyn Any + Send + Sync>) -> Result<u32> {
        let number = u32::try_from(self.externrefs.len() + 1)
            .map_err(|_| Error::msg("a store can hold 2^32 - 1 host references"))?;
        self.externrefs.push(value);
        Ok(number)
    }

    pub(crate) fn externref(&self, number: u32) -> &(dyn Any + Send + Sync) {
        &*self.externrefs[number as usize - 1]
    }
}
