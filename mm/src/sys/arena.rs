//! Address space for storage: carved from large mappings, zero on demand, resident only where it is used. What is given
//! back keeps its addresses, and can lose its pages.

use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, ProtFlags};

use super::linux::{LAZY, at, named};
use super::{SysError, may};
use crate::space::PAGE;

/// Bytes that are mapped at first; later as many as there are already, so that mappings stay few, up to this many: where
/// address space is limited, others need it, too.
const CHUNK: usize = 16 << 20;
const LARGEST: usize = 64 << 20;
/// Mappings that are remembered.
const MAPPINGS: usize = 64;

/// Pieces of address space, each of whole pages. They never come back, but may lose their pages.
pub(crate) struct Arena {
    inner: Mutex<Inner>,
}

struct Inner {
    dense: Bump,
    sparse: Bump,
    mapped: Mapped,
}

/// All mappings. No vector: in the allocator's memory, what grows and stays would keep what is below it resident. Beyond
/// these, an arena that is dropped leaves the address space reserved.
struct Mapped {
    mappings: [(usize, usize); MAPPINGS],
    count: usize,
}

/// What is left of a chunk.
struct Bump {
    left: Range<usize>,
    /// Bytes of all its chunks.
    all: usize,
}

/// How much of a piece will be used. Pieces of one kind are neighbours, and share page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Most of it.
    Dense,
    /// Perhaps nothing.
    Sparse,
}

impl Arena {
    /// Empty.
    pub(crate) fn new() -> Self {
        let bump = || Bump { left: 0..0, all: 0 };
        Self { inner: Mutex::new(Inner { dense: bump(), sparse: bump(), mapped: Mapped::new() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of `bytes` (whole pages), all zero.
    pub(crate) fn take(&self, bytes: usize, how: Use) -> Result<NonNull<u8>, SysError> {
        let Inner { dense, sparse, mapped } = &mut *self.inner();
        let bump = if how == Use::Dense { dense } else { sparse };
        let addr = bump.take(bytes, mapped)?;
        Ok(NonNull::new(ptr::with_exposed_provenance_mut(addr)).expect("a mapping is not at zero"))
    }
}

impl Bump {
    fn take(&mut self, bytes: usize, mapped: &mut Mapped) -> Result<usize, SysError> {
        if self.left.len() < bytes {
            // Where address space is scarce, no more than what is needed.
            let wanted = self.all.clamp(CHUNK, LARGEST).max(bytes);
            let chunk = mapped.map(wanted).map(|start| start..start + wanted);
            self.left = match chunk {
                Ok(chunk) => chunk,
                Err(_) => mapped.map(bytes).map(|start| start..start + bytes)?,
            };
            self.all += self.left.len();
        }
        let start = self.left.start;
        self.left.start += bytes;
        Ok(start)
    }
}

impl Mapped {
    const fn new() -> Self {
        Self { mappings: [(0, 0); MAPPINGS], count: 0 }
    }

    fn map(&mut self, bytes: usize) -> Result<usize, SysError> {
        may("mmap")?;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, rights, LAZY) }
            .map_err(named("mmap"))?;
        // A huge page would be resident as a whole after one touch. A kernel that has none refuses.
        // SAFETY: the mapping was made above, and its contents stay.
        let _ = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxNoHugepage) };
        let start = start.expose_provenance();
        if let Some(free) = self.mappings.get_mut(self.count) {
            *free = (start, bytes);
            self.count += 1;
        }
        Ok(start)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        for &(start, bytes) in &self.mappings[..self.count] {
            // SAFETY: mapped by `map`; who drops the arena has nothing of it left.
            let _ = unsafe { rustix::mm::munmap(at(start), bytes) };
        }
    }
}

/// Gives the pages of a piece back to the system: it is zero again. A refusal (the memory is locked) leaves it as it is.
///
/// # Safety
/// Whole pages of anonymous memory of ours. Nobody counts on their contents.
pub(crate) unsafe fn decommit(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    let _ = unsafe { rustix::mm::madvise(start.as_ptr().cast(), bytes, Advice::LinuxDontNeed) };
}

/// Words that are zero until they are written, in a piece of an arena.
pub(crate) struct Words {
    start: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: as a boxed slice of atomics.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// None.
    pub(crate) const fn none() -> Self {
        Self { start: NonNull::dangling(), len: 0 }
    }

    /// `len` words from `start` on.
    ///
    /// # Safety
    /// There is room for them, they are zero, and nobody else uses them.
    pub(crate) unsafe fn new(start: NonNull<u8>, len: usize) -> Self {
        Self { start: start.cast(), len }
    }

    /// Gives back the pages that hold `range`. All its words are zero, and so they stay.
    pub(crate) fn decommit(&self, range: Range<usize>) {
        let range = range.start..range.end.min(self.len);
        if !range.is_empty() {
            let first = range.start * size_of::<AtomicU64>() / PAGE * PAGE;
            // SAFETY: inside of the piece, whose words are zero before and after.
            unsafe { decommit(self.start.cast().add(first), Self::bytes(range.end) - first) };
        }
    }

    /// The room that `len` words take.
    pub(crate) const fn bytes(len: usize) -> usize {
        (len * size_of::<AtomicU64>()).next_multiple_of(PAGE)
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `len` words of the arena, which outlives its pieces; zero bits are a valid word.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::LINUX;
    use std::sync::atomic::Ordering;

    #[test]
    fn words_are_resident_where_they_were_written_and_come_back_as_zero() {
        let arena = Arena::new();
        let start = arena.take(Words::bytes(1 << 16), Use::Sparse).unwrap();
        // SAFETY: a piece of that size.
        let words = unsafe { Words::new(start, 1 << 16) };
        let resident = || LINUX.resident(words.as_ptr().addr(), size_of_val(&*words));
        assert_eq!(resident(), 0);
        words[0].store(1, Ordering::Relaxed);
        words[40_000].store(1, Ordering::Relaxed);
        assert_eq!(resident(), 2 * PAGE);
        words[40_000].store(0, Ordering::Relaxed);
        words.decommit(39_000..41_000);
        assert_eq!(resident(), PAGE);
        assert_eq!(words[40_000].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn pieces_of_a_kind_are_neighbours_and_mappings_are_few() {
        let arena = Arena::new();
        let take = |bytes, how| arena.take(bytes, how).unwrap().addr().get();
        let first = take(PAGE, Use::Dense);
        let sparse = take(PAGE, Use::Sparse);
        assert_eq!(take(PAGE, Use::Dense), first + PAGE);
        assert!(sparse.abs_diff(first) >= CHUNK / 2);
        (0..16).for_each(|_| _ = take(CHUNK, Use::Sparse));
        assert!(arena.inner().mapped.count <= 8, "of 16, 16, 16, 32, 64 MiB and so on");
    }
}
