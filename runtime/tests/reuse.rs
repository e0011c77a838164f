//! Memories and heaps are used again, and nobody finds anything of who used them before. `SEQFAULT_STRESS_SECS` asks for
//! a longer search.

use seqfault::{
    Config, Engine, Extern, Feature, Instance, Memory, MemoryType, Module, PagerKind, Reuse,
    SharedMemory, Store,
};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % bound
    }
}

fn stress_time() -> Duration {
    let seconds = std::env::var("SEQFAULT_STRESS_SECS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(3.0) / 2.0)
}

fn engine(pager: PagerKind, change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config::new();
    config.pager(pager).wasm_feature(Feature::MemoryControl, true);
    change(&mut config);
    Engine::new(&config).unwrap()
}

/// Modules of several kinds. Each has a memory, and those of the first half have data in it.
const MODULES: [&str; 7] = [
    r#"(memory (export "memory") 4 100) (data (i32.const 1000) "some data") (data (i32.const 150000) "more")"#,
    r#"(memory (export "memory") 4 100) (data (i32.const 1000) "other data")"#,
    r#"(memory (export "memory") 9) (data (i32.const 70000) "data")"#,
    r#"(memory (export "memory") 4 100)"#,
    r#"(memory (export "memory") 3)"#,
    r#"(memory (export "memory") i64 4 300)"#,
    r#"(memory (export "memory") 4 100 shared)"#,
];

/// What each module of the random search has besides. `parts` tells what is in its table and its globals, also where the
/// table grows, and needs a segment that an instance may drop; `spoil` changes all of it.
const PARTS: &str = r#"
    (table $table 40 90 funcref)
    (elem (table $table) (i32.const 3) func $parts $parts)
    (elem $passive func $parts $parts $parts)
    (global $number (mut i64) (i64.const 5))
    (global $zero (mut v128) (v128.const i64x2 0 0))
    (global $function (mut funcref) (ref.null func))
    (func $parts (export "parts") (result i64) (local $at i32) (local $found i64)
        (drop (table.grow $table (ref.null func) (i32.const 9)))
        (table.init $table $passive (i32.const 30) (i32.const 0) (i32.const 3))
        (loop $again
            (local.set $found (i64.rotl (local.get $found) (i64.const 1)))
            (if (i32.eqz (ref.is_null (table.get $table (local.get $at))))
                (then (local.set $found (i64.xor (local.get $found) (i64.const 0x5555555)))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $at) (table.size $table))))
        (if (i32.eqz (ref.is_null (global.get $function)))
            (then (local.set $found (i64.const -1))))
        (i64.add (i64.mul (local.get $found) (global.get $number))
            (i64.add (i64x2.extract_lane 0 (global.get $zero))
                (i64x2.extract_lane 1 (global.get $zero)))))
    (func (export "spoil") (param i64)
        (drop (table.grow $table (ref.func $parts) (i32.const 20)))
        (table.fill $table (i32.const 0) (ref.func $parts) (table.size $table))
        (elem.drop $passive)
        (global.set $number (local.get 0))
        (global.set $zero (i64x2.splat (local.get 0)))
        (global.set $function (ref.func $parts)))"#;

/// What the table and the globals hold.
fn parts(store: &mut Store<()>, instance: Instance) -> i64 {
    let parts = instance.get_typed_func::<(), i64>(&mut *store, "parts").unwrap();
    parts.call(store, ()).unwrap()
}

/// What a memory starts with, as an engine says that uses nothing again.
fn contents(store: &mut Store<()>, instance: Instance) -> Vec<u8> {
    match instance.get_export(&mut *store, "memory").unwrap() {
        Extern::Memory(memory) => all_of(memory, store),
        Extern::SharedMemory(memory) => {
            let mut bytes = vec![0xee; memory.data_size()];
            memory.read(0, &mut bytes).unwrap();
            bytes
        }
        _ => unreachable!("it exports a memory"),
    }
}

fn all_of(memory: Memory, store: &Store<()>) -> Vec<u8> {
    let mut bytes = vec![0xee; memory.data_size(store)];
    memory.read(store, 0, &mut bytes).unwrap();
    bytes
}

