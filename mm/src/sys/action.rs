//! `rt_sigaction` itself, and the mask of a thread as the kernel has it. The C library's wrapper makes every handler return to its own restorer. With our restorer,
//! the handler can recognise that the kernel called it. Its structures are five times as large as the kernel's, too: they
//! are filled and copied only where something changes.
//!
//! # References
//! sigaction(2), "C library/kernel differences".

use std::mem;
use std::ptr;

use crate::arch;

/// Says that the action has a restorer.
pub(crate) const SA_RESTORER: i32 = 0x0400_0000;

/// `struct kernel_sigaction`.
#[repr(C)]
pub(crate) struct KernelAction {
    pub(crate) handler: usize,
    flags: u64,
    pub(crate) restorer: usize,
    mask: u64,
}

impl KernelAction {
    /// What is installed for `signo`, or an error number.
    #[inline(always)]
    pub(crate) fn of(signo: i32) -> Result<Self, i32> {
        // SAFETY: this only asks.
        unsafe { Self::raw_exchange(signo, None) }
    }

    /// Installs `new`, if given; returns the previous action, or an error number.
    ///
    /// # Safety
    /// The handler of `new` does only what is allowed in a handler, and its restorer ends the handler.
    pub(crate) unsafe fn exchange(
        signo: i32,
        new: Option<&libc::sigaction>,
    ) -> Result<libc::sigaction, i32> {
        let new = new.map(Self::from_libc);
        // SAFETY: the caller's promise.
        let old = unsafe { Self::raw_exchange(signo, new.as_ref()) };
        old.map(Self::into_libc)
    }

    /// # Safety
    /// As for [`exchange`](Self::exchange).
    #[inline(always)]
    unsafe fn raw_exchange(signo: i32, new: Option<&Self>) -> Result<Self, i32> {
        let new = new.map_or(ptr::null(), ptr::from_ref);
        let mut old = Self { handler: 0, flags: 0, restorer: 0, mask: 0 };
        let size = size_of_val(&old.mask);
        let arguments =
            [signo as usize, new.expose_provenance(), (&raw mut old).expose_provenance(), size];
        // SAFETY: null only asks, and `old` is writable; the rest is the caller's promise.
        match unsafe { arch::system_call(libc::SYS_rt_sigaction, arguments) } {
            0 => Ok(old),
            error => Err(-error as i32),
        }
    }

    /// The flags that the C library knows.
    pub(crate) fn flags(&self) -> i32 {
        (self.flags as u32).cast_signed()
    }

    fn from_libc(action: &libc::sigaction) -> Self {
        // SAFETY: both C libraries' sets begin with the kernel's, which has 64 bits.
        let mask = unsafe { (&raw const action.sa_mask).cast::<u64>().read() };
        Self {
            handler: action.sa_sigaction,
            flags: u64::from(action.sa_flags.cast_unsigned()),
            restorer: action.sa_restorer.map_or(0, |restorer| restorer as usize),
            mask,
        }
    }

    pub(crate) fn into_libc(self) -> libc::sigaction {
        // SAFETY: all fields of a `sigaction` may be zero.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = self.handler;
        action.sa_flags = self.flags();
        // SAFETY: zero is `None`, and any other value is a function that the kernel was given as a restorer.
        action.sa_restorer =
            unsafe { mem::transmute::<usize, Option<extern "C" fn()>>(self.restorer) };
        // SAFETY: as in `from_libc`. One by one, 64 signals would take longer than to ask for the action.
        unsafe { (&raw mut action.sa_mask).cast::<u64>().write(self.mask) };
        action
    }
}

/// The kernel's set of so many signals, by number.
pub(crate) const fn signal_set(signals: &[i32]) -> u64 {
    let (mut set, mut at) = (0, 0);
    while at < signals.len() {
        set |= 1 << (signals[at] - 1);
        at += 1;
    }
    set
}

/// Those signals that are blocked on the calling thread, or an error number.
#[inline(always)]
pub(crate) fn blocked_signals() -> Result<u64, i32> {
    let mut mask = 0_u64;
    let (none, size) = (0, size_of_val(&mask));
    let arguments = [libc::SIG_BLOCK as usize, none, (&raw mut mask).expose_provenance(), size];
    // SAFETY: null changes nothing, and the mask is writable and has the kernel's size.
    match unsafe { arch::system_call(libc::SYS_rt_sigprocmask, arguments) } {
        0 => Ok(mask),
        error => Err(-error as i32),
    }
}

/// The calling thread's alternate stack, or an error number.
#[inline(always)]
pub(crate) fn alternate_stack() -> Result<libc::stack_t, i32> {
    let mut stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    let arguments = [0, (&raw mut stack).expose_provenance(), 0, 0];
    // SAFETY: null only asks, and the structure is writable.
    match unsafe { arch::system_call(libc::SYS_sigaltstack, arguments) } {
        0 => Ok(stack),
        error => Err(-error as i32),
    }
}
