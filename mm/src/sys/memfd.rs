//! Files in memory, for images.

use std::ptr;

use rlimit::Resource;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

use super::linux::named;
use super::{LINUX, SysError, may};

/// A file in memory that is being written.
#[derive(Debug)]
pub(crate) struct NewMemFile {
    fd: OwnedFd,
    /// Bytes, whole pages.
    len: usize,
}

/// Bytes in a sealed file in memory, and a read-only view of it.
#[derive(Debug)]
pub(crate) struct MemFile {
    fd: OwnedFd,
    /// Start of the view.
    view: usize,
    /// Bytes, whole pages.
    len: usize,
}

impl NewMemFile {
    /// Writes `bytes` at `offset`, inside the file.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), SysError> {
        let mut done = 0;
        while done < bytes.len() {
            may("pwrite")?;
            done += rustix::io::pwrite(&self.fd, &bytes[done..], (offset + done) as u64)
                .map_err(named("pwrite"))?;
        }
        Ok(())
    }

    /// Ends the writing.
    pub(crate) fn seal(self) -> Result<MemFile, SysError> {
        let Self { fd, len } = self;
        may("fcntl")?;
        // So that no process changes the contents under our mappings, or shrinks the file.
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals).map_err(named("fcntl"))?;
        may("mmap")?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let view = unsafe {
            rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, &fd, 0)
        }
        .map_err(named("mmap"))?
        .expose_provenance();
        Ok(MemFile { fd, view, len })
    }
}

impl MemFile {
    /// A file of `len` zero bytes (whole pages).
    ///
    /// Refused with `EMFILE` when the process has used up half of its descriptors: the others are left to the host;
    /// and with `EFBIG` when its files may not be so large.
    #[allow(clippy::new_ret_no_self, reason = "it is written before it is sealed")]
    pub(crate) fn new(len: usize) -> Result<NewMemFile, SysError> {
        may("memfd_create")?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd =
            rustix::fs::memfd_create(c"seqfault-image", flags).map_err(named("memfd_create"))?;
        // The kernel gives the lowest number that is free, so about as many descriptors are in use.
        if fd.as_raw_fd() as u64 > limit(Resource::NOFILE) / 2 {
            return Err(SysError { call: "memfd_create", errno: libc::EMFILE });
        }
        // The limit on file sizes also applies here; exceeding it would kill the process.
        if len as u64 > limit(Resource::FSIZE) {
            return Err(SysError { call: "ftruncate", errno: libc::EFBIG });
        }
        rustix::fs::ftruncate(&fd, len as u64).map_err(named("ftruncate"))?;
        Ok(NewMemFile { fd, len })
    }

    /// The descriptor, open as long as `self` lives.
    pub(crate) fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Host address of the first byte of the view.
    pub(crate) fn view(&self) -> usize {
        self.view
    }
}

/// How much of `resource` the process may have; all that there is if the system does not tell.
fn limit(resource: Resource) -> u64 {
    resource.get_soft().unwrap_or(rlimit::INFINITY)
}

impl Drop for MemFile {
    fn drop(&mut self) {
        LINUX.release_or_park(self.view, self.len);
    }
}