/// A use of a memory that leaves `mark` wherever it writes.
fn use_at_random(store: &mut Store<()>, instance: Instance, random: &mut Random, mark: u8) {
    let write = |store: &mut Store<()>, at: usize, bytes: &[u8]| match instance
        .get_export(&mut *store, "memory")
        .unwrap()
    {
        Extern::Memory(memory) => memory.write(store, at, bytes).unwrap(),
        Extern::SharedMemory(memory) => memory.write(at, bytes).unwrap(),
        _ => unreachable!("it exports a memory"),
    };
    let size = |store: &mut Store<()>| match instance.get_export(&mut *store, "memory").unwrap() {
        Extern::Memory(memory) => memory.data_size(store),
        Extern::SharedMemory(memory) => memory.data_size(),
        _ => unreachable!("it exports a memory"),
    };
    for _ in 0..random.below(10) {
        let len = size(store);
        match (random.below(8), instance.get_export(&mut *store, "memory").unwrap()) {
            (0, Extern::Memory(memory)) => {
                memory.grow(&mut *store, random.below(5) as u64).unwrap();
            }
            (0, Extern::SharedMemory(memory)) => drop(memory.grow(random.below(5) as u64)),
            (1, Extern::Memory(memory)) => {
                let page = random.below(len / 65536);
                memory.discard(&mut *store, page * 65536..(page + 1) * 65536).unwrap();
            }
            (2..4, _) => {
                for at in (random.below(4096)..len).step_by(1 + random.below(9) * 4096) {
                    write(store, at, &[mark]);
                }
            }
            _ => {
                let at = random.below(len);
                let most = (len - at).min([10, 5000, 200_000][random.below(3)]);
                write(store, at, &vec![mark; 1 + random.below(most)]);
            }
        }
    }
}

#[test]
fn no_instance_finds_anything_of_another() {
    let mut random = Random(0x5eed);
    let begin = Instant::now();
    let pagers = [PagerKind::Auto, PagerKind::Protect, PagerKind::Eager, PagerKind::Demand];
    let mut reused = 0;
    while begin.elapsed() < stress_time() {
        let pager = pagers[random.below(pagers.len())];
        let engine = engine(pager, |_| {});
        let mut modules: Vec<_> = MODULES
            .iter()
            .map(|text| Module::new(&engine, format!("(module {text} {PARTS})")).unwrap())
            .collect();
        let first: Vec<_> = MODULES
            .iter()
            .map(|text| {
                let fresh = self::engine(pager, |config| _ = config.reuse(Reuse::none()));
                let module = Module::new(&fresh, format!("(module {text} {PARTS})")).unwrap();
                let mut store = Store::new(&fresh, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                (contents(&mut store, instance), parts(&mut store, instance))
            })
            .collect();
        for user in 0..60 {
            // Few kinds of modules at a time, so that some are used again as they are.
            let kind = (user / 15 + random.below(3)) % MODULES.len();
            let mut store = Store::new(&engine, ());
            let waiting = engine.idle_memories().0;
            let instance = Instance::new(&mut store, &modules[kind], &[]).unwrap();
            reused += usize::from(engine.idle_memories().0 < waiting);
            let found = contents(&mut store, instance);
            assert!(found == first[kind].0, "{pager:?}: {} finds something", MODULES[kind]);
            let found = parts(&mut store, instance);
            assert_eq!(found, first[kind].1, "{pager:?}: in the table or a global");
            use_at_random(&mut store, instance, &mut random, 0x80 | user as u8);
            let spoil = instance.get_typed_func::<i64, ()>(&mut store, "spoil").unwrap();
            spoil.call(&mut store, -1 - user as i64).unwrap();
            if random.below(10) == 0 {
                // A module that goes: its data may not come back for the next one at its address.
                modules[kind] =
                    Module::new(&engine, format!("(module {} {PARTS})", MODULES[kind])).unwrap();
            }
        }
    }
    assert!(reused > 50, "only {reused} memories were used again");
}

#[test]
fn memories_of_the_host_and_shared_ones_are_fresh() {
    let engine = engine(PagerKind::Auto, |_| {});
    for user in 1..50 {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(2, Some(5))).unwrap();
        assert!(all_of(memory, &store).iter().all(|&byte| byte == 0));
        memory.write(&mut store, 100, &vec![user; 100_000]).unwrap();
        let shared = SharedMemory::new(&engine, MemoryType::shared(2, 5)).unwrap();
        let mut bytes = vec![1; shared.data_size()];
        shared.read(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0));
        shared.write(5, &vec![user; 100_000]).unwrap();
    }
    assert!((1..=4).contains(&engine.idle_memories().0));
}

