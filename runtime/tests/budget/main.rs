//! An engine's budget of resident memory: the guest that goes over traps, the process and the other guests go on.

mod cgroup;

use seqfault::{
    Config, Engine, Instance, MemoryType, Module, PagerKind, ResidentBudget, Reuse, SharedMemory,
    Store, TrapCode,
};

const MIB: usize = 1 << 20;

/// Guests that eat in several ways, and one that is modest.
const GUEST: &str = r#"(module
    (type $bytes (array (mut i8)))
    (type $node (struct (field (ref null $node)) (field (ref $bytes))))
    (global $kept (mut (ref null $node)) (ref.null $node))
    (memory (export "memory") 16384)
    (data (i32.const 4000) "data of the module")
    ;; One store in each so many bytes, of a gigabyte.
    (func $eat (export "eat") (param $step i32) (local $at i32)
        (loop $next
            (i32.store (local.get $at) (i32.const 1))
            (local.set $at (i32.add (local.get $at) (local.get $step)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 0x40000000)))))
    ;; The same, round and round, so that each time other pages are touched.
    (func (export "scatter") (param $step i32) (local $at i32) (local $count i32)
        (loop $next
            (i32.store (local.get $at) (i32.const 1))
            (local.set $at (i32.and (i32.add (local.get $at) (local.get $step)) (i32.const 0x3ffffffc)))
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $count) (i32.const 262144)))))
    (func (export "fill") (param i32)
        (memory.fill (i32.const 0) (local.get 0) (i32.const 0x40000000)))
    (func (export "copy") (param i32)
        (memory.fill (i32.const 0) (local.get 0) (i32.const 0x1000000))
        (call $copies))
    (func $copies (local $at i32)
        (loop $next
            (local.set $at (i32.add (local.get $at) (i32.const 0x1000000)))
            (memory.copy (local.get $at) (i32.const 0) (i32.const 0x1000000))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 0x3f000000)))))
    (func (export "grow") (param i32) (local $at i32)
        (loop $next
            (local.set $at (memory.grow (i32.const 1)))
            (if (i32.eq (local.get $at) (i32.const -1)) (then (unreachable)))
            (local.set $at (i32.shl (local.get $at) (i32.const 16)))
            (i32.store (local.get $at) (i32.const 1))
            (i32.store offset=20000 (local.get $at) (i32.const 1))
            (i32.store offset=40000 (local.get $at) (i32.const 1))
            (br $next)))
    (func (export "objects") (param i32)
        (loop $next
            (global.set $kept (struct.new $node (global.get $kept)
                (array.new $bytes (i32.const 1) (i32.const 60000))))
            (br $next)))
    ;; Counts in a mebibyte, and tells whether it is still right.
    (func (export "modest") (result i32) (local $at i32)
        (loop $next
            (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 0x100000))))
        (i32.load (i32.const 0xff000))))"#;

/// How each guest eats, with an argument.
const WAYS: [(&str, i32); 9] = [
    ("eat", 4096),
    ("eat", 3 * 4096 + 64),
    ("eat", 16 << 10),
    ("scatter", 4096 * 21_001),
    ("fill", 1),
    ("copy", 1),
    ("grow", 0),
    ("objects", 0),
    ("eat", 512),
];

fn engine(pager: PagerKind, budget: ResidentBudget) -> Engine {
    Engine::new(Config::new().pager(pager).resident_budget(budget)).unwrap()
}

fn pagers() -> impl Iterator<Item = PagerKind> {
    let all = [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager];
    all.into_iter().filter(|&pager| Engine::new(Config::new().pager(pager)).is_ok())
}

/// A guest of its own.
struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(module: &Module) -> Guest {
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        Guest { store, instance }
    }

    /// Eats until it cannot go on.
    fn eat(&mut self, (name, argument): (&str, i32)) -> Option<TrapCode> {
        let func = self.instance.get_typed_func::<i32, ()>(&mut self.store, name).unwrap();
        let error = func.call(&mut self.store, argument).err()?;
        Some(error.trap().unwrap_or_else(|| panic!("{name}: {error}")).code())
    }

    fn modest(&mut self) -> i32 {
        let func = self.instance.get_typed_func::<(), i32>(&mut self.store, "modest").unwrap();
        func.call(&mut self.store, ()).unwrap()
    }
}

