//! `rt_sigaction` itself. The C library's wrapper makes every handler return to its own restorer. With our restorer,
//! the handler can recognise that the kernel called it.
//!
//! # References
//! sigaction(2), "C library/kernel differences".

use std::mem;
use std::ptr;

/// Says that the action has a restorer.
pub(crate) const SA_RESTORER: i32 = 0x0400_0000;

/// `struct kernel_sigaction`.
#[repr(C)]
pub(crate) struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

impl KernelAction {
    /// Installs `new`, if given; returns the previous action, or an error number.
    ///
    /// # Safety
    /// The handler of `new` does only what is allowed in a handler, and its restorer ends the handler.
    pub(crate) unsafe fn exchange(
        signo: i32,
        new: Option<&libc::sigaction>,
    ) -> Result<libc::sigaction, i32> {
        let new = new.map(Self::from_libc);
        let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
        let mut old = Self { handler: 0, flags: 0, restorer: 0, mask: 0 };
        // SAFETY: null only asks, and `old` is writable; the rest is the caller's promise.
        let done = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signo, new, &raw mut old, size_of_val(&old.mask))
        };
        match done {
            0 => Ok(old.into_libc()),
            _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
        }
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

    fn into_libc(self) -> libc::sigaction {
        // SAFETY: all fields of a `sigaction` may be zero.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = self.handler;
        action.sa_flags = (self.flags as u32).cast_signed();
        // SAFETY: zero is `None`, and any other value is a function that the kernel was given as a restorer.
        action.sa_restorer =
            unsafe { mem::transmute::<usize, Option<extern "C" fn()>>(self.restorer) };
        // SAFETY: as in `from_libc`. One by one, 64 signals would take longer than to ask for the action.
        unsafe { (&raw mut action.sa_mask).cast::<u64>().write(self.mask) };
        action
    }
}
