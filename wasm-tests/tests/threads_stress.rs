//! Threads that grow one shared memory to its maximum, touch what the others grew, discard pages, wait and notify.
//!
//! Every word holds zero or a pattern of its address, so that a foreign or stale page shows at once. Each page has an owner, the
//! only one who writes and discards it and who knows exactly what must be there; the others look. Every so
//! often all threads meet at a barrier made of wait and notify without a timeout: a lost wake-up hangs the test, which a
//! watch reports.
//!
//! `SEQFAULT_STRESS_SECS` sets how long the five cases together take, by default 10 seconds.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use seqfault::{
    Compilation, Config, Engine, Feature, Instance, Linker, MemoryType, Module, PagerKind,
    SharedMemory, Store, TypedFunc,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u32 = 4;
/// Pages at first; the first one is the barrier's.
const MINIMUM: u32 = 1 + THREADS;
/// Pages in the end: 64 MiB.
const MAXIMUM: u32 = 1024;
/// Operations between two meetings.
const BATCH: u32 = 200;
/// Meetings in one memory.
const MEETINGS: u32 = 100;
/// How much longer than asked for a case may take before it counts as hanging: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

const MODULE: &str = r#"
    (module
      (import "" "memory" (memory 5 1024 shared))
      (func (export "size") (result i32) (memory.size))
      (func (export "grow") (result i32) (memory.grow (i32.const 1)))
      (func (export "discard") (param $page i32)
        (memory.discard (i32.shl (local.get $page) (i32.const 16)) (i32.const 65536)))
      (func (export "load") (param $at i32) (result i32) (i32.load (local.get $at)))
      (func (export "load_atomic") (param $at i32) (result i32) (i32.atomic.load (local.get $at)))
      (func (export "store") (param $at i32) (param $value i32)
        (i32.store (local.get $at) (local.get $value)))
      (func (export "store_atomic") (param $at i32) (param $value i32)
        (i32.atomic.store (local.get $at) (local.get $value)))
      ;; Word 0: how many are here. Word 64: which meeting it is.
      (func (export "meet") (param $threads i32) (local $meeting i32)
        (local.set $meeting (i32.atomic.load (i32.const 64)))
        (if (i32.eq (i32.add (i32.atomic.rmw.add (i32.const 0) (i32.const 1)) (i32.const 1)) (local.get $threads))
          (then
            (i32.atomic.store (i32.const 0) (i32.const 0))
            (i32.atomic.store (i32.const 64) (i32.add (local.get $meeting) (i32.const 1)))
            (drop (memory.atomic.notify (i32.const 64) (i32.const -1))))
          (else
            (loop $again
              (drop (memory.atomic.wait32 (i32.const 64) (local.get $meeting) (i64.const -1)))
              (br_if $again (i32.eq (i32.atomic.load (i32.const 64)) (local.get $meeting))))))))
"#;

/// What the word at this address holds, when it is not zero.
fn pattern(at: u32) -> u32 {
    (at ^ at >> 15).wrapping_mul(0x2c1b_3c6d) | 1
}

/// One thread's view of the memory.
struct Guest {
    store: Store<()>,
    size: TypedFunc<(), u32>,
    grow: TypedFunc<(), i32>,
    discard: TypedFunc<u32, ()>,
    loads: [TypedFunc<u32, u32>; 2],
    stores: [TypedFunc<(u32, u32), ()>; 2],
    meet: TypedFunc<u32, ()>,
}

impl Guest {
    fn new(module: &Module, memory: &SharedMemory) -> Guest {
        let engine = module.engine();
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        linker.define(&store, "", "memory", memory.clone()).unwrap();
        let instance: Instance = linker.instantiate(&mut store, module).unwrap();
        macro_rules! func {
            ($name:literal) => {
                instance.get_typed_func(&mut store, $name).unwrap()
            };
        }
        Guest {
            size: func!("size"),
            grow: func!("grow"),
            discard: func!("discard"),
            loads: [func!("load"), func!("load_atomic")],
            stores: [func!("store"), func!("store_atomic")],
            meet: func!("meet"),
            store,
        }
    }

    fn size(&mut self) -> u32 {
        self.size.call(&mut self.store, ()).unwrap()
    }

    fn load(&mut self, how: usize, at: u32) -> u32 {
        self.loads[how].call(&mut self.store, at).unwrap()
    }
}

