//! Queues of threads that wait, one for each host address.
//!
//! Addresses are spread over a fixed number of buckets. A bucket is a lock over a list of [`Waiter`]s, in the order in
//! which they came; those of one address are its queue. A waiter is on the stack of its thread, so nothing is allocated.
//! A queue takes up memory only while somebody is in it.
//!
//! # Who takes a waiter out
//!
//! Under the lock, either a waker takes the waiter out, or the waiter takes itself out because its time is up. A waker
//! then leaves the lock and tells the waiter: it stores the message in the waiter and wakes its thread. A waiter that a
//! waker has taken out stays until it is told, even when its time is up: only then has the waker no more use for it.
//!
//! # After a fork
//!
//! A child has its parent's buckets, but not the threads. A lock that a thread of the parent held is free in the child
//! ([`Lock`]). Waiters that a child inherits are on stacks which nobody owns there. So each list records the process that
//! it belongs to, and starts empty in another.

mod futex;
mod list;

use list::List;
use seqfault_jit::process::{Lock, LockGuard, generation};
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What a waiter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Message {
    /// It was notified.
    Notified = 1,
    /// It may have to stop.
    Interrupted = 2,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Told(Message),
    TimedOut,
    /// It was not begun.
    Refused,
}

/// Waits in the queue of `address` until told, or until `deadline`. Under the lock of the queue, `begin` is asked
/// whether to wait at all; it must not use queues. `token` tells wakers who waits.
pub(super) fn wait(
    address: usize,
    token: usize,
    deadline: Option<Instant>,
    begin: impl FnOnce() -> bool,
) -> Ended {
    let waiter = Waiter::new(address, token);
    let left = left_until(deadline);
    let mut list = list_of(address);
    if !begin() {
        return Ended::Refused;
    }
    if is_over(left) {
        return Ended::TimedOut;
    }
    // SAFETY: this function does not return before the waiter is out of the list and no waker uses it.
    unsafe { list.push(&waiter) };
    drop(list);
    if let Some(message) = waiter.sleep(deadline, left) {
        return Ended::Told(message);
    }
    // SAFETY: it was put in above.
    if unsafe { list_of(address).remove(&waiter) } {
        return Ended::TimedOut;
    }
    // A waker has taken it out, and is about to tell it.
    Ended::Told(waiter.sleep(None, None).expect("without a deadline only a message ends it"))
}

/// Tells `message` to the first `count` waiters in the queue of `address` whose tokens are `wanted`. Returns how many
/// there were. `wanted` is called under the lock and must not use queues.
pub(super) fn wake(
    address: usize,
    count: u32,
    message: Message,
    wanted: impl Fn(usize) -> bool,
) -> u32 {
    let is_wanted = |waiter: &Waiter| waiter.address == address && wanted(waiter.token);
    let taken = list_of(address).take(count, is_wanted);
    let mut number = 0;
    let mut next = taken;
    while let Some(waiter) = next {
        // SAFETY: the waiter stays until it is told, below. Its link is this thread's, because it is in no list.
        let (following, word) =
            unsafe { ((*(*waiter.as_ptr()).links.get()).next, &raw const (*waiter.as_ptr()).word) };
        // Release: pairs with the Acquire in `sleep`.
        // SAFETY: as above.
        unsafe { (*word).store(message as u32, Ordering::Release) };
        // The waiter may be gone by now.
        futex::wake(word);
        number += 1;
        next = following;
    }
    number
}

/// A thread in a queue, or about to leave one.
#[derive(Debug)]
struct Waiter {
    address: usize,
    token: usize,
    /// The process whose thread it is.
    generation: u32,
    /// [`WAITING`], or the message.
    word: AtomicU32,
    /// For the holder of the lock, and, after it was taken out, for the waker that did so.
    links: UnsafeCell<Links>,
}

const WAITING: u32 = 0;

#[derive(Debug, Default)]
struct Links {
    previous: Option<NonNull<Waiter>>,
    next: Option<NonNull<Waiter>>,
    in_list: bool,
}

impl Waiter {
    fn new(address: usize, token: usize) -> Waiter {
        let (word, links) = (AtomicU32::new(WAITING), UnsafeCell::default());
        Waiter { address, token, generation: generation(), word, links }
    }

    /// Sleeps until there is a message, or until `deadline`, which is `left` from now.
    fn sleep(&self, deadline: Option<Instant>, mut left: Option<Duration>) -> Option<Message> {
        loop {
            // Acquire: pairs with the Release in `wake`.
            match self.word.load(Ordering::Acquire) {
                WAITING => {}
                word if word == Message::Notified as u32 => return Some(Message::Notified),
                _ => return Some(Message::Interrupted),
            }
            if is_over(left) {
                return None;
            }
            futex::wait(&self.word, WAITING, left);
            left = left_until(deadline);
        }
    }
}

fn left_until(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

fn is_over(left: Option<Duration>) -> bool {
    left.is_some_and(|left| left.is_zero())
}

/// On a cache line of its own.
#[repr(align(64))]
struct Bucket(Lock<List>);

/// With more threads than this, some queues share a bucket.
const BUCKETS: usize = 1024;

static TABLE: [Bucket; BUCKETS] = [const { Bucket(Lock::new(List::new(0))) }; BUCKETS];

/// The list that the queue of `address` is in, locked.
fn list_of(address: usize) -> LockGuard<'static, List> {
    // Multiplicative hashing (Knuth, volume 3, section 6.4), by the golden ratio: the upper bits depend on all bits of
    // the address.
    let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut list = TABLE[(hash >> (u64::BITS - BUCKETS.ilog2())) as usize].0.lock();
    list.start_anew_unless_of(generation());
    list
}

#[cfg(test)]
mod tests;
