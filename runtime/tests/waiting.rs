//! Waiting and notifying: who is woken, when, by whom, and that nobody stays behind.

mod machines;

use machines::engines;
use seqfault::{
    Config, Engine, Instance, MemoryType, Module, Result, SharedMemory, Store, TrapCode,
    UpdateDeadline, WaitResult,
};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WAITER: &str = r#"(module
    (import "env" "memory" (memory 1 100 shared))
    (func (export "wait32") (param i32 i32 i64) (result i32)
      (memory.atomic.wait32 (local.get 0) (local.get 1) (local.get 2)))
    (func (export "wait64") (param i32 i64 i64) (result i32)
      (memory.atomic.wait64 (local.get 0) (local.get 1) (local.get 2)))
    (func (export "notify") (param i32 i32) (result i32)
      (memory.atomic.notify (local.get 0) (local.get 1)))
    (func (export "wait far") (param i32) (result i32)
      (memory.atomic.wait32 offset=0xfffffffc (local.get 0) (i32.const 0) (i64.const 0)))
    (func (export "spin") (loop (br 0)))
    (func (export "ping") (param $mine i32) (param $other i32) (param $turns i32)
      ;; A token goes round: whoever has it (his word is 1) gives it on.
      (loop $turn
        (loop $mine
          (if (i32.eqz (i32.atomic.load (local.get $mine)))
            (then
              (drop (memory.atomic.wait32 (local.get $mine) (i32.const 0) (i64.const -1)))
              (br $mine))))
        (i32.atomic.store (local.get $mine) (i32.const 0))
        (i32.atomic.store (local.get $other) (i32.const 1))
        (drop (memory.atomic.notify (local.get $other) (i32.const 1)))
        (br_if $turn (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))))"#;

const FOREVER: i64 = -1;

struct Guest {
    store: Store<u32>,
    instance: Instance,
}

impl Guest {
    fn new(module: &Module, memory: &SharedMemory) -> Guest {
        let mut store = Store::new(module.engine(), 0);
        let instance =
            Instance::new(&mut store, module, &[memory.clone().into()]).expect("it fits");
        Guest { store, instance }
    }

    fn wait32(&mut self, at: i32, expected: i32, timeout: i64) -> Result<i32> {
        let func =
            self.instance.get_typed_func::<(i32, i32, i64), i32>(&mut self.store, "wait32")?;
        func.call(&mut self.store, (at, expected, timeout))
    }

    fn wait64(&mut self, at: i32, expected: i64, timeout: i64) -> Result<i32> {
        let func =
            self.instance.get_typed_func::<(i32, i64, i64), i32>(&mut self.store, "wait64")?;
        func.call(&mut self.store, (at, expected, timeout))
    }

    fn notify(&mut self, at: i32, count: i32) -> Result<i32> {
        let func = self.instance.get_typed_func::<(i32, i32), i32>(&mut self.store, "notify")?;
        func.call(&mut self.store, (at, count))
    }
}

