//! Installing the handlers, and keeping them in place.

use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use super::placing::Placing;
use super::predecessors::{self, Chain, same};
use super::{Hook, SIGNALS, copies, newcomer};
use crate::arch::{self, SIGNAL_ENTRIES};
use crate::error::{Error, Result};
use crate::stack;
use crate::sys::{KernelAction, SA_RESTORER};

/// What to do about another handler in the place of ours, such as one that a crash reporter, a language runtime or a
/// sanitizer has installed after us. It would get the first touches of pages, and the process would die at the next
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DisplacedHandlers {
    /// Take the place back. Signals that are not ours go to the newcomer first, and then to the handlers from before.
    #[default]
    Reclaim,
    /// Fail with [`Error::HandlerDisplaced`], which says whose handler it is.
    Error,
    /// Do not check: the host knows that the other handler passes everything on to ours.
    Ignore,
}

/// A [`Hook`], as a thin pointer; null for none.
static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// How often an entry point was installed, by position in `SIGNALS`: entry points are used in turns. Under [`Placing`].
static PLACED: [AtomicUsize; SIGNALS.len()] = [const { AtomicUsize::new(0) }; SIGNALS.len()];

/// The entry point that was on top at the last check: a handler that is installed over it remembers it. Relaxed: orders
/// nothing.
static ON_TOP: [AtomicUsize; SIGNALS.len()] = [const { AtomicUsize::new(0) }; SIGNALS.len()];

/// A signal came to us through another handler.
static BYPASSED: AtomicBool = AtomicBool::new(false);

/// The process is dying of a fault: the default action was restored for that.
static DYING: AtomicBool = AtomicBool::new(false);

const OUR_FLAGS: i32 = libc::SA_SIGINFO | libc::SA_ONSTACK;
/// Flags that our handler cannot run with, should another library have set them.
const FOREIGN_FLAGS: i32 = libc::SA_RESETHAND | libc::SA_NODEFER;

/// Installs the handlers (once per process) and the hook, which gets the signals that no page resolves.
///
/// Handlers that were there before are remembered, and get every signal that is not ours. The same hook may be
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

/// Makes sure that faults of the calling thread reach us: the handlers are in place, and the thread can take their
/// signals ([`prepare_thread`](crate::prepare_thread), done anew).
///
/// To be called before much memory is touched, and after other code may have installed handlers. When nothing has
/// changed, it takes six system calls, less than two microseconds.
///
/// # Errors
/// [`Error::HandlerDisplaced`] when a handler is not ours and is to stay, or when there is no room to remember one more
/// handler; and when the system refuses.
pub fn check(displaced: DisplacedHandlers) -> Result<()> {
    check_handlers(displaced)?;
    stack::prepare_thread_anew()
}

/// Whether a signal came to us through another handler since the last [`check`]: a hint that one is due. One load.
pub fn was_bypassed() -> bool {
    // Relaxed: a hint.
    BYPASSED.load(Ordering::Relaxed)
}

/// Notes that a signal came to us through another handler.
pub(super) fn note_bypass() {
    BYPASSED.store(true, Ordering::Relaxed);
}

/// From now on our handlers are not put back.
pub(super) fn stay_away() {
    DYING.store(true, Ordering::Relaxed);
}

/// Installs the handlers if that was not done yet.
pub(crate) fn ensure_installed() -> Result<()> {
    static DONE: OnceLock<std::result::Result<(), i32>> = OnceLock::new();
    DONE.get_or_init(|| {
        let placing = Placing::begin();
        SIGNALS.iter().enumerate().try_for_each(|(at, &signo)| {
            let before = ask(signo)?;
            take_place(&placing, at, before).map(drop)
        })
    })
    .map_err(refused)
}

/// Checks the handlers, and treats displaced ones as `displaced` says.
pub(crate) fn check_handlers(displaced: DisplacedHandlers) -> Result<()> {
    ensure_installed()?;
    if was_bypassed() {
        BYPASSED.store(false, Ordering::Relaxed);
    }
    if displaced == DisplacedHandlers::Ignore || DYING.load(Ordering::Relaxed) {
        return Ok(());
    }
    for (at, &signo) in SIGNALS.iter().enumerate() {
        let top = KernelAction::of(signo).map_err(refused)?;
        if !is_as_before(at, &top) && !reaches_us(at, &top.into_libc()) {
            restore(at, displaced)?;
        }
    }
    Ok(())
}

/// The hook, if there is one.
pub(super) fn hook() -> Option<Hook> {
    let hook = HOOK.load(Ordering::Acquire);
    // SAFETY: null (which is `None`) or a `Hook` stored by `install`.
    unsafe { mem::transmute::<*mut (), Option<Hook>>(hook) }
}

