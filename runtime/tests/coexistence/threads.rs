//! Threads that block signals, have small stacks, or were made by foreign code.

use std::mem;
use std::ptr;

use libc::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, c_int, c_void};
use seqfault::{Access, Config, MemoryType, SharedMemory};

use crate::Case;
use crate::guest::Host;

fn host() -> Host {
    Host::new(&Config::new()).unwrap()
}

/// Blocks every signal there is on this thread.
fn block_all() {
    // SAFETY: a set may be all zeroes, and is filled then.
    let mut all: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set is writable.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: the set is valid; the old one is not wanted.
    let done = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut()) };
    assert_eq!(done, 0);
}

fn is_blocked(signo: c_int) -> bool {
    // SAFETY: as above.
    let mut mask: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: null changes nothing; the other is writable.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask) };
    // SAFETY: the set is valid.
    unsafe { libc::sigismember(&raw const mask, signo) == 1 }
}

/// A case that runs on a thread of its own which has blocked all signals.
fn blocked(name: &str, body: impl Fn() + Send + Sync + 'static) -> Case {
    Case::new(format!("blocked::{name}"), move || {
        let on_thread = || {
            block_all();
            body();
            assert!(is_blocked(libc::SIGUSR1), "the mask of others is theirs");
        };
        std::thread::scope(|scope| scope.spawn(on_thread).join().unwrap());
    })
}

fn blocked_signals() -> Vec<Case> {
    vec![
        blocked("at_the_first_instantiation", || drop(host().use_all())),
        blocked("after_a_call_and_before_an_instantiation", || {
            let host = host();
            host.use_all();
            block_all();
            host.use_all();
        }),
        blocked("after_a_call_and_before_the_host_says_so", || {
            let host = host();
            let mut guest = host.use_all();
            block_all();
            host.engine.check_signals().unwrap();
            guest.touch();
            guest.trap();
        }),
        Case::new("blocked::at_the_first_call_on_another_thread", || {
            let mut guest = host().use_all();
            let on_thread = || {
                block_all();
                guest.touch();
                guest.trap();
                assert!([SIGSEGV, SIGBUS, SIGILL, SIGFPE].iter().all(|&signo| !is_blocked(signo)));
            };
            std::thread::scope(|scope| scope.spawn(on_thread).join().unwrap());
        }),
        Case::new("blocked::on_a_thread_that_only_copies", || {
            let ty = MemoryType::shared(64, 64);
            let memory = SharedMemory::new(&host().engine, ty).unwrap();
            let at = |case: usize| case << 18;
            let copies: [Box<dyn Fn() + Send + Sync>; 4] = [
                Box::new(|| memory.read(at(0), &mut [1]).unwrap()),
                Box::new(|| memory.write(at(1), &[1]).unwrap()),
                Box::new(|| memory.fault_in(at(2)..at(3), Access::Write).unwrap()),
                Box::new(|| assert_eq!(memory.atomic_notify(at(3) as u64, 1).unwrap(), 0)),
            ];
            for copy in &copies {
                let on_thread = || {
                    block_all();
                    copy();
                };
                std::thread::scope(|scope| scope.spawn(on_thread).join().unwrap());
            }
        }),
        Case::new("blocked::on_a_thread_that_only_makes_objects", || {
            use seqfault::{Engine, ExternRef, Store};
            let engine = Engine::default();
            let mut store = Store::new(&engine, ());
            let on_thread = || {
                block_all();
                for number in 0..100_000u32 {
                    let mut scope = seqfault::RootScope::new(&mut store);
                    ExternRef::new(&mut scope, number).unwrap();
                }
                store.gc().unwrap();
            };
            std::thread::scope(|scope| scope.spawn(on_thread).join().unwrap());
        }),
    ]
}

