//! The last message of a process whose signal handler met an impossible state.
//!
//! Nothing here allocates, locks, unwinds or formats: it may run on any thread in any state.

/// Writes `message` to standard error and ends the process.
#[cold]
pub(crate) fn abort(message: &str) -> ! {
    // SAFETY: the pointer and length come from one `str`; `write` is async-signal-safe. A short write loses words only.
    unsafe { libc::write(2, message.as_ptr().cast(), message.len()) };
    // SAFETY: `abort` is async-signal-safe and takes nothing.
    unsafe { libc::abort() }
}
