//! What makes no system call: growing a memory, and the life of an instance in a memory that is used again, except that its
//! thread's handlers are looked at. A filter kills the process at any other call. So nothing takes a lock of the kernel
//! that threads share, and no thread waits for another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use libc::SIGSYS;
use seqfault::{Compilation, Config, Engine, InstancePre, Linker, Module, PagerKind, Reuse, Store};

use crate::filters::only;
use crate::{Case, End};

const TEXT: &str = r#"(module
    (memory 3)
    (table 50 funcref)
    (elem (i32.const 7) $grow $touch)
    (global (mut i64) (i64.const 5))
    (func $grow (export "grow") (param i32)
        (loop $again
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    ;; Writes to each page of `end` bytes.
    (func $touch (export "touch") (param $end i32) (local $at i32)
        (loop $again
            (if (i32.load (local.get $at)) (then unreachable))
            (i32.store (local.get $at) (i32.const 7))
            (br_if $again (i32.lt_u
                (local.tee $at (i32.add (local.get $at) (i32.const 4096)))
                (local.get $end))))))"#;

/// How many threads make and drop instances.
const THREADS: usize = 4;
/// How often each does: more often than a rewind gives back what users have left as it was.
const LIVES: usize = 2000;

fn prepare(config: &mut Config) -> (Engine, InstancePre<()>) {
    let engine = Engine::new(config.compilation(Compilation::Eager)).unwrap();
    let module = Module::new(&engine, TEXT).unwrap();
    let pre = Linker::new(&engine).instantiate_pre(&module).unwrap();
    (engine, pre)
}

fn live(engine: &Engine, pre: &InstancePre<()>, touched: u32) -> Store<()> {
    let mut store = Store::new(engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    let touch = instance.get_typed_func::<u32, ()>(&mut store, "touch").unwrap();
    touch.call(&mut store, touched).unwrap();
    store
}

/// A memory is grown that another guest has grown and touched before.
fn grow(pager: PagerKind) {
    let (engine, pre) = prepare(Config::new().pager(pager));
    for user in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let grow = instance.get_typed_func::<u32, ()>(&mut store, "grow").unwrap();
        let touch = instance.get_typed_func::<u32, ()>(&mut store, "touch").unwrap();
        if user == 2 {
            only(&[libc::SYS_exit_group]);
            grow.call(&mut store, 10_000).unwrap();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        grow.call(&mut store, 300).unwrap();
        touch.call(&mut store, 300 << 16).unwrap();
    }
}

/// Instances live and die on several threads at the same time.
fn cycles(pager: PagerKind, reuse: Reuse) {
    let (engine, pre) = prepare(Config::new().pager(pager).reuse(reuse));
    let done = Arc::new(AtomicUsize::new(0));
    let together = Arc::new(Barrier::new(THREADS));
    for _ in 0..THREADS {
        let (engine, pre) = (engine.clone(), pre.clone());
        let (done, together) = (Arc::clone(&done), Arc::clone(&together));
        std::thread::spawn(move || {
            // Each has a memory of its own: who has none takes another's.
            let store = live(&engine, &pre, 1 << 16);
            together.wait();
            drop(store);
            (0..100).for_each(|_| drop(live(&engine, &pre, 1 << 16)));
            together.wait();
            only(&[libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_sigaltstack]);
            (0..LIVES).for_each(|_| drop(live(&engine, &pre, 1 << 16)));
            done.fetch_add(1, Ordering::Relaxed);
            // Ending a thread takes calls.
            loop {
                std::hint::spin_loop();
            }
        });
    }
    while done.load(Ordering::Relaxed) < THREADS {
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) };
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, pager) in [("uffd", PagerKind::Auto), ("protect", PagerKind::Protect)] {
        cases.push(Case::new(format!("calls::none_to_grow::{name}"), move || grow(pager)));
        let case = format!("calls::none_but_checks_in_a_memory_used_again::{name}");
        cases.push(Case::new(case, move || cycles(pager, Reuse::default())));
        let case = format!("calls::some_in_a_new_memory::{name}");
        let anew = move || cycles(pager, Reuse::none());
        cases.push(Case::new(case, anew).ends(End::Signal(SIGSYS)));
    }
    let eager = || grow(PagerKind::Eager);
    cases.push(Case::new("calls::some_to_commit_ahead", eager).ends(End::Signal(SIGSYS)));
    cases
}
