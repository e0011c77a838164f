//! [`CodeFile`]: the memory of a process's code, a file in memory with no name.
//!
//! Code is mapped from the file to be read and executed, and written with `pwrite`: no mapping of it
//! is ever writable, not even for a moment, and none changes its protection (which `PR_SET_MDWE` and
//! security modules refuse). A place in the file is the place in the code space, so that neighbours are one mapping
//! to the kernel.
//!
//! Bytes are written once while they are mapped. The other bytes of their page may be running on other
//! processors meanwhile: a write changes those bytes only, and processors see a consistent cache.
//! Before bytes are written again, [`barrier`] has made every thread of the process forget what it
//! may have fetched of them.
//!
//! **fork.** A child shares the file with its parent and may run what it has inherited. So after a
//! fork neither changes a byte of it any more: both go on in files of their own, and the old one goes
//! when nothing of it is mapped in any process.

use super::space::PAGE;
use crate::process;
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, fstat, ftruncate, memfd_create};
use rustix::io::{Errno, pwrite};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{MembarrierCommand, membarrier};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::OwnedFd;

/// A file that code lies in.
#[derive(Debug)]
pub(super) struct CodeFile {
    file: ManuallyDrop<OwnedFd>,
    /// Its device and number, by which it is known: hosts close descriptors that they know nothing of,
    /// and what is opened next has their number.
    identity: (u64, u64),
    /// The process that has made it, and how often that one had forked.
    made_in: (u32, u32),
    size: usize,
}

impl CodeFile {
    /// An empty file for a code space of `size` bytes. It takes up no memory yet.
    pub(super) fn new(size: usize) -> Result<CodeFile, String> {
        let refused = |what: &str, error: Errno| format!("{what} was refused: {error}");
        // Before the file is made: a fork in between makes it one of the child's parent.
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

    /// Whether this process may still write to it: no other shares it, the descriptor is ours, and the
    /// limit has not been lowered.
    pub(super) fn is_writable(&self) -> bool {
        self.is_unshared() && self.is_ours() && check_size_limit(self.size).is_ok()
    }

    /// Whether no child and no parent has the file.
    fn is_unshared(&self) -> bool {
        self.made_in == (process::generation(), process::forks())
    }

    /// Whether the descriptor still means the file.
    fn is_ours(&self) -> bool {
        fstat(&*self.file).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.identity)
    }

    /// Maps a part of it at an address, to be read and executed.
    ///
    /// # Safety
    ///
    /// The addresses must belong to the caller, and `at` must be the same distance from the start of the
    /// code space as the start of `addresses`.
    pub(super) unsafe fn map(&self, addresses: &Range<usize>, at: usize) -> Result<(), String> {
        debug_assert_eq!((addresses.start % PAGE, addresses.len() % PAGE, at % PAGE), (0, 0, 0));
        // SAFETY: replaces what lies there, which is the caller's.
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

    /// Gives the memory of a part back to the system, once it is not mapped any more.
    pub(super) fn discard(&self, part: Range<usize>) {
        // A fork that is not seen here has copied an address space in which it was not mapped either.
        if self.is_writable() {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // Where that is refused, the old bytes stay until they are written over.
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

/// The limit on the sizes of files holds for this one, too; to go beyond it kills the process.
fn check_size_limit(size: usize) -> Result<(), String> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < size as u64 => {
            Err(format!("files may have {limit} bytes at most (RLIMIT_FSIZE)"))
        }
        _ => Ok(()),
    }
}

/// Makes every thread of the process forget instructions that it has fetched and not executed.
/// False where the system refuses that.
pub(super) fn barrier() -> bool {
    let barrier = || membarrier(MembarrierCommand::PrivateExpeditedSyncCore).is_ok();
    let register = || membarrier(MembarrierCommand::RegisterPrivateExpeditedSyncCore).is_ok();
    // Refused to who is not registered, which costs something for good and is done when needed.
    barrier() || (register() && barrier())
}
