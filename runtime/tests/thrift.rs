//! Processes that may map little: the same results, and errors that say what to do.

use seqfault::{
    AddressSpace, Config, Engine, Func, Instance, Linker, MemoryType, Module, PagerKind, Result,
    Scarcity, SharedMemory, Store, TrapCode,
};
use std::process::Command;
use std::thread;

const GIB: u64 = 1 << 30;
const PAGE: usize = 64 << 10;

/// In a child with this limit on its address space, runs `body`.
fn limited(test: &str, limits: &[u64], body: impl Fn(u64)) {
    const MARK: &str = "SEQFAULT_TEST_CHILD";
    if let Ok(limit) = std::env::var(MARK) {
        let bytes = limit.parse().unwrap();
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: the structure is initialised.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
        body(bytes);
        std::process::exit(0);
    }
    for limit in limits {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
        let output = command.env(MARK, limit.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{limit} bytes: {:?}\n{said}", output.status);
    }
}

/// Data, a table, growth, and all that goes wrong at the end of a memory.
const PROGRAM: &str = r#"(module
    (memory (export "memory") 2 2000)
    (table 2 funcref) (elem (i32.const 0) $seven)
    (data (i32.const 65536) "data")
    (type $number (func (result i32)))
    (func $seven (result i32) (i32.const 7))
    (func (export "sum") (param $pages i32) (result i32) (local $at i32) (local $sum i32)
        (drop (memory.grow (local.get $pages)))
        (loop $next
            (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
            (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $next (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
        (i32.add (local.get $sum) (call_indirect (type $number) (i32.const 0))))
    (func (export "load") (param i32) (result i32) (i32.load offset=8 (local.get 0)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

/// What `sum` returns at first: one for each 4 KiB, but for the word that has data.
fn expected_sum(pages: i32) -> i32 {
    let data = i32::from_le_bytes(*b"data");
    ((2 + pages) * 16).wrapping_add(data).wrapping_add(7)
}

fn check(store: &mut Store<()>, instance: &Instance, pages: i32) {
    let sum = instance.get_typed_func::<i32, i32>(&mut *store, "sum").unwrap();
    assert_eq!(sum.call(&mut *store, pages).unwrap(), expected_sum(pages));
    let load = instance.get_typed_func::<i32, i32>(&mut *store, "load").unwrap();
    let len = (2 + pages) * PAGE as i32;
    assert_eq!(load.call(&mut *store, len - 12).unwrap(), 0);
    for at in [len - 11, len - 8, len, 1 << 30, -1, -8] {
        let error = load.call(&mut *store, at).unwrap_err();
        let trap = error.trap().unwrap_or_else(|| panic!("{error}"));
        assert_eq!(trap.code(), TrapCode::MemoryOutOfBounds, "{at}");
    }
}

#[test]
fn hundreds_of_instances_live_at_once_in_little_address_space() {
    let limits = [GIB, 2 * GIB, 4_096_000_000, 8 * GIB, 64 * GIB];
    limited("hundreds_of_instances_live_at_once_in_little_address_space", &limits, |bytes| {
        let engine = Engine::default();
        assert_eq!(engine.scarcity(), Some(Scarcity::AddressSpace(bytes)));
        assert!(engine.scarcity().unwrap().to_string().contains(&bytes.to_string()));
        let module = Module::new(&engine, PROGRAM).unwrap();
        let mut stores: Vec<_> = (0..400)
            .map(|_| {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                (store, instance)
            })
            .collect();
        for (number, (store, instance)) in stores.iter_mut().enumerate() {
            check(store, instance, number as i32 % 9);
        }
    });
}

#[test]
fn a_memory_grows_as_far_as_the_process_may_map() {
    let test = "a_memory_grows_as_far_as_the_process_may_map";
    limited(test, &[GIB, 2 * GIB, 4_096_000_000], |bytes| {
        let engine = Engine::default();
        let text = r#"(module (memory $m 1) (memory $w i64 1)
            (func (export "grow") (param i32) (result i32)
                (memory.grow $m (local.get 0)))
            (func (export "wide") (param i64) (result i64) (memory.grow $w (local.get 0)))
            (func (export "touch") (param i32) (result i32)
                (i32.store (local.get 0) (i32.const 5)) (i32.load (local.get 0)))
            (func (export "size") (result i32) (memory.size $m)))"#;
        let module = Module::new(&engine, text).unwrap();
        for round in 0..3 {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
            let wide = instance.get_typed_func::<i64, i64>(&mut store, "wide").unwrap();
            let touch = instance.get_typed_func::<i32, i32>(&mut store, "touch").unwrap();
            let mut pages = 1;
            while grow.call(&mut store, 256).unwrap() == pages {
                pages += 256;
            }
            let had = pages as u64 * PAGE as u64;
            // Half of it is the least; what else the process has is not more.
            assert!(had > bytes / 2 && had < bytes, "{had} of {bytes} in round {round}");
            let end = (had - 4) as i32;
            assert_eq!(touch.call(&mut store, end).unwrap(), 5);
            assert!(touch.call(&mut store, end + 1).is_err());
            assert_eq!(wide.call(&mut store, 1 << 20).unwrap(), -1);
            let size = instance.get_typed_func::<(), i32>(&mut store, "size").unwrap();
            assert_eq!(size.call(&mut store, ()).unwrap(), pages);
        }
    });
}

#[test]
fn threads_share_a_memory_in_little_address_space() {
    limited("threads_share_a_memory_in_little_address_space", &[2 * GIB, 8 * GIB], |_| {
        let engine = Engine::default();
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 65_536)).unwrap();
        let text = r#"(module (import "" "memory" (memory 1 65536 shared))
            (func (export "add") (param i32) (drop (memory.grow (i32.const 1)))
                (loop $again
                    (drop (i32.atomic.rmw.add (i32.const 65532) (i32.const 1)))
                    (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;
        let module = Module::new(&engine, text).unwrap();
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let mut store = Store::new(&engine, ());
                    let mut linker = Linker::new(&engine);
                    linker.define(&store, "", "memory", memory.clone()).unwrap();
                    let instance = linker.instantiate(&mut store, &module).unwrap();
                    let add = instance.get_typed_func::<i32, ()>(&mut store, "add").unwrap();
                    add.call(&mut store, 1000).unwrap();
                });
            }
        });
        let mut sum = [0; 4];
        memory.read(PAGE - 4, &mut sum).unwrap();
        assert_eq!((u32::from_le_bytes(sum), memory.size()), (16_000, 17));
    });
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_limit_and_the_remedy() {
    let test = "what_does_not_fit_is_an_error_that_names_the_limit_and_the_remedy";
    limited(test, &[GIB], |bytes| {
        let advice = |result: Result<Instance>| {
            let said = result.map(drop).unwrap_err().to_string();
            for part in [&bytes.to_string(), "ulimit -v", "Config::address_space"] {
                assert!(said.contains(part), "{said}");
            }
        };
        let large = "(module (memory 20000))";
        for space in [AddressSpace::Auto, AddressSpace::Scarce, AddressSpace::Ample] {
            let engine = Engine::new(Config::new().address_space(space)).unwrap();
            let mut store = Store::new(&engine, ());
            advice(Instance::new(&mut store, &Module::new(&engine, large).unwrap(), &[]));
            let small = Module::new(&engine, "(module (memory 1))").unwrap();
            let made = Instance::new(&mut store, &small, &[]);
            match space {
                AddressSpace::Ample => advice(made),
                _ => assert!(made.is_ok()),
            }
        }
    });
}

/// A list of objects, so long that the heap has to become larger several times.
const LIST: &str = r#"(module
    (type $cell (struct (field i64) (field (ref null $cell))))
    (func (export "list") (param $left i64) (result i64)
        (local $list (ref null $cell)) (local $sum i64)
        (loop $again
            (drop (struct.new $cell (i64.const -1) (local.get $list)))
            (local.set $list (struct.new $cell (local.get $left) (local.get $list)))
            (br_if $again
                (i64.ne (i64.const 0) (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
        (loop $again
            (local.set $sum (i64.add (local.get $sum) (struct.get $cell 0 (local.get $list))))
            (local.set $list (struct.get $cell 1 (local.get $list)))
            (br_if $again (i32.eqz (ref.is_null (local.get $list)))))
        (local.get $sum)))"#;

fn list(engine: &Engine, module: &Module, len: i64) -> Result<i64> {
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, module, &[]).unwrap();
    let list = instance.get_typed_func::<i64, i64>(&mut store, "list").unwrap();
    list.call(&mut store, len)
}

#[test]
fn heaps_are_small_at_first_and_move_when_they_grow() {
    let test = "heaps_are_small_at_first_and_move_when_they_grow";
    limited(test, &[GIB, 4_096_000_000], |_| {
        let engine = Engine::default();
        let module = Module::new(&engine, LIST).unwrap();
        let heaps: Vec<_> = (0..100)
            .map(|_| {
                let mut store = Store::new(&engine, ());
                Instance::new(&mut store, &module, &[]).unwrap();
                store
            })
            .collect();
        for len in [10, 20_000, 1_000_000] {
            assert_eq!(list(&engine, &module, len).unwrap(), len * (len + 1) / 2);
        }
        drop(heaps);
    });
}

#[test]
fn heaps_that_move_keep_what_they_hold_and_their_limit() {
    for stress in [false, true] {
        let mut config = Config::new();
        config.address_space(AddressSpace::Scarce).gc_stress(stress);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, LIST).unwrap();
        let len = if stress { 300 } else { 400_000 };
        assert_eq!(list(&engine, &module, len).unwrap(), len * (len + 1) / 2);
        let engine = Engine::new(config.gc_heap_limit(Some(4 << 20))).unwrap();
        let module = Module::new(&engine, LIST).unwrap();
        if !stress {
            let error = list(&engine, &module, len).unwrap_err();
            assert_eq!(error.trap().unwrap().code(), TrapCode::GcHeapOutOfMemory);
        }
    }
}

#[test]
fn a_resident_limit_and_every_pager_work_where_address_space_is_scarce() {
    let pagers = [PagerKind::Auto, PagerKind::Protect, PagerKind::Eager, PagerKind::Demand];
    for pager in pagers {
        let mut config = Config::new();
        config.address_space(AddressSpace::Scarce).pager(pager);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, PROGRAM).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        check(&mut store, &instance, 40);
        let engine = Engine::new(config.memory_resident_limit(Some(64 * PAGE)));
        if pager == PagerKind::Demand {
            let error = engine.unwrap_err().to_string();
            assert!(error.contains("Demand cannot limit what is resident"), "{error}");
            continue;
        }
        let engine = engine.unwrap();
        let module = Module::new(&engine, PROGRAM).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        check(&mut store, &instance, 40);
        let sum = instance.get_typed_func::<i32, i32>(&mut store, "sum").unwrap();
        let error = sum.call(&mut store, 400).unwrap_err();
        assert_eq!(error.trap().unwrap().code(), TrapCode::ResidentLimit, "{pager:?}");
    }
}

/// How many mappings this process has.
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

#[test]
fn an_instance_has_one_mapping_where_they_are_scarce() {
    let test = "an_instance_has_one_mapping_where_they_are_scarce";
    limited(test, &[64 * GIB], |_| {
        let engine = Engine::new(Config::new().address_space(AddressSpace::Scarce)).unwrap();
        let text = r#"(module (memory 4) (func (export "touch") (param i32)
            (i32.store (local.get 0) (i32.const 1))
            (drop (memory.grow (i32.const 1)))
            (i32.store (i32.const 300000) (i32.const 1))))"#;
        let module = Module::new(&engine, text).unwrap();
        let make = |_| {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let touch = instance.get_typed_func::<i32, ()>(&mut store, "touch").unwrap();
            (0..4).for_each(|page| touch.call(&mut store, page * 65_536).unwrap());
            store
        };
        let first: Vec<_> = (0..10).map(make).collect();
        let before = mappings();
        let stores: Vec<_> = (0..300).map(make).collect();
        let each = (mappings() - before) as f64 / stores.len() as f64;
        assert!(each < 1.2, "{each} mappings an instance");
        drop(first);
    });
}

#[test]
fn host_functions_and_data_pointers_work_where_memories_are_mapped_as_they_grow() {
    let engine = Engine::new(Config::new().address_space(AddressSpace::Scarce)).unwrap();
    let mut store = Store::new(&engine, ());
    let module = Module::new(
        &engine,
        r#"(module (import "" "host" (func $host)) (memory (export "memory") 1)
            (func (export "run") (result i32)
                (call $host) (i32.load8_u (i32.const 200000))))"#,
    )
    .unwrap();
    let host = Func::wrap(&mut store, |mut caller: seqfault::Caller<'_, ()>| {
        let memory = caller.get_export("memory").and_then(seqfault::Extern::into_memory).unwrap();
        let before = memory.data_ptr(&caller);
        assert_eq!(memory.grow(&mut caller, 3).unwrap(), 1);
        assert_eq!(memory.data_ptr(&caller), before);
        memory.write(&mut caller, 200_000, b"x").unwrap();
        assert!(memory.write(&mut caller, 4 * PAGE, b"x").is_err());
    });
    let instance = Instance::new(&mut store, &module, &[host.into()]).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), i32::from(b'x'));
}
