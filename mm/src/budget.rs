//! [`Budget`]: a bound on what all regions that share it hold together, so that the access that goes over is denied and the
//! process lives.
//!
//! The charge is kept by the core (`space/budget.rs`): a charge that would exceed the limit is refused. Only then does the
//! fault come here, with no lock held, to [`make_room`]:
//!
//! 1. Where the limit comes from the container, the system is asked how much the process may still use. (It is asked before,
//!    too, each time half of what was left is charged.)
//! 2. Regions that wait for their next user ([`Region::set_idle`](crate::Region::set_idle)) give back what they keep.
//! 3. If much is charged that may not be resident, all regions are recounted (`space/recount.rs`).
//!
//! If there is room then, the fault is tried again, and if not, the access is denied. All of it may run in a signal
//! handler: it allocates nothing, and takes the lock of the budget's list and, one after the other, the writer locks of the
//! regions in it. Nobody touches the memory of a region while he holds one of these.

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::container::{Container, STEP};
use crate::error::Result;
use crate::limits::Limits;
use crate::primitive::{Level, Lock, LockGuard, PlainPtr, PlainUsize};
use crate::process::{self, Process};
use crate::record::Record;
use crate::space::{self, PAGE};

/// One part in so many of the limit may be charged without being resident before regions are recounted for it.
const TOLERATED: usize = 16;
/// How many mappings a process may have, if the system does not tell.
const MAPPINGS: usize = 65_530;
/// Bytes that two mappings take in the kernel.
const RUN: usize = 512;
/// Idle regions give back until one part in so many of the limit is free.
const FREED: usize = 64;

/// A bound on the resident bytes of all regions that are [built with it](crate::RegionOptions::budget).
///
/// Cheap to clone; all clones are the same budget. In a child by `fork` it counts the regions of the child only.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    /// That of the process in which it was used last. Replaced in a child by fork only.
    state: AtomicPtr<State>,
    limit: Limit,
}

/// Where the limit comes from.
#[derive(Clone, Debug)]
enum Limit {
    Bytes(usize),
    Container(Container),
}

/// The regions of one budget in one process. Type-stable: a fault may look at it a little longer than its regions live.
pub(crate) struct State {
    /// The limit, and what is charged.
    pub(crate) core: space::Budget,
    /// Held while regions are added or removed, and while room is made.
    list: Lock,
    /// The first of its regions. Changed under `list`.
    first: PlainPtr<Record>,
    /// Null, or the container that the limit comes from, which the budget keeps. Changed under `list`.
    container: PlainPtr<Container>,
    process: &'static Process,
    /// How many runs of pages recounts may leave: see `space/recount.rs`.
    runs: usize,
    /// Pages that the kernel may need for the mappings of those that the last recount has left.
    ahead: PlainUsize,
}

/// What links the records of one budget.
pub(crate) struct Link {
    state: PlainPtr<State>,
    before: PlainPtr<Record>,
    after: PlainPtr<Record>,
}

impl Link {
    pub(crate) const fn none() -> Self {
        Self {
            state: PlainPtr::new(ptr::null_mut()),
            before: PlainPtr::new(ptr::null_mut()),
            after: PlainPtr::new(ptr::null_mut()),
        }
    }

    /// The budget of the record, if it has one, or had one a moment ago.
    pub(crate) fn state(&self) -> Option<&State> {
        // SAFETY: null, or a state of the process, which stays until all readers have left who may have found it.
        unsafe { self.state.load(Ordering::Relaxed).as_ref() }
    }
}

impl Budget {
    /// A budget of `bytes` bytes, rounded down to whole pages.
    pub fn new(bytes: usize) -> Self {
        Self::of(Limit::Bytes(bytes))
    }

    /// A budget of what the container of this process (its memory cgroup) allows, less a margin for the process itself;
    /// `None` if it allows any amount, or the system does not tell.
    ///
    /// The system is asked again when a half of what was left is charged, and so on. So the budget follows what the
    /// process uses beside its regions, and what others in the container use.
    pub fn of_container() -> Option<Self> {
        Container::of_this_process().map(|container| Self::of(Limit::Container(container)))
    }

    fn of(limit: Limit) -> Self {
        Self(Arc::new(Owner { state: AtomicPtr::new(ptr::null_mut()), limit }))
    }

    /// Most bytes that may be resident, as far as is known now.
    ///
    /// # Errors
    /// When the system has no memory for its own.
    pub fn limit(&self) -> Result<usize> {
        let state = self.state()?;
        state.look();
        Ok(state.core.limit().saturating_mul(PAGE))
    }

    /// Bytes that are charged: at least what is resident. Memory that is left to the kernel is charged as a whole.
    ///
    /// # Errors
    /// When the system has no memory for its own.
    pub fn charged(&self) -> Result<usize> {
        Ok(self.state()?.core.charged() * PAGE)
    }

