//! Chaining: a signal that is not ours goes where it would have gone without us.
//!
//! A predecessor may pass a signal on to the handler that was there before it, and that may be us: the signal comes
//! back. So that two such handlers do not call each other for ever, each call leaves a [`Visit`] on its stack, and a
//! predecessor that is being called for a signal is skipped when the signal comes back.

use std::{mem, ptr};

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::predecessors::{self, Predecessor, is_member};
use super::{SIGNALS, Signal, install, placing};

/// Calls the predecessor of the entry point as the kernel would have, or takes the default action.
///
/// While another thread is putting an entry point in place, the handler just returns and the fault repeats itself: it
/// may be meant for a handler that was installed in between and is not in the chain yet.
pub(super) fn chain(signal: &mut Signal<'_>) {
    if signal.by_kernel() && placing::is_being_placed() {
        rustix::thread::sched_yield();
        return;
    }
    let at = SIGNALS.iter().position(|&ours| ours == signal.signo).unwrap_or(SIGNALS.len());
    let mut chain = predecessors::chain(at, signal.entry).iter();
    let next = chain.find(|&index| !Visit::is_under_way(signal.context, index));
    let Some((index, old)) = next.and_then(|index| Some((index, predecessors::get(at, index)?)))
    else {
        return die(signal);
    };
    match old.action().map_or(libc::SIG_DFL, |action| action.sa_sigaction) {
        libc::SIG_DFL => die(signal),
        // The kernel does not let a thread ignore its own fault: the process dies.
        libc::SIG_IGN if signal.by_kernel() => die(signal),
        libc::SIG_IGN => {}
        _ => call(signal, index, old),
    }
}

/// Restores the default action. A fault repeats itself when the handler returns; a sent signal is sent once more.
fn die(signal: &Signal<'_>) {
    if signal.by_kernel() {
        install::stay_away();
    }
    // SAFETY: all fields of a `sigaction` may be zero, which is `SIG_DFL`.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: installing the default is always sound.
    unsafe { libc::sigaction(signal.signo, &raw const default, ptr::null_mut()) };
    if !signal.by_kernel() {
        // Queued for this thread, with the sender's information; it arrives when the handler returns.
        // SAFETY: the information is valid; the call takes integers and that pointer.
        unsafe {
            libc::syscall(
                libc::SYS_rt_tgsigqueueinfo,
                libc::getpid(),
                libc::gettid(),
                signal.signo,
                ptr::from_ref(signal.info),
            )
        };
    }
}

fn call(signal: &mut Signal<'_>, index: usize, old: &Predecessor) {
    let Some(action) = old.action().filter(|_| old.take_call()) else { return die(signal) };
    let mut mask = union(&signal.context.uc_sigmask, &action.sa_mask);
    if action.sa_flags & libc::SA_NODEFER == 0 {
        // SAFETY: the set is writable and the number is a signal's.
        unsafe { libc::sigaddset(&raw mut mask, signal.signo) };
    }
    // The caller of this handler restores the mask: the kernel that of the interrupted code, `handler` that of another
    // handler.
    // SAFETY: the set is initialised; a null pointer asks for nothing.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut()) };
    let visit = Visit { owner: Visit::owner(), index, outer: signal.context.uc_link.cast() };
    signal.context.uc_link = ptr::from_ref(&visit).cast_mut().cast();
    if action.sa_flags & libc::SA_SIGINFO != 0 {
        type Action = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        // SAFETY: with SA_SIGINFO the address is a function of this type, which its owner installed for this signal.
        let function = unsafe { mem::transmute::<usize, Action>(action.sa_sigaction) };
        function(
            signal.signo,
            ptr::from_ref(signal.info).cast_mut(),
            ptr::from_mut(signal.context).cast(),
        );
    } else {
        type Handler = extern "C" fn(c_int);
        // SAFETY: without SA_SIGINFO the address is a function of this type.
        let function = unsafe { mem::transmute::<usize, Handler>(action.sa_sigaction) };
        function(signal.signo);
    }
    signal.context.uc_link = visit.outer.cast_mut().cast();
}

/// A call of a predecessor that has not returned, on the stack of the caller.
///
/// Visits are linked through `uc_link` of the signal's context, which the kernel sets to null and does not read. So a
/// signal that comes back brings its visits along, even in a copy of its context, and a predecessor that leaves by
/// `longjmp` leaves nothing behind. Copies of this library in one process link their visits into the same list, so the
/// layout must never change.
#[repr(C)]
struct Visit {
    /// The copy of this library whose predecessor is being called.
    owner: *const c_void,
    index: usize,
    outer: *const Visit,
}

impl Visit {
    /// An address that no other copy of this library has.
    fn owner() -> *const c_void {
        static HERE: u8 = 0;
        (&raw const HERE).cast()
    }

    /// Whether the predecessor with that number is already being called for the signal of `context`.
    fn is_under_way(context: &ucontext_t, index: usize) -> bool {
        let mut next: *const Visit = context.uc_link.cast();
        // SAFETY: null from the kernel, or set by `call`, whose frame exists until the signal is handled.
        while let Some(visit) = unsafe { next.as_ref() } {
            if visit.owner == Self::owner() && visit.index == index {
                return true;
            }
            next = visit.outer;
        }
        false
    }
}

/// The signals in either set.
fn union(one: &libc::sigset_t, other: &libc::sigset_t) -> libc::sigset_t {
    let mut both = *one;
    for signo in (1..=64).filter(|&signo| is_member(other, signo)) {
        // SAFETY: the set is initialised, and writable.
        unsafe { libc::sigaddset(&raw mut both, signo) };
    }
    both
}
