//! Handlers that others install after the first engine was made.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libc::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, c_int, c_void, siginfo_t};
use seqfault::{Config, DisplacedHandlers};

use crate::guest::Host;
use crate::{Case, End};

const SIGNALS: [c_int; 4] = [SIGSEGV, SIGBUS, SIGILL, SIGFPE];

/// An address in nobody's memory.
const NOWHERE: usize = 0x40;

type Action = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

fn address(action: Action) -> usize {
    action as *const () as usize
}

/// Installs a handler as a host would; what was there.
fn install(signo: c_int, handler: usize, flags: c_int) -> libc::sigaction {
    // SAFETY: all fields of a `sigaction` may be zero.
    let mut new: libc::sigaction = unsafe { mem::zeroed() };
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    install_action(signo, &new)
}

fn install_action(signo: c_int, new: &libc::sigaction) -> libc::sigaction {
    // SAFETY: all fields of a `sigaction` may be zero.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the handlers of this file do what a handler may.
    assert_eq!(unsafe { libc::sigaction(signo, new, &raw mut old) }, 0);
    old
}

/// The same for all four signals.
fn install_all(handler: usize, flags: c_int) {
    for signo in SIGNALS {
        install(signo, handler, flags);
    }
}

fn exit(code: c_int) -> ! {
    // SAFETY: `_exit` may be called in a handler.
    unsafe { libc::_exit(code) }
}

/// Dies as a host with a wild pointer does, unless a handler does better.
fn crash() {
    // SAFETY: not safe; what the handlers make of it is the point.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(NOWHERE).write_volatile(1) };
}

fn host() -> Host {
    Host::new(&Config::new()).unwrap()
}

fn with(displaced: DisplacedHandlers) -> Host {
    Host::new(Config::new().displaced_handlers(displaced)).unwrap()
}

/// A crash reporter that knows nobody: whatever comes is the end.
extern "C" fn reporter(_: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's own structure, or what was passed on.
    let addr = unsafe { (*info).si_addr() }.addr();
    exit(if addr == NOWHERE && !context.is_null() { 42 } else { 41 });
}

extern "C" fn reporter_without_details(_: c_int) {
    exit(43);
}

/// What was there before `passes_on`, for each signal, and how often it was called.
static PREDECESSORS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
static CALLS: AtomicUsize = AtomicUsize::new(0);
static IS_CRASHING: AtomicBool = AtomicBool::new(false);

fn position(signo: c_int) -> usize {
    SIGNALS.iter().position(|&one| one == signo).unwrap()
}

/// A good citizen: gives everything to its predecessor.
extern "C" fn passes_on(signo: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if IS_CRASHING.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    let predecessor = PREDECESSORS[position(signo)].load(Ordering::Relaxed);
    // SAFETY: all predecessors in this program are of this type.
    let predecessor = unsafe { mem::transmute::<usize, Action>(predecessor) };
    predecessor(signo, info, context);
}

fn install_passing_on() {
    for signo in SIGNALS {
        // Asked before, so that the handler never runs without.
        let before = current(signo).sa_sigaction;
        if before == address(passes_on) {
            continue;
        }
        PREDECESSORS[position(signo)].store(before, Ordering::Relaxed);
        install(signo, address(passes_on), libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER);
    }
}

/// The first of all; its code tells whether the newcomer was called as often as is right: once.
extern "C" fn was_here_first(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    exit(if CALLS.load(Ordering::Relaxed) == 1 { 44 } else { 45 });
}

fn install_first() {
    install_all(address(was_here_first), libc::SA_SIGINFO | libc::SA_ONSTACK);
}

fn crash_counted() {
    IS_CRASHING.store(true, Ordering::Relaxed);
    crash();
}

/// Puts back what was there before it, and returns: the fault comes again.
extern "C" fn steps_down(signo: c_int, _: *mut siginfo_t, _: *mut c_void) {
    if CALLS.fetch_add(1, Ordering::Relaxed) == 3 {
        exit(46);
    }
    let predecessor = PREDECESSORS[position(signo)].load(Ordering::Relaxed);
    install(signo, predecessor, libc::SA_SIGINFO | libc::SA_ONSTACK);
}

fn current(signo: c_int) -> libc::sigaction {
    // SAFETY: all fields of a `sigaction` may be zero.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: null only asks; the other is writable.
    assert_eq!(unsafe { libc::sigaction(signo, ptr::null(), &raw mut action) }, 0);
    action
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = displaced();
    cases.extend(flags());
    cases.extend(passing_on());
    cases.extend(leaving());
    cases
}

