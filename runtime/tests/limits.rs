//! Limits and interruption: growth that is refused, guests that run for too long.

use seqfault::{
    Config, Engine, Error, Instance, Memory, MemoryType, Module, RefType, RefusedByLimiter,
    ResourceLimiter, Result, SharedMemory, Store, StoreLimits, StoreLimitsBuilder, Table,
    TableType, TrapCode, UpdateDeadline, Val,
};
use std::time::Duration;

const GROWS: &str = r#"(module (memory (export "memory") 1 100) (table (export "table") 1 50 funcref)
    (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "size") (result i32) (memory.size))
    (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;

fn grows() -> String {
    GROWS.replace("(export \"memory\") 1", "1").replace("(export \"table\") 1", "1")
}

#[test]
fn memories_and_tables_grow_to_their_maximum() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, grows())?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_typed_func::<i32, i32>(&mut store, "memory")?;
    let table = instance.get_typed_func::<i32, i32>(&mut store, "table")?;
    assert_eq!(memory.call(&mut store, 98)?, 1);
    assert_eq!(memory.call(&mut store, 2)?, -1);
    assert_eq!(memory.call(&mut store, 1)?, 99);
    assert_eq!(memory.call(&mut store, -1)?, -1);
    assert_eq!(table.call(&mut store, 49)?, 1);
    assert_eq!(table.call(&mut store, 1)?, -1);
    Ok(())
}

#[test]
fn the_limiter_decides() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, grows())?;
    let limits = StoreLimitsBuilder::new().memory_size(10 << 16).table_elements(5).build();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits: &mut StoreLimits| limits);
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_typed_func::<i32, i32>(&mut store, "memory")?;
    let table = instance.get_typed_func::<i32, i32>(&mut store, "table")?;
    assert_eq!(memory.call(&mut store, 9)?, 1);
    assert_eq!(memory.call(&mut store, 1)?, -1);
    assert_eq!(table.call(&mut store, 4)?, 1);
    assert_eq!(table.call(&mut store, 1)?, -1);

    let small = StoreLimitsBuilder::new().memory_size(100).build();
    let mut store = Store::new(&engine, small);
    store.limiter(|limits: &mut StoreLimits| limits);
    let refused = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert!(refused.to_string().contains("limiter refuses a memory of 65536 bytes"), "{refused}");
    assert_eq!(refused.downcast_ref(), Some(&RefusedByLimiter::Memory { bytes: 65536 }));
    Ok(())
}

struct Refuses;

impl ResourceLimiter for Refuses {
    fn memory_growing(&mut self, current: usize, _: usize, _: Option<usize>) -> Result<bool> {
        match current {
            0 => Ok(true),
            _ => Err(Error::msg("enough is enough")),
        }
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}

#[test]
fn an_error_of_the_limiter_unwinds_the_guest() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, grows())?;
    let mut store = Store::new(&engine, Refuses);
    store.limiter(|refuses| refuses);
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_typed_func::<i32, i32>(&mut store, "memory")?;
    let error = memory.call(&mut store, 1).unwrap_err();
    assert_eq!(error.to_string(), "enough is enough");
    assert_eq!(error.backtrace().unwrap().len(), 1);
    let size = instance.get_typed_func::<(), i32>(&mut store, "size")?;
    assert_eq!(size.call(&mut store, ())?, 1);
    Ok(())
}

/// Lists of 16 bytes a node, and garbage.
const OBJECTS: &str = r#"(module
    (type $node (struct (field i32) (field (ref null $node))))
    (global $kept (mut (ref null $node)) (ref.null $node))
    (func (export "list") (param $n i32)
      (global.set $kept (ref.null $node))
      (loop $more
        (global.set $kept (struct.new $node (local.get $n) (global.get $kept)))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "garbage") (param $n i32)
      (loop $more
        (drop (struct.new $node (local.get $n) (ref.null $node)))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "forget") (param i32) (global.set $kept (ref.null $node))))"#;

fn call<T: 'static>(store: &mut Store<T>, instance: Instance, name: &str, n: i32) -> Result<()> {
    instance.get_typed_func::<i32, ()>(&mut *store, name)?.call(store, n)
}

