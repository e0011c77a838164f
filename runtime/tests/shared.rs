//! Shared memories: one memory in many stores, used by many threads at once.

mod machines;

use machines::engines;
use seqfault::{
    Config, Engine, Instance, Linker, MemoryType, Module, Result, SharedMemory, Store, StoreLimits,
    StoreLimitsBuilder, TrapCode,
};
use std::thread;

const PAGE: usize = 64 << 10;

/// Works on the memory `env::memory`.
const USER: &str = r#"(module
    (import "env" "memory" (memory 1 1000 shared))
    (func (export "size") (result i32) (memory.size))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "fill") (param i32 i32 i32)
      (memory.fill (local.get 0) (local.get 1) (local.get 2)))
    (func (export "wait for size") (param i32)
      (loop (br_if 0 (i32.lt_u (memory.size) (local.get 0)))))
    (func (export "touch") (param $from i32) (param $to i32)
      (loop
        (i32.store (local.get $from) (local.get $from))
        (br_if 0 (i32.lt_u
          (local.tee $from (i32.add (local.get $from) (i32.const 4096))) (local.get $to))))))"#;

/// An instance of [`USER`] in a store of its own.
struct User {
    store: Store<StoreLimits>,
    instance: Instance,
}

impl User {
    fn new(module: &Module, memory: &SharedMemory, limits: StoreLimits) -> Result<User> {
        let mut store = Store::new(module.engine(), limits);
        store.limiter(|limits| limits);
        let instance = Instance::new(&mut store, module, &[memory.clone().into()])?;
        Ok(User { store, instance })
    }

    fn unlimited(module: &Module, memory: &SharedMemory) -> Result<User> {
        User::new(module, memory, StoreLimits::default())
    }

    fn call(&mut self, name: &str, param: i32) -> Result<i32> {
        self.instance
            .get_typed_func::<i32, i32>(&mut self.store, name)?
            .call(&mut self.store, param)
    }

    fn size(&mut self) -> Result<i32> {
        self.instance.get_typed_func::<(), i32>(&mut self.store, "size")?.call(&mut self.store, ())
    }

    fn two(&mut self, name: &str, a: i32, b: i32) -> Result<()> {
        let func = self.instance.get_typed_func::<(i32, i32), ()>(&mut self.store, name)?;
        func.call(&mut self.store, (a, b))
    }

    fn wait_for_size(&mut self, pages: i32) -> Result<()> {
        let func = self.instance.get_typed_func::<i32, ()>(&mut self.store, "wait for size")?;
        func.call(&mut self.store, pages)
    }
}

fn code(error: &seqfault::Error) -> TrapCode {
    error.trap().unwrap_or_else(|| panic!("no trap: {error}")).code()
}

fn shared(engine: &Engine, minimum: u32) -> SharedMemory {
    SharedMemory::new(engine, MemoryType::shared(minimum, 1000)).expect("address space")
}

#[test]
fn what_one_store_writes_another_reads() -> Result<()> {
    let engine = Engine::default();
    let (module, memory) = (Module::new(&engine, USER)?, shared(&engine, 1));
    let mut one = User::unlimited(&module, &memory)?;
    let mut two = User::unlimited(&module, &memory)?;
    one.two("store", 8, 77)?;
    assert_eq!(two.call("load", 8)?, 77);
    memory.write(8, &5_i32.to_le_bytes())?;
    assert_eq!(one.call("load", 8)?, 5);
    let mut bytes = [0; 4];
    memory.read(8, &mut bytes)?;
    assert_eq!(bytes, [5, 0, 0, 0]);
    assert!(memory.read(PAGE - 3, &mut bytes).is_err());
    assert!(memory.write(PAGE, &[1]).is_err());
    Ok(())
}

