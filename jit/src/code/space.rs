//! The reservation that holds all machine code, and the map from a page of it to its unit.
//!
//! The reservation is made once and never given back, so a look-up needs no protection: it is one
//! load of the map. A unit's entries are set (Release) before any of its code can be reached and
//! cleared before its pages are given back, when nothing can run in it any more.

use super::pages::FreePages;
use super::unit::CodeUnit;
use crate::error::CompileError;
use region::Protection;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Address space asked for: the furthest that a near jump reaches.
const RESERVATION: usize = 2 << 30;

/// The least that is worth running with, where the process's address space is limited.
const SMALLEST_RESERVATION: usize = 16 << 20;

/// The unit of protection.
pub(super) const PAGE: usize = 4096;

/// The one code space of the process.
struct CodeSpace {
    base: usize,
    /// The unit that each page belongs to.
    units: Box<[AtomicPtr<CodeUnit>]>,
    free: Mutex<FreePages>,
}

static SPACE: OnceLock<Result<CodeSpace, String>> = OnceLock::new();

/// The unit that the code address `pc` belongs to. Async-signal-safe.
///
/// # Safety
///
/// The caller must know that the unit, if there is one, stays published while it uses the
/// reference: because its code is on the stack of a live store, or because it owns the unit.
pub unsafe fn lookup<'a>(pc: usize) -> Option<&'a CodeUnit> {
    let space = SPACE.get()?.as_ref().ok()?;
    let page = pc.checked_sub(space.base)? / PAGE;
    let unit = space.units.get(page)?.load(Ordering::Acquire); // pairs with Release in `publish`
    // SAFETY: entries are null or point to a unit that is published (caller's promise).
    unsafe { unit.as_ref() }
}

fn space() -> Result<&'static CodeSpace, String> {
    SPACE.get_or_init(CodeSpace::reserve).as_ref().map_err(Clone::clone)
}

impl CodeSpace {
    fn reserve() -> Result<CodeSpace, String> {
        let mut size = RESERVATION;
        let mut reservation = loop {
            match region::alloc(size, Protection::NONE) {
                Ok(reservation) => break reservation,
                Err(_) if size > SMALLEST_RESERVATION => size /= 2,
                Err(error) => return Err(error.to_string()),
            }
        };
        let base = reservation.as_mut_ptr::<u8>() as usize;
        // Lives as long as the process: code addresses stay meaningful in signal handlers.
        std::mem::forget(reservation);
        let pages = size / PAGE;
        // SAFETY: a null `AtomicPtr` is all zeros.
        let units = unsafe { Box::<[AtomicPtr<CodeUnit>]>::new_zeroed_slice(pages).assume_init() };
        Ok(CodeSpace { base, units, free: Mutex::new(FreePages::new(pages)) })
    }

    fn free_pages(&self) -> MutexGuard<'_, FreePages> {
        // The list is whole after every call, also one that panicked in its allocator.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn map(&self, code: Range<usize>, unit: *mut CodeUnit) {
        let first = (code.start - self.base) / PAGE;
        let count = code.len() / PAGE;
        for entry in &self.units[first..first + count] {
            entry.store(unit, Ordering::Release); // pairs with Acquire in `lookup`
        }
    }
}

/// Pages of the code space, given back when dropped.
#[derive(Debug)]
pub(super) struct CodePages {
    start: usize,
    len: usize,
}

impl CodePages {
    /// Takes pages for `bytes` bytes of code; they are not accessible yet.
    pub(super) fn take(bytes: usize) -> Result<CodePages, CompileError> {
        let fail = |message: String| CompileError::CodeSpace { bytes, message };
        let space = space().map_err(fail)?;
        let count = bytes.div_ceil(PAGE).max(1);
        let first = space.free_pages().take(count).ok_or_else(|| {
            fail(format!("the code space of {} MiB is full", (space.units.len() * PAGE) >> 20))
        })?;
        Ok(CodePages { start: space.base + first * PAGE, len: count * PAGE })
    }

    /// Where the pages start.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Lets `write` fill the pages, then makes them executable for good.
    pub(super) fn fill(&self, write: impl FnOnce(&mut [u8])) -> Result<(), CompileError> {
        let fail = |error: String| CompileError::CodeSpace { bytes: self.len, message: error };
        let start = self.start as *mut u8;
        // SAFETY: the pages are ours alone, and nothing can reach them before they are published.
        unsafe { region::protect(start, self.len, Protection::READ_WRITE) }
            .map_err(|error| fail(error.to_string()))?;
        // SAFETY: readable and writable since the line above, zeroed by the system, ours alone.
        write(unsafe { std::slice::from_raw_parts_mut(start, self.len) });
        // SAFETY: the range was just written and is mapped.
        unsafe { wasmtime_jit_icache_coherence::clear_cache(start as *const c_void, self.len) }
            .map_err(|error| fail(error.to_string()))?;
        // SAFETY: as for the first call.
        unsafe { region::protect(start, self.len, Protection::READ_EXECUTE) }
            .map_err(|error| fail(error.to_string()))?;
        wasmtime_jit_icache_coherence::pipeline_flush_mt().map_err(|error| fail(error.to_string()))
    }

    /// Makes `unit` the answer of [`lookup`] for these pages; null takes it back.
    pub(super) fn set_unit(&self, unit: *mut CodeUnit) {
        if let Ok(space) = space() {
            space.map(self.start..self.start + self.len, unit);
        }
    }
}

impl Drop for CodePages {
    fn drop(&mut self) {
        let Ok(space) = space() else { return };
        // A fresh mapping over the old one gives the memory back.
        match region::alloc_at(self.start as *const u8, self.len, Protection::NONE) {
            Ok(mapping) => std::mem::forget(mapping),
            // The pages stay as they are and are never used again.
            Err(_) => return,
        }
        space.free_pages().give((self.start - space.base) / PAGE, self.len / PAGE);
    }
}