fn world(engine: &Engine) -> (Module, SharedMemory) {
    let module = Module::new(engine, WAITER).expect("it compiles");
    (module, SharedMemory::new(engine, MemoryType::shared(1, 100)).expect("address space"))
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> TrapCode {
    result.unwrap_err().trap().expect("a trap").code()
}

/// Notifies at `at` until `count` have been woken.
fn wake(memory: &SharedMemory, at: u64, count: u32) {
    let mut woken = 0;
    while woken < count {
        woken += memory.atomic_notify(at, count - woken).expect("aligned");
        thread::yield_now();
    }
}

#[test]
fn a_wait_ends_with_a_reason() -> Result<()> {
    let engine = Engine::default();
    let (module, memory) = world(&engine);
    let mut guest = Guest::new(&module, &memory);
    memory.write(8, &7_u64.to_le_bytes())?;
    assert_eq!(guest.wait32(8, 6, FOREVER)?, 1);
    assert_eq!(guest.wait64(8, 6, FOREVER)?, 1);
    assert_eq!(guest.wait32(8, 7, 0)?, 2);
    let begin = Instant::now();
    assert_eq!(guest.wait64(8, 7, 20_000_000)?, 2);
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert_eq!(guest.notify(8, -1)?, 0);
    assert_eq!(memory.atomic_wait32(8, 6, None)?, WaitResult::Mismatch);
    let short = Some(Duration::from_millis(1));
    assert_eq!(memory.atomic_wait64(8, 7, short)?, WaitResult::TimedOut);

    thread::scope(|scope| {
        let waiting = scope.spawn(|| guest.wait32(8, 7, FOREVER));
        wake(&memory, 8, 1);
        assert_eq!(waiting.join().expect("no panic")?, 0);
        Ok(())
    })
}

#[test]
fn traps_come_before_anything_else() -> Result<()> {
    let engine = Engine::default();
    let (module, memory) = world(&engine);
    let mut guest = Guest::new(&module, &memory);
    let end = 64 << 10;
    assert_eq!(code(guest.wait32(2, 0, 0)), TrapCode::UnalignedAtomic);
    assert_eq!(code(guest.wait64(4, 0, 0)), TrapCode::UnalignedAtomic);
    assert_eq!(code(guest.notify(2, 0)), TrapCode::UnalignedAtomic);
    assert_eq!(code(guest.wait32(end, 0, 0)), TrapCode::MemoryOutOfBounds);
    assert_eq!(code(guest.wait64(end, 0, 0)), TrapCode::MemoryOutOfBounds);
    assert_eq!(code(guest.notify(end, 0)), TrapCode::MemoryOutOfBounds);
    assert_eq!(guest.wait32(end - 4, 0, 0)?, 2);
    let far = guest.instance.get_typed_func::<i32, i32>(&mut guest.store, "wait far")?;
    assert_eq!(code(far.call(&mut guest.store, 8)), TrapCode::MemoryOutOfBounds);
    assert_eq!(memory.atomic_wait32(2, 0, None).unwrap_err().code(), TrapCode::UnalignedAtomic);
    let outside = memory.atomic_notify(end as u64, 1).unwrap_err();
    assert_eq!(outside.code(), TrapCode::MemoryOutOfBounds);

    let unshared = WAITER.replace(r#"(import "env" "memory" (memory 1 100 shared))"#, "(memory 1)");
    let module = Module::new(&engine, unshared)?;
    let mut store = Store::new(&engine, 0);
    let instance = Instance::new(&mut store, &module, &[])?;
    let mut guest = Guest { store, instance };
    for result in [guest.wait32(0, 0, 0), guest.wait32(0, 1, 0), guest.wait64(8, 0, 0)] {
        assert_eq!(code(result), TrapCode::WaitOnUnsharedMemory);
    }
    assert_eq!(guest.notify(0, 10)?, 0);
    assert_eq!(code(guest.notify(end, 10)), TrapCode::MemoryOutOfBounds);
    Ok(())
}

#[test]
fn only_as_many_are_woken_as_were_asked_for_and_both_widths_share_a_queue() {
    let engine = Engine::default();
    let (module, memory) = world(&engine);
    let woken = AtomicU32::new(0);
    thread::scope(|scope| {
        for number in 0..4 {
            let mut guest = Guest::new(&module, &memory);
            let woken = &woken;
            scope.spawn(move || {
                let end = match number % 2 {
                    0 => guest.wait32(16, 0, FOREVER),
                    _ => guest.wait64(16, 0, FOREVER),
                };
                assert_eq!(end.expect("no trap"), 0);
                woken.fetch_add(1, Ordering::SeqCst);
            });
        }
        for expected in 1..=4 {
            assert_eq!(memory.atomic_notify(16, 0).expect("aligned"), 0);
            assert_eq!(memory.atomic_notify(24, 9).expect("aligned"), 0);
            wake(&memory, 16, 1);
            while woken.load(Ordering::SeqCst) < expected {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(5));
            assert_eq!(woken.load(Ordering::SeqCst), expected);
        }
        assert_eq!(memory.atomic_notify(16, u32::MAX).expect("aligned"), 0);
    });
}

#[test]
fn no_wake_up_is_lost() -> Result<()> {
    for engine in engines(|_| {}) {
        let (module, memory) = world(&engine);
        memory.write(0, &1_u32.to_le_bytes())?;
        thread::scope(|scope| {
            for (mine, other) in [(0, 64), (64, 128), (128, 0)] {
                let mut guest = Guest::new(&module, &memory);
                scope.spawn(move || {
                    let ping = guest
                        .instance
                        .get_typed_func::<(i32, i32, i32), ()>(&mut guest.store, "ping");
                    ping.unwrap().call(&mut guest.store, (mine, other, 3000)).unwrap()
                });
            }
        });
        let mut token = [0];
        memory.read(0, &mut token)?;
        assert_eq!(token, [1], "it went round a whole number of times");
    }
    Ok(())
}

fn interruptible() -> Engine {
    Engine::new(Config::new().epoch_interruption(true)).expect("an engine")
}

#[test]
fn a_blocked_guest_is_interrupted_at_its_deadline() {
    let engine = interruptible();
    let (module, memory) = world(&engine);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut guest = Guest::new(&module, &memory);
        guest.store.set_epoch_deadline(3);
        let ended = &ended;
        let waiting = scope.spawn(move || {
            let end = guest.wait32(0, 0, FOREVER);
            ended.store(true, Ordering::SeqCst);
            end
        });
        for _ in 0..2 {
            engine.increment_epoch();
            thread::sleep(Duration::from_millis(10));
            assert!(!ended.load(Ordering::SeqCst));
        }
        engine.increment_epoch();
        assert_eq!(code(waiting.join().expect("no panic")), TrapCode::Interrupt);
    });
    assert_eq!(memory.atomic_notify(0, 9).expect("aligned"), 0, "nobody is left in the queue");
}

