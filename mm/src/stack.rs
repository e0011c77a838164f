//! Stacks of the calling thread: the alternate one that signal handlers run on, and the bounds of the normal one.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::PAGE_SIZE;
use crate::error::{Error, Result};

/// What our handler, the hook above it and a chained handler may use.
const WANTED: usize = 64 << 10;

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

/// Makes sure that the calling thread has an alternate signal stack that is large enough, with a guard page below.
///
/// A stack that is large enough already stays. Ours goes when the thread ends. Cheap when done before.
///
/// # Errors
/// When there is no memory for it.
pub fn ensure_alt_stack() -> Result<()> {
    if READY.get() {
        return Ok(());
    }
    let wanted = WANTED + smallest_frame();
    if current()?.is_none_or(|stack| stack.ss_size < wanted) {
        let stack = AltStack::map(wanted)?;
        stack.install()?;
        // `set` drops a former one, which is not in use any more.
        OWNED.set(Some(stack));
    }
    READY.set(true);
    Ok(())
}

/// Bytes that the kernel itself needs for a signal frame (large with AVX-512 and AMX).
fn smallest_frame() -> usize {
    // SAFETY: `getauxval` reads a table of the process; an unknown key gives zero.
    let frame = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    frame.max(libc::MINSIGSTKSZ).next_multiple_of(PAGE_SIZE)
}

fn failed(call: &'static str) -> Error {
    Error::System { call, source: std::io::Error::last_os_error() }
}

/// The calling thread's alternate stack, if it has one.
fn current() -> Result<Option<libc::stack_t>> {
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: a null first argument only asks; the second is writable.
    if unsafe { libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) } != 0 {
        return Err(failed("sigaltstack"));
    }
    // SAFETY: the call succeeded, so it wrote the structure.
    let stack = unsafe { stack.assume_init() };
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
