//! The parts of instances besides functions: memories, tables, globals, tags; and values.

mod global;
mod memory;
mod table;
mod tag;
mod val;

pub use global::Global;
pub(crate) use global::{GlobalCell, read_global, write_global};
pub(crate) use memory::builtins as memory_builtins;
pub(crate) use memory::{
    FirstContents, MemoryData, PooledRegion, RegionPool, Shape, allocate_memory, interrupt_waiter,
};
pub use memory::{Memory, MemoryAccessError, SharedMemory, WaitResult};
pub use table::Table;
pub(crate) use table::builtins as table_builtins;
pub(crate) use table::{Contents, TableData, allocate_table, checked_range};
pub use tag::Tag;
pub(crate) use tag::{TagCell, references_of};
pub use val::Val;
