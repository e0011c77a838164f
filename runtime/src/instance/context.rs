//! [`InstanceData`]: a store's data for an instance, with the context that compiled code uses.

use super::dropped::Dropped;
use super::externs::Extern;
use crate::engine::RegisteredType;
use crate::entities::{Global, Memory, SharedMemory, Table, Tag, checked_range};
use crate::fallible::{self, Few, NoMemory};
use crate::func::Func;
use crate::gc::RawRef;
use crate::module::Module;
use crate::store::StoreOpaque;
use crate::trap::{MemoryFault, TrapReason};
use crate::vm::{self, Shared};
use seqfault_jit::module::{DataMode, DataSegment, ElementItems, ElementMode, EntityIndex};
use seqfault_jit::vm::{
    VMContext, VMFuncRef, VMFunctionImport, VMGlobal, VMMemoryRef, VMOffsets, VMTable, VMTag,
    ValRaw,
};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{self, NonNull};

/// A store's data for an instance. Boxed by the store: the context points back to it.
pub(crate) struct InstanceData {
    module: Module,
    /// The context: a `VMContext` and the arrays behind it.
    context: Shared<[MaybeUninit<ValRaw>]>,
    /// The store's index of each memory.
    memories: Few<usize, 2>,
    /// The store's index of each table.
    tables: Few<usize, 2>,
    /// Each imported global.
    imported_globals: Vec<Global>,
    /// The elements of each passive segment that has expressions, evaluated when the instance was
    /// made.
    pub(super) elements: Vec<Option<Box<[u64]>>>,
    dropped_elements: Dropped,
    dropped_data: Dropped,
}

const _: () = assert!(align_of::<ValRaw>() >= align_of::<VMContext>());

impl InstanceData {
    /// An instance with the head of its context and its own functions. Imports, memories, tables
    /// and globals are added next.
    ///
    /// # Safety
    ///
    /// `store` must be alive; the instance must be added to it.
    pub(super) unsafe fn new(
        store: *mut StoreOpaque,
        module: &Module,
    ) -> Result<Box<InstanceData>, NoMemory> {
        let info = module.info();
        let (mut memories, mut tables) = (Few::new(), Few::new());
        fallible::reserve_few(&mut memories, info.memories.len())?;
        fallible::reserve_few(&mut tables, info.tables.len())?;
        let size = module.offsets().size().div_ceil(size_of::<ValRaw>());
        let context: Shared<[MaybeUninit<ValRaw>]> =
            Shared::partly_zeroed(module.offsets().zeroed(), size)?;
        // SAFETY: the context has these words, which only compiled code reads beside this, and lives as long as the instance.
        let [dropped_data, dropped_elements] = unsafe {
            [module.offsets().dropped_data(), module.offsets().dropped_elements()]
                .map(|offset| Dropped::new(context.get().byte_add(offset as usize).cast()))
        };
        let instance = fallible::boxed(InstanceData {
            module: module.clone(),
            context,
            memories,
            tables,
            imported_globals: fallible::with_capacity(info.num_imported_globals)?,
            elements: fallible::with_capacity(info.elements.len())?,
            dropped_elements,
            dropped_data,
        })?;
        // SAFETY: the store is alive; the context is large enough for its head, and aligned.
        unsafe {
            let engine = (*store).engine();
            instance.vmctx().write(VMContext {
                store_context: (*store).vm(),
                builtins: vm::builtins(),
                slots: module.slots().as_ptr(),
                type_ids: module.type_ids().as_ptr().cast(),
                types: engine.types().vm(),
                epoch: engine.epoch(),
                bytes: module.bytes().as_ptr(),
                // Set when the instance is added to the store.
                instance: ptr::null_mut(),
            });
            let globals = module.template().globals();
            let offset = module.offsets().first_defined_global();
            let target = instance.vmctx().byte_add(offset as usize).cast::<u128>();
            ptr::copy_nonoverlapping(globals.as_ptr(), target, globals.len());
        }
        Ok(instance)
    }

