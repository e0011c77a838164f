//! Scatter and gather system calls directly on guest memory: the crate's only `unsafe`.
//!
//! For a page that is not present the kernel raises no signal but returns EFAULT, so a range is
//! faulted in before it is lent. [`Lent`] is the proof: it can only be made from a range that a
//! memory has just checked and made resident. No Rust reference to guest memory is ever formed,
//! because other threads of the guest may be writing to it.
//!
//! Another thread may discard a page between the proof and the call. That is not unsound: the
//! kernel returns EFAULT or a short count, and the callers in [`transfer`](crate::transfer) fault
//! the range in again.
//!
//! # References
//!
//! preadv2(2), pwritev2(2).

#![allow(unsafe_code)]

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use seqfault::{Access, AsContext, Memory, MemoryAccessError, SharedMemory};
use smallvec::SmallVec;

/// A range of guest memory that the kernel may read from or write to.
///
/// It stays mapped for `'m`, the borrow of the memory that has lent it.
#[repr(transparent)]
pub(crate) struct Lent<'m> {
    raw: libc::iovec,
    memory: PhantomData<&'m ()>,
}

/// Ranges for one system call, in order.
pub(crate) type LentList<'m> = SmallVec<[Lent<'m>; 8]>;

impl<'m> Lent<'m> {
    /// Bytes in the range.
    pub(crate) fn len(&self) -> usize {
        self.raw.iov_len
    }

    /// Makes a range of `memory` resident and lends it. The borrow of the store keeps the memory
    /// alive, which never moves.
    pub(crate) fn from_memory(
        memory: Memory,
        store: &'m impl AsContext,
        range: Range<usize>,
        access: Access,
    ) -> Result<Self, MemoryAccessError> {
        memory.fault_in(store.as_context(), range.clone(), access)?;
        Ok(Self::new(memory.data_ptr(store.as_context()), range))
    }

    /// Makes a range of a shared `memory` resident and lends it. The borrow keeps the memory alive.
    pub(crate) fn from_shared(
        memory: &'m SharedMemory,
        range: Range<usize>,
        access: Access,
    ) -> Result<Self, MemoryAccessError> {
        memory.fault_in(range.clone(), access)?;
        Ok(Self::new(memory.data_ptr(), range))
    }

    /// The range `range` of the memory at `base`, which contains it and lives for `'m`.
    fn new(base: *mut u8, range: Range<usize>) -> Self {
        let iov_base = base.wrapping_add(range.start).cast();
        let raw = libc::iovec { iov_base, iov_len: range.len() };
        Self { raw, memory: PhantomData }
    }

    /// Lends cells, which may be written through a shared reference.
    #[cfg(test)]
    pub(crate) fn from_cells(cells: &'m [std::cell::Cell<u8>]) -> Self {
        let raw = libc::iovec { iov_base: cells.as_ptr().cast_mut().cast(), iov_len: cells.len() };
        Self { raw, memory: PhantomData }
    }
}

/// Exceptions to the open file's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// None: the flags apply.
    Plain,
    /// The call must not wait. It fails with EAGAIN if nothing can be transferred, and with
    /// EOPNOTSUPP or ENOSYS if the kernel cannot promise not to wait.
    NoWait,
    /// The call writes at its offset even on a descriptor opened for appending, where Linux
    /// otherwise writes at the end. It fails with EOPNOTSUPP before Linux 6.9.
    NoAppend,
}

/// The position in a file at which to read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The descriptor's own position, which moves.
    Current,
    /// This offset; the descriptor's position does not change.
    At(u64),
}

/// Fills the ranges. Returns the bytes read, 0 at the end.
pub(crate) fn read(
    fd: BorrowedFd<'_>,
    into: &LentList<'_>,
    position: Position,
    how: How,
) -> io::Result<usize> {
    let (list, count) = raw_list(into);
    let (offset, flags) = (position.raw()?, how.raw());
    // SAFETY: `list` points to `count` iovecs that outlive the call; each names guest memory that
    // stays mapped and writable while `into` borrows it (how a `Lent` is made).
    retry(|| unsafe { libc::preadv2(fd.as_raw_fd(), list, count, offset, flags) })
}

/// Writes the ranges, in one system call. Returns the bytes written.
pub(crate) fn write(
    fd: BorrowedFd<'_>,
    from: &LentList<'_>,
    position: Position,
    how: How,
) -> io::Result<usize> {
    let (list, count) = raw_list(from);
    let (offset, flags) = (position.raw()?, how.raw());
    // SAFETY: as in `read`; the kernel only reads from the ranges.
    retry(|| unsafe { libc::pwritev2(fd.as_raw_fd(), list, count, offset, flags) })
}

