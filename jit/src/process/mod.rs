//! Identifies the process: some of what `fork` copies is not valid in the child.
//!
//! A child has its parent's memory but not its threads, and shared mappings stay shared with the
//! parent. Code that keeps something which is valid in one process only records the [`generation`]
//! with it. A [`Lock`] that a thread of the parent held is free in the child, and its value starts
//! anew there. Values that must be consistent in a child are in a [`ForkMutex`].
//!
//! The generation is in a page that the kernel zeroes in children (`MADV_WIPEONFORK`), so that
//! children which were made without the C library notice, too. The handlers of `pthread_atfork` do
//! the same where the kernel does not, and count the forks for the parent.

mod lock;
mod mutex;
mod once;

pub use lock::{Lock, LockGuard};
pub use mutex::{ForkMutex, ForkMutexGuard};
pub use once::OnceValue;

use region::Protection;
use rustix::mm::{Advice, madvise};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The last generation that was used; children inherit it and continue from there.
static LAST: AtomicU32 = AtomicU32::new(0);

/// How often this process has begun to fork.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The word that holds this process's generation; zero in a child that has none yet.
static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// A number that differs from those of all ancestors of this process that have used this crate.
/// Never zero, and below 2^31 for the first two thousand million descendants.
pub fn generation() -> u32 {
    let word = word();
    // Relaxed: it orders nothing. A child starts with one thread, and starting more threads orders
    // them after it.
    match word.load(Ordering::Relaxed) {
        0 => renew(word),
        generation => generation,
    }
}

/// How often this process has begun a fork by the C library. Children may still use what was shared
/// with them when this number was lower.
pub(crate) fn forks() -> u32 {
    word();
    FORKS.load(Ordering::SeqCst)
}

fn renew(word: &AtomicU32) -> u32 {
    let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    match word.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => new,
        Err(other) => other,
    }
}

/// The word of this process; the first thread that asks makes it.
fn word() -> &'static AtomicU32 {
    let word = WORD.load(Ordering::Acquire); // pairs with the AcqRel below
    // SAFETY: null, or what was left below, which stays for as long as the process.
    if let Some(word) = unsafe { word.as_ref() } {
        return word;
    }
    let new = wiped_word();
    // Before the word can be found. Several threads may register the handlers, which does no harm.
    // SAFETY: the handlers may run in any thread at any time: they touch statics only. If this
    // fails (no memory), the page alone serves children.
    let _ = unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
    let found =
        WORD.compare_exchange(std::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
    let word = match found {
        Ok(_) => new,
        Err(other) => other,
    };
    // SAFETY: as above; a page that came second is left unused.
    unsafe { &*word }
}

/// A word in a page that children find zeroed; where there is no such page, a word that `in_child`
/// zeroes.
fn wiped_word() -> *mut AtomicU32 {
    static PLAIN: AtomicU32 = AtomicU32::new(0);
    let plain = (&raw const PLAIN).cast_mut();
    let Ok(mut page) = region::alloc(region::page::size(), Protection::READ_WRITE) else {
        return plain;
    };
    let (start, len) = (page.as_mut_ptr::<AtomicU32>(), page.len());
    // SAFETY: the page is ours alone, and anonymous.
    if unsafe { madvise(start.cast(), len, Advice::LinuxWipeOnFork) }.is_err() {
        return plain;
    }
    std::mem::forget(page);
    start
}

extern "C" fn before_fork() {
    // SeqCst: before the system call in program order. A thread that asks after the kernel has
    // copied the address space, for instance because it has changed the address space since, sees
    // the new count.
    FORKS.fetch_add(1, Ordering::SeqCst);
    mutex::close();
}

extern "C" fn in_parent() {
    mutex::open();
}

extern "C" fn in_child() {
    // SAFETY: as in `word`.
    if let Some(word) = unsafe { WORD.load(Ordering::Relaxed).as_ref() } {
        word.store(0, Ordering::Relaxed);
    }
}