#[test]
fn a_guest_whose_deadline_is_moved_waits_on() -> Result<()> {
    let engine = interruptible();
    let (module, memory) = world(&engine);
    let called = AtomicU32::new(0);
    thread::scope(|scope| {
        let mut guest = Guest::new(&module, &memory);
        guest.store.set_epoch_deadline(1);
        guest.store.epoch_deadline_callback(|mut store| {
            *store.data_mut() += 1;
            Ok(UpdateDeadline::Continue(1))
        });
        let called = &called;
        let waiting = scope.spawn(move || {
            let end = guest.wait64(8, 0, FOREVER);
            called.store(*guest.store.data(), Ordering::SeqCst);
            end
        });
        for _ in 0..10 {
            engine.increment_epoch();
            thread::sleep(Duration::from_millis(2));
        }
        wake(&memory, 8, 1);
        assert_eq!(waiting.join().expect("no panic")?, 0);
        assert!((1..=10).contains(&called.load(Ordering::SeqCst)));
        Ok(())
    })
}

#[test]
fn a_handle_interrupts_waits_loops_and_later_calls() -> Result<()> {
    let engine = interruptible();
    let (module, memory) = world(&engine);
    for wait in [true, false] {
        let mut guest = Guest::new(&module, &memory);
        // What the store does at its deadline does not matter.
        guest.store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(u64::MAX)));
        let handle = guest.store.interrupt_handle();
        assert!(!handle.is_interrupted());
        let (end, mut guest) = thread::scope(|scope| {
            let running = scope.spawn(move || {
                let end = match wait {
                    true => guest.wait32(0, 0, FOREVER).map(drop),
                    false => guest
                        .instance
                        .get_typed_func::<(), ()>(&mut guest.store, "spin")
                        .and_then(|spin| spin.call(&mut guest.store, ())),
                };
                (end, guest)
            });
            thread::sleep(Duration::from_millis(10));
            handle.clone().interrupt();
            running.join().expect("no panic")
        });
        assert_eq!(code(end), TrapCode::Interrupt);
        assert!(handle.is_interrupted());
        guest.store.set_epoch_deadline(1000);
        assert_eq!(code(guest.wait32(0, 0, 0)), TrapCode::Interrupt, "it stays interrupted");
        assert_eq!(Guest::new(&module, &memory).wait32(0, 0, 0)?, 2, "and it alone");
        drop(guest);
        handle.interrupt();
    }
    Ok(())
}

#[test]
fn an_interrupt_is_never_lost_however_close_it_comes() {
    let engine = interruptible();
    let (module, memory) = world(&engine);
    for round in 0..300_u32 {
        let started = AtomicBool::new(false);
        let mut guest = Guest::new(&module, &memory);
        guest.store.set_epoch_deadline(1);
        let handle = guest.store.interrupt_handle();
        thread::scope(|scope| {
            let started = &started;
            let waiting = scope.spawn(move || {
                started.store(true, Ordering::SeqCst);
                guest.wait32(0, 0, FOREVER)
            });
            while !started.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            for _ in 0..round * 20 {
                std::hint::spin_loop();
            }
            match round % 2 {
                0 => handle.interrupt(),
                _ => engine.increment_epoch(),
            }
            assert_eq!(code(waiting.join().expect("no panic")), TrapCode::Interrupt);
        });
    }
    assert_eq!(memory.atomic_notify(0, 9).expect("aligned"), 0);
}

#[test]
fn a_wait_whose_page_may_not_come_traps_and_leaves_nobody_behind() -> Result<()> {
    for engine in engines(|config| _ = config.memory_resident_limit(Some(0))) {
        let (module, memory) = world(&engine);
        let mut guest = Guest::new(&module, &memory);
        assert_eq!(code(guest.wait32(0, 0, FOREVER)), TrapCode::ResidentLimit);
        let error = memory.atomic_wait64(0, 0, None).unwrap_err();
        assert_eq!(error.code(), TrapCode::ResidentLimit);
        assert_eq!(guest.notify(0, 1)?, 0);
    }
    Ok(())
}

#[test]
fn waits_survive_that_their_page_is_discarded_all_the_time() {
    for engine in engines(|_| {}) {
        let (module, memory) = world(&engine);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..2)
                .map(|_| {
                    let mut guest = Guest::new(&module, &memory);
                    scope.spawn(move || {
                        for _ in 0..500 {
                            // Zero before and after a discard.
                            assert_eq!(guest.wait32(64, 0, 10_000).expect("no trap"), 2);
                            assert_eq!(guest.wait64(64, 1, FOREVER).expect("no trap"), 1);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    memory.discard(0..64 << 10).expect("inside");
                }
            });
            waiting.into_iter().for_each(|thread| thread.join().expect("no panic"));
            stop.store(true, Ordering::Relaxed);
        });
    }
}
