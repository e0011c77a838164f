//! Other copies of this library in the process: two shared libraries may each contain one, of different versions.
//!
//! A copy is recognised by the first bytes of its entry points. It can be asked which handler it passes other signals
//! on to. A copy on top of us whose chain reaches us may stay there: if each copy took its place back from the others,
//! none would ever keep it for long.

use std::ffi::{c_int, c_void};
use std::mem;
use std::ptr;

use super::{SIGNALS, install, predecessors};
use crate::arch::{self, ENTRY_HEAD};

/// Answers which handler gets the signals that are not the copy's own, when they come in at the entry point at the
/// second argument; zero if there is none. Other versions of this library call it, so its type must never change.
type NextHandler = extern "C" fn(c_int, usize) -> usize;

/// The most copies that are followed from the kernel to us.
const MOST: usize = 16;

/// Our answer to other copies.
pub(crate) extern "C" fn next_handler(signo: c_int, handler: usize) -> usize {
    let next = || {
        let at = SIGNALS.iter().position(|&ours| ours == signo)?;
        let index = predecessors::chain(at, install::entry_at(handler)?).iter().next()?;
        Some(predecessors::get(at, index)?.action()?.sa_sigaction)
    };
    next().unwrap_or(0)
}

/// Whether only copies of this library are between `handler` and us.
pub(super) fn lead_to_us(signo: i32, handler: usize) -> bool {
    let next = |&handler: &usize| Some(question(handler)?(signo, handler));
    std::iter::successors(Some(handler), next)
        .take(MOST)
        .any(|handler| install::entry_at(handler).is_some())
}

/// The function that answers, if `handler` is the entry point of a copy.
fn question(handler: usize) -> Option<NextHandler> {
    let answers = arch::next_handler_of(handler, &read(handler)?)?;
    // SAFETY: the bytes say that the `next_handler` of a copy is there.
    Some(unsafe { mem::transmute::<usize, NextHandler>(answers) })
}

/// The first bytes of a function at any address, which may no longer be mapped.
fn read(addr: usize) -> Option<[u8; ENTRY_HEAD]> {
    let mut bytes = [0; ENTRY_HEAD];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast::<c_void>(), iov_len: ENTRY_HEAD };
    let remote =
        libc::iovec { iov_base: ptr::with_exposed_provenance_mut(addr), iov_len: ENTRY_HEAD };
    // SAFETY: the call writes to `bytes` only; the kernel reports unmapped addresses.
    let count = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    (count == ENTRY_HEAD as isize).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{lead_to_us, next_handler, question};
    use crate::arch::SIGNAL_ENTRIES;
    use crate::signal::install::ensure_installed;

    #[test]
    fn an_entry_point_of_ours_is_told_and_answers() {
        ensure_installed().unwrap();
        let entry = SIGNAL_ENTRIES[0] as *const () as usize;
        let ask = question(entry).expect("a copy");
        assert_eq!(ask as *const () as usize, next_handler as *const () as usize);
        // Rust's own, which was there before, for these two.
        assert_ne!(ask(libc::SIGSEGV, entry), 0);
        assert_eq!(ask(libc::SIGUSR1, entry), 0);
        assert!(lead_to_us(libc::SIGSEGV, entry));
    }

    #[test]
    fn what_is_none_is_told_also_where_nothing_is() {
        for addr in [0, 1, 0x40, usize::MAX, question as *const () as usize] {
            assert!(question(addr).is_none() && !lead_to_us(libc::SIGSEGV, addr), "{addr:#x}");
        }
    }
}
