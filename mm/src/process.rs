//! What belongs to one process and is not inherited: after a fork the child starts without it.
//!
//! A userfaultfd survives a fork but still refers to the parent's address space. Locks may be held by threads that the
//! child does not have. VMAs and page states describe the parent's mappings only. So everything that regions are made
//! of belongs to a [`Process`]. The pointer to it is in a page that the kernel zeroes in every child, however the child
//! was made. A child that finds no `Process` makes its own: new descriptor, new locks, new records. What its parent
//! made is *inherited*. It is recognised by the pointer ([`Record::is_inherited`]), and is never used, locked or given
//! back. `docs/fork.md` tells what a child may do.
//!
//! A child by `vfork`, or by another call that shares the address space, counts as the same process, which is right.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::budget::State;
use crate::error::Result;
use crate::record::{Record, Records};
use crate::registry::Removals;
use crate::space::{Pool, Shelf};
use crate::sys::{self, PageTables, Parked, Userfault};
use crate::{PAGE_SIZE, registry};

/// What a process has for its regions. Made once in each process, never freed.
pub(crate) struct Process {
    /// Storage of all spaces.
    pub(crate) pool: Pool,
    /// Spaces and their pagers.
    pub(crate) records: Records,
    /// What budgets count.
    pub(crate) budgets: Shelf<State>,
    /// The descriptor of the `Uffd` pager.
    pub(crate) userfault: Userfault,
    /// The kernel's page tables, for reading.
    pub(crate) page_tables: PageTables,
    /// What is removed from the registry.
    pub(crate) removals: Removals,
    /// Reservations that are still to be given back.
    pub(crate) parked: Parked,
}

/// A page that holds only a pointer, so that the kernel can zero it for children.
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

/// The value of `CURRENT` when the last fork began; unlike `CURRENT`, it is not cleared in the child.
static FORKING: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());

/// The calling process's `Process`, if it has made one. Async-signal-safe.
pub(crate) fn get() -> Option<&'static Process> {
    // Acquire pairs with the Release in `make`.
    // SAFETY: null or leaked by `make`.
    unsafe { CURRENT.process.load(Ordering::Acquire).as_ref() }
}

/// The calling process's `Process`; made if there is none.
///
/// # Errors
/// When the system cannot tell a child apart from its parent.
pub(crate) fn current() -> Result<&'static Process> {
    get().map_or_else(make, Ok)
}

/// Whether `process` is not the caller's but an ancestor's. One load; async-signal-safe.
pub(crate) fn is_another(process: &Process) -> bool {
    // Relaxed: a thread that was given something of this process started after the pointer was stored.
    !ptr::eq(process, CURRENT.process.load(Ordering::Relaxed))
}

#[cold]
fn make() -> Result<&'static Process> {
    sys::empty_in_children((&raw const CURRENT).addr(), PAGE_SIZE)?;
    sys::at_fork(before_fork, in_child)?;
    // After a fork that `in_child` has not seen: keeps new mappings away from the addresses of inherited regions.
    registry::runs(Record::is_inherited).for_each(|(base, len)| sys::close_hole(base, len, false));
    let new = Box::into_raw(Box::new(Process {
        pool: Pool::new(),
        records: Records::new(),
        budgets: Shelf::new(0),
        userfault: Userfault::new(),
        page_tables: PageTables::new(),
        removals: Removals::new(),
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

/// In the parent, before the C library's `fork`.
extern "C" fn before_fork() {
    FORKING.store(CURRENT.process.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// In the child, before `fork` returns. Async-signal-safe. It takes no lock, since a thread that does not exist here
/// may hold it.
extern "C" fn in_child() {
    let forking = FORKING.load(Ordering::Relaxed);
    // SAFETY: null or leaked by `make`.
    let Some(parents) = (unsafe { forking.as_ref() }) else { return };
    // For kernels that do not zero the page.
    CURRENT.process.store(ptr::null_mut(), Ordering::Relaxed);
    // The descriptor would give access to the parent's memory.
    parents.userfault.close_inherited();
    // The kernel has left out the parent's reservations. Nothing else may be placed where an inherited pointer points
    // to.
    registry::runs(|record| ptr::eq(record.process, forking))
        .for_each(|(base, len)| sys::close_hole(base, len, true));
}
