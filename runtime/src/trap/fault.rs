//! [`MemoryFault`]: where a guest has left a memory.

use std::fmt;

/// Where a guest has reached outside of a memory, or of the data segment that it was copying from.
///
/// `Display` prints the trap's text and what is known, such as
/// `out of bounds memory access at 0xfffffffc of a memory of 0xd0000 bytes (memory 0)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFault {
    place: Place,
    address: Address,
    /// The length of the range, if it was a range.
    bytes: Option<u64>,
    /// The size of the memory or segment in bytes.
    len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A memory, by its index in the module whose code accessed it.
    Memory(Option<u32>),
    Segment(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    At(u64),
    /// At this address or above: compiled code does not distinguish these addresses.
    From(u64),
    Unknown,
}

impl MemoryFault {
    /// An access at an address, in a memory of `len` bytes. Without an address if it is not known, or does not fit 64
    /// bits.
    pub(crate) fn at(memory: Option<u32>, address: Option<u64>, len: usize) -> MemoryFault {
        let address = address.map_or(Address::Unknown, Address::At);
        MemoryFault { place: Place::Memory(memory), address, bytes: None, len: len as u64 }
    }

    /// An access at this address or above.
    pub(crate) fn from(memory: Option<u32>, address: u64, len: usize) -> MemoryFault {
        let address = Address::From(address);
        MemoryFault { place: Place::Memory(memory), address, bytes: None, len: len as u64 }
    }

    /// `bytes` from `start` on.
    pub(crate) fn of_range(memory: Option<u32>, start: u64, bytes: u64, len: usize) -> MemoryFault {
        MemoryFault { bytes: Some(bytes), ..MemoryFault::at(memory, Some(start), len) }
    }

    /// `bytes` from `start` on, of a data segment.
    pub(crate) fn of_segment(segment: u32, start: u64, bytes: u64, len: usize) -> MemoryFault {
        let place = Place::Segment(segment);
        MemoryFault { place, ..MemoryFault::of_range(None, start, bytes, len) }
    }

    /// The index of the memory in the module whose code accessed it. `None` if it was a data segment, if the host
    /// accessed it, or if instances of the module use different indices for the memory.
    pub fn memory(&self) -> Option<u32> {
        match self.place {
            Place::Memory(index) => index,
            Place::Segment(_) => None,
        }
    }

    /// The index of the data segment, if the guest has left a data segment.
    pub fn data_segment(&self) -> Option<u32> {
        match self.place {
            Place::Memory(_) => None,
            Place::Segment(index) => Some(index),
        }
    }

    /// The address, in bytes from the start of the memory or segment: the start of a range, or the first byte of a
    /// single access that was outside. `None` if it is not known. With [signals](crate::Config::signals_based_traps),
    /// it is not known in memories with pages of one byte, and beyond the reservation of a memory with 64-bit
    /// addresses.
    pub fn address(&self) -> Option<u64> {
        match self.address {
            Address::At(address) => Some(address),
            Address::From(_) | Address::Unknown => None,
        }
    }

    /// How many bytes were accessed from the address on, for a bulk operation.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The size of the memory or the segment at that time, in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }
}

impl fmt::Display for MemoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", super::TrapCode::MemoryOutOfBounds)?;
        match self.address {
            Address::At(address) => write!(f, " at {address:#x}")?,
            Address::From(address) => write!(f, " at {address:#x} or above")?,
            Address::Unknown => {}
        }
        if let Some(bytes) = self.bytes {
            write!(f, " ({bytes:#x} bytes)")?;
        }
        let len = self.len;
        match self.place {
            Place::Memory(Some(memory)) => {
                write!(f, " of a memory of {len:#x} bytes (memory {memory})")
            }
            Place::Memory(None) => write!(f, " of a memory of {len:#x} bytes"),
            Place::Segment(segment) => {
                write!(f, " of a data segment of {len:#x} bytes (segment {segment})")
            }
        }
    }
}

impl std::error::Error for MemoryFault {}

#[cfg(test)]
mod tests {
    use super::MemoryFault;

    #[test]
    fn what_is_known_is_said() {
        let text = |fault: MemoryFault| {
            let text = fault.to_string();
            text.strip_prefix("out of bounds memory access").expect("the trap's text").to_owned()
        };
        let known = MemoryFault::at(Some(0), Some(0xffff_fffc), 0xd0000);
        assert_eq!(text(known), " at 0xfffffffc of a memory of 0xd0000 bytes (memory 0)");
        let unnumbered = MemoryFault::at(None, Some(0x10), 0);
        assert_eq!(text(unnumbered), " at 0x10 of a memory of 0x0 bytes");
        let unknown = MemoryFault::at(Some(1), None, 5);
        assert_eq!(text(unknown), " of a memory of 0x5 bytes (memory 1)");
        let beyond = MemoryFault::from(Some(1), 1 << 36, 5);
        assert_eq!(text(beyond), " at 0x1000000000 or above of a memory of 0x5 bytes (memory 1)");
        let range = MemoryFault::of_range(Some(2), 0xfff0, 0x20, 0x10000);
        assert_eq!(text(range), " at 0xfff0 (0x20 bytes) of a memory of 0x10000 bytes (memory 2)");
        let segment = MemoryFault::of_segment(3, 1, 2, 2);
        assert_eq!(text(segment), " at 0x1 (0x2 bytes) of a data segment of 0x2 bytes (segment 3)");
    }
}