    /// Tells an instance its final address.
    ///
    /// # Safety
    ///
    /// It must be alive, not borrowed, and stay at its address.
    pub(crate) unsafe fn set_place(this: NonNull<InstanceData>) {
        // SAFETY: the caller's promise; its code does not run yet.
        unsafe { (*(*this.as_ptr()).vmctx()).instance = this.as_ptr().cast() };
    }

    /// Its final address.
    pub(crate) fn place(&self) -> NonNull<InstanceData> {
        // SAFETY: written once, before the first call of this.
        let this = unsafe { (*self.vmctx()).instance };
        NonNull::new(this.cast()).expect("it has been added to its store")
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    fn offsets(&self) -> &VMOffsets {
        self.module.offsets()
    }

    /// The context for compiled code. It must be used by pointer only, because compiled code writes
    /// to it, too.
    pub(crate) fn vmctx(&self) -> *mut VMContext {
        self.context.get().cast()
    }

    /// A field of the context.
    fn field<F>(&self, offset: u32) -> *mut F {
        debug_assert!(offset as usize + size_of::<F>() <= self.context.get().len() * 16);
        // SAFETY: offsets of the module's own layout are inside the context.
        unsafe { self.vmctx().byte_add(offset as usize).cast() }
    }

    /// The store's index of a memory.
    pub(crate) fn memory(&self, memory: u32) -> usize {
        self.memories[memory as usize]
    }

    /// The store's index of a table.
    pub(crate) fn table(&self, table: u32) -> usize {
        self.tables[table as usize]
    }

    /// The store's index of each table.
    pub(super) fn all_tables(&self) -> Few<usize, 2> {
        self.tables.clone()
    }

    pub(super) fn push_memory(&mut self, store: &StoreOpaque, index: usize) {
        let memory = store.memory(index);
        let offset = self.offsets().memory(self.memories.len() as u32);
        let reference = VMMemoryRef { base: memory.base(), definition: memory.vm() };
        // SAFETY: the context has a field of this type there, which nothing else uses now.
        unsafe { self.field::<VMMemoryRef>(offset).write(reference) };
        self.memories.push(index);
    }

    pub(super) fn push_table(&mut self, store: &StoreOpaque, index: usize) {
        let offset = self.offsets().table(self.tables.len() as u32);
        // SAFETY: as in `push_memory`.
        unsafe { self.field::<*mut VMTable>(offset).write(store.table(index).vm()) };
        self.tables.push(index);
    }

    /// Sets a tag, own or imported.
    pub(super) fn set_tag(&mut self, tag: u32, cell: NonNull<VMTag>) {
        let offset = self.offsets().tag(tag);
        // SAFETY: as in `push_memory`.
        unsafe { self.field::<*const VMTag>(offset).write(cell.as_ptr()) };
    }

    fn tag(&self, tag: u32) -> NonNull<VMTag> {
        // SAFETY: set when the instance was made.
        let cell = unsafe { *self.field::<*mut VMTag>(self.offsets().tag(tag)) };
        NonNull::new(cell).expect("not null")
    }

    pub(super) fn set_imported_function(&mut self, func: u32, func_ref: *const VMFuncRef) {
        // SAFETY: a function of the same store, alive as long as this.
        let VMFuncRef { slot, vmctx, .. } = unsafe { *func_ref };
        let import = VMFunctionImport { slot, vmctx, func_ref };
        let offset = self.offsets().function_import(func);
        // SAFETY: as in `push_memory`.
        unsafe { self.field::<VMFunctionImport>(offset).write(import) };
    }

    pub(super) fn push_imported_global(&mut self, global: Global) {
        let offset = self.offsets().imported_global(self.imported_globals.len() as u32);
        // SAFETY: as in `push_memory`.
        unsafe { self.field::<*mut VMGlobal>(offset).write(global.cell()) };
        self.imported_globals.push(global);
    }

    /// Makes the references of all imported functions that can become values. Those of its own functions are made
    /// when they are needed.
    pub(super) fn fill_imported_func_refs(&mut self) {
        let info = self.module.info();
        let escaped = (0..).zip(&info.escaped_functions);
        for (escaped, _) in escaped.take_while(|&(_, &func)| info.is_imported_function(func)) {
            self.func_ref_at(escaped);
        }
    }

    /// The reference of a function of this instance, own or imported.
    pub(super) fn make_func_ref(&self, func: u32) -> VMFuncRef {
        let info = self.module.info();
        match info.defined_function(func) {
            Some(defined) => VMFuncRef {
                slot: &self.module.slots()[defined],
                vmctx: self.vmctx(),
                type_id: self.module.type_ids()[info.functions[func as usize] as usize].0,
            },
            None => {
                let import: *const VMFunctionImport =
                    self.field(self.offsets().function_import(func));
                // SAFETY: set before, and the reference lives as long as the store.
                unsafe { *(*import).func_ref }
            }
        }
    }

    /// The reference of a function that can become a value; made, if it was not.
    pub(crate) fn func_ref(&self, func: u32) -> *mut VMFuncRef {
        let escaped = self.module.info().escaped_index(func);
        self.func_ref_at(escaped.expect("the function escapes"))
    }

    /// The same, by the function's index among those that can become values.
    fn func_ref_at(&self, escaped: u32) -> *mut VMFuncRef {
        let func_ref: *mut VMFuncRef = self.field(self.offsets().func_ref(escaped));
        let made: *mut u8 = self.field(self.offsets().made(escaped));
        // SAFETY: the context has fields of these types there, which nothing else uses now. The bytes were zero at first,
        // and code reads the reference only when it is made.
        unsafe {
            if *made == 0 {
                let func = self.module.info().escaped_functions[escaped as usize];
                func_ref.write(self.make_func_ref(func));
                *made = 1;
            }
        }
        func_ref
    }

    /// The reference of the function that `unmade` stands for.
    pub(crate) fn made_func_ref(&self, unmade: *const VMFuncRef) -> *mut VMFuncRef {
        self.func_ref_at(self.module.template().elements().escaped(unmade))
    }

    pub(crate) fn global(&self, global: u32) -> *mut VMGlobal {
        match self.module.info().is_imported_global(global) {
            // SAFETY: set before.
            true => unsafe { *self.field::<*mut VMGlobal>(self.offsets().imported_global(global)) },
            false => self.field(self.offsets().defined_global(global)),
        }
    }

    /// The entity of this instance for an index of the module.
    pub(crate) fn entity(&self, store: &StoreOpaque, entity: EntityIndex) -> Extern {
        match entity {
            EntityIndex::Function(func) => {
                // SAFETY: exported functions escape; the reference lives as long as the store.
                let func = unsafe { Func::from_raw(store, self.func_ref(func)) };
                Extern::Func(func.expect("not null"))
            }
            EntityIndex::Table(table) => Extern::Table(Table::from_index(store, self.table(table))),
            EntityIndex::Memory(memory) => {
                let index = self.memory(memory);
                let data = store.memory(index);
                match data.ty().shared {
                    true => Extern::SharedMemory(SharedMemory::from_data(store.engine(), data)),
                    false => Extern::Memory(Memory::from_index(store, index)),
                }
            }
            EntityIndex::Global(global) => {
                let imported = self.imported_globals.get(global as usize).copied();
                Extern::Global(imported.unwrap_or_else(|| Global::of_instance(store, self, global)))
            }
            EntityIndex::Tag(tag) => Extern::Tag(Tag::from_cell(store, self.tag(tag))),
        }
    }

    pub(crate) fn export(&self, store: &StoreOpaque, name: &str) -> Option<Extern> {
        Some(self.entity(store, self.module.export_index(name)?))
    }

    /// The type of an exported function that the module defines.
    pub(super) fn exported_type(&self, name: &str) -> Option<&RegisteredType> {
        let EntityIndex::Function(func) = self.module.export_index(name)? else { return None };
        let info = self.module.info();
        info.defined_function(func)?;
        Some(self.module.registered_type(info.functions[func as usize]))
    }

    pub(crate) fn drop_data(&mut self, segment: u32) {
        self.dropped_data.add(segment);
    }

    pub(crate) fn drop_elements(&mut self, segment: u32) {
        self.dropped_elements.add(segment);
        if let Some(elements) = self.elements.get_mut(segment as usize) {
            *elements = None;
        }
    }

    /// Drops the active data segments that are certain to be applied.
    pub(super) fn drop_certain_data(&mut self) {
        self.dropped_data.add_applied(self.module.template().data().certain());
    }

    /// Drops the element segments, except passive ones, that are certain to be applied.
    pub(super) fn drop_certain_elements(&mut self) {
        let certain = self.module.template().elements().certain();
        self.dropped_elements.add_applied(certain);
        for (values, segment) in
            self.elements.iter_mut().zip(&self.module.info().elements[..certain])
        {
            if !matches!(segment.mode, ElementMode::Passive) {
                *values = None;
            }
        }
    }

    /// The contents of a data segment; empty once it is dropped.
    pub(crate) fn data_segment(&self, segment: u32) -> &[u8] {
        let DataSegment { mode, range } = &self.module.info().data[segment as usize];
        match self.dropped_data.contains(segment, matches!(mode, DataMode::Passive)) {
            true => &[],
            false => &self.module.bytes()[range.clone()],
        }
    }

    /// `len` bytes of a data segment from `from` on; an error if it is shorter.
    pub(crate) fn data_slice(
        &self,
        segment: u32,
        from: u32,
        len: u64,
    ) -> Result<&[u8], MemoryFault> {
        let bytes = self.data_segment(segment);
        let start = from as usize;
        // Segments are smaller than 4 GiB.
        let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len));
        let slice = end.and_then(|end| bytes.get(start..end));
        slice.ok_or_else(|| MemoryFault::of_segment(segment, from.into(), len, bytes.len()))
    }

    /// The index in this instance of a memory of the store, if the instance has it.
    pub(crate) fn index_of_memory(&self, memory: usize) -> Option<u32> {
        self.memories.iter().position(|&own| own == memory).map(|index| index as u32)
    }

    /// How many elements a segment has now.
    pub(crate) fn element_count(&self, segment: u32) -> u32 {
        match self.elements_dropped(segment) {
            true => 0,
            // The parser limits segments to ten million elements.
            false => self.module.info().elements[segment as usize].items.len() as u32,
        }
    }

    /// Copies a range of a segment's elements.
    ///
    /// # Errors
    ///
    /// When the segment does not have them: it may have been dropped since its length was asked for.
    pub(crate) fn copy_elements(
        &self,
        segment: u32,
        range: Range<usize>,
        target: &mut [u64],
    ) -> Result<(), TrapReason> {
        if range.is_empty() {
            return Ok(());
        }
        checked_range(
            range.start as u64,
            range.len() as u64,
            self.element_count(segment) as usize,
        )?;
        match &self.module.info().elements[segment as usize].items {
            ElementItems::Functions(functions) => {
                for (element, &func) in target.iter_mut().zip(&functions[range]) {
                    *element = self.func_ref(func) as usize as u64;
                }
            }
            ElementItems::Expressions(_) => {
                let values = self.elements[segment as usize].as_ref();
                let values = values.expect("evaluated until they are dropped");
                target.copy_from_slice(&values[range]);
            }
        }
        Ok(())
    }

    /// Calls `visit` with every place of the instance that holds a reference of the heap.
    pub(crate) fn visit_references(&mut self, visit: &mut dyn FnMut(*mut RawRef)) {
        let module = self.module.clone();
        let info = module.info();
        let defined = info.globals.iter().enumerate().skip(info.num_imported_globals);
        for (index, _) in defined.filter(|(_, global)| global.content.is_gc()) {
            visit(self.global(index as u32).cast());
        }
        for (values, segment) in self.elements.iter_mut().zip(&info.elements) {
            if !segment.ty.is_gc() {
                continue;
            }
            for value in values.iter_mut().flatten() {
                // Little-endian: the reference is in the first half.
                visit((&raw mut *value).cast());
            }
        }
    }

    pub(super) fn elements_dropped(&self, segment: u32) -> bool {
        let mode = &self.module.info().elements[segment as usize].mode;
        self.dropped_elements.contains(segment, matches!(mode, ElementMode::Passive))
    }
}