/// What is done about a newcomer.
fn displaced() -> Vec<Case> {
    let newcomers = [
        ("reporter", address(reporter), libc::SA_SIGINFO),
        ("ignore", libc::SIG_IGN, 0),
        ("default", libc::SIG_DFL, 0),
    ];
    let reclaimed = newcomers.map(|(name, handler, flags)| {
        Case::new(format!("newcomer::{name}::is_displaced_at_instantiation"), move || {
            let host = host();
            let mut old = host.use_all();
            install_all(handler, flags);
            host.use_all();
            old.touch();
            old.trap();
        })
    });
    let crashes = newcomers.map(|(name, handler, flags)| {
        let end = if flags == 0 { End::Signal(SIGSEGV) } else { End::Code(42) };
        Case::new(format!("newcomer::{name}::gets_what_is_not_ours"), move || {
            let host = host();
            install_all(handler, flags);
            host.use_all();
            crash();
        })
        .ends(end)
    });
    let mut cases: Vec<Case> = reclaimed.into_iter().chain(crashes).collect();
    for signo in SIGNALS {
        cases.push(Case::new(
            format!("newcomer::is_an_error_if_so_configured::{signo}"),
            move || {
                let host = with(DisplacedHandlers::Error);
                host.use_all();
                install(signo, address(reporter), libc::SA_SIGINFO);
                let message = host.guest().err().expect("an error").to_string();
                let name = ["SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"][position(signo)];
                let program = std::env::current_exe().unwrap();
                let program = program.file_name().unwrap().to_str().unwrap();
                let address = format!("{:#x}", address(reporter));
                for part in [name, program, address.as_str(), "before the first engine"] {
                    assert!(message.contains(part), "{part}: {message}");
                }
                let again = Host::new(Config::new().displaced_handlers(DisplacedHandlers::Error));
                assert!(again.is_err());
                assert!(host.engine.check_signals().is_err());
                // Another engine may take the place back.
                self::host().use_all();
                host.use_all();
            },
        ));
    }
    cases.push(
        Case::new("newcomer::a_crash_is_not_held_up_by_who_takes_the_place_back", || {
            let host = host();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        loop {
                            host.engine.check_signals().unwrap();
                        }
                    });
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
                crash();
            });
        })
        .ends(End::Signal(SIGSEGV)),
    );
    cases.push(
        Case::new("newcomer::gets_first_touches_if_so_configured", || {
            let host = with(DisplacedHandlers::Ignore);
            install_all(address(reporter), libc::SA_SIGINFO | libc::SA_ONSTACK);
            host.use_all();
        })
        .ends(End::Code(41)),
    );
    cases.push(Case::new("newcomer::is_displaced_when_the_host_says_so", || {
        let host = host();
        let mut old = host.use_all();
        install_all(address(reporter), libc::SA_SIGINFO);
        host.engine.check_signals().unwrap();
        old.touch();
        old.trap();
    }));
    cases.push(Case::new("newcomer::is_displaced_by_a_new_engine_and_a_new_memory", || {
        use seqfault::{Access, MemoryType, SharedMemory};
        let host = host();
        for _ in 0..3 {
            install_all(address(reporter), libc::SA_SIGINFO);
            let ty = MemoryType::shared(1, 1);
            let memory = SharedMemory::new(&host.engine, ty).unwrap();
            memory.write(0, &[1]).unwrap();
            install_all(address(reporter), libc::SA_SIGINFO);
            let other = self::host();
            memory.fault_in(0..4, Access::Write).unwrap();
            other.use_all();
        }
    }));
    cases
}

/// Newcomers are called with what they asked for, and as often.
fn flags() -> Vec<Case> {
    let flags = [
        ("siginfo", libc::SA_SIGINFO),
        ("on_the_stack", libc::SA_SIGINFO | libc::SA_ONSTACK),
        ("once", libc::SA_SIGINFO | libc::SA_RESETHAND),
        ("no_defer", libc::SA_SIGINFO | libc::SA_NODEFER),
        ("all", libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER),
    ];
    let mut cases: Vec<Case> = flags
        .into_iter()
        .map(|(name, flags)| {
            Case::new(format!("newcomer::flags::{name}"), move || {
                let host = host();
                host.use_all();
                install_all(address(reporter), flags);
                host.use_all();
                crash();
            })
            .ends(End::Code(42))
        })
        .collect();
    cases.push(
        Case::new("newcomer::flags::none", || {
            let host = host();
            install_all(reporter_without_details as *const () as usize, 0);
            host.use_all();
            crash();
        })
        .ends(End::Code(43)),
    );
    // It returns without doing anything; its second call is the default action's.
    extern "C" fn does_nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
        if CALLS.fetch_add(1, Ordering::Relaxed) == 1 {
            exit(46);
        }
    }
    cases.push(
        Case::new("newcomer::flags::once_is_once", || {
            let host = host();
            install_all(address(does_nothing), libc::SA_SIGINFO | libc::SA_RESETHAND);
            host.use_all();
            crash();
        })
        .ends(End::Signal(SIGSEGV)),
    );
    cases
}

