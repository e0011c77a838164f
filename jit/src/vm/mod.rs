//! What compiled code reads and writes: the structs shared by machine code and the runtime.
//!
//! They are defined once, here, `#[repr(C)]`; the translator takes every offset from `offset_of!`
//! or [`VMOffsets`]. Only types that compiled code touches have names that begin with `VM`. The
//! runtime allocates and fills them; this crate only knows their layout. [`MemoryReach`] and its
//! module say how far accesses reach, and what they meet there.
//!
//! ```text
//! vmctx ─► VMContext header ── store_context ─► VMStoreContext (one per store)
//!          │                   builtins ──────► VMBuiltins (one per process)
//!          │                   slots ─────────► [VMSlot; defined functions] (one per module)
//!          │                   type_ids ──────► [u32; types] (one per module)
//!          │                   types ─────────► VMTypes (one per engine)
//!          ├ [VMFunctionImport; imported functions]
//!          ├ [VMMemoryRef; memories]       ── definition ─► VMMemory
//!          ├ [*mut VMTable; tables]        ─────────────► VMTable
//!          ├ [*const VMTag; tags]          ─────────────► VMTag
//!          ├ [*mut VMGlobal; imported globals]
//!          ├ [VMGlobal; defined globals]
//!          ├ [u8; functions that escape]: which of their references are made
//!          └ [VMFuncRef; functions that escape]
//! ```

mod builtins;
mod catch;
mod context;
mod entities;
mod offsets;
mod reach;
mod routines;
mod types;

pub use crate::abi::REGISTER_RESULTS;
pub(crate) use builtins::NUM_BUILTINS;
pub use builtins::VMBuiltins;
pub use catch::Catch;
pub use context::{EntryTrampoline, HostFunction, VMContext, VMHostContext, VMStoreContext};
pub use entities::{
    VMFuncRef, VMFunctionImport, VMGlobal, VMMemory, VMMemoryRef, VMSlot, VMTable, VMTag, ValRaw,
};
pub use offsets::VMOffsets;
pub use reach::{MemoryReach, NULL_OBJECT, NULL_PAGE};
pub use routines::{ROUTINE_LIMIT, VMCopyBytes, VMFillBytes, VMFillPairs, VMFillWords, VMVerdict};
pub use types::{
    FORWARDED, HOST_OBJECT, MIN_DISPLAY, POISON, POISON_PLACE, TYPE_KIND_BITS, TYPE_KIND_MASK,
    UNFINISHED, UNFINISHED_PLACE, UNMADE, VMType, VMTypeKind, VMTypes,
};
