//! What instances are made of besides functions: memories, tables, globals, tags, values.

mod global;
mod memory;
mod table;
mod tag;
mod val;

pub use global::Global;
pub(crate) use global::{GlobalCell, read_global, write_global};
pub use memory::{Memory, MemoryAccessError, SharedMemory};
pub(crate) use memory::{MemoryData, allocate_memory, grow_memory};
pub use table::Table;
pub(crate) use table::{TableData, allocate_table, checked_range, grow_table};
pub use tag::Tag;
pub(crate) use tag::{TagCell, references_of};
pub use val::Val;
