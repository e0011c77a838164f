//! Calls that decide what a child by `fork` gets of its parent's address space.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

use super::linux::{LAZY, at, named};
use super::{SysError, may};

unsafe extern "C" {
    /// pthread_atfork(3). A child by `vfork`, `posix_spawn`, `_Fork` or a bare system call does not run these
    /// functions.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> libc::c_int;
}

/// Makes the kernel zero `[addr, addr + len)` in children, however they are made.
///
/// A kernel that cannot do this (before Linux 4.14, and gVisor) leaves it to the function that `at_fork` installs.
pub(crate) fn empty_in_children(addr: usize, len: usize) -> Result<(), SysError> {
    may("madvise")?;
    // SAFETY: the caller's own static memory, whose contents change in children only.
    match unsafe { rustix::mm::madvise(at(addr), len, Advice::LinuxWipeOnFork) } {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(named("madvise")(errno)),
    }
}

/// Installs, once, the functions that the C library's `fork` calls before it in the parent and after it in the child.
pub(crate) fn at_fork(before: extern "C" fn(), in_child: extern "C" fn()) -> Result<(), SysError> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    may("pthread_atfork")?;
    if INSTALLED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: both are functions for the whole life of the process (or of this library, when it is unloaded).
    let errno = unsafe { pthread_atfork(Some(before), None, Some(in_child)) };
    if errno != 0 {
        INSTALLED.store(false, Ordering::Relaxed);
        return Err(SysError { call: "pthread_atfork", errno });
    }
    Ok(())
}

/// Leaves the mappings of `[addr, addr + len)`, a reservation, out of children: a child would get a copy that nothing
/// keeps track of. A mapping that replaces one of them must be marked again.
pub(crate) fn keep_from_children(addr: usize, len: usize) -> Result<(), SysError> {
    may("madvise")?;
    // SAFETY: the range lies in a reservation of ours; nothing changes for this process.
    unsafe { rustix::mm::madvise(at(addr), len, Advice::LinuxDontFork) }.map_err(named("madvise"))
}

/// In a child: reserves the range of a reservation that was left out, without access, so that nothing else is placed
/// there. `fixed` says that the range is still empty; without it, existing mappings there stay.
///
/// Async-signal-safe. A refusal leaves the hole.
pub(crate) fn close_hole(addr: usize, len: usize, fixed: bool) {
    let how = if fixed { MapFlags::FIXED } else { MapFlags::FIXED_NOREPLACE };
    // SAFETY: the range is a reservation's that was left out of this process, or is not replaced.
    let made = unsafe { rustix::mm::mmap_anonymous(at(addr), len, ProtFlags::empty(), LAZY | how) };
    if let Ok(made) = made
        && made != at(addr)
    {
        // A kernel before 4.17 takes the address as a hint.
        // SAFETY: just made, and used by nobody.
        let _ = unsafe { rustix::mm::munmap(made, len) };
    }
}

/// Closes a descriptor that this process has inherited by a fork. Async-signal-safe.
pub(super) fn close(fd: i32) {
    // SAFETY: the parent's `Process` owns the descriptor, and is never dropped here.
    unsafe { rustix::io::close(fd) };
}