#[test]
fn a_module_that_defines_one_exports_it_and_it_outlives_its_store() -> Result<()> {
    let engine = Engine::default();
    let definer = Module::new(
        &engine,
        r#"(module (memory (export "memory") 2 1000 shared) (data (i32.const 4) "\2a"))"#,
    )?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &definer, &[])?;
    assert!(instance.get_memory(&mut store, "memory").is_none());
    let memory = instance.get_shared_memory(&mut store, "memory").expect("it is shared");
    assert_eq!((memory.ty(), memory.size()), (MemoryType::shared(2, 1000), 2));
    drop(store);
    let mut user = User::unlimited(&Module::new(&engine, USER)?, &memory)?;
    drop(memory);
    assert_eq!(user.call("load", 4)?, 42);
    assert_eq!(user.size()?, 2);
    Ok(())
}

#[test]
fn only_what_fits_can_be_imported() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, USER)?;
    let too_large = SharedMemory::new(&engine, MemoryType::shared(1, 1001))?;
    let too_small = SharedMemory::new(&engine, MemoryType::shared(0, 1000))?;
    for memory in [&too_large, &too_small] {
        let error = User::unlimited(&module, memory).err().expect("it does not fit").to_string();
        assert!(error.contains("incompatible import type"), "{error}");
    }
    too_small.grow(1)?;
    User::unlimited(&module, &too_small)?;

    let unshared = Module::new(&engine, r#"(module (import "env" "memory" (memory 1 1000)))"#)?;
    assert!(User::unlimited(&unshared, &shared(&engine, 1)).is_err());
    let mut store = Store::new(&engine, ());
    let plain = seqfault::Memory::new(&mut store, MemoryType::new(1, Some(1000)))?;
    assert!(Instance::new(&mut store, &module, &[plain.into()]).is_err());
    Ok(())
}

#[test]
fn a_shared_memory_needs_a_shared_type_with_a_maximum() {
    let engine = Engine::default();
    let endless = MemoryType { maximum: None, ..MemoryType::shared(1, 2) };
    for ty in [MemoryType::new(1, Some(2)), endless, MemoryType::shared(3, 2)] {
        assert!(SharedMemory::new(&engine, ty).is_err(), "{ty}");
    }
}

#[test]
#[should_panic(expected = "another engine")]
fn it_stays_with_its_engine() {
    let memory = shared(&Engine::default(), 1);
    let engine = Engine::default();
    let store = Store::new(&engine, ());
    let _ = Linker::new(&engine).define(&store, "env", "memory", memory);
}

#[test]
fn a_linker_gives_it_to_every_store() -> Result<()> {
    let engine = Engine::default();
    let (module, memory) = (Module::new(&engine, USER)?, shared(&engine, 1));
    let mut linker = Linker::new(&engine);
    linker.define(Store::new(&engine, ()), "env", "memory", memory.clone())?;
    let pre = linker.instantiate_pre(&module)?;
    for round in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store)?;
        instance.get_typed_func::<i32, i32>(&mut store, "grow")?.call(&mut store, 2)?;
        assert_eq!(memory.size(), 3 + 2 * round);
    }
    Ok(())
}

#[test]
fn threads_see_each_others_growth_at_once() -> Result<()> {
    for engine in engines(|_| {}) {
        let (module, memory) = (Module::new(&engine, USER)?, shared(&engine, 1));
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..2)
                .map(|_| {
                    let mut user = User::unlimited(&module, &memory).expect("it fits");
                    scope.spawn(move || -> Result<()> {
                        for pages in 2..=200 {
                            user.wait_for_size(pages)?;
                            // What is seen in the size can be touched, by accesses and in bulk.
                            let last = (pages - 1) * PAGE as i32;
                            assert_eq!(user.call("load", last + PAGE as i32 - 4)?, 0);
                            user.instance
                                .get_typed_func::<(i32, i32, i32), ()>(&mut user.store, "fill")?
                                .call(&mut user.store, (last, 0, PAGE as i32))?;
                        }
                        Ok(())
                    })
                })
                .collect();
            let mut grower = User::unlimited(&module, &memory)?;
            for old in 1..200 {
                assert_eq!(grower.call("grow", 1)?, old);
                assert_eq!(memory.data_size(), (old as usize + 1) * PAGE);
            }
            waiting.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })?;
    }
    Ok(())
}