#[test]
fn the_guest_that_goes_over_traps_and_others_go_on() {
    const LIMIT: usize = 48 * MIB;
    for pager in pagers() {
        let engine = engine(pager, ResidentBudget::Bytes(LIMIT));
        let module = Module::new(&engine, GUEST).unwrap();
        // With this pager, memories are committed as far as there is room when they are made.
        let mut other = Guest::new(&module);
        if pager == PagerKind::Eager {
            let memory = other.instance.get_memory(&mut other.store, "memory").unwrap();
            memory.discard(&mut other.store, 0..1 << 30).unwrap();
        }
        assert_eq!(other.modest(), 1);
        for (round, way) in WAYS.into_iter().enumerate() {
            let mut greedy = Guest::new(&module);
            assert_eq!(greedy.eat(way), Some(TrapCode::ResidentLimit), "{pager:?} {way:?}");
            assert_eq!(greedy.eat(way), Some(TrapCode::ResidentLimit), "{pager:?} {way:?}");
            assert_eq!(other.modest(), round as i32 + 2, "{pager:?} {way:?}");
            let (charged, limit) = engine.resident_budget().unwrap();
            assert!(charged <= limit && limit == LIMIT, "{charged} {limit}");
        }
        drop(other);
        engine.release_idle_memories();
        assert_eq!(engine.resident_budget(), Some((0, LIMIT)), "{pager:?}");
    }
}

#[test]
fn what_waits_to_be_used_again_makes_room() {
    const LIMIT: usize = 24 * MIB;
    for pager in pagers() {
        let mut reuse = Reuse::default();
        (reuse.max_resident, reuse.keep_resident) = (1 << 30, 2 * MIB);
        let mut config = Config::new();
        config.pager(pager).resident_budget(ResidentBudget::Bytes(LIMIT)).reuse(reuse);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, r#"(module (memory (export "memory") 32))"#).unwrap();
        let touched = |bytes: usize| {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            memory.write(&mut store, 0, &vec![1; bytes]).unwrap();
            store
        };
        // Most of the budget waits, again and again, and never hinders anybody.
        for _ in 0..5 {
            let stores: Vec<_> = (0..11).map(|_| touched(2 * MIB)).collect();
            drop(stores);
        }
        let (idle, kept) = engine.idle_memories();
        assert!(idle > 0 && kept > 0, "{pager:?}");
        let large = Module::new(&engine, r#"(module (memory (export "memory") 400))"#).unwrap();
        let mut store = Store::new(&engine, ());
        let memory = Instance::new(&mut store, &large, &[]).unwrap();
        let memory = memory.get_memory(&mut store, "memory").unwrap();
        memory.write(&mut store, 0, &vec![1; 22 * MIB]).unwrap();
        memory.write(&mut store, 22 * MIB, &vec![1; 3 * MIB]).unwrap_err();
        drop(store);
        // What was emptied is as good as new.
        let mut bytes = vec![1; 2 * MIB];
        for _ in 0..11 {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            memory.read(&store, 0, &mut bytes[..]).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0), "{pager:?}");
        }
    }
}

#[test]
fn threads_on_a_shared_memory_all_trap_and_a_discard_makes_room() {
    const LIMIT: usize = 16 * MIB;
    const USER: &str = r#"(module (import "" "memory" (memory 1 8192 shared))
        (func (export "touch") (param $at i32) (param $end i32)
            (loop $next
                (i32.atomic.store (local.get $at) (i32.const 1))
                (local.set $at (i32.add (local.get $at) (i32.const 12288)))
                (br_if $next (i32.lt_u (local.get $at) (local.get $end))))))"#;
    for pager in pagers() {
        let engine = engine(pager, ResidentBudget::Bytes(LIMIT));
        let module = Module::new(&engine, USER).unwrap();
        let memory = SharedMemory::new(&engine, MemoryType::shared(4096, 8192)).unwrap();
        if pager == PagerKind::Eager {
            memory.discard(0..256 * MIB).unwrap();
        }
        let touch = |part: usize, len: usize| {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
            let func = instance.get_typed_func::<(i32, i32), ()>(&mut store, "touch").unwrap();
            let from = part * 64 * MIB;
            func.call(&mut store, (from as i32, (from + len) as i32))
        };
        let ends: Vec<_> = std::thread::scope(|scope| {
            let threads = [0, 1, 2].map(|part| scope.spawn(move || touch(part, 64 * MIB)));
            threads.map(|thread| thread.join().unwrap()).into()
        });
        for end in ends {
            assert_eq!(end.unwrap_err().trap().unwrap().code(), TrapCode::ResidentLimit);
        }
        assert!(memory.resident() <= LIMIT, "{pager:?}: {}", memory.resident());
        memory.discard(0..256 * MIB).unwrap();
        touch(3, 6 * MIB).unwrap();
    }
}

#[test]
fn a_budget_needs_a_pager_that_counts() {
    let bytes = ResidentBudget::Bytes(MIB);
    for (signals, pager) in [(true, PagerKind::Demand), (false, PagerKind::Auto)] {
        let mut config = Config::new();
        config.signals_based_traps(signals).pager(pager).resident_budget(bytes);
        let error = Engine::new(&config).unwrap_err().to_string();
        assert!(
            error.contains("cannot limit what is resident") || error.contains("needs signals"),
            "{error}"
        );
        // What is found out by itself is left out there.
        config.resident_budget(ResidentBudget::Auto);
        assert_eq!(Engine::new(&config).unwrap().resident_budget(), None);
    }
    assert_eq!(Engine::default().resident_budget(), None);
}
