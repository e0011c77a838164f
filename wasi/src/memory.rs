//! Guest memory, as the calls use it: copies in, copies out, and ranges lent to the kernel.
//!
//! No slice of guest memory exists anywhere, because another thread of the guest may write to it at any moment. The
//! calls use the trait object [`GuestMemory`], so that each call is an ordinary function, which tests can run without
//! an engine, and which is compiled only once for all `T` of a `Linker<T>`.
//!
//! Neighbours: [`kernel`](crate::kernel) owns [`Lent`], the proof that a range may be given to a system call;
//! [`linker`](crate::linker) implements the trait for a real memory.

use seqfault::Access;
use smallvec::SmallVec;

use crate::abi::{Errno, Iovec, Layout, Record};
use crate::error::{PointerError, Result};
use crate::guest::{GuestPtr, GuestSlice};
use crate::kernel::Lent;

/// Why a range cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryFault {
    /// The guest's mistake.
    Pointer(PointerError),
    /// The range is valid, but cannot be made resident now.
    Exhausted,
}

/// A linear memory.
pub(crate) trait GuestMemory {
    /// Copies out of the memory.
    fn read(&self, at: u32, dst: &mut [u8]) -> Result<(), MemoryFault>;

    /// Copies into the memory.
    fn write(&mut self, at: u32, src: &[u8]) -> Result<(), MemoryFault>;

    /// Makes `len` bytes at `at` resident and lends them to the kernel.
    fn lend(&self, at: u32, len: u32, access: Access) -> Result<Lent<'_>, MemoryFault>;
}

/// The most buffers that one call looks at; the rest is left to the next call, as after a short transfer. Linux allows
/// the same number for one `readv` (IOV_MAX), and it limits the memory that the host needs.
const MAX_BUFFERS: u32 = 1024;

/// A scatter or gather list. It is copied once, because the guest may change its own copy during the call.
pub(crate) type Iovecs = SmallVec<[Iovec; 8]>;

impl dyn GuestMemory + '_ {
    /// Reads the `N` bytes of a record.
    pub(crate) fn load<T: Layout, const N: usize>(&self, from: GuestPtr<T>) -> Result<[u8; N]> {
        debug_assert_eq!(N, T::SIZE as usize);
        let mut bytes = [0; N];
        self.read(from.aligned()?, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes a record.
    pub(crate) fn store<T: Record>(&mut self, to: GuestPtr<T>, value: &T) -> Result<()> {
        Ok(self.write(to.aligned()?, value.encode().as_ref())?)
    }

    /// Writes as much of `bytes` as fits into a buffer. Returns how much.
    pub(crate) fn fill(&mut self, buffer: GuestSlice<u8>, bytes: &[u8]) -> Result<u32> {
        let fits = buffer.len().min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.write(buffer.at(), &bytes[..fits as usize])?;
        Ok(fits)
    }

    /// Reads a list of buffers, without the empty ones. A list that is too long and begins with only empty buffers is
    /// EINVAL, as is a list that is too long for readv(2): a result of 0 bytes would mean the end of the file.
    pub(crate) fn read_iovecs(&self, list: GuestSlice<Iovec>) -> Result<Iovecs> {
        list.start().aligned()?;
        let mut iovecs = Iovecs::new();
        for index in 0..list.len().min(MAX_BUFFERS) {
            let iovec = Iovec::decode(self.load(list.start().nth(index)?)?);
            if iovec.len != 0 {
                iovecs.push(iovec);
            }
        }
        if iovecs.is_empty() && list.len() > MAX_BUFFERS {
            return Err(Errno::Inval.into());
        }
        Ok(iovecs)
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A memory for tests: a fixed number of bytes.

    use super::*;
    use crate::guest::{ptr, slice};
    use std::cell::Cell;

    pub(crate) struct FakeMemory {
        bytes: Box<[Cell<u8>]>,
    }

    impl FakeMemory {
        pub(crate) fn new(size: usize) -> Self {
            Self { bytes: vec![Cell::new(0); size].into() }
        }

        fn range(&self, at: u32, len: usize) -> Result<&[Cell<u8>], MemoryFault> {
            let start = at as usize;
            start
                .checked_add(len)
                .and_then(|end| self.bytes.get(start..end))
                .ok_or(MemoryFault::Pointer(PointerError::OutOfBounds { at, len: len as u64 }))
        }

        pub(crate) fn get(&self, at: u32, len: usize) -> Vec<u8> {
            self.range(at, len).unwrap().iter().map(Cell::get).collect()
        }

        pub(crate) fn u32_at(&self, at: u32) -> u32 {
            u32::from_le_bytes(self.get(at, 4).try_into().unwrap())
        }

        pub(crate) fn u64_at(&self, at: u32) -> u64 {
            u64::from_le_bytes(self.get(at, 8).try_into().unwrap())
        }

        pub(crate) fn put(&mut self, at: u32, bytes: &[u8]) {
            self.write(at, bytes).unwrap();
        }
    }

    impl GuestMemory for FakeMemory {
        fn read(&self, at: u32, dst: &mut [u8]) -> Result<(), MemoryFault> {
            let src = self.range(at, dst.len())?;
            dst.iter_mut().zip(src).for_each(|(to, from)| *to = from.get());
            Ok(())
        }

        fn write(&mut self, at: u32, src: &[u8]) -> Result<(), MemoryFault> {
            let dst = self.range(at, src.len())?;
            dst.iter().zip(src).for_each(|(to, from)| to.set(*from));
            Ok(())
        }

        fn lend(&self, at: u32, len: u32, _: Access) -> Result<Lent<'_>, MemoryFault> {
            self.range(at, len as usize).map(Lent::from_cells)
        }
    }

    #[test]
    fn lists_are_bounded_and_skip_empty_buffers() {
        let mut memory = FakeMemory::new(65536);
        for entry in 0..2000_u32 {
            memory.put(entry * 8 + 4, &(entry % 2).to_le_bytes());
        }
        let memory: &dyn GuestMemory = &memory;
        assert_eq!(memory.read_iovecs(slice(0, 2000)).unwrap().len(), 512);
        assert_eq!(memory.read_iovecs(slice(0, u32::MAX)).unwrap().len(), 512);
    }

    #[test]
    fn a_long_list_of_nothing_is_not_the_end_of_a_file() {
        let memory = FakeMemory::new(65536);
        let memory: &dyn GuestMemory = &memory;
        assert_eq!(memory.read_iovecs(slice(0, MAX_BUFFERS)).unwrap().len(), 0);
        let long = memory.read_iovecs(slice(0, MAX_BUFFERS + 1));
        assert_eq!(long.err(), Some(Errno::Inval.into()));
    }

    #[test]
    fn lists_that_leave_the_memory_trap() {
        let memory = FakeMemory::new(64);
        let memory: &dyn GuestMemory = &memory;
        for (at, count) in [(64, 1), (56, 2), (u32::MAX - 3, 1), (u32::MAX - 7, 2)] {
            let result = memory.read_iovecs(slice(at, count));
            assert!(matches!(result, Err(crate::error::Error::Abort(_))), "{at} {count}");
        }
    }

    #[test]
    fn misaligned_records_trap() {
        let mut memory = FakeMemory::new(64);
        let memory: &mut dyn GuestMemory = &mut memory;
        assert!(memory.store::<u32>(ptr(2), &0).is_err());
        assert!(memory.store::<u64>(ptr(4), &0).is_err());
        assert!(memory.store::<u32>(ptr(60), &0).is_ok());
    }
}