    /// Whether both are the same budget.
    pub fn same(a: &Self, b: &Self) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    /// The state of this process.
    pub(crate) fn state(&self) -> Result<&State> {
        let process = process::current()?;
        // Acquire pairs with the Release below.
        let old = self.0.state.load(Ordering::Acquire);
        // SAFETY: null, or a state that is given back when the budget is dropped.
        if let Some(state) = unsafe { old.as_ref() }.filter(|state| ptr::eq(state.process, process))
        {
            return Ok(state);
        }
        let new = self.make(process)?;
        // Release pairs with the Acquire above. That of a parent is leaked.
        let made =
            self.0.state.compare_exchange(old, new.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
        let state = made.map_or_else(
            |others| {
                give(new, process);
                others
            },
            |_| new.as_ptr(),
        );
        // SAFETY: made here or by another thread.
        Ok(unsafe { &*state })
    }

    fn make(&self, process: &'static Process) -> Result<NonNull<State>> {
        let mappings = Limits::now().mappings.unwrap_or(MAPPINGS);
        let new = |_| State {
            core: space::Budget::new(0),
            list: Lock::of(Level::Budget),
            first: PlainPtr::new(ptr::null_mut()),
            container: PlainPtr::new(ptr::null_mut()),
            process,
            // Each may take two mappings; half of them stay for others.
            runs: mappings / 4,
            ahead: PlainUsize::new(0),
        };
        let made = process.budgets.take(process.pool.arena(), new)?;
        // SAFETY: it stays until it is given back.
        let state = unsafe { made.as_ref() };
        match &self.0.limit {
            Limit::Bytes(bytes) => state.core.set_limit(bytes / PAGE, usize::MAX),
            Limit::Container(container) => {
                let _list = state.list.lock();
                state.container.store(ptr::from_ref(container).cast_mut(), Ordering::Relaxed);
                state.core.set_limit(0, usize::MAX);
                state.ask_container();
            }
        }
        Ok(made)
    }
}

fn give(state: NonNull<State>, process: &Process) {
    // SAFETY: it was taken, and is given back here only.
    let State { list, container, .. } = unsafe { state.as_ref() };
    // No fault that has found the state may ask the container any more, since that goes away.
    let held = list.lock();
    container.store(ptr::null_mut(), Ordering::Relaxed);
    drop(held);
    process.budgets.give([state], process.pool.readers(), drop);
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(state) = NonNull::new(*self.state.get_mut()) else { return };
        // SAFETY: it stays until it is given back.
        let process = unsafe { state.as_ref() }.process;
        if !process::is_another(process) {
            give(state, process);
        }
    }
}

impl State {
    /// Adds the record of a region whose space was created with this budget.
    pub(crate) fn add(&self, record: &'static Record) {
        let _list = self.list.lock();
        let first = self.first.load(Ordering::Relaxed);
        let this = ptr::from_ref(record).cast_mut();
        record.link.before.store(ptr::null_mut(), Ordering::Relaxed);
        record.link.after.store(first, Ordering::Relaxed);
        record.link.state.store(ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
        // SAFETY: records in the list are there until they are removed.
        if let Some(first) = unsafe { first.as_ref() } {
            first.link.before.store(this, Ordering::Relaxed);
        }
        self.first.store(this, Ordering::Relaxed);
    }

    /// Removes the record, before its space is destroyed.
    pub(crate) fn remove(&self, record: &Record) {
        let _list = self.list.lock();
        let before = record.link.before.load(Ordering::Relaxed);
        let after = record.link.after.load(Ordering::Relaxed);
        // SAFETY: as in `add`.
        match unsafe { before.as_ref() } {
            Some(before) => before.link.after.store(after, Ordering::Relaxed),
            None => self.first.store(after, Ordering::Relaxed),
        }
        // SAFETY: as in `add`.
        if let Some(after) = unsafe { after.as_ref() } {
            after.link.before.store(before, Ordering::Relaxed);
        }
        record.link.state.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// The regions, for the holder of the lock of their list.
    fn records<'a>(&'a self, _list: &'a LockGuard<'_>) -> impl Iterator<Item = &'a Record> {
        let mut next = &self.first;
        std::iter::from_fn(move || {
            // SAFETY: as in `add`.
            let record = unsafe { next.load(Ordering::Relaxed).as_ref() }?;
            next = &record.link.after;
            Some(record)
        })
    }

    /// Tries to make room for `pages` pages; whether there is room now. The caller holds no lock.
    ///
    /// Async-signal-safe.
    pub(crate) fn make_room(&self, pages: usize) -> bool {
        let list = self.list.lock();
        // Others may have made room while this thread waited.
        if self.core.room() >= pages || self.ask_container() >= pages {
            return true;
        }
        let wanted = pages.max(self.core.limit() / FREED);
        for record in self.records(&list) {
            record.space.empty_if_idle(record.pager);
            if self.core.room() >= wanted {
                return true;
            }
        }
        if self.core.news() > self.core.limit() / TOLERATED {
            self.core.prove(|| {
                let mut runs = self.runs;
                let recount = |record: &Record| record.space.recount(record.pager, &mut runs);
                let unproven = self.records(&list).map(recount).sum();
                self.ahead.store((self.runs - runs) * RUN / PAGE, Ordering::Relaxed);
                unproven
            });
        }
        self.core.room().max(self.ask_container()) >= pages
    }

    /// Looks at the limit again. The caller holds no lock. Async-signal-safe.
    #[cold]
    pub(crate) fn look(&self) {
        let _list = self.list.lock();
        self.ask_container();
    }

    /// Where the limit comes from the container: sets it to what is charged and what the process may still use. Returns the
    /// room that there is then. The caller holds the lock of the list.
    fn ask_container(&self) -> usize {
        // SAFETY: null, or the container of the budget, which takes it away under the lock before it goes.
        let Some(container) = (unsafe { self.container.load(Ordering::Relaxed).as_ref() }) else {
            return self.core.room();
        };
        if let Some(room) = container.room() {
            // What is charged and not resident may still come, without being charged again.
            let coming = self.core.unproven() + self.ahead.load(Ordering::Relaxed);
            let room = (room / PAGE).saturating_sub(coming);
            let charged = self.core.charged();
            let due = if room < 2 * STEP / PAGE { usize::MAX } else { charged + room / 2 };
            self.core.set_limit(charged.saturating_add(room), due);
        }
        self.core.room()
    }
}