/// Gives this thread an alternate stack of the smallest size that there is.
fn make_small_stack() {
    let bytes = libc::MINSIGSTKSZ;
    let memory = Box::leak(vec![0u8; bytes].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: bytes };
    // SAFETY: the memory is there for ever.
    let done = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    // Kernels that know how large a frame becomes here refuse.
    assert!(done == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOMEM));
}

fn small_stacks() -> Vec<Case> {
    vec![
        Case::new("stack::small_before", || {
            make_small_stack();
            host().use_all();
        }),
        Case::new("stack::small_after_and_before_an_instantiation", || {
            let host = host();
            host.use_all();
            for _ in 0..100 {
                make_small_stack();
                host.use_all();
            }
        }),
        Case::new("stack::small_on_many_threads", || {
            let host = host();
            for _ in 0..50 {
                let on_thread = || {
                    make_small_stack();
                    host.use_all();
                    make_small_stack();
                };
                std::thread::scope(|scope| scope.spawn(on_thread).join().unwrap());
            }
        }),
    ]
}

/// Runs `body` on a thread that pthread_create makes with a stack of that size, as a C library would.
fn on_foreign_thread(
    stack: usize,
    body: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) {
    // SAFETY: the attributes are initialised by the call that follows.
    let mut attributes: libc::pthread_attr_t = unsafe { mem::zeroed() };
    let mut thread = 0;
    // SAFETY: plain C: each structure is initialised before it is used, and `argument` outlives the thread.
    unsafe {
        assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstacksize(&raw mut attributes, stack), 0);
        assert_eq!(libc::pthread_create(&raw mut thread, &raw const attributes, body, argument), 0);
        assert_eq!(libc::pthread_join(thread, ptr::null_mut()), 0);
    }
}

extern "C" fn uses_all(host: *mut c_void) -> *mut c_void {
    // SAFETY: a `Host`, which outlives this thread.
    let host = unsafe { &*host.cast::<Host>() };
    host.use_all();
    ptr::null_mut()
}

/// Ends its thread without the C library's help: no destructor runs.
extern "C" fn uses_all_and_vanishes(host: *mut c_void) -> *mut c_void {
    uses_all(host);
    // SAFETY: ends this thread and nothing else; the thread that joins it is woken by the kernel.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!()
}

/// A recursion without end on a small stack is a trap.
extern "C" fn overflows(host: *mut c_void) -> *mut c_void {
    // SAFETY: a `Host`, which outlives this thread.
    let host = unsafe { &*host.cast::<Host>() };
    let text =
        r#"(module (func $f (export "f") (param i32) (result i32) (call $f (local.get 0))))"#;
    let module = seqfault::Module::new(&host.engine, text).unwrap();
    let mut store = seqfault::Store::new(&host.engine, ());
    let instance = seqfault::Instance::new(&mut store, &module, &[]).unwrap();
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
    let error = f.call(&mut store, 0).unwrap_err();
    assert_eq!(
        error.trap().map(|trap| trap.code()),
        Some(seqfault::TrapCode::StackOverflow),
        "{error}"
    );
    ptr::null_mut()
}

fn foreign_threads() -> Vec<Case> {
    let case = |name: &str, stack: usize, body: extern "C" fn(*mut c_void) -> *mut c_void| {
        Case::new(format!("foreign_thread::{name}"), move || {
            let host = host();
            for _ in 0..20 {
                on_foreign_thread(stack, body, ptr::from_ref(&host).cast_mut().cast());
            }
            host.use_all();
        })
    };
    vec![
        case("uses_all", 1 << 20, uses_all),
        case("vanishes", 1 << 20, uses_all_and_vanishes),
        case("has_a_small_stack", 64 << 10, uses_all),
        case("overflows", 128 << 10, overflows),
        Case::new("foreign_thread::is_made_by_one_that_blocks_all", || {
            block_all();
            let host = host();
            on_foreign_thread(1 << 20, uses_all, ptr::from_ref(&host).cast_mut().cast());
        }),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    [blocked_signals(), small_stacks(), foreign_threads()].into_iter().flatten().collect()
}
