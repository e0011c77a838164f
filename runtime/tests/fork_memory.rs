//! What a child of `fork` does with memories: it makes its own, for modules that it inherited, and does not get at its
//! parent's. How code fares is next door.

use seqfault::{
    Config, Engine, Instance, Memory, MemoryType, Module, PagerKind, SharedMemory, Store, Trap,
    TrapCode, WaitResult,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const PROGRAM: &str = r#"
    (module
      (memory (export "memory") 2 100)
      (data (i32.const 65536) "from the module")
      (type $pair (struct (field i32) (field i32)))
      (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
      (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "new") (result i32)
        (struct.get $pair 1 (struct.new $pair (i32.const 1) (i32.const 2)))))
"#;

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

/// Runs `body` in a child by `fork` and returns how it ended, as `waitpid` says.
fn fork(body: impl FnOnce()) -> i32 {
    // SAFETY: the child uses what this library promises to be good after a fork.
    run_child(unsafe { libc::fork() }, body)
}

/// As `fork`, by the bare system call, which runs no handlers of `pthread_atfork`.
fn fork_barely(body: impl FnOnce()) -> i32 {
    // SAFETY: as above; the process's other threads allocate nothing, so no lock of the allocator is held.
    run_child(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32, body)
}

fn run_child(pid: i32, body: impl FnOnce()) -> i32 {
    if pid == 0 {
        // SAFETY: no preconditions.
        unsafe { libc::alarm(60) };
        let result = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: no handlers of the parent's run.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    let mut status = 0;
    // SAFETY: the status is written.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

struct Guest {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

impl Guest {
    fn new(module: &Module) -> Guest {
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Guest { store, instance, memory }
    }

    fn load(&mut self, at: i32) -> seqfault::Result<i32> {
        let load = self.instance.get_typed_func::<i32, i32>(&mut self.store, "load").unwrap();
        load.call(&mut self.store, at)
    }

    fn store(&mut self, at: i32, value: i32) -> seqfault::Result<()> {
        let store =
            self.instance.get_typed_func::<(i32, i32), ()>(&mut self.store, "store").unwrap();
        store.call(&mut self.store, (at, value))
    }

    fn new_object(&mut self) -> i32 {
        let new = self.instance.get_typed_func::<(), i32>(&mut self.store, "new").unwrap();
        new.call(&mut self.store, ()).unwrap()
    }

    /// All that it should do, in a memory that is fresh.
    fn works(&mut self) {
        assert_eq!(self.load(65536).unwrap(), i32::from(b'f'));
        for at in (0..65536).step_by(4096) {
            assert_eq!(self.load(at).unwrap(), 0);
            self.store(at, 77).unwrap();
        }
        let grow = self.instance.get_typed_func::<i32, i32>(&mut self.store, "grow").unwrap();
        assert_eq!(grow.call(&mut self.store, 1).unwrap(), 2);
        self.store(3 * 65536 - 1, 9).unwrap();
        for beyond in [3 * 65536, 1 << 20, -1] {
            let error = self.store(beyond, 1).unwrap_err();
            let trap = error.downcast_ref::<Trap>().unwrap();
            assert_eq!(trap.code(), TrapCode::MemoryOutOfBounds);
        }
        assert_eq!(self.new_object(), 2);
    }
}

fn check(pager: PagerKind) {
    let engine = Engine::new(Config::new().pager(pager)).unwrap();
    let module = Module::new(&engine, PROGRAM).unwrap();
    let mut parents = Guest::new(&module);
    parents.store(0, 5).unwrap();
    parents.new_object();

    let worked = fork(|| {
        // Beside the inherited one, which may lie where its own would.
        let mut own: Vec<Guest> = (0..3).map(|_| Guest::new(&module)).collect();
        own.iter_mut().for_each(Guest::works);
        let memory = parents.memory;
        let mut byte = [0];
        memory.read(&parents.store, 0, &mut byte).unwrap_err();
        memory.write(&mut parents.store, 0, &[1]).unwrap_err();
        let status = fork(|| Guest::new(&module).works());
        assert_eq!(status, 0, "exit code or signal of the child's child: {status:#x}");
    });
    assert_eq!(worked, 0, "exit code or signal of the child: {worked:#x}");

    let touches: [fn(&mut Guest); 4] = [
        |guest| drop(guest.load(0)),
        |guest| drop(guest.store(0, 1)),
        |guest| drop(guest.store(50_000, 1)),
        |guest| drop(guest.store(1 << 30, 1)),
    ];
    for touch in touches {
        let status = fork(|| touch(&mut parents));
        assert_eq!(status & 0x7f, libc::SIGSEGV, "exit code or signal of the child: {status:#x}");
    }

    assert_eq!(parents.load(0).unwrap(), 5);
    parents.store(0, 0).unwrap();
    parents.works();
    drop(parents);
    memories_that_wait_stay_behind(&module);
}

/// Memories that wait in the parent are not used in a child, also where the child's own are among them.
fn memories_that_wait_stay_behind(module: &Module) {
    let many: Vec<Guest> = (0..6).map(|_| Guest::new(module)).collect();
    drop(many);
    assert!(module.engine().idle_memories().0 >= 6);
    let worked = fork(|| {
        let guest = std::thread::scope(|scope| scope.spawn(|| Guest::new(module)).join().unwrap());
        drop(guest);
        let mut own: Vec<Guest> = (0..10).map(|_| Guest::new(module)).collect();
        own.iter_mut().for_each(Guest::works);
    });
    assert_eq!(worked, 0, "exit code or signal of the child: {worked:#x}");
    (0..6).for_each(|_| Guest::new(module).works());
}

#[test]
fn a_child_makes_memories_of_its_own_and_does_not_get_at_its_parents() {
    in_child("a_child_makes_memories_of_its_own_and_does_not_get_at_its_parents", || {
        [PagerKind::Auto, PagerKind::Protect, PagerKind::Eager].into_iter().for_each(check);
    });
}

#[test]
fn a_child_drops_what_it_inherited() {
    in_child("a_child_drops_what_it_inherited", || {
        let module = Module::new(&Engine::default(), PROGRAM).unwrap();
        let mut parents = Some(Guest::new(&module));
        parents.as_mut().unwrap().store(0, 5).unwrap();
        let status = fork(|| {
            drop(parents.take());
            Guest::new(&module).works();
        });
        assert_eq!(status, 0, "exit code or signal of the child: {status:#x}");
        assert_eq!(parents.unwrap().load(0).unwrap(), 5);
    });
}

/// Ends its threads, also when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits and notifies at many addresses, so that it uses the queues of all threads of the parent.
fn waits_and_notifies(memory: &SharedMemory) {
    for addr in (0..4096).step_by(32) {
        let short = Some(Duration::from_micros(1));
        assert_eq!(memory.atomic_wait32(addr, 0, short).unwrap(), WaitResult::TimedOut);
        assert_eq!(memory.atomic_notify(addr, 1).unwrap(), 0);
    }
    thread::scope(|scope| {
        let waiter = scope.spawn(|| memory.atomic_wait64(64, 0, None).unwrap());
        while memory.atomic_notify(64, 1).unwrap() == 0 {
            thread::yield_now();
        }
        assert_eq!(waiter.join().unwrap(), WaitResult::Ok);
    });
}

#[test]
fn a_child_waits_and_notifies_while_threads_of_its_parent_were_at_it() {
    in_child("a_child_waits_and_notifies_while_threads_of_its_parent_were_at_it", || {
        let engine = Engine::default();
        let new = || SharedMemory::new(&engine, MemoryType::shared(1, 2)).unwrap();
        let (memory, stop) = (new(), AtomicBool::new(false));
        thread::scope(|scope| {
            let _stop = StopAtEnd(&stop);
            for number in 0..6 {
                let (memory, stop) = (&memory, &stop);
                let short = Some(Duration::from_micros(20));
                scope.spawn(move || {
                    for addr in (0..4096).step_by(4).cycle() {
                        match number % 3 {
                            0 => drop(memory.atomic_wait32(addr, 0, short).unwrap()),
                            1 => drop(memory.atomic_notify(addr, 1).unwrap()),
                            _ => drop(memory.grow(0).unwrap()),
                        }
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            for round in 0..60 {
                let body = || {
                    memory.grow(1).unwrap_err();
                    waits_and_notifies(&new());
                };
                let status = if round % 2 == 0 { fork(body) } else { fork_barely(body) };
                assert_eq!(status, 0, "exit code or signal of child {round}: {status:#x}");
            }
        });
    });
}

#[test]
fn a_child_neither_wakes_who_waits_in_its_parent_nor_waits_there() {
    in_child("a_child_neither_wakes_who_waits_in_its_parent_nor_waits_there", || {
        let engine = Engine::default();
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 2)).unwrap();
        let longest = Some(Duration::from_secs(60));
        thread::scope(|scope| {
            let waiter = scope.spawn(|| memory.atomic_wait32(8, 0, longest).unwrap());
            thread::sleep(Duration::from_millis(50));
            for bare in [false, true] {
                let body = || {
                    memory.atomic_notify(8, 1).unwrap_err();
                    memory.atomic_notify(16, 1).unwrap_err();
                    memory.atomic_wait32(8, 0, longest).unwrap_err();
                    memory.atomic_wait64(16, 1, longest).unwrap_err();
                    memory.grow(1).unwrap_err();
                };
                let status = if bare { fork_barely(body) } else { fork(body) };
                assert_eq!(status, 0, "exit code or signal of the child: {status:#x}");
            }
            while memory.atomic_notify(8, 1).unwrap() == 0 {
                thread::yield_now();
            }
            assert_eq!(waiter.join().unwrap(), WaitResult::Ok);
        });
    });
}
