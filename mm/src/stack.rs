//! What a thread needs to take our signals: an alternate stack, and an open mask. Also the bounds of its normal stack.

use std::cell::Cell;
use std::mem::{self, MaybeUninit};
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::PAGE_SIZE;
use crate::error::{Error, Result};
use crate::pager::Pager;
use crate::signal::SIGNALS;
use crate::sys;

/// Enough alternate stack for our handler, the hook above it, and a handler of the host that it was made for.
const ENOUGH: usize = 64 << 10;
/// The size of the stacks that we make: handlers that we chain to run there, too, and may need more. Unused pages cost
/// nothing.
const GIVEN: usize = 256 << 10;

/// An alternate stack of ours. Dropped, and so unmapped, when the thread ends.
struct AltStack {
    /// The whole mapping; its first page is the guard.
    mapping: *mut libc::c_void,
    bytes: usize,
}

thread_local! {
    static READY: Cell<bool> = const { Cell::new(false) };
    static OWNED: Cell<Option<AltStack>> = const { Cell::new(None) };
    static BOUNDS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Makes sure that faults of the calling thread can be handled: the thread has a large enough alternate signal stack
/// with a guard page below, and SIGSEGV, SIGBUS, SIGILL and SIGFPE are not blocked. The kernel kills a process for a
/// fault whose signal is blocked, and thread pools often block all signals.
///
/// A stack that is large enough is kept. One that we made is freed when the thread ends. This is done once per thread;
/// later calls are one load. A thread that blocks the signals later, or gets a smaller stack, must call
/// [`signal::check`](crate::signal::check).
///
/// Where the system refuses alternate stacks the handler runs on the normal one.
///
/// # Errors
/// When there is no memory for the stack, or the system refuses to unblock the signals.
#[inline]
pub fn prepare_thread() -> Result<()> {
    if READY.get() { Ok(()) } else { prepare_thread_anew() }
}

/// Prepares the calling thread for a copy from or to a region of `pager`. A copy reports only denied accesses, so a
/// failure is ignored here; [`prepare_thread`] reports it.
pub(crate) fn prepare_copy(pager: &dyn Pager) {
    if !READY.get() && pager.faults() {
        let _ = prepare_thread_anew();
    }
}

/// As [`prepare_thread`], for a thread that may have changed its mask or its stack since.
#[cold]
pub(crate) fn prepare_thread_anew() -> Result<()> {
    ensure_alt_stack()?;
    unblock()?;
    READY.set(true);
    Ok(())
}

fn ensure_alt_stack() -> Result<()> {
    // Alternate stacks are not available here (a filter denies the call).
    let Ok(current) = current() else { return Ok(()) };
    // A thread on its alternate stack cannot change it.
    let stays = |stack: &libc::stack_t| {
        stack.ss_size >= ENOUGH + smallest_frame() || stack.ss_flags & libc::SS_ONSTACK != 0
    };
    if current.as_ref().is_some_and(stays) {
        return Ok(());
    }
    // A thread that is ending has already freed its stack.
    let Ok(owned) = OWNED.try_with(Cell::take) else { return Ok(()) };
    let stack = match owned {
        // Another stack was installed in place of ours.
        Some(stack) => stack,
        None => AltStack::map(GIVEN + smallest_frame())?,
    };
    if stack.install().is_ok() {
        OWNED.set(Some(stack));
    }
    Ok(())
}

/// Unblocks our signals, if one is blocked.
fn unblock() -> Result<()> {
    const OURS: u64 = sys::signal_set(&SIGNALS);
    let blocked = sys::blocked_signals().map_err(|errno| Error::System {
        call: "rt_sigprocmask",
        source: std::io::Error::from_raw_os_error(errno),
    })?;
    if blocked & OURS == 0 {
        return Ok(());
    }
    let mut ours = empty();
    for signo in SIGNALS {
        // SAFETY: the set is writable, and the number is a signal's.
        unsafe { libc::sigaddset(&raw mut ours, signo) };
    }
    change_mask(libc::SIG_UNBLOCK, Some(&ours)).map(drop)
}

/// Blocks all signals; returns the previous mask, if that succeeded. Async-signal-safe, for our handler.
pub(crate) fn block_signals() -> Option<libc::sigset_t> {
    let mut all = empty();
    // SAFETY: the set is writable.
    unsafe { libc::sigfillset(&raw mut all) };
    change_mask(libc::SIG_SETMASK, Some(&all)).ok()
}

/// Sets the mask to exactly `mask`. Async-signal-safe, for our handler.
pub(crate) fn set_mask(mask: &libc::sigset_t) {
    let _ = change_mask(libc::SIG_SETMASK, Some(mask));
}

fn empty() -> libc::sigset_t {
    // SAFETY: all zeroes are a set, the empty one.
    unsafe { mem::zeroed() }
}

/// Changes which signals are blocked on the calling thread; returns the previous mask.
fn change_mask(how: i32, set: Option<&libc::sigset_t>) -> Result<libc::sigset_t> {
    let mut old = empty();
    let set = set.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: null changes nothing; the other set is writable.
    match unsafe { libc::pthread_sigmask(how, set, &raw mut old) } {
        0 => Ok(old),
        errno => Err(Error::System {
            call: "pthread_sigmask",
            source: std::io::Error::from_raw_os_error(errno),
        }),
    }
}

/// Bytes that the kernel needs for a signal frame (large with AVX-512 and AMX).
fn smallest_frame() -> usize {
    /// 0: not asked for yet.
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: whoever asks gets the same answer.
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    // SAFETY: `getauxval` reads a table of the process; an unknown key gives zero.
    let frame = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let frame = frame.max(libc::MINSIGSTKSZ).next_multiple_of(PAGE_SIZE);
    KNOWN.store(frame, Ordering::Relaxed);
    frame
}

fn failed(call: &'static str) -> Error {
    Error::System { call, source: std::io::Error::last_os_error() }
}

/// The calling thread's alternate stack, if it has one.
#[inline(always)]
fn current() -> Result<Option<libc::stack_t>> {
    let stack = sys::alternate_stack().map_err(|errno| Error::System {
        call: "sigaltstack",
        source: std::io::Error::from_raw_os_error(errno),
    })?;
    Ok((stack.ss_flags & libc::SS_DISABLE == 0).then_some(stack))
}

impl AltStack {
    fn map(usable: usize) -> Result<Self> {
        let bytes = usable + PAGE_SIZE;
        let refused =
            |call| move |errno: rustix::io::Errno| Error::System { call, source: errno.into() };
        // SAFETY: a new mapping at an address of the kernel's choice.
        let mapping = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                bytes,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .map_err(refused("mmap"))?;
        let stack = Self { mapping, bytes };
        // SAFETY: the range is inside the mapping just made.
        unsafe {
            rustix::mm::mprotect(stack.low(), usable, MprotectFlags::READ | MprotectFlags::WRITE)
        }
        .map_err(refused("mprotect"))?;
        Ok(stack)
    }

    /// Lowest usable byte.
    fn low(&self) -> *mut libc::c_void {
        self.mapping.wrapping_byte_add(PAGE_SIZE)
    }

    fn install(&self) -> Result<()> {
        let stack =
            libc::stack_t { ss_sp: self.low(), ss_flags: 0, ss_size: self.bytes - PAGE_SIZE };
        // SAFETY: the stack is mapped and stays so until `drop`, which takes it out of use first.
        if unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } != 0 {
            return Err(failed("sigaltstack"));
        }
        Ok(())
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        if let Ok(Some(stack)) = current()
            && stack.ss_sp == self.low()
        {
            let none =
                libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: disabling is always allowed outside of a handler; refused inside one, where nothing is dropped.
            unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
        }
        // SAFETY: the mapping is ours and no thread's alternate stack any more. A refusal leaks it.
        let _ = unsafe { rustix::mm::munmap(self.mapping, self.bytes) };
    }
}

/// `[low, high)` of the calling thread's stack, guard excluded. Cached: async-signal-safe after the first call.
///
/// Empty if the system cannot tell.
pub fn stack_bounds() -> Range<usize> {
    let (low, high) = BOUNDS.get();
    if high != 0 {
        return low..high;
    }
    let (low, high) = ask_bounds().unwrap_or((0, 0));
    BOUNDS.set((low, high));
    low..high
}

fn ask_bounds() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the thread is the calling one; the attributes are writable.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut low, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes were written by the call above.
    let told =
        unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size) };
    // SAFETY: as above; destroyed once.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (told == 0).then(|| (low.addr(), low.addr() + size))
}
