//! Instantiation, step by step.
//!
//! Source: specification section 4.5.4 "Instantiation". Until all memories, tables and globals exist, nothing outside
//! of the new instance is changed. Then segments are copied in order. When one does not fit, the effects of earlier
//! ones stay, and so does the instance itself, because tables of other instances may refer to its functions.

use super::context::InstanceData;
use super::externs::Extern;
use super::{Instance, const_expr, init};
use crate::engine::{Scarcity, TypeId};
use crate::entities::{Contents, TagCell, allocate_memory, allocate_table, write_global};
use crate::error::{Error, Result};
use crate::module::Module;
use crate::store::{Counted, StoreOpaque};
use crate::trap::{Backtrace, Trap};
use crate::types::TableType;
use crate::vm;
use seqfault_jit::vm::ValRaw;

/// Instantiates `module` with imports that have been checked.
///
/// # Safety
///
/// `store` must be alive and not borrowed elsewhere; the imports must be its own and of the types
/// that the module asks for.
pub(super) unsafe fn instantiate(
    store: *mut StoreOpaque,
    module: &Module,
    imports: &[Extern],
) -> Result<Instance> {
    // SAFETY: the caller's promise, for all that follows: no borrow of the store outlives its line.
    unsafe {
        if !crate::Engine::same((*store).engine(), module.engine()) {
            return Err(Error::msg("the module belongs to another engine than the store"));
        }
        StoreOpaque::check_count(store, Counted::Instances)?;
        if !module.info().bodies.is_empty() || !module.info().memories.is_empty() {
            vm::check_signals((*store).engine().config())?;
        }
        if module.info().types.has_objects() {
            (*store).make_gc_heap()?;
        }
        let mut instance = InstanceData::new(store, module)?;
        take_imports(&mut *store, &mut instance, imports)?;
        instance.fill_imported_func_refs();
        create_tags(&mut *store, module, &mut instance)?;
        create_memories(store, module, &mut instance).map_err(without_frames)?;
        // From here on, the store's roots include its references.
        let (index, instance) = (*store).add_instance(instance)?;
        if let Err(error) = create_globals_and_tables(store, module, instance) {
            abandon(&mut *store, &*instance);
            return Err(without_frames(error));
        }
        if (*store).engine().config().check_segments_first {
            init::check_active(&mut *store, &*instance).map_err(without_frames)?;
        }
        init::active_elements(store, module, instance).map_err(without_frames)?;
        init::active_data(store, module, instance).map_err(without_frames)?;
        run_start(store, instance)?;
        Ok(Instance { store: (*store).id(), index })
    }
}

/// Removes an instance whose globals and tables could not all be made. It is the last of the store, unless the embedder
/// made others when it was asked whether to interrupt; then the instance stays, unused.
///
/// Nothing else can refer to its objects, and nothing accesses them again: a collection visits what roots refer to, and
/// the tables, which stay, are emptied. So their types may be dropped before them.
fn abandon(store: &mut StoreOpaque, instance: *const InstanceData) {
    // SAFETY: it belongs to the store, and is not touched before it is removed.
    let (module, tables) = unsafe { ((*instance).module().clone(), (*instance).all_tables()) };
    let info = module.info();
    for table in tables.into_iter().skip(info.num_imported_tables) {
        store.table_mut(table).empty();
    }
    store.remove_last_instance(instance);
}

/// # Safety
///
/// As for [`instantiate`]; `instance` must be the store's.
unsafe fn create_globals_and_tables(
    store: *mut StoreOpaque,
    module: &Module,
    instance: *mut InstanceData,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        create_globals(store, module, instance)?;
        create_tables(store, module, instance)?;
        init::evaluate_segments(store, module, instance)
    }
}

/// Makes a trap of instantiation itself, which happens in no function, have no frames.
fn without_frames(error: Error) -> Error {
    Trap::of(&error, Backtrace::default).map_or(error, Error::from)
}

