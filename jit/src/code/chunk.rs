//! [`Chunk`]: pages of the code space with the units of one owner, one behind the other.
//!
//! A table tells for each line of 64 bytes which unit it belongs to; units start at lines. A unit sets only the entries
//! of its own lines, so that neighbours need not synchronise.
//!
//! A chunk lives until its last unit is dropped; then its pages are freed.

use super::file::{CodeFile, barrier};
use super::quota::{Charge, CodeQuota};
use super::space::{CodeSpace, PAGE};
use super::unit::CodeUnit;
use crate::error::CompileError;
use region::Protection;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Weak};

/// Units start at multiples of this many bytes.
pub(super) const LINE: usize = 64;

/// Pages for code.
#[derive(Debug)]
pub(super) struct Chunk {
    memory: CodeMemory,
    /// The unit that each line belongs to.
    lines: Box<[AtomicPtr<CodeUnit>]>,
}

/// Addresses of the code space that belong to the chunk, and how bytes are written there. Freed when dropped.
#[derive(Debug)]
struct CodeMemory {
    space: &'static CodeSpace,
    addresses: Range<usize>,
    backing: Backing,
    _charge: Charge,
}

#[derive(Debug)]
enum Backing {
    /// A part of the file. The process keeps the file open while it is written to.
    File(Weak<CodeFile>),
    /// Anonymous pages, which become executable when they are written: all at once, and only once.
    Anonymous {
        /// Why there is no file.
        reason: String,
    },
}

impl Chunk {
    /// A chunk of at least `least` bytes. It has up to `most` bytes if more units are expected. Also returns its file,
    /// if it has one, for the first [`Chunk::write`].
    ///
    /// # Errors
    ///
    /// [`CompileError::CodeSpace`] when no room is left.
    pub(super) fn new(
        least: usize,
        most: usize,
        quota: &Arc<CodeQuota>,
    ) -> Result<(Arc<Chunk>, Option<Arc<CodeFile>>), CompileError> {
        let (least, most) = (least.next_multiple_of(PAGE), most.next_multiple_of(PAGE));
        let fail = |message: String| CompileError::CodeSpace { bytes: least, message };
        let space = CodeSpace::get().map_err(fail)?;
        let (memory, file) = match space.file() {
            Ok(file) => CodeMemory::take_mapped(space, (least, most), quota, file),
            Err(reason) => Ok((CodeMemory::take_anonymous(space, least, quota, reason)?, None)),
        }?;
        let lines = memory.addresses.len() / LINE;
        // SAFETY: a null `AtomicPtr` is all zeros.
        let lines = unsafe { Box::<[AtomicPtr<CodeUnit>]>::new_zeroed_slice(lines).assume_init() };
        let chunk = Arc::new(Chunk { memory, lines });
        let found = Arc::as_ptr(&chunk).cast_mut();
        space.map(&chunk.memory.addresses, found);
        Ok((chunk, file))
    }

    /// The address of the first byte.
    pub(super) fn start(&self) -> usize {
        self.memory.addresses.start
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.memory.addresses.len()
    }

    /// The file, if more units may be put behind the present ones. That is not so after a fork, when another process
    /// may be running them, nor where pages are made executable as a whole.
    pub(super) fn file(&self) -> Option<Arc<CodeFile>> {
        match &self.memory.backing {
            Backing::File(file) => file.upgrade().filter(|file| file.is_writable()),
            Backing::Anonymous { .. } => None,
        }
    }

    /// Writes code at an offset, where it can run from then on. `file` is the chunk's, if it has one. A fork between
    /// taking and writing does no harm: a child writes nothing to chunks of its parent, and does not run code that is
    /// added to them later.
    pub(super) fn write(
        &self,
        file: Option<&CodeFile>,
        offset: usize,
        code: &[u8],
    ) -> Result<(), CompileError> {
        let fail = |message| CompileError::CodeSpace { bytes: code.len(), message };
        self.memory.write(file, offset, code).map_err(fail)?;
        let start = (self.start() + offset) as *const c_void;
        // SAFETY: the range was just written and is mapped.
        unsafe { wasmtime_jit_icache_coherence::clear_cache(start, code.len()) }
            .and_then(|()| wasmtime_jit_icache_coherence::pipeline_flush_mt())
            .map_err(|error| fail(error.to_string()))
    }

    /// The unit that an address in the chunk belongs to, or null.
    pub(super) fn unit_at(&self, pc: usize) -> *mut CodeUnit {
        let line = (pc - self.start()) / LINE;
        self.lines[line].load(Ordering::Acquire) // pairs with Release in `set_unit`
    }