/// The signals that end a process by default when a write fails: with EFBIG beyond the limit on the size of files
/// (`RLIMIT_FSIZE`), and with EPIPE when nobody can read what is written.
const OF_WRITES: [libc::c_int; 2] = [libc::SIGXFSZ, libc::SIGPIPE];

/// Makes a call that may raise [one of these signals](OF_WRITES), and takes the signal back: guests have none.
pub(crate) fn without_signals<R>(call: impl FnOnce() -> R) -> R {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut signals = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: makes an empty set in `signals`.
    unsafe { libc::sigemptyset(signals.as_mut_ptr()) };
    for signal in OF_WRITES {
        // SAFETY: the set is initialised, and the number is valid.
        unsafe { libc::sigaddset(signals.as_mut_ptr(), signal) };
    }
    // SAFETY: reads one set and writes the other.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, signals.as_ptr(), before.as_mut_ptr()) };
    let result = call();
    // The kernel sends it to the thread that made the call. Without one, this returns at once.
    // SAFETY: reads a set and a time.
    unsafe { libc::sigtimedwait(signals.as_ptr(), ptr::null_mut(), &raw const now) };
    // SAFETY: `before` was written by the call that blocked the signals.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}

/// Whether SIGPIPE ends this process. It does not where it is ignored, as Rust's programs do by default.
pub(crate) fn dies_of_closed_pipes() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: writes the action, and changes nothing.
    if unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) } != 0 {
        return true;
    }
    // SAFETY: the call has succeeded.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

impl Position {
    /// The place `bytes` further on.
    pub(crate) fn after(self, bytes: u64) -> Self {
        match self {
            Position::Current => Position::Current,
            Position::At(offset) => Position::At(offset.saturating_add(bytes)),
        }
    }

    fn raw(self) -> io::Result<libc::off_t> {
        match self {
            Position::Current => Ok(-1),
            Position::At(offset) => libc::off_t::try_from(offset)
                .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
}

impl How {
    fn raw(self) -> libc::c_int {
        match self {
            How::Plain => 0,
            How::NoWait => libc::RWF_NOWAIT,
            How::NoAppend => libc::RWF_NOAPPEND,
        }
    }
}

/// The list in the kernel's form: `Lent` is a transparent `iovec`. Lists have at most `IOV_MAX`
/// entries, so the count fits.
fn raw_list(lent: &LentList<'_>) -> (*const libc::iovec, libc::c_int) {
    let count = libc::c_int::try_from(lent.len()).expect("lists of buffers are bounded");
    (lent.as_ptr().cast(), count)
}

/// Repeats a system call that a host signal has interrupted: guests have no signals.
fn retry(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
pub(crate) mod filter {
    //! A system without openat2(2), as seccomp filters of containers make it.

    /// Makes openat2 fail for the calling thread, which the test must have made for this.
    pub(crate) fn deny_openat2() {
        let line = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let number = libc::SYS_openat2 as u32;
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
        let mut lines = [
            line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
            line(libc::BPF_RET | libc::BPF_K, 0, 0, refused),
            line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: lines.len() as u16, filter: lines.as_mut_ptr() };
        // SAFETY: the arguments are plain numbers.
        let locked = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: `program` names a filter that outlives the call, which copies it.
        let set = unsafe {
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
        };
        assert_eq!((locked, set), (0, 0), "{}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn offsets_beyond_the_signed_range_are_invalid() {
        let file = tempfile::tempfile().unwrap();
        let cells = [Cell::new(0)];
        let list = LentList::from_iter([Lent::from_cells(&cells)]);
        let error = read(file.as_fd(), &list, Position::At(u64::MAX), How::Plain).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_not_a_signal() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let cells = [Cell::new(b'x')];
        let list = LentList::from_iter([Lent::from_cells(&cells)]);
        let error = write(writer.as_fd(), &list, Position::Current, How::Plain).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    }

    #[test]
    fn reads_scatter() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdef").unwrap();
        let (one, two) = ([Cell::new(0)], [Cell::new(0), Cell::new(0)]);
        let list = LentList::from_iter([Lent::from_cells(&one), Lent::from_cells(&two)]);
        let got = read(file.as_fd(), &list, Position::At(2), How::Plain);
        assert_eq!(got.unwrap(), 3);
        assert_eq!([one[0].get(), two[0].get(), two[1].get()], *b"cde");
    }
}
