//! Alias regions and flags of memory accesses that are not the guest's own.
//!
//! Accesses in different alias regions never meet, so a store in one leaves what was loaded from another
//! known. A store without a region would count as a store to all of them: every store has one.
//! Calls end what is known of all regions.

use crate::trap::TrapCode;
use cranelift_codegen::ir::{self, AliasRegionData, Endianness, Function, MemFlags, MemFlagsData};

/// A part of memory that no other part overlaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum AliasRegion {
    /// Contexts, imports, builtins, type ids: written before code runs. Function references, which are written before
    /// code reads from them.
    Context,
    /// The store's context.
    Store,
    /// Addresses of code. Any thread may change them while code runs, always to another address
    /// of the same function.
    Slot,
    /// Where tables lie and how long they are.
    Table,
    /// The elements of tables.
    Element,
    /// Globals; two imports may be the same one.
    Global,
    /// The lengths of linear memories.
    MemoryLength,
    /// The contents of linear memories; two imports may be the same one.
    Heap,
    /// The values that an exception carries, on their way.
    Payload,
    /// The engine's table of types, which may be another one after a call.
    Types,
    /// Objects of the heap.
    Object,
    /// Where the next object goes, and up to where there is room.
    Allocation,
    /// The stack slots in which references live across calls.
    Spill,
    /// Locals that live in the frame.
    Local,
    /// Which function references are made.
    Made,
    /// Which segments were dropped.
    Dropped,
}

/// All regions, in the order of their numbers.
const REGIONS: [(AliasRegion, &str); 16] = [
    (AliasRegion::Context, "context"),
    (AliasRegion::Store, "store context"),
    (AliasRegion::Slot, "slot"),
    (AliasRegion::Table, "table"),
    (AliasRegion::Element, "table element"),
    (AliasRegion::Global, "global"),
    (AliasRegion::MemoryLength, "memory length"),
    (AliasRegion::Heap, "linear memory"),
    (AliasRegion::Payload, "exception payload"),
    (AliasRegion::Types, "types"),
    (AliasRegion::Object, "object"),
    (AliasRegion::Allocation, "allocation"),
    (AliasRegion::Spill, "spilled reference"),
    (AliasRegion::Local, "local"),
    (AliasRegion::Made, "made reference"),
    (AliasRegion::Dropped, "dropped segment"),
];

impl AliasRegion {
    /// The region in `func`, which learns of it at its first use.
    pub(super) fn of(self, func: &mut Function) -> ir::AliasRegion {
        func.dfg.alias_regions.insert(self.data())
    }

    /// The region, for who keeps a function's regions.
    pub(super) fn data(self) -> AliasRegionData {
        let (region, name) = REGIONS[self as usize];
        debug_assert_eq!(region, self);
        AliasRegionData { user_id: region as u32, description: name.into() }
    }

    /// An access that is aligned and never traps.
    pub(super) fn trusted(self, func: &mut Function) -> MemFlagsData {
        MemFlagsData::trusted()
            .with_endianness(Endianness::Little)
            .with_alias_region(Some(self.of(func)))
    }

    /// A load, wherever it stands, of what does not change while the function runs.
    pub(super) fn constant(self, func: &mut Function) -> MemFlagsData {
        self.trusted(func).with_readonly().with_can_move()
    }

    /// An aligned access whose fault is the trap `code`, if there is one.
    pub(super) fn trapping(self, func: &mut Function, code: Option<TrapCode>) -> MemFlagsData {
        self.trusted(func).with_trap_code(code.map(TrapCode::to_clif))
    }

    /// An access, aligned or not, whose fault is the trap `code`, if there is one.
    pub(super) fn unaligned(self, func: &mut Function, code: Option<TrapCode>) -> MemFlagsData {
        MemFlagsData::new()
            .with_endianness(Endianness::Little)
            .with_trap_code(code.map(TrapCode::to_clif))
            .with_alias_region(Some(self.of(func)))
    }
}

/// Enters flags into a function, for what wants them by number.
pub(super) fn intern(func: &mut Function, flags: MemFlagsData) -> MemFlags {
    func.dfg.mem_flags.insert_unchecked(flags)
}
