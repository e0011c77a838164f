//! The reservation that holds all machine code, and the map from a page of it to its [`Chunk`].
//!
//! The reservation is made once and never given back, so a look-up needs no protection: it is two
//! loads, of the chunk and of the unit in it. Both entries are set (Release) before any code there can
//! be reached and cleared before its memory is given back, when nothing can run in it any more.
//!
//! Nothing here is locked but the choice of the file, by a lock that does not outlast its process. A
//! child of `fork` goes on with a reservation of its own, which starts as a copy: what its parent
//! publishes later the child does not see, and the other way round.

use super::chunk::Chunk;
use super::file::CodeFile;
use super::pages::PageMap;
use super::unit::CodeUnit;
use crate::process::Lock;
use region::Protection;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Address space asked for.
const RESERVATION: usize = 2 << 30;

/// The least that is worth running with, where the process's address space is limited.
const SMALLEST_RESERVATION: usize = 16 << 20;

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
/// The caller must know that the unit, if there is one, stays published while it uses the
/// reference: because its code is on the stack of a live store, or because it owns the unit.
pub unsafe fn lookup<'a>(pc: usize) -> Option<&'a CodeUnit> {
    // SAFETY: null, or a space, which is never given back.
    let space = unsafe { SPACE.load(Ordering::Acquire).as_ref() }?; // pairs with AcqRel in `get`
    let page = pc.checked_sub(space.base)? / PAGE;
    let chunk = space.chunks.get(page)?.load(Ordering::Acquire); // pairs with Release in `map`
    // SAFETY: entries are null or point to a chunk, which is there for as long as any of its units
    // is published (caller's promise). Other units of the chunk may come and go meanwhile.
    let unit = unsafe { chunk.as_ref() }?.unit_at(pc);
    // SAFETY: null or a unit that is published (caller's promise).
    unsafe { unit.as_ref() }
}

impl CodeSpace {
    /// The space, made by whoever needs it first.
    pub(super) fn get() -> Result<&'static CodeSpace, String> {
        let space = SPACE.load(Ordering::Acquire); // pairs with AcqRel below
        // SAFETY: null, or a space that was leaked below.
        if let Some(space) = unsafe { space.as_ref() } {
            return Ok(space);
        }
        // Threads may meet here. They do not wait for each other: a thread that a child of `fork`
        // waited for would not be there.
        let (reservation, space) = CodeSpace::reserve()?;
        let space = Box::into_raw(Box::new(space));
        let null = std::ptr::null_mut();
        match SPACE.compare_exchange(null, space, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // Lives as long as the process: addresses stay meaningful in signal handlers.
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
        let mut size = RESERVATION;
        let mut reservation = loop {
            match region::alloc(size, Protection::NONE) {
                Ok(reservation) => break reservation,
                Err(_) if size > SMALLEST_RESERVATION => size /= 2,
                Err(error) => return Err(error.to_string()),
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

    /// The file that new code of this process goes to.
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

    /// Takes addresses of `len` bytes, whole pages.
    pub(super) fn take(&self, len: usize) -> Option<Range<usize>> {
        let start = self.base + self.pages.take(len / PAGE)? * PAGE;
        Some(start..start + len)
    }

    /// Gives back addresses that [`CodeSpace::take`] gave out; `soon` as [`PageMap::give`] has it.
    pub(super) fn give(&self, addresses: &Range<usize>, soon: bool) {
        self.pages.give(self.pages_of(addresses), soon);
    }

    /// Makes `chunk` the one that [`lookup`] finds for these addresses; null takes it back.
    pub(super) fn map(&self, addresses: &Range<usize>, chunk: *mut Chunk) {
        for entry in &self.chunks[self.pages_of(addresses)] {
            entry.store(chunk, Ordering::Release); // pairs with Acquire in `lookup`
        }
    }

    fn pages_of(&self, addresses: &Range<usize>) -> Range<usize> {
        (addresses.start - self.base) / PAGE..(addresses.end - self.base) / PAGE
    }
}
