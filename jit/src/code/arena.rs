//! [`CodeArena`]: where the code of one owner, such as a module, lies.
//!
//! Units take the bytes that they need, one behind the other, and give nothing back: an owner's code
//! goes together. So owners share no pages, and pages come back as soon as their owner is gone.

use super::chunk::{Chunk, LINE};
use super::quota::CodeQuota;
use super::space::PAGE;
use crate::error::CompileError;
use crate::process::Lock;
use std::ops::Range;
use std::sync::Arc;

/// The most that an arena takes ahead of what it needs.
const LARGEST_CHUNK: usize = 256 << 10;

/// Memory for the code of one owner.
#[derive(Debug)]
pub struct CodeArena {
    quota: Arc<CodeQuota>,
    open: Lock<Option<OpenChunk>>,
    /// The most that is taken at once for small units.
    largest_chunk: usize,
}

/// The chunk that units are put in.
#[derive(Debug)]
struct OpenChunk {
    chunk: Arc<Chunk>,
    used: usize,
}

/// A part of a chunk, for one unit.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) chunk: Arc<Chunk>,
    /// From the start of the chunk.
    pub(super) part: Range<usize>,
}

impl CodeArena {
    /// An empty arena, whose memory counts in `quota`.
    pub fn new(quota: Arc<CodeQuota>) -> CodeArena {
        CodeArena { quota, open: Lock::default(), largest_chunk: LARGEST_CHUNK }
    }

    /// An arena for units that come and go one by one, such as trampolines: what is left of few is
    /// not to keep much.
    pub fn of_pages(quota: Arc<CodeQuota>) -> CodeArena {
        CodeArena { largest_chunk: PAGE, ..CodeArena::new(quota) }
    }

    /// What its memory counts in.
    #[cfg(test)]
    pub(super) fn quota(&self) -> &Arc<CodeQuota> {
        &self.quota
    }

    /// Takes room for a unit of `bytes` bytes.
    pub(super) fn take(&self, bytes: usize) -> Result<Room, CompileError> {
        let len = bytes.max(1).next_multiple_of(LINE);
        // Held while a chunk is made: others would only make chunks of their own meanwhile.
        let mut open = self.open.lock();
        if let Some(room) = open.as_mut().and_then(|open| open.take(len)) {
            return Ok(room);
        }
        // In proportion to what is there, so that neither few nor many functions waste much.
        let ahead = self.quota.used().clamp(PAGE, self.largest_chunk);
        let mut new = OpenChunk { chunk: Chunk::new(len, len.max(ahead), &self.quota)?, used: 0 };
        let room = new.take_first(len);
        // Of two chunks, the one with more room stays open.
        match &*open {
            Some(old) if old.chunk.is_open() && old.left() >= new.left() => {}
            _ => *open = Some(new),
        }
        Ok(room)
    }
}

impl OpenChunk {
    /// Bytes that are not taken.
    fn left(&self) -> usize {
        self.chunk.len() - self.used
    }

    fn take(&mut self, len: usize) -> Option<Room> {
        (self.left() >= len && self.chunk.is_open()).then(|| self.take_first(len))
    }

    fn take_first(&mut self, len: usize) -> Room {
        let part = self.used..self.used + len;
        self.used = part.end;
        Room { chunk: self.chunk.clone(), part }
    }
}

impl Room {
    /// The address of the first byte.
    pub(super) fn start(&self) -> usize {
        self.chunk.start() + self.part.start
    }

    /// Puts the code there; it can run from then on.
    pub(super) fn write(&self, code: &[u8]) -> Result<(), CompileError> {
        debug_assert!(code.len() <= self.part.len());
        self.chunk.write(self.part.start, code)
    }
}