/// Puts our handler back, unless another thread has done so.
#[cold]
fn restore(at: usize, displaced: DisplacedHandlers) -> Result<()> {
    let placing = Placing::begin();
    let top = ask(SIGNALS[at]).map_err(refused)?;
    if reaches_us(at, &top) {
        return Ok(());
    }
    if let Some(entry) = entry_of(&top) {
        // Ours, put back without our flags: `signal` saves and restores only the address.
        return replace(SIGNALS[at], &our_action(entry)).map(drop).map_err(refused);
    }
    if displaced == DisplacedHandlers::Reclaim && take_place(&placing, at, top).map_err(refused)? {
        return Ok(());
    }
    Err(Error::HandlerDisplaced { signal: name(SIGNALS[at]), by: newcomer::describe(&top) })
}

/// Puts the next entry point on top of `top`. False if there is no room to remember `top`.
fn take_place(_: &Placing, at: usize, mut top: libc::sigaction) -> std::result::Result<bool, i32> {
    let placed = PLACED[at].load(Ordering::Relaxed);
    let entry = placed % SIGNAL_ENTRIES.len();
    let mut below = match placed {
        0 => Chain::EMPTY,
        _ => predecessors::chain(at, ON_TOP[at].load(Ordering::Relaxed)),
    };
    loop {
        // The predecessor is remembered before our handler can run.
        if !predecessors::put_on_top(at, entry, below, &top) {
            return Ok(false);
        }
        let replaced = replace(SIGNALS[at], &our_action(entry))?;
        PLACED[at].store(placed + 1, Ordering::Relaxed);
        ON_TOP[at].store(entry, Ordering::Relaxed);
        match entry_of(&replaced) {
            // The newcomer has removed itself meanwhile, so nothing is to be passed on to it.
            Some(ours) if ours != entry => predecessors::copy(at, entry, ours),
            Some(_) => {}
            None if same(&replaced, &top) => {}
            // Another newcomer was installed meanwhile.
            None => {
                below = predecessors::chain(at, entry);
                top = replaced;
                continue;
            }
        }
        return Ok(true);
    }
}

/// Whether the entry point that was on top at the last check is installed, with our flags: nearly always.
fn is_as_before(at: usize, top: &KernelAction) -> bool {
    let entry = SIGNAL_ENTRIES[ON_TOP[at].load(Ordering::Relaxed)];
    top.handler == entry as *const () as usize && has_our_flags(top.flags(), top.restorer)
}

fn has_our_flags(flags: i32, restorer: usize) -> bool {
    // Where the C library puts an action back, it sets its own restorer.
    flags & (OUR_FLAGS | FOREIGN_FLAGS) == OUR_FLAGS && restorer == arch::signal_restorer() as usize
}

/// Whether the kernel calls our handler with our flags, or a copy of this library that passes signals on to us.
fn reaches_us(at: usize, top: &libc::sigaction) -> bool {
    let Some(entry) = entry_of(top) else {
        return copies::lead_to_us(SIGNALS[at], top.sa_sigaction);
    };
    if ON_TOP[at].load(Ordering::Relaxed) != entry {
        ON_TOP[at].store(entry, Ordering::Relaxed);
    }
    has_our_flags(top.sa_flags, top.sa_restorer.map_or(0, |restorer| restorer as usize))
}

/// Which of our entry points the action calls, if any.
fn entry_of(action: &libc::sigaction) -> Option<usize> {
    entry_at(action.sa_sigaction)
}

/// Which of our entry points is at that address, if any.
pub(super) fn entry_at(addr: usize) -> Option<usize> {
    SIGNAL_ENTRIES.iter().position(|&entry| entry as *const () as usize == addr)
}

/// What is installed for `signo`.
fn ask(signo: i32) -> std::result::Result<libc::sigaction, i32> {
    exchange(signo, None)
}

/// Installs `new`; returns the action that it replaces.
fn replace(signo: i32, new: &libc::sigaction) -> std::result::Result<libc::sigaction, i32> {
    exchange(signo, Some(new))
}

fn exchange(
    signo: i32,
    new: Option<&libc::sigaction>,
) -> std::result::Result<libc::sigaction, i32> {
    // SAFETY: the action comes from `our_action`, and that handler does only what is allowed in a handler.
    unsafe { KernelAction::exchange(signo, new) }
}

fn our_action(entry: usize) -> libc::sigaction {
    // SAFETY: all fields of a `sigaction` may be zero.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = SIGNAL_ENTRIES[entry] as *const () as usize;
    action.sa_flags = OUR_FLAGS | SA_RESTORER;
    action.sa_restorer = Some(arch::signal_restorer());
    // SAFETY: the set is writable. All signals wait while the handler runs.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    action
}

fn refused(errno: i32) -> Error {
    Error::System { call: "sigaction", source: std::io::Error::from_raw_os_error(errno) }
}

fn name(signo: i32) -> &'static str {
    match signo {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL",
        _ => "SIGFPE",
    }
}
