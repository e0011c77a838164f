//! How far accesses of compiled code reach, and what is there.
//!
//! Compiled code omits a check where an access that must not happen is certain to fault. This file tells the translator
//! which checks it may omit, the runtime which address space to reserve, and the signal handler which faults are traps.
//!
//! | access | reaches | there |
//! |---|---|---|
//! | linear memory | [`MemoryReach::total`] bytes from its base | the address space reserved for it, the guard included |
//! | the same, where address space is scarce | its length | memory |
//! | object, through a null reference | [`NULL_OBJECT`] bytes from the heap's base | a part of the heap that nothing may touch |
//! | table, outside of it; function reference that is null; object, where no heap was made | [`NULL_PAGE`] bytes from address 0 | nothing is mapped |
//!
//! ```text
//! base         length          end                       total
//! │ accessible │ may be grown  │ guard: never accessible │
//!              └ faults are the trap ────────────────────┘
//! ```

use super::VMFuncRef;
use crate::gc::HEADER_SIZE;
use crate::tunables::Tunables;

/// The system maps nothing at the first this many bytes of addresses. An access here went through a null pointer. An
/// index outside of its table also becomes a null pointer.
pub const NULL_PAGE: usize = 4096;

/// Bytes at the start of the heap that hold no object and are never accessible: an access through a null reference, at
/// an offset below this, faults.
pub const NULL_OBJECT: u32 = 64 << 10;

/// More than the widest access, in bytes; a page of WebAssembly.
const WIDEST: u64 = 64 << 10;

// What is accessed through null pointers without a check.
const _: () = {
    assert!(size_of::<VMFuncRef>() <= NULL_PAGE);
    assert!(HEADER_SIZE as usize <= NULL_PAGE);
    assert!(NULL_PAGE <= NULL_OBJECT as usize);
};

/// How far accesses to a linear memory reach, in bytes from its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReach {
    end: u64,
    greatest_offset: u64,
}

impl MemoryReach {
    /// The reach for memories with 64-bit or 32-bit addresses. It is the same for all such memories of an engine,
    /// whatever their maximum: code compares with constants.
    pub fn of(memory64: bool, tunables: &Tunables) -> MemoryReach {
        let end = if memory64 { tunables.memory64_reservation } else { 1 << 32 };
        let greatest_offset = match memory64 {
            // What leaves the memory is not accessed.
            _ if tunables.scarce_addresses => 0,
            true => i32::MAX as u64,
            // No 32-bit index plus 32-bit offset can leave it: nothing is checked.
            false => u32::MAX.into(),
        };
        MemoryReach { end, greatest_offset }
    }

    /// The end: no memory grows beyond it, and no index that is accessed may exceed it.
    pub fn end(self) -> u64 {
        self.end
    }

    /// Whether an access at an index up to [`end`](Self::end) and at this offset stays inside.
    pub(crate) fn covers(self, offset: u64) -> bool {
        offset <= self.greatest_offset
    }

    /// The address space to reserve; the part behind the end is never accessible.
    pub fn total(self) -> u64 {
        self.end.saturating_add(self.greatest_offset + 1).saturating_add(WIDEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_is_reserved() {
        for memory64 in [false, true] {
            let scarce = Tunables { scarce_addresses: true, ..Tunables::default() };
            let reach = MemoryReach::of(memory64, &scarce);
            assert!(!reach.covers(1) && reach.end() + 16 <= reach.total());
            let reach = MemoryReach::of(memory64, &Tunables::default());
            let furthest = (0..64).map(|bit| u64::MAX >> bit).find(|&offset| reach.covers(offset));
            let furthest = furthest.expect("some offset is covered");
            assert!(!reach.covers(furthest + 1));
            assert!(reach.end() + furthest + 16 <= reach.total());
        }
        let all = MemoryReach::of(false, &Tunables::default());
        assert!(all.covers(u32::MAX.into()) && all.end() > u32::MAX.into());
    }
}
