//! Address space for storage: carved from large mappings, zero on demand, resident only where it is used. What is given
//! back keeps its addresses, and can lose its pages.

use std::collections::BTreeMap;
use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, ProtFlags};

use super::linux::{LAZY, at, named};
use super::{SysError, may};
use crate::space::PAGE;

/// Bytes that are mapped at a time. One mapping has room for 64 page maps of the largest 32-bit memories.
const CHUNK: usize = 32 << 20;
/// Larger pieces get mappings of their own.
const LARGE: usize = CHUNK / 4;

/// Pieces of address space, each of whole pages.
pub(crate) struct Arena {
    inner: Mutex<Inner>,
}

struct Inner {
    /// What is left of the last chunk.
    left: Range<usize>,
    /// Pieces that were given back, by length.
    free: BTreeMap<usize, Vec<usize>>,
    /// All mappings.
    mapped: Vec<(usize, usize)>,
}

impl Arena {
    /// Empty.
    pub(crate) const fn new() -> Self {
        let inner = Inner { left: 0..0, free: BTreeMap::new(), mapped: Vec::new() };
        Self { inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of `bytes` (whole pages). A fresh one is zero; one that was given back is as it was left.
    pub(crate) fn take(&self, bytes: usize) -> Result<NonNull<u8>, SysError> {
        self.inner().take(bytes).map(|addr| {
            let start = ptr::with_exposed_provenance_mut(addr);
            NonNull::new(start).expect("a mapping is not at zero")
        })
    }

    /// Takes a piece back.
    pub(crate) fn give(&self, start: NonNull<u8>, bytes: usize) {
        self.inner().free.entry(bytes).or_default().push(start.expose_provenance().get());
    }
}

impl Inner {
    fn take(&mut self, bytes: usize) -> Result<usize, SysError> {
        if let Some(piece) = self.free.get_mut(&bytes).and_then(Vec::pop) {
            return Ok(piece);
        }
        if self.left.len() < bytes {
            // Where address space is scarce, no more than what is needed.
            if bytes >= LARGE {
                return self.map(bytes);
            }
            match self.map(CHUNK) {
                Ok(start) => self.left = start..start + CHUNK,
                Err(_) => return self.map(bytes),
            }
        }
        let start = self.left.start;
        self.left.start += bytes;
        Ok(start)
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
        self.mapped.push((start, bytes));
        Ok(start)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for &(start, bytes) in &self.mapped {
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

    /// `len` words of zero.
    pub(crate) fn new(len: usize, arena: &Arena) -> Result<Self, SysError> {
        let start = arena.take(Self::bytes(len))?;
        Ok(Self { start: start.cast(), len })
    }

    /// Gives them back; all are zero.
    pub(crate) fn give_back(self, arena: &Arena) {
        if self.len != 0 {
            arena.give(self.start.cast(), Self::bytes(self.len));
        }
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

    const fn bytes(len: usize) -> usize {
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
        let words = Words::new(1 << 16, &arena).unwrap();
        let resident = || LINUX.resident(words.as_ptr().addr(), size_of_val(&*words));
        assert_eq!(resident(), 0);
        words[0].store(1, Ordering::Relaxed);
        words[40_000].store(1, Ordering::Relaxed);
        assert_eq!(resident(), 2 * PAGE);
        words[40_000].store(0, Ordering::Relaxed);
        words.decommit(39_000..41_000);
        assert_eq!(resident(), PAGE);
        assert_eq!(words[40_000].load(Ordering::Relaxed), 0);
        words[0].store(0, Ordering::Relaxed);
        let start = words.as_ptr();
        words.give_back(&arena);
        assert_eq!(Words::new(1 << 16, &arena).unwrap().as_ptr(), start);
    }

    #[test]
    fn a_large_piece_leaves_the_chunk_as_it_is() {
        let arena = Arena::new();
        let small = arena.take(PAGE).unwrap();
        arena.take(CHUNK).unwrap();
        arena.take(CHUNK * 2).unwrap();
        assert_eq!(arena.take(PAGE).unwrap().addr().get(), small.addr().get() + PAGE);
    }
}
