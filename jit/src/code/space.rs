//! The reservation that holds all machine code, and the map from its pages to [`Chunk`]s.
//!
//! The reservation is made once and never given back, so a look-up needs no protection. It is two
//! loads: the chunk, and the unit in it. Both entries are set (Release) before any code there can
//! be reached, and cleared before its memory is freed, when no thread can run it any more.
//!
//! The only lock is on the choice of the file, and a child does not inherit it as held. A child of
//! `fork` continues with its own copy of the reservation: neither process sees what the other
//! publishes later.

use super::chunk::Chunk;
use super::file::CodeFile;
use super::pages::PageMap;
use super::unit::CodeUnit;
use crate::process::Lock;
use region::Protection;
use rlimit::Resource;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Address space asked for.
const RESERVATION: usize = 2 << 30;

/// The smallest useful reservation, where the process's address space is limited.
const SMALLEST_RESERVATION: usize = 16 << 20;

/// Where the process's address space is limited, the part of it that code is to have.
const SHARE: u64 = 16;

/// The unit of protection.
pub(super) const PAGE: usize = 4096;

/// The one code space of the process.
pub(super) struct CodeSpace {
    base: usize,
    /// The chunk that each page belongs to.
    chunks: Box<[AtomicPtr<Chunk>]>,
    pages: PageMap,
    file: Lock<Option<Arc<CodeFile>>>,
}

impl fmt::Debug for CodeSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeSpace").field("base", &self.base).finish_non_exhaustive()
    }
}

static SPACE: AtomicPtr<CodeSpace> = AtomicPtr::new(std::ptr::null_mut());

/// The unit that the code address `pc` belongs to. Async-signal-safe.
///
/// # Safety
///
/// The caller must know that the unit, if there is one, stays published while the reference is
/// used: because its code is on the stack of a live store, or because the caller owns the unit.
pub unsafe fn lookup<'a>(pc: usize) -> Option<&'a CodeUnit> {
    // SAFETY: null, or a space, which is never given back.
    let space = unsafe { SPACE.load(Ordering::Acquire).as_ref() }?; // pairs with AcqRel in `get`
    let page = pc.checked_sub(space.base)? / PAGE;
    let chunk = space.chunks.get(page)?.load(Ordering::Acquire); // pairs with Release in `map`
    // SAFETY: entries are null or point to a chunk, which lives as long as any of its units is
    // published (caller's promise). Other units of the chunk may be added and dropped meanwhile.
    let unit = unsafe { chunk.as_ref() }?.unit_at(pc);
    // SAFETY: null or a unit that is published (caller's promise).
    unsafe { unit.as_ref() }
}

impl CodeSpace {
    /// The space; the first thread that needs it makes it.
    pub(super) fn get() -> Result<&'static CodeSpace, String> {
        let space = SPACE.load(Ordering::Acquire); // pairs with AcqRel below
        // SAFETY: null, or a space that was leaked below.
        if let Some(space) = unsafe { space.as_ref() } {
            return Ok(space);
        }
        // Several threads may get here. They do not wait for each other, because a child of `fork`
        // might then wait for a thread that does not exist in it.
        let (reservation, space) = CodeSpace::reserve()?;
        let space = Box::into_raw(Box::new(space));
        let null = std::ptr::null_mut();
        match SPACE.compare_exchange(null, space, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // It lives as long as the process, so addresses stay meaningful in signal handlers.
                std::mem::forget(reservation);
                // SAFETY: leaked.
                Ok(unsafe { &*space })
            }
            Err(first) => {
                // SAFETY: nobody else knows of this one.
                drop(unsafe { Box::from_raw(space) });
                // SAFETY: leaked by whoever was first.
                Ok(unsafe { &*first })
            }
        }
    }

    fn reserve() -> Result<(region::Allocation, CodeSpace), String> {
        let mut size = reservation(address_space());
        let mut reservation = loop {
            match region::alloc(size, Protection::NONE) {
                Ok(reservation) => break reservation,
                Err(_) if size > SMALLEST_RESERVATION => size /= 2,
                Err(error) => {
                    return Err(format!(
                        "the system refuses {size} bytes of address space for code ({error}): raise the limit \
                         of the process (`ulimit -v`), or the system's number of mappings (`vm.max_map_count`)"
                    ));
                }
            }
        };
        let base = reservation.as_mut_ptr::<u8>() as usize;
        let pages = size / PAGE;
        // SAFETY: a null `AtomicPtr` is all zeros.
        let chunks = unsafe { Box::<[AtomicPtr<Chunk>]>::new_zeroed_slice(pages).assume_init() };
        let space = CodeSpace { base, chunks, pages: PageMap::new(pages), file: Lock::default() };
        Ok((reservation, space))
    }

    /// Where it starts.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// Bytes of addresses.
    pub(super) fn size(&self) -> usize {
        self.chunks.len() * PAGE
    }

    /// The file to which this process writes new code.
    pub(super) fn file(&self) -> Result<Arc<CodeFile>, String> {
        let mut file = self.file.lock();
        match &*file {
            Some(current) if current.is_writable() => Ok(current.clone()),
            _ => {
                let new = Arc::new(CodeFile::new(self.size())?);
                *file = Some(new.clone());
                Ok(new)
            }
        }
    }

    /// Takes `len` bytes of addresses, whole pages.
    pub(super) fn take(&self, len: usize) -> Option<Range<usize>> {
        let start = self.base + self.pages.take(len / PAGE)? * PAGE;
        Some(start..start + len)
    }

    /// Gives back addresses from [`CodeSpace::take`]; `soon` as in [`PageMap::give`].
    pub(super) fn give(&self, addresses: &Range<usize>, soon: bool) {
        self.pages.give(self.pages_of(addresses), soon);
    }

    /// Makes [`lookup`] find `chunk` for these addresses; null removes it.
    pub(super) fn map(&self, addresses: &Range<usize>, chunk: *mut Chunk) {
        for entry in &self.chunks[self.pages_of(addresses)] {
            entry.store(chunk, Ordering::Release); // pairs with Acquire in `lookup`
        }
    }

    fn pages_of(&self, addresses: &Range<usize>) -> Range<usize> {
        (addresses.start - self.base) / PAGE..(addresses.end - self.base) / PAGE
    }
}

/// How much to reserve in a process that may map so much.
fn reservation(address_space: u64) -> usize {
    let share = (address_space / SHARE).clamp(SMALLEST_RESERVATION as u64, RESERVATION as u64);
    // Halves are tried, so a power of two.
    1 << share.ilog2()
}

/// How much the process may map.
fn address_space() -> u64 {
    Resource::AS.get_soft().unwrap_or(rlimit::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_a_sixteenth_of_a_limited_address_space() {
        assert_eq!(reservation(rlimit::INFINITY), RESERVATION);
        assert_eq!(reservation(32 << 30), RESERVATION);
        assert_eq!(reservation(4 << 30), 256 << 20);
        assert_eq!(reservation(4_096_000_000), 128 << 20);
        assert_eq!(reservation(1 << 20), SMALLEST_RESERVATION);
    }
}
