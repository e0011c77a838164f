//! A writer that collects what is written, for embedders and tests.

use std::io;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Collects a guest's output. Clones share the contents.
///
/// ```
/// use seqfault_wasi::{MemoryOutputPipe, WasiCtxBuilder};
///
/// let stdout = MemoryOutputPipe::new(64 * 1024);
/// let ctx = WasiCtxBuilder::new().stdout(stdout.clone()).build()?;
/// // ... run a program with `ctx` ...
/// assert_eq!(stdout.contents(), b"");
/// # Ok::<(), seqfault_wasi::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryOutputPipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    capacity: usize,
}

impl MemoryOutputPipe {
    /// A pipe that holds up to `capacity` bytes; writing more fails with ENOSPC.
    pub fn new(capacity: usize) -> Self {
        Self { bytes: Arc::default(), capacity }
    }

    /// What has been written so far.
    pub fn contents(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }
}

impl io::Write for MemoryOutputPipe {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let mut bytes = lock(&self.bytes);
        let fits = from.len().min(self.capacity.saturating_sub(bytes.len()));
        if fits == 0 && !from.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        bytes.extend_from_slice(&from[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_full_pipe_takes_what_fits_and_then_refuses() {
        let mut pipe = MemoryOutputPipe::new(4);
        assert_eq!(pipe.write(b"abc").unwrap(), 3);
        assert_eq!(pipe.clone().write(b"def").unwrap(), 1);
        assert_eq!(pipe.write(b"e").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(pipe.contents(), b"abcd");
    }
}
