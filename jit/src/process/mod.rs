//! Which process this is: what `fork` copies is not always still good in the child.
//!
//! A child has its parent's memory but not its threads, and it shares with it what was mapped as
//! shared. So whoever keeps something that is good in one process only notes the [`generation`]
//! with it. A [`Lock`] that a thread of the parent holds for ever is free in the child, where its value
//! starts anew; what must be whole there lies in a [`ForkMutex`].
//!
//! The generation lies in a page that the kernel zeroes in children (`MADV_WIPEONFORK`), so that
//! children which were made without the C library notice, too. The handlers of `pthread_atfork`
//! do the same where the kernel does not, and count the forks for the parent's part.

mod lock;
mod mutex;

pub use lock::{Lock, LockGuard};
pub use mutex::{ForkMutex, ForkMutexGuard};

use region::Protection;
use rustix::mm::{Advice, madvise};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The generation that was given out last; copied to children, which go on from there.
static LAST: AtomicU32 = AtomicU32::new(0);

/// How often this process has begun to fork.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The word that holds this process's generation, or zero in a child that has none yet.
static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// A number that no process has in common with one that it descends from, as far as they have used
/// this crate. Never zero, and below 2^31 for the first two thousand million descendants.
pub fn generation() -> u32 {
    let word = word();
    // Relaxed: it orders nothing. A child starts with one thread, and starting others orders them.
    match word.load(Ordering::Relaxed) {
        0 => renew(word),
        generation => generation,
    }
}

/// How often this process has begun to fork by the C library. What was shared with children when
/// the number was another may still be in use by them.
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

/// The word of this process, made by whoever asks first.
fn word() -> &'static AtomicU32 {
    let word = WORD.load(Ordering::Acquire); // pairs with the AcqRel below
    // SAFETY: null, or what was left below, which stays for as long as the process.
    if let Some(word) = unsafe { word.as_ref() } {
        return word;
    }
    let new = wiped_word();
    // Before the word can be found. Several threads may come here: the handlers do no harm twice.
    // SAFETY: the handlers are good in any thread at any time: they touch statics only.
    // A failure (no memory) leaves the page, which does the child's part.
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

/// A word in a page that children find zeroed; where there is no such page, one for `in_child`.
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
    // SeqCst: before the system call in program order. Whoever asks after the kernel has copied
    // the address space, for instance because they have changed it since, sees it.
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