    /// Makes `unit` the one that [`Chunk::unit_at`] finds in this part of the chunk.
    pub(super) fn set_unit(&self, part: &Range<usize>, unit: *mut CodeUnit) {
        for line in &self.lines[part.start / LINE..part.end.div_ceil(LINE)] {
            line.store(unit, Ordering::Release); // pairs with Acquire in `unit_at`
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Before the chunk is freed, and before its addresses can get another owner.
        self.memory.space.map(&self.memory.addresses, std::ptr::null_mut());
    }
}

impl CodeMemory {
    /// Maps a part of the file: of the larger size if there is room for it.
    fn take_mapped(
        space: &'static CodeSpace,
        (least, most): (usize, usize),
        quota: &Arc<CodeQuota>,
        file: Arc<CodeFile>,
    ) -> Result<(CodeMemory, Option<Arc<CodeFile>>), CompileError> {
        let take = |len| {
            CodeMemory::take_addresses(space, len, quota, Backing::File(Arc::downgrade(&file)))
        };
        let memory = match take(most) {
            Err(_) if most > least => take(least),
            taken => taken,
        }?;
        // SAFETY: the addresses are ours.
        match unsafe { file.map(&memory.addresses, memory.addresses.start - space.base()) } {
            Ok(()) => Ok((memory, Some(file))),
            Err(reason) => {
                drop(memory);
                Ok((CodeMemory::take_anonymous(space, least, quota, reason)?, None))
            }
        }
    }

    /// Reserves pages for one unit, not accessible yet.
    fn take_anonymous(
        space: &'static CodeSpace,
        len: usize,
        quota: &Arc<CodeQuota>,
        reason: String,
    ) -> Result<CodeMemory, CompileError> {
        CodeMemory::take_addresses(space, len, quota, Backing::Anonymous { reason })
    }

    fn take_addresses(
        space: &'static CodeSpace,
        len: usize,
        quota: &Arc<CodeQuota>,
        backing: Backing,
    ) -> Result<CodeMemory, CompileError> {
        let _charge = quota.charge(len)?;
        let addresses = space.take(len).ok_or_else(|| {
            let message = format!(
                "the {} MiB of addresses that all engines of the process share are used up; drop modules",
                space.size() >> 20
            );
            CompileError::CodeSpace { bytes: len, message }
        })?;
        Ok(CodeMemory { space, addresses, backing, _charge })
    }

    fn write(&self, file: Option<&CodeFile>, offset: usize, code: &[u8]) -> Result<(), String> {
        match &self.backing {
            Backing::File(_) => {
                let file = file.expect("the caller has the chunk's file");
                file.write(code, self.addresses.start - self.space.base() + offset)
            }
            Backing::Anonymous { reason } => self.write_anonymous(offset, code).map_err(|error| {
                let error = match error {
                    region::Error::SystemCall(errno) => {
                        std::io::Error::from_raw_os_error(errno).to_string()
                    }
                    other => other.to_string(),
                };
                format!("mprotect was refused: {error}, and before that: {reason}")
            }),
        }
    }

    fn write_anonymous(&self, offset: usize, code: &[u8]) -> region::Result<()> {
        let start = self.addresses.start as *mut u8;
        let len = self.addresses.len();
        // SAFETY: the pages are ours alone, and nothing can reach them before they are published.
        unsafe { region::protect(start, len, Protection::READ_WRITE) }?;
        // SAFETY: writable since the line above, ours alone; `offset` and the code lie in it.
        unsafe { start.add(offset).copy_from_nonoverlapping(code.as_ptr(), code.len()) };
        // SAFETY: as for the first call.
        unsafe { region::protect(start, len, Protection::READ_EXECUTE) }
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        let (start, len) = (self.addresses.start, self.addresses.len());
        // A fresh mapping over the old one gives anonymous memory back.
        match region::alloc_at(start as *const u8, len, Protection::NONE) {
            Ok(mapping) => std::mem::forget(mapping),
            // The pages stay as they are and are never used again.
            Err(_) => return,
        }
        if let Backing::File(file) = &self.backing
            && let Some(file) = file.upgrade()
        {
            let at = start - self.space.base();
            file.discard(at..at + len);
        }
        // If `membarrier` is refused, processors have nearly always discarded the instructions, too, because they were
        // interrupted to discard the old mapping. To be safe, the addresses are not used again until all others have
        // been.
        let forgotten = barrier();
        self.space.give(&self.addresses, forgotten);
    }
}
