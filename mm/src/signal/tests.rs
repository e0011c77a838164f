//! What the rest of the process can do to our handlers, piece by piece; `mm/tests/signals.rs` has the whole.

use std::mem;
use std::ptr;

use super::install::{self, DisplacedHandlers};
use super::predecessors::{self, Chain, same};
use super::{SIGNALS, newcomer};
use crate::tests::child::in_child;

extern "C" fn one(_: i32) {}
extern "C" fn another(_: i32) {
    std::hint::black_box(1);
}

fn action(handler: extern "C" fn(i32)) -> libc::sigaction {
    // SAFETY: all fields of a `sigaction` may be zero.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action
}

fn installed(signo: i32) -> libc::sigaction {
    let mut action = action(one);
    // SAFETY: a null pointer changes nothing; the other is writable.
    assert_eq!(unsafe { libc::sigaction(signo, ptr::null(), &raw mut action) }, 0);
    action
}

fn put(signo: i32, action: &libc::sigaction) {
    // SAFETY: the handlers of this file do nothing.
    assert_eq!(unsafe { libc::sigaction(signo, action, ptr::null_mut()) }, 0);
}

#[test]
fn actions_are_the_same_if_function_flags_and_mask_are() {
    assert!(same(&action(one), &action(one)));
    assert!(!same(&action(one), &action(another)));
    let mut once = action(one);
    once.sa_flags = libc::SA_RESETHAND;
    assert!(!same(&action(one), &once));
    for signo in [1, 33, 64] {
        let mut blocking = action(one);
        // SAFETY: the set is initialised. (The C library refuses the signals that it keeps for itself.)
        let added = unsafe { libc::sigaddset(&raw mut blocking.sa_mask, signo) } == 0;
        assert_eq!(same(&action(one), &blocking), !added, "signal {signo}");
    }
}

#[test]
fn an_entry_point_can_take_over_the_chain_of_another() {
    // In a child: the chains are the process's.
    let output = in_child("an_entry_point_can_take_over_the_chain_of_another", || {
        assert!(predecessors::put_on_top(3, 0, Chain::EMPTY, &action(one)));
        assert!(predecessors::put_on_top(3, 1, predecessors::chain(3, 0), &action(another)));
        predecessors::copy(3, 2, 1);
        assert!(predecessors::chain(3, 2) == predecessors::chain(3, 1));
        assert_eq!(predecessors::chain(3, 2).iter().count(), 2);
        predecessors::copy(3, 2, 0);
        assert_eq!(predecessors::chain(3, 2).iter().count(), 1);
    });
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_handler_is_described_by_what_the_linker_knows_of_it() {
    let at = |addr: usize| {
        let mut action = action(one);
        action.sa_sigaction = addr;
        newcomer::describe(&action)
    };
    assert_eq!(at(libc::SIG_DFL), "the default action");
    assert_eq!(at(libc::SIG_IGN), "SIG_IGN");
    // Not in any object.
    assert_eq!(at(0x10), "the function at 0x10");
    let named = at(libc::getenv as *const () as usize);
    assert!(named.starts_with("`getenv` of /") && named.contains("libc"), "{named}");
    assert!(named.ends_with(&format!("({:#x})", libc::getenv as *const () as usize)), "{named}");
    // One byte on, the nearest symbol is not the function's.
    let inside = at(libc::getenv as *const () as usize + 1);
    assert!(inside.starts_with("a function of /") && inside.contains("libc"), "{inside}");
}

#[test]
fn flags_that_our_handler_cannot_run_with_are_taken_away() {
    let output = in_child("flags_that_our_handler_cannot_run_with_are_taken_away", || {
        install::ensure_installed().unwrap();
        for signo in SIGNALS {
            let ours = installed(signo);
            for flag in [libc::SA_RESETHAND, libc::SA_NODEFER] {
                // The kernel's restorer and mask stay; through the C library they would change with the flag.
                let spoilt = libc::sigaction { sa_flags: ours.sa_flags | flag, ..ours };
                // SAFETY: our own handler, with one flag more.
                unsafe { crate::sys::KernelAction::exchange(signo, Some(&spoilt)) }.unwrap();
                install::check_handlers(DisplacedHandlers::Reclaim).unwrap();
                assert_eq!(installed(signo).sa_flags & flag, 0, "signal {signo}, flag {flag:#x}");
                assert_eq!(installed(signo).sa_sigaction, ours.sa_sigaction);
            }
        }
    });
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_process_that_dies_of_a_fault_is_left_to_die() {
    let output = in_child("a_process_that_dies_of_a_fault_is_left_to_die", || {
        install::ensure_installed().unwrap();
        let default = libc::sigaction { sa_sigaction: libc::SIG_DFL, ..action(one) };
        put(libc::SIGSEGV, &default);
        install::check_handlers(DisplacedHandlers::Reclaim).unwrap();
        assert_ne!(installed(libc::SIGSEGV).sa_sigaction, libc::SIG_DFL, "put back until then");
        // What the handler does before the fault repeats itself: another thread that makes an instance meanwhile
        // must not bring the handler back, or the process would never end.
        install::stay_away();
        put(libc::SIGSEGV, &default);
        install::check_handlers(DisplacedHandlers::Reclaim).unwrap();
        assert_eq!(installed(libc::SIGSEGV).sa_sigaction, libc::SIG_DFL);
    });
    assert!(output.status.success(), "{output:?}");
}
