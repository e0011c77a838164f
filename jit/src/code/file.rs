//! [`CodeFile`]: the memory for a process's code, an unnamed file in memory.
//!
//! Code is executed through a mapping of the file and written with `pwrite`. No mapping of it is ever writable, and no
//! mapping changes its protection (which `PR_SET_MDWE` and security modules refuse). Offsets in the file equal offsets
//! in the code space, so that neighbouring chunks are one mapping to the kernel.
//!
//! Bytes are written only once while they are mapped. Other bytes of the same page may be running on other processors
//! meanwhile: a write changes only the new bytes, and processors see a consistent cache. Before bytes are written a
//! second time, [`barrier`] has made every thread of the process discard instructions that it may have fetched from
//! them.
//!
//! **fork.** A child shares the file with its parent and may run what it has inherited. So after a fork neither process
//! changes any byte of it: both continue in files of their own, and the old file is freed when no process maps any part
//! of it.

use super::space::PAGE;
use crate::process;
use rlimit::Resource;
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, fstat, ftruncate, memfd_create};
use rustix::io::{Errno, pwrite};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::thread::{MembarrierCommand, membarrier};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::OwnedFd;

/// A file that contains code.
#[derive(Debug)]
pub(super) struct CodeFile {
    file: ManuallyDrop<OwnedFd>,
    /// Its device and inode number, which identify it: a host may close descriptors that are not its own, and the next
    /// file that is opened then gets the descriptor's number.
    identity: (u64, u64),
    /// The process that made it, and how often that process had forked then.
    made_in: (u32, u32),
    size: usize,
}

impl CodeFile {
    /// An empty file for a code space of `size` bytes. It takes up no memory yet.
    pub(super) fn new(size: usize) -> Result<CodeFile, String> {
        let refused = |what: &str, error: Errno| format!("{what} was refused: {error}");
        // Determined before the file is made: if a fork happens in between, the file counts as shared.
        let made_in = (process::generation(), process::forks());
        check_size_limit(size)?;
        let flags = MemfdFlags::CLOEXEC;
        let file = match memfd_create("seqfault-code", flags | MemfdFlags::EXEC) {
            // Linux before 6.3 does not know that flag, and needs none.
            Err(Errno::INVAL) => memfd_create("seqfault-code", flags),
            other => other,
        }
        .map_err(|error| refused("memfd_create", error))?;
        ftruncate(&file, size as u64).map_err(|error| refused("ftruncate", error))?;
        let stat = fstat(&file).map_err(|error| refused("fstat", error))?;
        let identity = (stat.st_dev, stat.st_ino);
        Ok(CodeFile { file: ManuallyDrop::new(file), identity, made_in, size })
    }

    /// Whether this process may still write to it: no other process shares it, the descriptor still refers to it, and
    /// the limit on file sizes has not been lowered.
    pub(super) fn is_writable(&self) -> bool {
        self.is_unshared() && self.is_ours() && check_size_limit(self.size).is_ok()
    }

    /// Whether neither a child nor the parent has the file.
    fn is_unshared(&self) -> bool {
        self.made_in == (process::generation(), process::forks())
    }

    /// Whether the descriptor still refers to the file.
    fn is_ours(&self) -> bool {
        fstat(&*self.file).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.identity)
    }

    /// Maps a part of the file at an address, readable and executable.
    ///
    /// # Safety
    ///
    /// The addresses must belong to the caller, and `at` must be the same distance from the start of the
    /// code space as the start of `addresses`.
    pub(super) unsafe fn map(&self, addresses: &Range<usize>, at: usize) -> Result<(), String> {
        debug_assert_eq!((addresses.start % PAGE, addresses.len() % PAGE, at % PAGE), (0, 0, 0));
        // SAFETY: replaces the mapping at addresses that belong to the caller.
        let mapped = unsafe {
            mmap(
                addresses.start as *mut _,
                addresses.len(),
                ProtFlags::READ | ProtFlags::EXEC,
                MapFlags::SHARED | MapFlags::FIXED,
                &*self.file,
                at as u64,
            )
        };
        match mapped {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("mapping code was refused: {error}")),
        }
    }

    /// Writes `bytes` at an offset.
    pub(super) fn write(&self, mut bytes: &[u8], at: usize) -> Result<(), String> {
        let mut at = at as u64;
        while !bytes.is_empty() {
            match pwrite(&*self.file, bytes, at) {
                Ok(0) => return Err("writing code ended early".to_owned()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(format!("writing code was refused: {error}")),
            }
        }
        Ok(())
    }

    /// Returns the memory of a part to the system, once it is no longer mapped.
    pub(super) fn discard(&self, part: Range<usize>) {
        // If this process does not notice a fork, the child has copied an address space in which the part was already
        // unmapped.
        if self.is_writable() {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // If this is refused, the old bytes stay until they are overwritten.
            let _ = fallocate(&*self.file, flags, part.start as u64, part.len() as u64);
        }
    }
}

impl Drop for CodeFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: never used again.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// The limit on file sizes also applies to this file; exceeding it would kill the process.
fn check_size_limit(size: usize) -> Result<(), String> {
    match Resource::FSIZE.get_soft() {
        Ok(limit) if limit < size as u64 => {
            Err(format!("files may have {limit} bytes at most (RLIMIT_FSIZE)"))
        }
        _ => Ok(()),
    }
}

/// Makes every thread of the process discard instructions that it has fetched and not executed. False if the system
/// refuses.
pub(super) fn barrier() -> bool {
    let barrier = || membarrier(MembarrierCommand::PrivateExpeditedSyncCore).is_ok();
    let register = || membarrier(MembarrierCommand::RegisterPrivateExpeditedSyncCore).is_ok();
    // The kernel refuses processes that have not registered. Registering has a lasting cost, so it is done only when
    // needed.
    barrier() || (register() && barrier())
}
