//! [`CodeArena`]: the memory for the code of one owner, such as a module.
//!
//! Units take the bytes that they need, one behind the other. Single units give nothing back: all
//! code of an owner is freed together. So owners share no pages, and pages are freed as soon as
//! their owner is gone.

use super::chunk::{Chunk, LINE};
use super::file::CodeFile;
use super::quota::CodeQuota;
use super::space::PAGE;
use crate::error::CompileError;
use crate::process::Lock;
use std::ops::Range;
use std::sync::Arc;

/// The most bytes that an arena takes in advance.
const LARGEST_CHUNK: usize = 256 << 10;

/// Memory for the code of one owner.
#[derive(Debug)]
pub struct CodeArena {
    quota: Arc<CodeQuota>,
    open: Lock<Option<OpenChunk>>,
    /// The most bytes that are taken at once for small units.
    largest_chunk: usize,
}

/// The chunk into which the next units are put.
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

    /// An arena for units that are freed one by one, such as trampolines: its chunks are small, so
    /// that the last few units do not keep much memory.
    pub fn of_pages(quota: Arc<CodeQuota>) -> CodeArena {
        CodeArena { largest_chunk: PAGE, ..CodeArena::new(quota) }
    }

    /// The quota in which its memory counts.
    #[cfg(test)]
    pub(super) fn quota(&self) -> &Arc<CodeQuota> {
        &self.quota
    }

    /// Puts the code of a unit where it can run.
    pub(super) fn put(&self, code: &[u8]) -> Result<Room, CompileError> {
        let (room, file) = self.take(code.len().max(1).next_multiple_of(LINE))?;
        // Without the lock: other threads may write neighbouring units at the same time.
        room.chunk.write(file.as_deref(), room.part.start, code)?;
        Ok(room)
    }

    /// Takes whole lines for a unit. Also returns the file to write it with.
    fn take(&self, len: usize) -> Result<Taken, CompileError> {
        // Held while a chunk is made: other threads would only make chunks of their own meanwhile.
        let mut open = self.open.lock();
        if let Some(taken) = open.as_mut().and_then(|open| open.take(len)) {
            return Ok(taken);
        }
        // In proportion to the present size, so that neither few nor many functions waste much.
        let ahead = self.quota.used().clamp(PAGE, self.largest_chunk);
        let (chunk, file) = Chunk::new(len, len.max(ahead), &self.quota)?;
        let mut new = OpenChunk { chunk, used: 0 };
        let room = new.take_next(len);
        // Of two chunks, the one with more room stays open.
        match &*open {
            Some(old) if old.left() >= new.left() && old.chunk.file().is_some() => {}
            _ => *open = Some(new),
        }
        Ok((room, file))
    }
}

type Taken = (Room, Option<Arc<CodeFile>>);

impl OpenChunk {
    /// Bytes that are not taken.
    fn left(&self) -> usize {
        self.chunk.len() - self.used
    }

    fn take(&mut self, len: usize) -> Option<Taken> {
        if self.left() < len {
            return None;
        }
        let file = self.chunk.file()?;
        Some((self.take_next(len), Some(file)))
    }

    fn take_next(&mut self, len: usize) -> Room {
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
}