#[test]
fn no_two_growths_have_the_same_outcome() -> Result<()> {
    let engine = Engine::default();
    let (module, memory) = (Module::new(&engine, USER)?, shared(&engine, 1));
    let mut seen = thread::scope(|scope| {
        let growing: Vec<_> = (0..3)
            .map(|_| {
                let mut user = User::unlimited(&module, &memory).expect("it fits");
                scope.spawn(move || {
                    let mut sizes = Vec::new();
                    while let Ok(size @ 0..) = user.call("grow", 1) {
                        sizes.push(size);
                    }
                    sizes
                })
            })
            .collect();
        let sizes = growing.into_iter().flat_map(|thread| thread.join().expect("no panic"));
        sizes.collect::<Vec<i32>>()
    });
    seen.sort_unstable();
    assert_eq!(seen, (1..1000).collect::<Vec<i32>>());
    assert_eq!(memory.size(), 1000);
    assert!(memory.grow(1).is_err());
    Ok(())
}

#[test]
fn the_limiter_of_the_store_that_grows_decides() -> Result<()> {
    let engine = Engine::default();
    let (module, memory) = (Module::new(&engine, USER)?, shared(&engine, 1));
    let small = StoreLimitsBuilder::new().memory_size(3 * PAGE).build();
    let mut limited = User::new(&module, &memory, small.clone())?;
    let mut free = User::unlimited(&module, &memory)?;
    assert_eq!(limited.call("grow", 2)?, 1);
    assert_eq!(limited.call("grow", 1)?, -1);
    assert_eq!(free.call("grow", 1)?, 3);
    assert_eq!(limited.size()?, 4);

    let definer = Module::new(&engine, "(module (memory 4 4 shared))")?;
    let mut store = Store::new(&engine, small);
    store.limiter(|limits| limits);
    assert!(Instance::new(&mut store, &definer, &[]).is_err());
    Ok(())
}

#[test]
fn the_resident_limit_holds_for_all_threads_together() -> Result<()> {
    const LIMIT: usize = 64 * PAGE;
    let limit = |config: &mut Config| _ = config.memory_resident_limit(Some(LIMIT));
    for engine in engines(limit) {
        let (module, memory) = (Module::new(&engine, USER)?, shared(&engine, 200));
        thread::scope(|scope| {
            let touching: Vec<_> = (0..3)
                .map(|part| {
                    let mut user = User::unlimited(&module, &memory).expect("it fits");
                    scope.spawn(move || {
                        let (from, to) = (part * 60 * PAGE as i32, (part + 1) * 60 * PAGE as i32);
                        user.two("touch", from, to)
                    })
                })
                .collect();
            let ends: Vec<_> = touching.into_iter().map(|t| t.join().expect("no panic")).collect();
            let refused = ends.iter().filter_map(|end| end.as_ref().err());
            let codes: Vec<TrapCode> = refused.map(code).collect();
            // 180 pages in all: at most one of the three can have come through.
            assert!(codes.len() >= 2, "{ends:?}");
            assert!(codes.iter().all(|&code| code == TrapCode::ResidentLimit), "{codes:?}");
        });
        assert!(memory.resident() <= LIMIT, "{}", memory.resident());
        memory.discard(0..200 * PAGE)?;
        assert_eq!(memory.resident(), 0);
        User::unlimited(&module, &memory)?.two("touch", 0, 10 * PAGE as i32)?;
    }
    Ok(())
}

#[test]
fn a_trap_of_one_thread_is_no_matter_to_the_others() -> Result<()> {
    for engine in engines(|_| {}) {
        let (module, memory) = (Module::new(&engine, USER)?, shared(&engine, 20));
        thread::scope(|scope| {
            for part in 0..2 {
                let (module, memory) = (&module, &memory);
                scope.spawn(move || {
                    for _ in 0..20 {
                        let mut user = User::unlimited(module, memory).expect("it fits");
                        let from = part * 10 * PAGE as i32;
                        user.two("touch", from, from + 10 * PAGE as i32).expect("inside");
                        let error = user.two("touch", from, 1000 * PAGE as i32).unwrap_err();
                        assert_eq!(code(&error), TrapCode::MemoryOutOfBounds);
                    }
                });
            }
        });
    }
    Ok(())
}
