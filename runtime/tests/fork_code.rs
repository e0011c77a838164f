//! What a child of `fork` does with code: it runs and compiles what it has inherited, and makes
//! modules and engines of its own, while its parent goes on; neither can change what the other runs.
//!
//! Modules without memories only: what memories are in a child is not a matter of code.

use seqfault::{Compilation, Config, Engine, Instance, Module, Store};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// In the child, runs `body` and exits; in the parent, starts the child and sees that it succeeds.
fn in_child(test: &str, body: impl FnOnce()) {
    const MARK: &str = "SEQFAULT_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        body();
        std::process::exit(0);
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}\n{text}", output.status);
}

#[derive(Clone, Copy)]
enum How {
    /// `fork`.
    Library,
    /// The system call.
    Bare,
}

/// A child that runs `body`, and has half a minute for it.
fn fork(how: How, body: impl FnOnce()) -> libc::pid_t {
    let pid = match how {
        // SAFETY: the child uses what this library promises to be good after a fork.
        How::Library => unsafe { libc::fork() },
        How::Bare => {
            // SAFETY: as above, and nothing of the C library's that a bare call spoils.
            let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            pid as libc::pid_t
        }
    };
    if pid == 0 {
        // SAFETY: no preconditions.
        unsafe { libc::alarm(30) };
        let result = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: no handlers of the parent's run.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    assert!(pid > 0);
    pid
}

fn wait_for(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the status is written.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "exit code or signal of the child: {status:#x}");
}

fn engine(compilation: Compilation) -> Engine {
    Engine::new(Config::new().compilation(compilation)).unwrap()
}

/// A module whose functions `0` to `count - 1` return numbers from `first` on.
fn numbers(count: u32, first: u32) -> String {
    let mut text = String::from("(module");
    for index in 0..count {
        let number = first + index;
        write!(text, r#"(func (export "{index}") (result i32) (i32.const {number}))"#).unwrap();
    }
    text.push(')');
    text
}

/// Calls these functions of such a module.
fn check(module: &Module, functions: std::ops::Range<u32>, first: u32) {
    let mut store = Store::new(module.engine(), ());
    let instance = Instance::new(&mut store, module, &[]).unwrap();
    for index in functions {
        let f = instance.get_typed_func::<(), i32>(&mut store, &index.to_string()).unwrap();
        assert_eq!(f.call(&mut store, ()).unwrap() as u32, first + index);
    }
}

/// Makes modules in an engine and calls them.
fn use_engine(engine: &Engine) {
    for first in [7, 100_000, 7_000_000] {
        check(&Module::new(engine, numbers(200, first)).unwrap(), 0..200, first);
    }
}

#[test]
fn a_child_runs_what_it_inherits_and_compiles_the_rest() {
    in_child("a_child_runs_what_it_inherits_and_compiles_the_rest", || {
        for how in [How::Library, How::Bare] {
            let (lazy, eager) = (engine(Compilation::Lazy), engine(Compilation::Eager));
            let module = Module::new(&lazy, numbers(100, 5)).unwrap();
            let whole = Module::new(&eager, numbers(200, 5)).unwrap();
            check(&module, 0..30, 5);
            let child = fork(how, || {
                check(&module, 0..60, 5);
                check(&whole, 0..200, 5);
                use_engine(&lazy);
                use_engine(&eager);
                use_engine(&engine(Compilation::Eager));
                let grandchild = fork(how, || {
                    check(&module, 0..100, 5);
                    use_engine(&eager);
                });
                wait_for(grandchild);
                check(&module, 0..100, 5);
            });
            wait_for(child);
            // The parent has not seen any of it.
            check(&module, 0..100, 5);
            check(&whole, 0..200, 5);
            use_engine(&eager);
        }
    });
}

/// Calls inherited code for half a second.
fn keep_running(module: &Module) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        check(module, 0..50, 3);
    }
}

/// Drops the module and compiles others until the time of `keep_running` is over.
fn reuse(engine: &Engine, module: Module) {
    drop(module);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        use_engine(engine);
    }
}

#[test]
fn what_a_parent_reuses_its_child_still_runs() {
    in_child("what_a_parent_reuses_its_child_still_runs", || {
        let engine = engine(Compilation::Lazy);
        let module = Module::new(&engine, numbers(60, 3)).unwrap();
        check(&module, 0..50, 3);
        let child = fork(How::Library, || keep_running(&module));
        reuse(&engine, module);
        wait_for(child);
    });
}

#[test]
fn what_a_child_reuses_its_parent_still_runs() {
    in_child("what_a_child_reuses_its_parent_still_runs", || {
        for how in [How::Library, How::Bare] {
            let engine = engine(Compilation::Lazy);
            let module = Module::new(&engine, numbers(60, 3)).unwrap();
            check(&module, 0..50, 3);
            let inherited = module.clone();
            let child = fork(how, || {
                drop(module);
                reuse(&engine, inherited);
            });
            keep_running(&Module::new(&engine, numbers(60, 3)).unwrap());
            wait_for(child);
        }
    });
}

#[test]
fn no_lock_of_a_thread_that_does_not_exist_holds_a_child_up() {
    in_child("no_lock_of_a_thread_that_does_not_exist_holds_a_child_up", || {
        let lazy = engine(Compilation::Lazy);
        let eager = engine(Compilation::Eager);
        let shared = Module::new(&lazy, numbers(2_000, 9)).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let busy = |round: u32| {
                // Types of their own, so that the engines' types change.
                let params = " i32".repeat(round as usize % 50);
                let text = format!("(module (func (export \"f\") (param{params})))");
                for engine in [&lazy, &eager] {
                    let module = Module::new(engine, &text).unwrap();
                    Instance::new(&mut Store::new(engine, ()), &module, &[]).unwrap();
                }
            };
            for thread in 0..3 {
                let (done, shared) = (&done, &shared);
                scope.spawn(move || {
                    let mut round = thread * 17;
                    while !done.load(Ordering::Relaxed) {
                        busy(round);
                        let at = round * 20 % 2_000;
                        check(shared, at..at + 20, 9);
                        round += 1;
                    }
                });
            }
            // Also when this thread panics.
            let _done = Finally(&done);
            for round in 0..40 {
                let child = fork(How::Library, || {
                    let at = round * 50;
                    check(&shared, at..at + 50, 9);
                    use_engine(&lazy);
                    use_engine(&eager);
                    busy(round);
                });
                wait_for(child);
            }
        });
    });
}

/// Sets the flag when it is dropped.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
