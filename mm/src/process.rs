//! What belongs to one process and is not inherited: after a fork the child starts with none of it.
//!
//! A userfaultfd survives a fork, but goes on to mean the parent's address space; locks may be held by threads that the
//! child does not have; a reservation's VMAs and page states are true of the parent's mappings only. So all that regions are
//! made of hangs on one [`Process`], and the pointer to it lies in a page that the kernel empties in every child, however
//! that was made. A child that finds no `Process` makes one of its own: new descriptor, new locks, new records. What its
//! parent made is *inherited*: it is told apart by the pointer ([`Record::is_inherited`]), and never
//! used, locked or given back. `docs/fork.md` tells what a child may do.
//!
//! A child by `vfork`, or by whatever else shares the address space, is the same process here, and right to be.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::error::Result;
use crate::record::{Record, Records};
use crate::space::Pool;
use crate::sys::{self, Parked, Userfault};
use crate::{PAGE_SIZE, registry};

/// What one process has for its regions. Made once in each process, never freed.
pub(crate) struct Process {
    /// Storage of all spaces.
    pub(crate) pool: Pool,
    /// Spaces and their pagers.
    pub(crate) records: Records,
    /// The descriptor of the `Uffd` pager.
    pub(crate) userfault: Userfault,
    /// Reservations still to be given back.
    pub(crate) parked: Parked,
}

/// A pointer alone in a page, so that the kernel can empty it for children.
#[repr(C, align(4096))]
struct Lonely {
    process: AtomicPtr<Process>,
    _rest: [u8; PAGE_SIZE - size_of::<AtomicPtr<Process>>()],
}

const _: () = assert!(size_of::<Lonely>() == PAGE_SIZE && align_of::<Lonely>() == PAGE_SIZE);

static CURRENT: Lonely = Lonely {
    process: AtomicPtr::new(ptr::null_mut()),
    _rest: [0; PAGE_SIZE - size_of::<AtomicPtr<Process>>()],
};

/// What was current when the last fork began; unlike `CURRENT`, the child still has it.
static FORKING: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());

/// This process's, if it has one: async-signal-safe.
pub(crate) fn get() -> Option<&'static Process> {
    // Acquire pairs with the Release in `make`.
    // SAFETY: null or leaked by `make`.
    unsafe { CURRENT.process.load(Ordering::Acquire).as_ref() }
}

/// This process's.
///
/// # Errors
/// When the system refuses to tell children apart.
pub(crate) fn current() -> Result<&'static Process> {
    get().map_or_else(make, Ok)
}

/// Whether `process` is another one than the caller's: an ancestor of it. One load; async-signal-safe.
pub(crate) fn is_another(process: &Process) -> bool {
    // Relaxed: a thread that was given something of this process's is later than the store of the pointer.
    !ptr::eq(process, CURRENT.process.load(Ordering::Relaxed))
}

#[cold]
fn make() -> Result<&'static Process> {
    sys::empty_in_children((&raw const CURRENT).addr(), PAGE_SIZE)?;
    sys::at_fork(before_fork, in_child)?;
    // After a fork that `in_child` has not seen: what is made from now on stays away from what is inherited.
    registry::runs(Record::is_inherited).for_each(|(base, len)| sys::close_hole(base, len, false));
    let new = Box::into_raw(Box::new(Process {
        pool: Pool::new(),
        records: Records::new(),
        userfault: Userfault::new(),
        parked: Parked::new(),
    }));
    // Release pairs with the Acquire in `get`.
    let made =
        CURRENT.process.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
    let process = match made {
        Ok(_) => new,
        Err(others) => {
            // SAFETY: made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
            others
        }
    };
    // SAFETY: leaked, here or by another thread.
    Ok(unsafe { &*process })
}

/// In the parent, before it forks by the C library.
extern "C" fn before_fork() {
    FORKING.store(CURRENT.process.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// In the child, before `fork` returns: async-signal-safe, and no lock, for any may be held by a thread that is not here.
extern "C" fn in_child() {
    let forking = FORKING.load(Ordering::Relaxed);
    // SAFETY: null or leaked by `make`.
    let Some(parents) = (unsafe { forking.as_ref() }) else { return };
    // Where the kernel does not empty the page.
    CURRENT.process.store(ptr::null_mut(), Ordering::Relaxed);
    // The way into the parent's memory.
    parents.userfault.close_inherited();
    // The kernel left the parent's reservations out. Nothing else shall come to lie where an inherited pointer leads.
    registry::runs(|record| ptr::eq(record.process, forking))
        .for_each(|(base, len)| sys::close_hole(base, len, true));
}