/// What a thread does in one memory.
fn work(module: &Module, memory: &SharedMemory, me: u32, seed: u64) {
    let mut guest = Guest::new(module, memory);
    let mut random = SmallRng::seed_from_u64(seed);
    // Words of my pages that hold their pattern.
    let mut written: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut seen = MINIMUM;
    for _ in 0..MEETINGS {
        for _ in 0..BATCH {
            let size = guest.size();
            assert!(size >= seen, "the memory shrank from {seen} to {size} pages");
            seen = size;
            let page = random.random_range(1..size);
            let at = page << 16 | random.random_range(0..1 << 14) << 2;
            let how = random.random_range(0..2);
            let value = guest.load(how, at);
            if page % THREADS != me {
                assert!(value == 0 || value == pattern(at), "{value:#x} at {at:#x}");
                continue;
            }
            let mine = written.entry(page).or_default();
            let expected = if mine.contains(&at) { pattern(at) } else { 0 };
            assert_eq!(value, expected, "at {at:#x}, in a page of my own");
            match random.random_range(0..10) {
                0 => {
                    guest.discard.call(&mut guest.store, page).unwrap();
                    for at in mine.drain(..) {
                        assert_eq!(guest.load(how, at), 0, "discarded, at {at:#x}");
                    }
                }
                _ => {
                    guest.stores[how].call(&mut guest.store, (at, pattern(at))).unwrap();
                    mine.push(at);
                }
            }
            if random.random_range(0..8) == 0 {
                let old = guest.grow.call(&mut guest.store, ()).unwrap();
                let now = guest.size();
                assert!(old == -1 && now == MAXIMUM || old.cast_unsigned() < now, "{old} {now}");
            }
        }
        guest.meet.call(&mut guest.store, THREADS).unwrap();
    }
    for (page, words) in written {
        for at in words {
            assert_eq!(guest.load(0, at), pattern(at), "in the end, in page {page}");
        }
    }
}

/// Memory after memory, until time is up; how many.
fn stress(config: &Config, length: Duration) -> u64 {
    let mut config = config.clone();
    config.compilation(Compilation::Eager).wasm_feature(Feature::MemoryControl, true);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, MODULE).unwrap();
    let begin = Instant::now();
    let (seed, ended) = (AtomicU64::new(1), AtomicBool::new(false));
    while !ended.load(Ordering::Relaxed) {
        let memory = SharedMemory::new(&engine, MemoryType::shared(MINIMUM, MAXIMUM)).unwrap();
        thread::scope(|scope| {
            for me in 0..THREADS {
                let seed = seed.fetch_add(1, Ordering::Relaxed);
                let (module, memory) = (&module, &memory);
                scope.spawn(move || work(module, memory, me, seed));
            }
        });
        assert!(memory.resident() <= memory.data_size());
        ended.store(begin.elapsed() >= length, Ordering::Relaxed);
    }
    seed.into_inner() / u64::from(THREADS)
}

fn case(pager: PagerKind, speculation: bool) {
    let seconds = std::env::var("SEQFAULT_STRESS_SECS").map_or(10, |secs| secs.parse().unwrap());
    let length = Duration::from_secs(seconds) / 5;
    let mut config = Config::new();
    config.pager(pager).speculation(speculation);
    config.signals_based_traps(pager != PagerKind::Demand);
    if let Err(error) = Engine::new(&config) {
        // No userfaultfd here.
        println!("without {pager:?}: {error}");
        return;
    }
    let (done, outcome) = mpsc::channel();
    let running = thread::spawn(move || {
        let memories = stress(&config, length);
        // Nobody listens any more when it took too long.
        let _ = done.send(memories);
    });
    match outcome.recv_timeout(length + PATIENCE) {
        Ok(memories) => println!("{memories} memories"),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a thread hangs: a lost wake-up?"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(running.join().expect_err("it ended without a word"))
        }
    }
}

#[test]
fn uffd() {
    case(PagerKind::Uffd, true);
}

#[test]
fn uffd_classic() {
    case(PagerKind::Uffd, false);
}

#[test]
fn protect() {
    case(PagerKind::Protect, true);
}

#[test]
fn protect_classic() {
    case(PagerKind::Protect, false);
}

#[test]
fn eager() {
    case(PagerKind::Eager, true);
}

#[test]
fn without_signals() {
    case(PagerKind::Demand, true);
}
