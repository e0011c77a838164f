//! Signals that are not first touches end where they would have ended without us.

mod common;

use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use common::child::{in_child, passed};
use common::{load, prepare, store};
use seqfault_mm::signal::{self, Disposition, Signal};
use seqfault_mm::{Error, FaultKind, Region, RegionOptions, prepare_thread, stack_bounds};

const NOWHERE: usize = 0x10;

fn region() -> Region {
    RegionOptions::new(1 << 20).guard(1 << 20).accessible(1 << 16).build().unwrap()
}

fn crash() -> i32 {
    // SAFETY: not safe at all; the process is to die of it, or a handler to end it.
    unsafe { ptr::with_exposed_provenance::<u8>(NOWHERE).read_volatile() };
    0
}

/// Installs `handler` for SIGSEGV as a host would.
fn install(handler: usize, flags: i32, blocked: Option<i32>) {
    // SAFETY: all fields of a `sigaction` may be zero.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    if let Some(signo) = blocked {
        // SAFETY: the set is a valid one.
        unsafe { libc::sigaddset(&raw mut action.sa_mask, signo) };
    }
    // SAFETY: the handlers of this file do what a handler may.
    assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) }, 0);
}

fn exit(code: i32) -> ! {
    // SAFETY: `_exit` is async-signal-safe.
    unsafe { libc::_exit(code) }
}

