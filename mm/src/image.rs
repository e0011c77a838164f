//! `Image`: initial contents that many regions can start from.

use std::sync::Arc;

use crate::PAGE_SIZE;
use crate::error::{Error, Result};
use crate::sys::{ImagePart, MemFile};

/// Bytes that parts of regions start as, copied on write, page by page. Cheap to clone, shared by any number of
/// regions.
#[derive(Clone, Debug)]
pub struct Image {
    file: Arc<MemFile>,
}

impl Image {
    /// An image of `bytes`, with zeroes up to a whole page.
    ///
    /// # Errors
    /// When there are no bytes, or the system has no memory for them.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(Error::OutOfRange);
        }
        let len = bytes.len().next_multiple_of(PAGE_SIZE);
        Ok(Self { file: Arc::new(MemFile::new(bytes, len)?) })
    }

    /// Bytes, whole pages.
    #[allow(clippy::len_without_is_empty, reason = "an image is never empty")]
    pub fn len(&self) -> usize {
        self.file.len()
    }

    /// Host address of its first byte, for reading.
    pub(crate) fn view(&self) -> usize {
        self.file.view()
    }

    /// All of it, as a file.
    pub(crate) fn part(&self) -> ImagePart {
        ImagePart { fd: self.file.fd(), offset: 0 }
    }
}