/// Newcomers that remember us as their predecessor.
fn passing_on() -> Vec<Case> {
    vec![
        Case::new("passing_on::reaches_us_while_nobody_has_looked", || {
            let host = host();
            let mut guest = host.use_all();
            install_passing_on();
            guest.touch();
            guest.trap();
            assert_ne!(
                current(SIGSEGV).sa_sigaction,
                address(passes_on),
                "a call looks after a bypass"
            );
            guest.touch();
        }),
        Case::new("passing_on::reaches_who_was_first_and_each_is_called_once", || {
            install_first();
            let host = host();
            install_passing_on();
            host.use_all();
            crash_counted();
        })
        .ends(End::Code(44)),
        Case::new("passing_on::a_thousand_times_anew", || {
            install_first();
            let host = host();
            for _ in 0..1000 {
                install_passing_on();
                host.engine.check_signals().unwrap();
            }
            host.use_all();
            crash_counted();
        })
        .ends(End::Code(44)),
        Case::new("passing_on::in_turns_with_a_reporter", || {
            install_first();
            let host = host();
            for _ in 0..1000 {
                install_passing_on();
                host.engine.check_signals().unwrap();
                install_all(address(reporter), libc::SA_SIGINFO);
                host.engine.check_signals().unwrap();
            }
            host.use_all();
            crash_counted();
        })
        .ends(End::Code(42)),
        Case::new("passing_on::installed_again_while_nobody_has_looked", || {
            install_first();
            let host = host();
            install_passing_on();
            host.use_all();
            // Now it remembers an entry that passes on to it: the kernel calls it, and we do once more.
            install_passing_on();
            IS_CRASHING.store(true, Ordering::Relaxed);
            CALLS.store(usize::MAX, Ordering::Relaxed);
            crash();
        })
        .ends(End::Code(44)),
        Case::new("passing_on::many_different_ones", || {
            install_first();
            let host = host();
            // Told apart by their flags and masks.
            for round in 0..1000 {
                install_passing_on();
                let mut action = current(SIGSEGV);
                for signo in (0..4).filter(|bit| round >> bit & 1 == 1).map(|bit| 34 + bit) {
                    // SAFETY: the set is valid, and the number is a signal's.
                    unsafe { libc::sigaddset(&raw mut action.sa_mask, signo) };
                }
                install_action(SIGSEGV, &action);
                host.engine.check_signals().unwrap();
            }
            host.use_all();
            crash_counted();
        })
        .ends(End::Code(44)),
        Case::new("passing_on::while_threads_make_and_use_guests", || {
            let host = host();
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let users: Vec<_> = (0..3)
                    .map(|_| scope.spawn(|| (0..100).for_each(|_| drop(host.use_all()))))
                    .collect();
                let installer = scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        install_passing_on();
                        std::thread::sleep(std::time::Duration::from_micros(200));
                    }
                });
                for user in users {
                    user.join().unwrap();
                }
                done.store(true, Ordering::Relaxed);
                installer.join().unwrap();
            });
        }),
    ]
}

/// Newcomers that go again.
fn leaving() -> Vec<Case> {
    vec![
        Case::new("leaving::who_steps_down_is_not_called_again", || {
            install_first();
            let host = host();
            for signo in SIGNALS {
                let before = install(signo, address(steps_down), libc::SA_SIGINFO);
                PREDECESSORS[position(signo)].store(before.sa_sigaction, Ordering::Relaxed);
            }
            host.use_all();
            crash();
        })
        .ends(End::Code(44)),
        Case::new("leaving::who_was_gone_before_is_not_called", || {
            install_first();
            let host = host();
            for _ in 0..20 {
                let before =
                    SIGNALS.map(|signo| install(signo, address(reporter), libc::SA_SIGINFO));
                host.use_all();
                for (signo, before) in SIGNALS.into_iter().zip(before) {
                    install_action(signo, &before);
                }
                host.use_all();
            }
            CALLS.store(1, Ordering::Relaxed);
            crash();
        })
        .ends(End::Code(44)),
        Case::new("leaving::who_was_gone_before_another_came_is_not_called", || {
            install_first();
            let host = host();
            let before = SIGNALS.map(|signo| install(signo, address(reporter), libc::SA_SIGINFO));
            host.use_all();
            for (signo, before) in SIGNALS.into_iter().zip(before) {
                install_action(signo, &before);
            }
            host.use_all();
            install_passing_on();
            host.use_all();
            // Not looked at: it remembers an entry that passes on to it, and then to what was below it.
            install_passing_on();
            CALLS.store(usize::MAX, Ordering::Relaxed);
            crash_counted();
        })
        .ends(End::Code(44)),
        Case::new("leaving::who_puts_addresses_back_does_not_take_our_flags", || {
            let host = host();
            for _ in 0..20 {
                for signo in SIGNALS {
                    // SAFETY: the handler does what one may.
                    let before = unsafe { libc::signal(signo, address(reporter)) };
                    assert_ne!(before, libc::SIG_ERR);
                    // SAFETY: as before, but for its flags.
                    unsafe { libc::signal(signo, before) };
                }
                host.use_all();
                let needed = libc::SA_SIGINFO | libc::SA_ONSTACK;
                assert!(SIGNALS.iter().all(|&signo| current(signo).sa_flags & needed == needed));
            }
        }),
    ]
}