fn take_imports(
    store: &mut StoreOpaque,
    instance: &mut InstanceData,
    imports: &[Extern],
) -> Result<()> {
    let (mut functions, mut tags) = (0, 0);
    for import in imports {
        match import {
            Extern::Func(func) => {
                instance.set_imported_function(functions, func.raw(store));
                functions += 1;
            }
            Extern::Global(global) => instance.push_imported_global(*global),
            Extern::Tag(tag) => {
                instance.set_tag(tags, tag.cell(store));
                tags += 1;
            }
            Extern::Table(table) => instance.push_table(store, table.index()),
            Extern::Memory(memory) => instance.push_memory(store, memory.index()),
            Extern::SharedMemory(memory) => {
                let index = store.share_memory(memory.data())?;
                instance.push_memory(store, index);
            }
        }
    }
    Ok(())
}

fn create_tags(
    store: &mut StoreOpaque,
    module: &Module,
    instance: &mut InstanceData,
) -> Result<()> {
    let info = module.info();
    for (index, &ty) in info.tags.iter().enumerate().skip(info.num_imported_tags) {
        let cell = store.add_tag(TagCell::new(module.registered_type(ty).clone())?)?;
        instance.set_tag(index as u32, cell);
    }
    Ok(())
}

/// # Safety
///
/// As for [`instantiate`].
unsafe fn create_memories(
    store: *mut StoreOpaque,
    module: &Module,
    instance: &mut InstanceData,
) -> Result<()> {
    let info = module.info();
    let images = module.engine().config().scarcity.is_none_or(Scarcity::allows_images);
    for (defined, &ty) in info.memories[info.num_imported_memories..].iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            StoreOpaque::check_interrupt(store)?;
            let index =
                allocate_memory(store, ty, module.initial_memory(defined).filter(|_| images))?;
            instance.push_memory(&*store, index);
        }
    }
    Ok(())
}

/// # Safety
///
/// As for [`create_globals_and_tables`].
unsafe fn create_tables(
    store: *mut StoreOpaque,
    module: &Module,
    instance: *mut InstanceData,
) -> Result<()> {
    let info = module.info();
    let templates = module.template().elements();
    for (defined, table) in info.tables[info.num_imported_tables..].iter().enumerate() {
        let ty = TableType::from_canonical(&table.ty, &module.resolver());
        // SAFETY: the caller's promise; constant expressions evaluate to the store's references,
        // and making a table allocates no object.
        unsafe {
            StoreOpaque::check_interrupt(store)?;
            let init = match &table.init {
                Some(init) => const_expr::evaluate_reference(store, instance, init)?,
                None => 0,
            };
            let template = templates.template(defined);
            let owner =
                (!template.is_empty() && !table.ty.element.is_gc()).then(|| (*instance).place());
            let index = allocate_table(store, ty, &Contents { template, owner, init })?;
            (*instance).push_table(&*store, index);
        }
    }
    Ok(())
}

/// # Safety
///
/// As for [`create_globals_and_tables`].
unsafe fn create_globals(
    store: *mut StoreOpaque,
    module: &Module,
    instance: *mut InstanceData,
) -> Result<()> {
    let info = module.info();
    // The others are there already.
    for &global in module.template().open_globals() {
        let init = &info.global_inits[global as usize - info.num_imported_globals];
        // SAFETY: the instance's own global, and validation says that the types agree.
        unsafe {
            StoreOpaque::check_interrupt(store)?;
            let value = const_expr::evaluate(store, instance, init)?;
            write_global((*instance).global(global), value);
        }
    }
    Ok(())
}

/// # Safety
///
/// As for [`instantiate`].
unsafe fn run_start(store: *mut StoreOpaque, instance: *const InstanceData) -> Result<()> {
    // SAFETY: instances live as long as their store and do not move.
    let instance = unsafe { &*instance };
    let Some(start) = instance.module().info().start else { return Ok(()) };
    let func_ref = instance.make_func_ref(start);
    let mut values: [ValRaw; 0] = [];
    // SAFETY: the caller's promise; a start function has no parameters and no results.
    unsafe {
        let engine = (*store).engine().clone();
        let entry = engine.types().get(TypeId(func_ref.type_id)).entry(&engine)?;
        vm::enter(store, entry, &func_ref, values.as_mut_ptr())
    }
}