#[test]
fn a_segfault_of_the_host_kills_it() {
    let output = in_child("a_segfault_of_the_host_kills_it", || {
        prepare();
        let region = region();
        region.write(0, &[1]).unwrap();
        crash()
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_segfault_is_ignored_by_nobody() {
    let output = in_child("a_segfault_is_ignored_by_nobody", || {
        install(libc::SIG_IGN, 0, None);
        let _region = region();
        // A signal that is sent is ignored, as the host wants.
        // SAFETY: raises a signal on this thread.
        unsafe { libc::raise(libc::SIGSEGV) };
        // One that the host causes cannot be.
        crash()
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_signal_that_is_sent_kills_as_before() {
    let output = in_child("a_signal_that_is_sent_kills_as_before", || {
        install(libc::SIG_DFL, 0, None);
        let _region = region();
        // SAFETY: raises a signal on this thread.
        unsafe { libc::raise(libc::SIGSEGV) };
        0
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_handler_that_was_there_before_gets_the_signal() {
    extern "C" fn handler(signo: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel's own structure.
        let addr = unsafe { (*info).si_addr() }.addr();
        exit(if signo == libc::SIGSEGV && addr == NOWHERE && !context.is_null() { 42 } else { 1 });
    }
    let output = in_child("a_handler_that_was_there_before_gets_the_signal", || {
        install(handler as *const () as usize, libc::SA_SIGINFO, None);
        let region = region();
        region.write(0, &[1]).unwrap();
        crash()
    });
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn a_denied_access_that_no_hook_wants_goes_to_the_handler_before() {
    extern "C" fn handler(_: i32) {
        exit(43);
    }
    let output = in_child("a_denied_access_that_no_hook_wants_goes_to_the_handler_before", || {
        install(handler as *const () as usize, 0, None);
        let region = region();
        // SAFETY: inside the reservation; the handler ends the process.
        unsafe { region.base().wrapping_add(3 << 19).read_volatile() };
        0
    });
    assert_eq!(output.status.code(), Some(43));
}

/// Whether `signo` is blocked on this thread.
fn blocked(signo: i32) -> bool {
    // SAFETY: all sets may be zero, and the call writes this one.
    let mut mask: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: a null set changes nothing; the other is writable.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), &raw mut mask) };
    // SAFETY: the set is valid.
    unsafe { libc::sigismember(&raw const mask, signo) == 1 }
}

#[test]
fn the_handler_before_runs_with_the_mask_it_asked_for() {
    extern "C" fn handler(_: i32) {
        let right = blocked(libc::SIGSEGV) && blocked(libc::SIGUSR1) && !blocked(libc::SIGUSR2);
        exit(if right { 44 } else { 1 });
    }
    let output = in_child("the_handler_before_runs_with_the_mask_it_asked_for", || {
        install(handler as *const () as usize, 0, Some(libc::SIGUSR1));
        let _region = region();
        crash()
    });
    assert_eq!(output.status.code(), Some(44));
}

#[test]
fn no_defer_and_reset_hand_are_honoured() {
    static CALLS: AtomicI32 = AtomicI32::new(0);
    extern "C" fn handler(_: i32) {
        // Not blocked, and only once: the second fault, at the same place, must be the default's.
        if blocked(libc::SIGSEGV) || CALLS.fetch_add(1, Ordering::Relaxed) != 0 {
            exit(1);
        }
    }
    let output = in_child("no_defer_and_reset_hand_are_honoured", || {
        install(handler as *const () as usize, libc::SA_NODEFER | libc::SA_RESETHAND, None);
        let _region = region();
        crash()
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn errno_survives_a_fault() {
    // A hook that calls the C library, as one may that writes to a log: `write` fails and says so in `errno`.
    unsafe fn hook(signal: &mut Signal<'_>) -> Disposition {
        // SAFETY: no descriptor, and nothing to read.
        assert_eq!(unsafe { libc::write(-1, ptr::null(), 0) }, -1);
        // SAFETY: the location is this thread's.
        assert_eq!(unsafe { *libc::__errno_location() }, libc::EBADF);
        signal.set_pc(signal.pc() + 2);
        Disposition::Handled
    }
    let output = in_child("errno_survives_a_fault", || {
        signal::install(hook).unwrap();
        prepare_thread().unwrap();
        // SAFETY: the location is this thread's.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above.
        unsafe { *errno = 77 };
        // SAFETY: the hook steps over it.
        unsafe { std::arch::asm!("ud2") };
        // SAFETY: as above.
        assert_eq!(unsafe { *errno }, 77);
        0
    });
    passed(&output);
}

#[test]
fn a_denied_access_reaches_the_hook_on_any_thread() {
    let region = region();
    let check = || {
        prepare();
        let end = region.base().wrapping_add(1 << 16);
        // SAFETY: inside the reservation, guard included.
        let denials = unsafe {
            [load(end).map(drop), store(end, 1), load(end.wrapping_add(3 << 19)).map(drop)]
        };
        assert_eq!(denials, [Err(FaultKind::OutOfBounds); 3]);
    };
    check();
    std::thread::scope(|scope| scope.spawn(check).join().unwrap());
}

#[test]
fn other_signals_reach_the_hook_too() {
    unsafe fn hook(signal: &mut Signal<'_>) -> Disposition {
        if signal.signo == libc::SIGILL && signal.fault.is_none() && signal.addr() == signal.pc() {
            // Over the two bytes of `ud2`.
            signal.set_pc(signal.pc() + 2);
            return Disposition::Handled;
        }
        Disposition::NotOurs
    }
    let output = in_child("other_signals_reach_the_hook_too", || {
        signal::install(hook).unwrap();
        // SAFETY: the hook steps over it.
        unsafe { std::arch::asm!("ud2") };
        0
    });
    passed(&output);
}

#[test]
fn a_second_hook_is_refused() {
    unsafe fn other(_: &mut Signal<'_>) -> Disposition {
        Disposition::NotOurs
    }
    prepare();
    prepare();
    assert!(matches!(signal::install(other), Err(Error::HookTaken)));
}

fn alt_stack() -> libc::stack_t {
    // SAFETY: all fields may be zero, and the call writes them.
    let mut stack: libc::stack_t = unsafe { mem::zeroed() };
    // SAFETY: a null stack changes nothing; the other is writable.
    assert_eq!(unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) }, 0);
    stack
}

#[test]
fn the_alternate_stack_is_large_and_stays() {
    std::thread::spawn(|| {
        prepare_thread().unwrap();
        let first = alt_stack();
        assert!(first.ss_flags & libc::SS_DISABLE == 0 && first.ss_size >= 64 << 10);
        prepare_thread().unwrap();
        assert_eq!(alt_stack().ss_sp, first.ss_sp);
    })
    .join()
    .unwrap();
}

#[test]
fn the_alternate_stack_has_a_guard_page_below() {
    let output = in_child("the_alternate_stack_has_a_guard_page_below", || {
        prepare_thread().unwrap();
        let low = alt_stack().ss_sp.cast::<u8>();
        // SAFETY: the lowest byte is mapped.
        unsafe { low.write_volatile(1) };
        // SAFETY: not safe: the byte below is the guard's, and the process is to die of it.
        unsafe { low.wrapping_sub(1).write_volatile(1) };
        0
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn threads_give_their_alternate_stacks_back() {
    let output = in_child("threads_give_their_alternate_stacks_back", || {
        let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        let run = || std::thread::spawn(|| prepare_thread().unwrap()).join().unwrap();
        (0..8).for_each(|_| run());
        let before = mappings();
        (0..200).for_each(|_| run());
        i32::from(mappings() > before + 20)
    });
    passed(&output);
}

#[test]
fn stack_bounds_hold_the_stack() {
    let check = || {
        let local = 0;
        let here = (&raw const local).addr();
        let bounds = stack_bounds();
        assert!(bounds.contains(&here), "{here:#x} is not in {bounds:#x?}");
        assert_eq!(bounds, stack_bounds());
    };
    check();
    std::thread::spawn(check).join().unwrap();
}

#[test]
fn a_jump_into_a_region_is_no_first_touch() {
    let output = in_child("a_jump_into_a_region_is_no_first_touch", || {
        let region = region();
        region.write(0, &[0xc3]).unwrap();
        // SAFETY: not safe: the page is not executable, and the process is to die of it.
        let jump: extern "C" fn() = unsafe { mem::transmute(region.base()) };
        jump();
        0
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

/// What somebody outside may do to the first page.
fn protect_behind_our_back(region: &Region, to: i32) {
    // SAFETY: the page is a region's; nothing but the test uses it.
    assert_eq!(unsafe { libc::mprotect(region.base().cast(), 4096, to) }, 0);
}

#[test]
fn a_page_that_somebody_else_took_away_is_a_crash_and_not_a_hang() {
    let output = in_child("a_page_that_somebody_else_took_away_is_a_crash_and_not_a_hang", || {
        // A hang ends with another signal.
        // SAFETY: takes a number.
        unsafe { libc::alarm(60) };
        let region = region();
        region.write(0, &[1]).unwrap();
        protect_behind_our_back(&region, libc::PROT_NONE);
        // SAFETY: inside the region; the process is to die of it.
        unsafe { region.base().read_volatile() };
        0
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_page_that_somebody_else_takes_away_for_a_moment_is_waited_for() {
    let region = region();
    region.write(0, &[1]).unwrap();
    let away = AtomicI32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10 {
                protect_behind_our_back(&region, libc::PROT_NONE);
                away.fetch_add(1, Ordering::Release);
                std::thread::sleep(std::time::Duration::from_millis(10));
                protect_behind_our_back(&region, libc::PROT_READ);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        prepare_thread().unwrap();
        while away.load(Ordering::Acquire) < 10 {
            // SAFETY: inside the region.
            assert_eq!(unsafe { region.base().read_volatile() }, 1);
        }
    });
    assert!(region.counters().claim_lost > 0, "{:?}", region.counters());
}

/// With a newcomer on top that leaves all signals open, a handler of the host's that touches the same memory must still not run
/// between our claim and its publication: it would wait for the thread that it interrupts.
#[test]
fn signals_wait_while_another_handler_passes_a_fault_on() {
    static BASE: AtomicUsize = AtomicUsize::new(0);
    static AT: AtomicUsize = AtomicUsize::new(0);
    static OURS: AtomicUsize = AtomicUsize::new(0);
    static TICKS: AtomicUsize = AtomicUsize::new(0);
    const SIZE: usize = 64 << 20;
    type Action = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
    extern "C" fn passes_on(signo: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the handler that was there before, which is ours.
        let ours = unsafe { mem::transmute::<usize, Action>(OURS.load(Ordering::Relaxed)) };
        ours(signo, info, context);
    }
    extern "C" fn ticks(_: i32) {
        TICKS.fetch_add(1, Ordering::Relaxed);
        let addr = BASE.load(Ordering::Relaxed) + AT.load(Ordering::Relaxed);
        // SAFETY: inside the region.
        unsafe { ptr::with_exposed_provenance::<u8>(addr).read_volatile() };
    }
    fn action(signo: i32, handler: usize, flags: i32) -> usize {
        // SAFETY: all fields of a `sigaction` may be zero.
        let (mut new, mut old): (libc::sigaction, libc::sigaction) = unsafe { mem::zeroed() };
        new.sa_sigaction = handler;
        new.sa_flags = flags | libc::SA_ONSTACK | libc::SA_RESTART;
        // SAFETY: the handlers do what one may.
        assert_eq!(unsafe { libc::sigaction(signo, &raw const new, &raw mut old) }, 0);
        old.sa_sigaction
    }
    fn mask(how: i32) {
        // SAFETY: all sets may be zero.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: the set is writable, and the number is a signal's.
        unsafe { libc::sigaddset(&raw mut set, libc::SIGALRM) };
        // SAFETY: the set is valid.
        assert_eq!(unsafe { libc::pthread_sigmask(how, &raw const set, ptr::null_mut()) }, 0);
    }
    let output = in_child("signals_wait_while_another_handler_passes_a_fault_on", || {
        prepare();
        let windows = 2 << 20..=2 << 20;
        let region =
            RegionOptions::new(SIZE).accessible(SIZE).fault_around(windows).build().unwrap();
        BASE.store(region.base().expose_provenance(), Ordering::Relaxed);
        let flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        for signo in [libc::SIGSEGV, libc::SIGBUS] {
            OURS.store(action(signo, passes_on as *const () as usize, flags), Ordering::Relaxed);
        }
        action(libc::SIGALRM, ticks as *const () as usize, 0);
        // SAFETY: takes nothing.
        let toucher = unsafe { libc::pthread_self() };
        std::thread::spawn(move || {
            loop {
                // SAFETY: that thread lives as long as the process, and has a handler for the signal.
                unsafe { libc::pthread_kill(toucher, libc::SIGALRM) };
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        while TICKS.load(Ordering::Relaxed) < 2000 {
            for at in (0..SIZE).step_by(2 << 20) {
                AT.store(at, Ordering::Relaxed);
                // SAFETY: inside the region.
                unsafe { region.base().wrapping_add(at).write_volatile(1) };
            }
            // Not while this thread holds the lock, which is the host's own doing.
            mask(libc::SIG_BLOCK);
            region.discard(0..SIZE).unwrap();
            mask(libc::SIG_UNBLOCK);
        }
        // Nothing touches the region when it is gone.
        mask(libc::SIG_BLOCK);
        0
    });
    passed(&output);
}

#[test]
fn a_loop_over_the_same_word_is_not_taken_for_a_hang() {
    let region = region();
    prepare();
    // The same instruction at the same address, with a new first touch each time.
    for _ in 0..200_000 {
        // SAFETY: inside the region.
        let value = unsafe { load(region.base()) };
        assert_eq!(value, Ok(0));
        region.discard(0..4096).unwrap();
    }
}