#[test]
fn the_limiter_of_the_store_decides_how_much_objects_may_take_up() -> Result<()> {
    for (bytes, fits, does_not_fit) in [(4 << 20, 250_000, 270_000), (100 << 10, 4_000, 10_000)] {
        let limits = StoreLimitsBuilder::new().memory_size(bytes).build();
        let mut store = Store::new(&Engine::default(), limits);
        store.limiter(|limits| limits);
        let module = Module::new(store.engine(), OBJECTS)?;
        let instance = Instance::new(&mut store, &module, &[])?;
        call(&mut store, instance, "list", fits)?;
        let refused = call(&mut store, instance, "list", does_not_fit).unwrap_err();
        assert_eq!(refused.trap().unwrap().code(), TrapCode::GcHeapOutOfMemory, "{bytes}");
        // Where they are and where they are copied to, and what a fault brings beyond.
        let most = 2 * bytes + (2 << 20);
        assert!(store.gc_heap_resident() <= most, "{}", store.gc_heap_resident());
        call(&mut store, instance, "forget", 0)?;
        call(&mut store, instance, "list", fits)?;
    }
    Ok(())
}

/// Says yes so often, then fails; notes what was asked.
struct Grumpy {
    patience: usize,
    asked: Vec<(usize, usize)>,
}

impl ResourceLimiter for Grumpy {
    fn memory_growing(&mut self, from: usize, to: usize, most: Option<usize>) -> Result<bool> {
        assert!(from < to && to <= most.expect("objects have a limit"));
        self.asked.push((from, to));
        match self.asked.len() <= self.patience {
            true => Ok(true),
            false => Err(Error::msg("enough is enough")),
        }
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}

#[test]
fn an_error_of_the_limiter_counts_when_there_is_no_room_without_it() -> Result<()> {
    let mut store = Store::new(&Engine::default(), Grumpy { patience: 2, asked: Vec::new() });
    store.limiter(|limiter| limiter);
    let module = Module::new(store.engine(), OBJECTS)?;
    let instance = Instance::new(&mut store, &module, &[])?;
    call(&mut store, instance, "garbage", 1_000_000)?;
    assert_eq!(store.data().asked, [(0, 1 << 20)], "garbage needs no room");
    let error = call(&mut store, instance, "list", 2_000_000).unwrap_err();
    assert_eq!(error.to_string(), "enough is enough");
    let asked = &store.data().asked;
    assert_eq!(asked[1].0, 1 << 20, "{asked:?}");
    // What was not needed yet was refused in vain.
    assert!(asked.len() > 3 && asked[2..].iter().all(|(from, _)| *from == asked[1].1), "{asked:?}");
    Ok(())
}

fn interruptible() -> (Engine, Module) {
    let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    let module = Module::new(
        &engine,
        r#"(module
             (func (export "loop") (loop (br 0)))
             (func $recurse (export "recurse") (param i32)
               (loop $again
                 (if (local.get 0) (then (call $recurse (i32.sub (local.get 0) (i32.const 1)))))
                 (br $again))))"#,
    )
    .unwrap();
    (engine, module)
}

#[test]
fn a_busy_loop_is_interrupted_at_the_deadline() -> Result<()> {
    let (engine, module) = interruptible();
    for name in ["loop", "recurse"] {
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &module, &[])?;
        let func = instance.get_func(&mut store, name).unwrap();
        let clock = engine.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            clock.increment_epoch();
        });
        let params = [seqfault::Val::I32(5)];
        let params = if name == "loop" { &params[..0] } else { &params[..] };
        let error = func.call(&mut store, params, &mut []).unwrap_err();
        assert_eq!(error.trap().unwrap().code(), TrapCode::Interrupt);
        assert!(!error.trap().unwrap().frames().is_empty());
        thread.join().unwrap();
    }
    Ok(())
}

#[test]
fn a_callback_may_extend_the_deadline() -> Result<()> {
    let (engine, module) = interruptible();
    let mut store = Store::new(&engine, 0);
    store.set_epoch_deadline(0);
    store.epoch_deadline_callback(|mut store| {
        *store.data_mut() += 1;
        match store.data() {
            5 => Err(Error::msg("five times is enough")),
            _ => Ok(UpdateDeadline::Continue(0)),
        }
    });
    let instance = Instance::new(&mut store, &module, &[])?;
    let func = instance.get_typed_func::<(), ()>(&mut store, "loop")?;
    let error = func.call(&mut store, ()).unwrap_err();
    assert_eq!(error.to_string(), "five times is enough");
    assert_eq!(*store.data(), 5);
    Ok(())
}

