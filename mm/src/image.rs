//! `Image`: initial contents that many regions can start from.

use std::ops::Range;
use std::sync::Arc;

use crate::PAGE_SIZE;
use crate::error::{Error, Result};
use crate::sys::{ImagePart, MemFile};

/// Bytes that parts of regions start as, copied on write, page by page. Cheap to clone, shared by any number of
/// regions.
///
/// It holds one descriptor, which its parts share, until the last of them and of the regions that start from them is
/// gone.
#[derive(Clone, Debug)]
pub struct Image {
    file: Arc<MemFile>,
    /// The bytes of the file that it consists of, whole pages.
    range: Range<usize>,
}

impl Image {
    /// An image of `bytes`, with zeroes up to a whole page.
    ///
    /// # Errors
    /// When there are no bytes, or the system has no memory or too few descriptors for them.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        Self::from_pieces(bytes.len(), [(0, bytes)])
    }

    /// An image of `len` bytes, rounded up to whole pages, that is zero except for `pieces`, which are written in order,
    /// each at its offset. Pages that no piece touches take no memory until they are read.
    ///
    /// # Errors
    /// When there are no bytes, a piece is not inside, or the system has no memory or too few descriptors.
    pub fn from_pieces<'a>(
        len: usize,
        pieces: impl IntoIterator<Item = (usize, &'a [u8])>,
    ) -> Result<Self> {
        let len = len.checked_next_multiple_of(PAGE_SIZE).filter(|&len| len != 0);
        let len = len.ok_or(Error::OutOfRange)?;
        let file = MemFile::new(len)?;
        for (offset, bytes) in pieces {
            if offset.checked_add(bytes.len()).is_none_or(|end| end > len) {
                return Err(Error::OutOfRange);
            }
            file.write(offset, bytes)?;
        }
        Ok(Self { file: Arc::new(file.seal()?), range: 0..len })
    }

    /// The part of the image in `range` (offsets in bytes, page-aligned).
    ///
    /// # Errors
    /// When the range is not aligned, is empty, or is not inside.
    pub fn part(&self, range: Range<usize>) -> Result<Self> {
        for offset in [range.start, range.end] {
            if !offset.is_multiple_of(PAGE_SIZE) {
                return Err(Error::Misaligned { offset });
            }
        }
        if range.is_empty() || range.end > self.len() {
            return Err(Error::OutOfRange);
        }
        let start = self.range.start;
        Ok(Self { file: Arc::clone(&self.file), range: start + range.start..start + range.end })
    }

    /// Bytes, whole pages.
    #[allow(clippy::len_without_is_empty, reason = "an image is never empty")]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Host address of its first byte, for reading.
    pub(crate) fn view(&self) -> usize {
        self.file.view() + self.range.start
    }

    /// All of it, as a part of a file.
    pub(crate) fn whole(&self) -> ImagePart {
        ImagePart { fd: self.file.fd(), offset: self.range.start }
    }
}
