//! Chaining: what is not ours goes where it would have gone without us.

use std::{mem, ptr};

use libc::{c_int, c_void, siginfo_t};

use super::Signal;
use super::install::{forget_previous, previous};

/// Calls the previous handler as the kernel would have, or lets the default happen.
pub(super) fn chain(signal: &mut Signal<'_>) {
    let Some(old) = previous(signal.signo) else { return die(signal) };
    match old.sa_sigaction {
        libc::SIG_DFL => die(signal),
        // The kernel does not let a thread ignore a fault of its own: it dies of it.
        libc::SIG_IGN if signal.by_kernel() => die(signal),
        libc::SIG_IGN => {}
        _ => call(signal, old),
    }
}

/// Restores the default action. A fault repeats itself when the handler returns; a sent signal is sent once more.
fn die(signal: &Signal<'_>) {
    // SAFETY: all fields of a `sigaction` may be zero, which is `SIG_DFL`.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: installing the default is always sound.
    unsafe { libc::sigaction(signal.signo, &raw const default, ptr::null_mut()) };
    if !signal.by_kernel() {
        // With the sender's own information, to this thread; it arrives when the handler returns.
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

fn call(signal: &mut Signal<'_>, old: &libc::sigaction) {
    if old.sa_flags & libc::SA_RESETHAND != 0 {
        forget_previous(signal.signo);
    }
    let mut mask = union(&signal.context.uc_sigmask, &old.sa_mask);
    if old.sa_flags & libc::SA_NODEFER == 0 {
        // SAFETY: the set is writable and the number is a signal's.
        unsafe { libc::sigaddset(&raw mut mask, signal.signo) };
    }
    // The return from the signal restores the interrupted mask.
    // SAFETY: the set is initialised; a null pointer asks for nothing.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut()) };
    if old.sa_flags & libc::SA_SIGINFO != 0 {
        type Action = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        // SAFETY: with SA_SIGINFO the address is a function of this type, installed by its owner for this signal.
        let action = unsafe { mem::transmute::<usize, Action>(old.sa_sigaction) };
        action(
            signal.signo,
            ptr::from_ref(signal.info).cast_mut(),
            ptr::from_mut(signal.context).cast(),
        );
    } else {
        type Handler = extern "C" fn(c_int);
        // SAFETY: without SA_SIGINFO the address is a function of this type.
        let handler = unsafe { mem::transmute::<usize, Handler>(old.sa_sigaction) };
        handler(signal.signo);
    }
}

/// The signals in either set.
fn union(one: &libc::sigset_t, other: &libc::sigset_t) -> libc::sigset_t {
    let mut both = *one;
    for signo in 1..=64 {
        // SAFETY: the set is initialised; numbers that are no signals give an error, which is not 1.
        if unsafe { libc::sigismember(other, signo) } == 1 {
            // SAFETY: as above, and writable.
            unsafe { libc::sigaddset(&raw mut both, signo) };
        }
    }
    both
}
