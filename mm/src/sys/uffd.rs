//! `userfaultfd`, as far as the `Uffd` pager needs it: SIGBUS mode, user mode only, no messages, no monitor thread.
//!
//! One descriptor serves all regions of the process; unmapping a range unregisters it. After a fork the descriptor
//! would still serve the parent, so a child opens its own (`process`).
//!
//! # References
//! ioctl_userfaultfd(2); `include/uapi/linux/userfaultfd.h`.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, UserfaultfdFlags, mmap_anonymous, munmap};

use super::linux::named;
use super::{SysError, fork, may};
use crate::{PAGE_SIZE, process};

const UFFD_API: u64 = 0xaa;
const UFFD_USER_MODE_ONLY: u32 = 1;
const UFFD_FEATURE_SIGBUS: u64 = 1 << 7;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_UNREGISTER: u64 = 0x8010_aa01;
const UFFDIO_COPY: u64 = 0xc028_aa03;

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_range`.
#[repr(C)]
struct Span {
    start: u64,
    len: u64,
}

/// `struct uffdio_copy`.
#[repr(C)]
struct Copy {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    copied: i64,
}

/// Bytes of zeroes to copy from; never written, so they are all the kernel's single zero page.
const ZEROES: usize = 2 << 20;
static ZERO: [AtomicU64; ZEROES / 8] = [const { AtomicU64::new(0) }; ZEROES / 8];

/// How often a copy is repeated at the kernel's request before the fault is given up.
const REPEATS: u32 = 1000;

/// A process's descriptor, opened at the first request; a failure is remembered, too.
pub(crate) struct Userfault {
    opened: OnceLock<Result<Opened, SysError>>,
}

struct Opened {
    fd: OwnedFd,
    /// Identifies the file: a host may close descriptors that are not its own, and reuse their numbers.
    inode: u64,
}

impl Userfault {
    /// Not opened yet.
    pub(crate) const fn new() -> Self {
        Self { opened: OnceLock::new() }
    }

    /// Whether the kernel allows it.
    pub(crate) fn available(&self) -> Result<(), SysError> {
        self.opened.get_or_init(open).as_ref().map(drop).map_err(|&error| error)
    }

    /// In a child: closes the child's copy of its parent's descriptor. Async-signal-safe.
    pub(crate) fn close_inherited(&self) {
        if let Some(Ok(opened)) = self.opened.get()
            && rustix::fs::fstat(&opened.fd).is_ok_and(|now| now.st_ino == opened.inode)
        {
            fork::close(opened.fd.as_raw_fd());
        }
    }
}

fn open() -> Result<Opened, SysError> {
    let user_only = UserfaultfdFlags::from_bits_retain(UFFD_USER_MODE_ONLY);
    // SAFETY: the descriptor stays in this module and is used for ranges of our own reservations only.
    let fd = unsafe {
        rustix::mm::userfaultfd(UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::NONBLOCK | user_only)
    }
    .map_err(named("userfaultfd"))?;
    let mut api = Api { api: UFFD_API, features: UFFD_FEATURE_SIGBUS, ioctls: 0 };
    ioctl(fd.as_raw_fd(), UFFDIO_API, &mut api, "UFFDIO_API")?;
    try_out(fd.as_raw_fd())?;
    let inode = rustix::fs::fstat(&fd).map_err(named("fstat"))?.st_ino;
    Ok(Opened { fd, inode })
}

/// Makes each request once, on a page of its own. A system call filter may allow the descriptor and refuse a request,
/// which would otherwise be noticed in a guest's first fault, when it is too late for another pager.
fn try_out(fd: RawFd) -> Result<(), SysError> {
    let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a mapping of its own, at an address that the kernel chooses.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), PAGE_SIZE, rights, flags) };
    let page = page.map_err(named("mmap"))?;
    let (start, len) = (page.addr() as u64, PAGE_SIZE as u64);
    let mut register = Register { start, len, mode: UFFDIO_REGISTER_MODE_MISSING, ioctls: 0 };
    let mut copy = Copy { dst: start, src: ZERO.as_ptr().addr() as u64, len, mode: 0, copied: 0 };
    let mut span = Span { start, len };
    let result = ioctl(fd, UFFDIO_REGISTER, &mut register, "UFFDIO_REGISTER")
        .and_then(|()| ioctl(fd, UFFDIO_COPY, &mut copy, "UFFDIO_COPY"))
        .and_then(|()| ioctl(fd, UFFDIO_UNREGISTER, &mut span, "UFFDIO_UNREGISTER"));
    // SAFETY: it was mapped above, and nothing refers to it.
    let unmapped = unsafe { munmap(page, PAGE_SIZE) }.map_err(named("munmap"));
    result.and(unmapped)
}

/// The descriptor, if it is already open: async-signal-safe.
fn descriptor() -> Result<RawFd, SysError> {
    match process::get().and_then(|process| process.userfault.opened.get()) {
        Some(Ok(opened)) => Ok(opened.fd.as_raw_fd()),
        _ => Err(SysError { call: "userfaultfd", errno: libc::ENOSYS }),
    }
}

fn ioctl<T>(fd: RawFd, request: u64, argument: &mut T, call: &'static str) -> Result<(), SysError> {
    may(call)?;
    // SAFETY: `argument` is the structure that `request` reads and writes.
    let result = unsafe { libc::ioctl(fd, request as libc::Ioctl, ptr::from_mut(argument)) };
    if result == 0 {
        return Ok(());
    }
    // SAFETY: the location is the calling thread's own. (The handler saves and restores it.)
    Err(SysError { call, errno: unsafe { *libc::__errno_location() } })
}

/// Registers `[addr, addr + len)` for missing pages.
pub(super) fn register(addr: usize, len: usize) -> Result<(), SysError> {
    let mut register = Register {
        start: addr as u64,
        len: len as u64,
        mode: UFFDIO_REGISTER_MODE_MISSING,
        ioctls: 0,
    };
    ioctl(descriptor()?, UFFDIO_REGISTER, &mut register, "UFFDIO_REGISTER")
}

/// Ends the registration of `[addr, addr + len)`. Async-signal-safe.
pub(super) fn unregister(addr: usize, len: usize) -> Result<(), SysError> {
    let mut span = Span { start: addr as u64, len: len as u64 };
    ioctl(descriptor()?, UFFDIO_UNREGISTER, &mut span, "UFFDIO_UNREGISTER")
}

/// See [`Sys::copy`](super::Sys::copy). Async-signal-safe.
pub(super) fn copy(addr: usize, len: usize, source: Option<usize>) -> Result<usize, SysError> {
    let fd = descriptor()?;
    let mut done = 0;
    let mut repeats = 0;
    while done < len {
        let (src, most) = match source {
            Some(source) => (source + done, len),
            None => (ZERO.as_ptr().addr(), ZEROES),
        };
        let mut copy = Copy {
            dst: (addr + done) as u64,
            src: src as u64,
            len: (len - done).min(most) as u64,
            mode: 0,
            copied: 0,
        };
        match ioctl(fd, UFFDIO_COPY, &mut copy, "UFFDIO_COPY") {
            Ok(()) => done += copy.len as usize,
            // A part is done; the next round will tell why it stopped.
            Err(_) if copy.copied > 0 => done += copy.copied as usize,
            Err(error) if error.errno == libc::EEXIST => done += PAGE_SIZE,
            // Another thread is changing the address space.
            Err(error) if error.errno == libc::EAGAIN && repeats < REPEATS => {
                repeats += 1;
                rustix::thread::sched_yield();
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}
