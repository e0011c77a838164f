//! Forks in tests: by the C library, which runs the functions that were installed for it, or past it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a child is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// `fork`.
    Libc,
    /// The system call alone: nobody is told.
    Bare,
}

pub(crate) const BOTH: [How; 2] = [How::Libc, How::Bare];

/// Seconds until a child that hangs is killed by SIGALRM.
const PATIENCE: u32 = 60;

/// A child on its way.
#[must_use]
pub(crate) struct Forked(libc::pid_t);

/// Runs `body` in a child: 0 is success, a panic 101.
pub(crate) fn start(how: How, body: impl FnOnce()) -> Forked {
    let pid = match how {
        // SAFETY: the child does what these tests are about.
        How::Libc => unsafe { libc::fork() },
        // SAFETY: as above.
        How::Bare => unsafe { libc::syscall(libc::SYS_fork) as libc::pid_t },
    };
    if pid == 0 {
        // SAFETY: takes a number.
        unsafe { libc::alarm(PATIENCE) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        // SAFETY: ends the child; nothing that is the parent's is flushed or dropped.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) };
    }
    assert!(pid > 0, "fork failed");
    Forked(pid)
}

impl Forked {
    /// Waits for its end.
    pub(crate) fn end(self) -> ExitStatus {
        let mut status = 0;
        // SAFETY: the status is writable.
        while unsafe { libc::waitpid(self.0, &raw mut status, 0) } != self.0 {}
        ExitStatus::from_raw(status)
    }

    /// Fails unless it ended well.
    pub(crate) fn succeeds(self) {
        let status = self.end();
        assert!(status.success(), "the child: {status}");
    }

    /// Fails unless it was killed by a fault.
    pub(crate) fn faults(self) {
        let status = self.end();
        let signal = status.signal();
        assert!(matches!(signal, Some(libc::SIGSEGV | libc::SIGBUS)), "the child: {status}");
    }
}

/// Runs `body` in a child, which must end well.
pub(crate) fn child(how: How, body: impl FnOnce()) {
    start(how, body).succeeds();
}