#[test]
fn a_memory_that_had_grown_is_small_again_and_traps_beyond_its_end() {
    for pager in [PagerKind::Auto, PagerKind::Protect, PagerKind::Eager, PagerKind::Demand] {
        let engine = engine(pager, |_| {});
        let text = r#"(module (memory 1)
            (func (export "grow") (drop (memory.grow (i32.const 9)))
                (memory.fill (i32.const 0) (i32.const 7) (i32.const 655360)))
            (func (export "beyond") (result i32) (i32.load (i32.const 65536))))"#;
        let module = Module::new(&engine, text).unwrap();
        for _ in 0..3 {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let beyond = instance.get_typed_func::<(), i32>(&mut store, "beyond").unwrap();
            assert!(beyond.call(&mut store, ()).is_err(), "{pager:?}");
            let grow = instance.get_typed_func::<(), ()>(&mut store, "grow").unwrap();
            grow.call(&mut store, ()).unwrap();
            assert_eq!(beyond.call(&mut store, ()).unwrap(), 0x0707_0707, "{pager:?}");
        }
    }
}

#[test]
fn heaps_of_objects_are_used_again() {
    let engine = engine(PagerKind::Auto, |_| {});
    let text = r#"(module (type $a (array (mut i64)))
        (global $kept (mut (ref null $a)) (ref.null $a))
        (func (export "run") (result i64)
            (global.set $kept (array.new_default $a (i32.const 5000)))
            (array.get $a (global.get $kept) (i32.const 4999))
            (array.fill $a (global.get $kept) (i32.const 0) (i64.const -1) (i32.const 5000))))"#;
    let module = Module::new(&engine, text).unwrap();
    for _ in 0..20 {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), i64>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, ()).unwrap(), 0);
        store.gc().unwrap();
    }
    assert_eq!(engine.idle_memories().0, 1);
}

#[test]
fn what_waits_is_bounded_and_given_back_when_asked() {
    let reuse = |config: &mut Config| {
        let mut reuse = Reuse::default();
        reuse.max_idle = 32;
        config.reuse(reuse);
    };
    let engine = engine(PagerKind::Auto, reuse);
    let module = Module::new(&engine, r#"(module (memory (export "memory") 2))"#).unwrap();
    let stores: Vec<_> = (0..100)
        .map(|_| {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            memory.write(&mut store, 0, &[1; 100_000]).unwrap();
            store
        })
        .collect();
    drop(stores);
    let (count, bytes) = engine.idle_memories();
    assert!((1..=32).contains(&count) && bytes > 0, "{count} memories, {bytes} bytes");
    engine.release_idle_memories();
    assert_eq!(engine.idle_memories(), (0, 0));
}

#[test]
fn a_limit_on_what_is_resident_counts_only_what_its_own_guest_touched() {
    let engine = engine(PagerKind::Auto, |config| _ = config.memory_resident_limit(Some(1 << 18)));
    let module = Module::new(&engine, r#"(module (memory (export "memory") 100))"#).unwrap();
    for user in 0..10 {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert_eq!(memory.resident(&store), 0);
        memory.write(&mut store, user * 300_000, &[1; 90_000]).unwrap();
    }
}

#[test]
fn threads_that_exchange_stores_find_nothing_of_each_other() {
    let engine = engine(PagerKind::Auto, |_| {});
    let module = Module::new(&engine, format!("(module {})", MODULES[0])).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let first = contents(&mut store, instance);
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (engine, module, first) = (&engine, &module, &first);
            let (sender, receiver) = (sender.clone(), Arc::clone(&receiver));
            scope.spawn(move || {
                let (begin, mut random) = (Instant::now(), Random(77 + thread));
                while begin.elapsed() < stress_time() / 2 {
                    let mut store = Store::new(engine, ());
                    let instance = Instance::new(&mut store, module, &[]).unwrap();
                    assert!(contents(&mut store, instance) == *first);
                    use_at_random(&mut store, instance, &mut random, 0x80 | thread as u8);
                    // Half of the stores are dropped by another thread.
                    if random.below(2) == 0 {
                        sender.send(store).unwrap();
                        drop(receiver.lock().unwrap().try_recv());
                    }
                }
            });
        }
    });
}

type Stores = Arc<Mutex<Receiver<Store<()>>>>;

fn channel() -> (Sender<Store<()>>, Stores) {
    let (sender, receiver) = std::sync::mpsc::channel();
    (sender, Arc::new(Mutex::new(receiver)))
}
