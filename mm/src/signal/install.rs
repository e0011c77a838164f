//! Installing the handlers once, and remembering what was there before.

use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Hook, handler};
use crate::error::{Error, Result};

/// The signals that an access, an instruction or a division can raise.
const SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// A [`Hook`], as a thin pointer; null for none.
static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// What was installed before us, by position in `SIGNALS`. Leaked: read in handlers, at any time.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// Installs the handlers (once per process) and the hook that gets what no page resolves.
///
/// Handlers that were there before are remembered and called for everything that is not ours. The same hook may be
/// installed again.
///
/// # Errors
/// When another hook is installed, or the system refuses.
pub fn install(hook: Hook) -> Result<()> {
    let new = hook as *mut ();
    // Release pairs with the Acquire in `hook`.
    match HOOK.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {}
        Err(old) if old == new => {}
        Err(_) => return Err(Error::HookTaken),
    }
    ensure_installed()
}

/// Installs the handlers if that was not done yet.
pub(crate) fn ensure_installed() -> Result<()> {
    static DONE: OnceLock<std::result::Result<(), i32>> = OnceLock::new();
    DONE.get_or_init(|| {
        SIGNALS.iter().enumerate().try_for_each(|(at, &signo)| take_over(at, signo))
    })
    .map_err(|errno| Error::System {
        call: "sigaction",
        source: std::io::Error::from_raw_os_error(errno),
    })
}

/// The hook, if there is one.
pub(super) fn hook() -> Option<Hook> {
    let hook = HOOK.load(Ordering::Acquire);
    // SAFETY: null (which is `None`) or a `Hook` stored by `install`.
    unsafe { mem::transmute::<*mut (), Option<Hook>>(hook) }
}

/// What handled `signo` before us.
pub(super) fn previous(signo: i32) -> Option<&'static libc::sigaction> {
    let at = SIGNALS.iter().position(|&ours| ours == signo)?;
    // SAFETY: null or leaked by `take_over`, never written again.
    unsafe { PREVIOUS[at].load(Ordering::Acquire).as_ref() }
}

/// From now on there was nothing before us (what `SA_RESETHAND` asks for after one call).
pub(super) fn forget_previous(signo: i32) {
    if let Some(at) = SIGNALS.iter().position(|&ours| ours == signo) {
        PREVIOUS[at].store(ptr::null_mut(), Ordering::Release);
    }
}

fn take_over(at: usize, signo: i32) -> std::result::Result<(), i32> {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // The old action is remembered before ours can run.
    // SAFETY: a null action only asks; `old` is writable.
    check(unsafe { libc::sigaction(signo, ptr::null(), old.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it wrote the structure.
    let old = Box::leak(Box::new(unsafe { old.assume_init() }));
    // Release pairs with the Acquire in `previous`.
    PREVIOUS[at].store(old, Ordering::Release);

    // SAFETY: all fields of a `sigaction` may be zero.
    let mut new: libc::sigaction = unsafe { mem::zeroed() };
    new.sa_sigaction = handler as *const () as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the set is writable. All signals wait while the handler runs.
    unsafe { libc::sigfillset(&raw mut new.sa_mask) };
    // SAFETY: the handler keeps to what is allowed in one.
    check(unsafe { libc::sigaction(signo, &raw const new, ptr::null_mut()) })
}

fn check(result: i32) -> std::result::Result<(), i32> {
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL))
    }
}
