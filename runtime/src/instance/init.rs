//! Segments: copied into memories and tables at instantiation, or later by `memory.init` and
//! `table.init`.

use super::const_expr::{evaluate_offset, evaluate_reference};
use super::context::InstanceData;
use crate::engine::Scarcity;
use crate::entities::checked_range;
use crate::error::Result;
use crate::fallible;
use crate::module::Module;
use crate::store::StoreOpaque;
use crate::vm::trap_of;
use seqfault_jit::module::{DataMode, ElementItems, ElementMode};

/// Evaluates the elements of segments that have expressions, with the present values of globals.
///
/// # Safety
///
/// As for [`evaluate`](super::const_expr::evaluate).
pub(super) unsafe fn evaluate_segments(
    store: *mut StoreOpaque,
    module: &Module,
    instance: *mut InstanceData,
) -> Result<()> {
    // SAFETY: the caller's promise; each borrow ends with its line, because an evaluation may
    // collect, which rewrites the values in the segments.
    unsafe {
        for (segment, index) in module.info().elements.iter().zip(0..) {
            let ElementItems::Expressions(items) = &segment.items else {
                (*instance).elements.push(None);
                continue;
            };
            if module.template().elements().has(index) {
                (*instance).elements.push(None);
                continue;
            }
            let zeroes = fallible::zeroes(items.len())?.into_boxed_slice();
            (*instance).elements.push(Some(zeroes));
            for (index, item) in items.iter().enumerate() {
                StoreOpaque::check_interrupt(store)?;
                let value = evaluate_reference(store, instance, item)?;
                let values = (*instance).elements.last_mut().and_then(Option::as_mut);
                values.expect("pushed above")[index] = value;
            }
        }
        Ok(())
    }
}

/// An error unless all active segments fit.
pub(super) fn check_active(store: &mut StoreOpaque, instance: &InstanceData) -> Result<()> {
    let info = instance.module().info();
    let certain = instance.module().template();
    for segment in &info.elements[certain.elements().certain()..] {
        let ElementMode::Active { table, offset } = &segment.mode else { continue };
        let at = evaluate_offset(store, instance, offset)?;
        store.table(instance.table(*table)).range(at, segment.items.len() as u64)?;
    }
    for segment in &info.data[certain.data().certain()..] {
        let DataMode::Active { memory, offset } = &segment.mode else { continue };
        let at = evaluate_offset(store, instance, offset)?;
        let data = store.memory(instance.memory(*memory));
        data.slice(Some(*memory), at, segment.range.len() as u64)?;
    }
    Ok(())
}

/// Copies those active element segments into their tables that the tables were not made with. Drops all active ones, and
/// the declarative ones.
pub(super) fn active_elements(
    store: &mut StoreOpaque,
    module: &Module,
    instance: &mut InstanceData,
) -> Result<()> {
    let (info, initial) = (module.info(), module.template().elements());
    for (segment, defined, at) in initial.copied() {
        let table = info.num_imported_tables as u32 + defined;
        let len = info.elements[segment as usize].items.len() as u32;
        table_init(store, instance, table, segment, at, 0, len)?;
    }
    instance.drop_certain_elements();
    for (index, segment) in info.elements.iter().enumerate().skip(initial.certain()) {
        let index = index as u32;
        match &segment.mode {
            ElementMode::Passive => continue,
            ElementMode::Declared => {}
            ElementMode::Active { table, offset } => {
                let at = evaluate_offset(store, instance, offset)?;
                let len = segment.items.len() as u32;
                table_init(store, instance, *table, index, at, 0, len)?;
            }
        }
        instance.drop_elements(index);
    }
    Ok(())
}

/// Makes the memories start with their data, and drops the active segments. Those that are certain to fit come as an
/// image; the others are copied.
pub(super) fn active_data(
    store: &mut StoreOpaque,
    module: &Module,
    instance: &mut InstanceData,
) -> Result<()> {
    let (info, data) = (module.info(), module.template().data());
    let images = store.engine().config().scarcity.is_none_or(Scarcity::allows_images);
    for (defined, memory) in
        (info.num_imported_memories as u32..info.memories.len() as u32).enumerate()
    {
        let memory_data = store.memory(instance.memory(memory));
        if memory_data.has_data() {
            continue;
        }
        if !(images && data.attach(info, module.bytes(), defined, memory_data.region())) {
            for (segment, at) in data.of_memory(defined) {
                let len = info.data[segment as usize].range.len() as u32;
                memory_init(store, instance, memory, segment, at, 0, len)?;
            }
        }
    }
    instance.drop_certain_data();
    for (index, segment) in info.data.iter().enumerate().skip(data.certain()) {
        let DataMode::Active { memory, offset } = &segment.mode else { continue };
        let (index, at) = (index as u32, evaluate_offset(store, instance, offset)?);
        memory_init(store, instance, *memory, index, at, 0, segment.range.len() as u32)?;
        instance.drop_data(index);
    }
    Ok(())
}

/// `memory.init`: `len` bytes of a data segment, from `from` on, to address `to`.
pub(crate) fn memory_init(
    store: &StoreOpaque,
    instance: &InstanceData,
    memory: u32,
    segment: u32,
    to: u64,
    from: u32,
    len: u32,
) -> Result<()> {
    let data = store.memory(instance.memory(memory));
    let target = data.slice(Some(memory), to, len.into())?;
    let bytes = instance.data_slice(segment, from, len.into())?;
    Ok(data.region().write(target.start, bytes).map_err(trap_of)?)
}

/// `table.init`: `len` elements of a segment, from `from` on, to index `to`.
pub(crate) fn table_init(
    store: &mut StoreOpaque,
    instance: &InstanceData,
    table: u32,
    segment: u32,
    to: u64,
    from: u32,
    len: u32,
) -> Result<()> {
    let items = &instance.module().info().elements[segment as usize].items;
    let available = if instance.elements_dropped(segment) { 0 } else { items.len() };
    let source = checked_range(from.into(), len.into(), available)?;
    let table = store.table_mut(instance.table(table));
    let target = table.range(to, len.into())?;
    let target = &mut table.elements_mut()[target];
    if source.is_empty() {
        return Ok(());
    }
    match (items, &instance.elements[segment as usize]) {
        (ElementItems::Functions(functions), _) => {
            for (element, &func) in target.iter_mut().zip(&functions[source]) {
                *element = instance.func_ref(func) as usize as u64;
            }
        }
        (ElementItems::Expressions(_), Some(values)) => target.copy_from_slice(&values[source]),
        (ElementItems::Expressions(_), None) => unreachable!("evaluated until they are dropped"),
    }
    Ok(())
}
