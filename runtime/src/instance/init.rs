//! Segments: copied into memories and tables at instantiation, or later by `memory.init` and
//! `table.init`.

use super::const_expr::{evaluate_offset, evaluate_reference};
use super::context::InstanceData;
use crate::engine::Scarcity;
use crate::entities::checked_range;
use crate::error::Result;
use crate::fallible;
use crate::module::Module;
use crate::store::{StoreOpaque, in_pieces, piece_of};
use crate::vm::trap_of;
use seqfault_jit::module::{DataMode, ElementItems, ElementMode};
use seqfault_jit::vm::ROUTINE_LIMIT;
use std::sync::Arc;

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
///
/// # Safety
///
/// As for [`memory_init`].
pub(super) unsafe fn active_elements(
    store: *mut StoreOpaque,
    module: &Module,
    instance: *mut InstanceData,
) -> Result<()> {
    // SAFETY: the caller's promise; no borrow outlives its line.
    unsafe {
        let (info, initial) = (module.info(), module.template().elements());
        for (segment, defined, at) in initial.copied() {
            StoreOpaque::check_interrupt(store)?;
            let table = info.num_imported_tables as u32 + defined;
            let len = info.elements[segment as usize].items.len() as u32;
            table_init(store, instance, table, segment, at, 0, len)?;
        }
        (*instance).drop_certain_elements();
        for (index, segment) in info.elements.iter().enumerate().skip(initial.certain()) {
            let index = index as u32;
            StoreOpaque::check_interrupt(store)?;
            match &segment.mode {
                ElementMode::Passive => continue,
                ElementMode::Declared => {}
                ElementMode::Active { table, offset } => {
                    let at = evaluate_offset(&mut *store, &*instance, offset)?;
                    let len = segment.items.len() as u32;
                    table_init(store, instance, *table, index, at, 0, len)?;
                }
            }
            (*instance).drop_elements(index);
        }
        Ok(())
    }
}

/// Makes the memories start with their data, and drops the active segments. Those that are certain to fit come as an
/// image; the others are copied.
///
/// # Safety
///
/// As for [`memory_init`].
pub(super) unsafe fn active_data(
    store: *mut StoreOpaque,
    module: &Module,
    instance: *mut InstanceData,
) -> Result<()> {
    // SAFETY: the caller's promise; no borrow outlives its line.
    unsafe {
        let (info, data) = (module.info(), module.template().data());
        let images = module.engine().config().scarcity.is_none_or(Scarcity::allows_images);
        for (defined, memory) in
            (info.num_imported_memories as u32..info.memories.len() as u32).enumerate()
        {
            let memory_data = &*Arc::as_ptr((*store).memory((*instance).memory(memory)));
            if memory_data.has_data() {
                continue;
            }
            if !(images && data.attach(info, module.bytes(), defined, memory_data.region())) {
                for (segment, at) in data.of_memory(defined) {
                    StoreOpaque::check_interrupt(store)?;
                    let len = info.data[segment as usize].range.len() as u32;
                    memory_init(store, instance, memory, segment, at, 0, len)?;
                }
            }
        }
        (*instance).drop_certain_data();
        for (index, segment) in info.data.iter().enumerate().skip(data.certain()) {
            let DataMode::Active { memory, offset } = &segment.mode else { continue };
            StoreOpaque::check_interrupt(store)?;
            let at = evaluate_offset(&mut *store, &*instance, offset)?;
            let (index, len) = (index as u32, segment.range.len() as u32);
            memory_init(store, instance, *memory, index, at, 0, len)?;
            (*instance).drop_data(index);
        }
        Ok(())
    }
}

/// `memory.init`: `len` bytes of a data segment, from `from` on, to address `to`.
///
/// # Safety
///
/// `store` and `instance` must be those that run on this thread, and not be borrowed.
pub(super) unsafe fn memory_init(
    store: *mut StoreOpaque,
    instance: *const InstanceData,
    memory: u32,
    segment: u32,
    to: u64,
    from: u32,
    len: u32,
) -> Result<()> {
    // SAFETY: the caller's promise. The memory and the bytes of the module are outside of both, and live as long.
    unsafe {
        let data = &*Arc::as_ptr((*store).memory((*instance).memory(memory)));
        let target = data.slice(Some(memory), to, len.into())?;
        let bytes = (*instance).data_slice(segment, from, len.into())?;
        in_pieces(store, bytes.len(), ROUTINE_LIMIT, |piece| {
            let written = data.region().write(target.start + piece.start, &bytes[piece]);
            Ok(written.map_err(trap_of)?)
        })
    }
}

/// `table.init`: `len` elements of a segment, from `from` on, to index `to`.
///
/// # Safety
///
/// As for [`memory_init`].
pub(super) unsafe fn table_init(
    store: *mut StoreOpaque,
    instance: *const InstanceData,
    table: u32,
    segment: u32,
    to: u64,
    from: u32,
    len: u32,
) -> Result<()> {
    // SAFETY: the caller's promise; no borrow outlives its line.
    unsafe {
        let available = (*instance).element_count(segment) as usize;
        let source = checked_range(from.into(), len.into(), available)?;
        let table = (*instance).table(table);
        let target = (*store).table(table).range(to, len.into())?;
        in_pieces(store, source.len(), piece_of(size_of::<u64>()), |piece| {
            let [source, target] =
                [&source, &target].map(|whole| whole.start + piece.start..whole.start + piece.end);
            let target = &mut (*store).table_mut(table).elements_mut()[target];
            Ok((*instance).copy_elements(segment, source, target)?)
        })
    }
}