#[test]
fn what_is_resident_is_limited_and_not_what_is_declared() -> Result<()> {
    let wat = r#"(module (memory (export "memory") 1000)
        (func (export "touch") (param i32) (i32.store8 (local.get 0) (i32.const 1)))
        (func (export "fill") (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x800000))))"#;
    for pager in [seqfault::PagerKind::Protect, seqfault::PagerKind::Auto] {
        let limit = 1 << 20;
        let mut config = Config::new();
        config.pager(pager).memory_resident_limit(Some(limit));
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, wat)?;
        let mut traps = Vec::new();
        for _ in 0..2 {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            let touch = instance.get_typed_func::<i32, ()>(&mut store, "touch")?;
            let (page, error) = (0..1000)
                .find_map(|page| Some((page, touch.call(&mut store, page << 16).err()?)))
                .expect("a thousand pages do not fit");
            assert_eq!(error.trap().unwrap().code(), TrapCode::ResidentLimit);
            assert!(memory.resident(&store) <= limit, "{}", memory.resident(&store));
            // The runtime's own accesses end in the same trap, and the host's in an error.
            let fill = instance.get_typed_func::<(), ()>(&mut store, "fill")?;
            let error = fill.call(&mut store, ()).unwrap_err();
            assert_eq!(error.trap().unwrap().code(), TrapCode::ResidentLimit);
            memory.write(&mut store, 999 << 16, &[1]).unwrap_err();
            touch.call(&mut store, 0)?;
            traps.push(page);
        }
        assert_eq!(traps[0], traps[1], "the same page every time");
    }
    Ok(())
}

#[test]
fn an_epoch_callback_may_call_wasm_and_may_panic() -> Result<()> {
    let (engine, module) = interruptible();
    let quick = Module::new(&engine, r#"(module (func (export "quick") (loop)))"#)?;
    let mut store = Store::new(&engine, 0);
    store.set_epoch_deadline(0);
    let quick = Instance::new(&mut store, &quick, &[])?.get_func(&mut store, "quick").unwrap();
    store.epoch_deadline_callback(move |mut store| {
        quick.call(&mut store, &[], &mut [])?;
        *store.data_mut() += 1;
        match store.data() {
            3 => panic!("the callback has a bug"),
            6 => Err(Error::msg("six times is enough")),
            _ => Ok(UpdateDeadline::Continue(0)),
        }
    });
    let instance = Instance::new(&mut store, &module, &[])?;
    let func = instance.get_typed_func::<(), ()>(&mut store, "loop")?;
    let call = std::panic::AssertUnwindSafe(|| func.call(&mut store, ()));
    let panic = std::panic::catch_unwind(call).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the callback has a bug"));
    let error = func.call(&mut store, ()).unwrap_err();
    assert_eq!(error.to_string(), "six times is enough");
    Ok(())
}

const BOTH: &str = r#"(module
    (import "" "memory" (memory 1)) (import "" "table" (table 10 funcref))
    (memory 2) (memory 3) (table 20 funcref) (table 30 funcref)
    (func (export "memory") (param i32) (result i32) (memory.grow 2 (local.get 0)))
    (func (export "table") (param i32) (result i32) (table.grow 2 (ref.null func) (local.get 0))))"#;

/// The store of an instance that has, with what the host made, 6 pages and 60 elements.
fn with_several(limits: StoreLimits) -> Result<(Store<StoreLimits>, Instance, Memory, Table)> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits| limits);
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    let ty = TableType::new(RefType::FUNCREF, 10, None);
    let table = Table::new(&mut store, ty, Val::FuncRef(None))?;
    let instance =
        Instance::new(&mut store, &Module::new(&engine, BOTH)?, &[memory.into(), table.into()])?;
    Ok((store, instance, memory, table))
}

#[test]
fn the_sums_of_memories_and_of_tables_are_limited() -> Result<()> {
    let limits = StoreLimitsBuilder::new().total_memory_size(8 << 16).total_table_elements(80);
    let (mut store, instance, memory, table) = with_several(limits.build())?;
    let grow_memory = instance.get_typed_func::<i32, i32>(&mut store, "memory")?;
    let grow_table = instance.get_typed_func::<i32, i32>(&mut store, "table")?;
    assert_eq!(grow_memory.call(&mut store, 3)?, -1);
    assert_eq!(grow_memory.call(&mut store, 1)?, 3);
    assert!(memory.grow(&mut store, 2).is_err());
    memory.grow(&mut store, 1)?;
    assert_eq!(grow_memory.call(&mut store, 1)?, -1);
    assert_eq!(grow_table.call(&mut store, 21)?, -1);
    assert_eq!(grow_table.call(&mut store, 10)?, 30);
    table.grow(&mut store, 10, Val::FuncRef(None))?;
    assert_eq!(grow_table.call(&mut store, 1)?, -1);
    assert!(Memory::new(&mut store, MemoryType::new(1, None)).is_err());

    for (bytes, elements) in [((6 << 16) - 1, 60), (6 << 16, 59)] {
        let limits = StoreLimitsBuilder::new();
        let limits = limits.total_memory_size(bytes).total_table_elements(elements);
        assert!(with_several(limits.build()).is_err(), "{bytes} {elements}");
    }
    let limits = StoreLimitsBuilder::new().total_memory_size(6 << 16).total_table_elements(60);
    with_several(limits.build()).map(drop)
}

