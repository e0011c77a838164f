//! [`List`]: the waiters of a bucket, doubly linked through the waiters themselves, in the order in which they came.

use super::{Links, Waiter};
use std::ptr::NonNull;

#[derive(Debug, Default)]
pub(super) struct List {
    /// The process whose threads are in it.
    generation: u32,
    first: Option<NonNull<Waiter>>,
    last: Option<NonNull<Waiter>>,
}

// SAFETY: waiters are made to be used by other threads, and stay where they are while they are in a list.
unsafe impl Send for List {}

impl List {
    /// For the process `generation`.
    pub(super) const fn new(generation: u32) -> List {
        List { generation, first: None, last: None }
    }

    /// Forgets the waiters if they are threads of another process than `generation`.
    pub(super) fn start_anew_unless_of(&mut self, generation: u32) {
        if self.generation != generation {
            *self = List::new(generation);
        }
    }

    /// # Safety
    ///
    /// The waiter must be in no list, and stay where it is until it is out of this one.
    pub(super) unsafe fn push(&mut self, waiter: &Waiter) {
        let this = Some(NonNull::from(waiter));
        // SAFETY: the lock is held.
        unsafe { *waiter.links.get() = Links { previous: self.last, next: None, in_list: true } };
        match self.last {
            // SAFETY: it is in the list.
            Some(last) => unsafe { links(last).next = this },
            None => self.first = this,
        }
        self.last = this;
    }

    /// Takes `waiter` out. Returns whether it was still there; where it was not, a waker has taken it out.
    ///
    /// # Safety
    ///
    /// It must have been put into this list.
    pub(super) unsafe fn remove(&mut self, waiter: &Waiter) -> bool {
        // A waiter that is the thread of another process, which forked inside of a signal handler: nobody here knows it.
        if waiter.generation != self.generation {
            return true;
        }
        // SAFETY: the lock is held; a waker that has taken it out changes its links no more.
        let is_in = unsafe { (*waiter.links.get()).in_list };
        if is_in {
            // SAFETY: it is in the list.
            unsafe { self.unlink(NonNull::from(waiter)) };
        }
        is_in
    }

    /// Takes out the first `count` waiters that are `wanted`, and returns the first of them. Each is linked to the next.
    pub(super) fn take(
        &mut self,
        count: u32,
        wanted: impl Fn(&Waiter) -> bool,
    ) -> Option<NonNull<Waiter>> {
        let (mut first, mut last): (_, Option<NonNull<Waiter>>) = (None, None);
        let (mut left, mut next) = (count, self.first);
        while let Some(waiter) = next.filter(|_| left > 0) {
            // SAFETY: it is in the list, so it is alive, and its links are the lock holder's.
            let is_wanted = unsafe {
                next = links(waiter).next;
                wanted(waiter.as_ref())
            };
            if !is_wanted {
                continue;
            }
            // SAFETY: as above; those that were taken out stay until they are told.
            unsafe {
                self.unlink(waiter);
                match last {
                    Some(last) => links(last).next = Some(waiter),
                    None => first = Some(waiter),
                }
            }
            last = Some(waiter);
            left -= 1;
        }
        first
    }

    /// # Safety
    ///
    /// The waiter must be in the list.
    unsafe fn unlink(&mut self, waiter: NonNull<Waiter>) {
        // SAFETY: it is in the list, and so are its neighbours.
        unsafe {
            let Links { previous, next, .. } = std::mem::take(links(waiter));
            match previous {
                Some(previous) => links(previous).next = next,
                None => self.first = next,
            }
            match next {
                Some(next) => links(next).previous = previous,
                None => self.last = previous,
            }
        }
    }
}

/// # Safety
///
/// The waiter must be in a list whose lock is held, or taken out by this thread; and the result must be gone before its
/// links are used again.
unsafe fn links<'a>(waiter: NonNull<Waiter>) -> &'a mut Links {
    // SAFETY: the caller's promise.
    unsafe { &mut *(*waiter.as_ptr()).links.get() }
}
