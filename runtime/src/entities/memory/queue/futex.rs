//! Sleeping until a word changes: futex(2).
//!
//! These are system calls of our own because a word may be gone when its waiters are woken, so there is no reference to
//! it then.

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps until woken if the word is `expected`, for `timeout` at most. May return earlier.
pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|timeout| libc::timespec {
        // The kernel takes what is beyond its clock for ever.
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time live until it returns.
    let done =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, timeout) };
    if done != 0 {
        let error = std::io::Error::last_os_error().raw_os_error();
        if !matches!(error, Some(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT)) {
            // Without futexes: wait by polling.
            std::thread::yield_now();
        }
    }
}

/// Wakes one thread that sleeps on the word. Where the word was freed meanwhile, this may wake who sleeps on what is
/// there now; all users of futexes must allow for that.
pub(super) fn wake(word: *const AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel uses the address only as a key. Where the system has no futexes, nobody sleeps.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, 1) };
}