#[test]
fn objects_count_beside_memories() -> Result<()> {
    let limits = StoreLimitsBuilder::new().total_memory_size(8 << 20).build();
    let mut store = Store::new(&Engine::default(), limits);
    store.limiter(|limits| limits);
    let module = Module::new(store.engine(), OBJECTS)?;
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = Memory::new(&mut store, MemoryType::new(64, None))?;
    call(&mut store, instance, "list", 100_000)?;
    assert!(memory.grow(&mut store, 63).is_err(), "objects have taken of it");
    let refused = call(&mut store, instance, "list", 300_000).unwrap_err();
    assert_eq!(refused.trap().unwrap().code(), TrapCode::GcHeapOutOfMemory);
    Ok(())
}

#[test]
fn the_numbers_of_instances_memories_and_tables_are_limited() -> Result<()> {
    let unlimited = StoreLimitsBuilder::new;
    for (limits, what) in [
        (unlimited().memories(2), "2 memories"),
        (unlimited().tables(2), "2 tables"),
        (unlimited().instances(0), "0 instances"),
    ] {
        let Err(refused) = with_several(limits.build()) else { panic!("{what}") };
        assert!(refused.to_string().contains(&format!("limit of {what}")), "{refused}");
    }
    let exactly = unlimited().memories(3).tables(3).instances(1);
    let (mut store, _, memory, table) = with_several(exactly.build())?;
    let again = Module::new(store.engine(), "(module)")?;
    assert!(Instance::new(&mut store, &again, &[]).is_err());
    let ty = memory.ty(&store);
    assert!(Memory::new(&mut store, ty).is_err());
    let ty = table.ty(&store);
    assert!(Table::new(&mut store, ty, Val::FuncRef(None)).is_err());
    Ok(())
}

#[test]
fn clones_of_limits_share_the_sums_until_they_are_dropped() -> Result<()> {
    let limits = StoreLimitsBuilder::new().total_memory_size(13 << 16).build();
    let first = with_several(limits.clone())?;
    let second = with_several(limits.clone())?;
    assert!(with_several(limits.clone()).is_err(), "what has failed takes nothing");
    drop(first);
    let third = with_several(limits.clone())?;
    drop((second, third));

    // What a shared memory has grown by outlives the store whose guest did it.
    let engine = Engine::default();
    let memory = SharedMemory::new(&engine, MemoryType::shared(1, 100))?;
    let module = Module::new(
        &engine,
        r#"(module (import "" "" (memory 1 100 shared))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#,
    )?;
    let grow = |pages| -> Result<i32> {
        let mut store = Store::new(&engine, limits.clone());
        store.limiter(|limits| limits);
        let instance = Instance::new(&mut store, &module, &[memory.clone().into()])?;
        instance.get_typed_func::<i32, i32>(&mut store, "grow")?.call(&mut store, pages)
    };
    assert_eq!((grow(7)?, grow(7)?, grow(6)?, grow(1)?), (1, -1, 8, -1));
    Ok(())
}

#[test]
fn growth_that_the_system_refuses_takes_nothing_of_the_sum() -> Result<()> {
    let engine = Engine::new(Config::new().memory64_reservation(1 << 20))?;
    let limits = StoreLimitsBuilder::new().total_memory_size(32 << 16).build();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits| limits);
    // Beyond what the address space of the memory has room for.
    let memory = Memory::new(&mut store, MemoryType::new64(1, None))?;
    for _ in 0..100 {
        assert!(memory.grow(&mut store, 16).is_err());
    }
    memory.grow(&mut store, 15)?;
    Memory::new(&mut store, MemoryType::new(16, None))?;
    assert!(Memory::new(&mut store, MemoryType::new(1, None)).is_err());
    Ok(())
}

#[test]
fn a_refusal_can_unwind_the_guest() -> Result<()> {
    let limits = StoreLimitsBuilder::new().total_memory_size(7 << 16).trap_on_grow_failure(true);
    let (mut store, instance, ..) = with_several(limits.build())?;
    let error = call_grow(&mut store, instance, 2).unwrap_err().to_string();
    assert!(error.contains("grow to 327680 bytes") && error.contains("458752 in all"), "{error}");
    assert_eq!(call_grow(&mut store, instance, 1)?, 3);
    Ok(())
}

fn call_grow(store: &mut Store<StoreLimits>, instance: Instance, pages: i32) -> Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, "memory")?.call(store, pages)
}
