//! Giving memory back: `memory.discard` and its like for hosts.

mod machines;

use machines::engines;
use seqfault::{
    Config, Engine, Error, Feature, Instance, Memory, MemoryType, Module, ResourceLimiter, Result,
    SharedMemory, Store, TrapCode, TypedFunc,
};
use std::fs;
use std::time::{Duration, Instant};

const PAGE: usize = 64 << 10;

fn discards(memory: &str) -> String {
    format!(
        r#"(module {memory}
            (func (export "discard") (param i32 i32)
              (memory.discard (local.get 0) (local.get 1)))
            (func (export "fill") (param i32 i32)
              (memory.fill (local.get 0) (i32.const 0xaa) (local.get 1)))
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#
    )
}

fn allow(config: &mut Config) {
    config.wasm_feature(Feature::MemoryControl, true);
}

/// Bytes of this process that are in the machine's memory.
fn resident_set() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number") * 4096
}

struct Guest<T: 'static> {
    store: Store<T>,
    discard: TypedFunc<(i32, i32), ()>,
    fill: TypedFunc<(i32, i32), ()>,
    load: TypedFunc<i32, i32>,
    instance: Instance,
}

impl<T: 'static> Guest<T> {
    fn new(engine: &Engine, memory: &str, data: T) -> Result<Guest<T>> {
        let module = Module::new(engine, discards(memory))?;
        let mut store = Store::new(engine, data);
        let instance = Instance::new(&mut store, &module, &[])?;
        Ok(Guest {
            discard: instance.get_typed_func(&mut store, "discard")?,
            fill: instance.get_typed_func(&mut store, "fill")?,
            load: instance.get_typed_func(&mut store, "load")?,
            store,
            instance,
        })
    }

    fn discard(&mut self, start: usize, len: usize) -> Result<()> {
        self.discard.call(&mut self.store, (start as i32, len as i32))
    }

    fn fill(&mut self, len: usize) -> Result<()> {
        self.fill.call(&mut self.store, (0, len as i32))
    }

    fn load(&mut self, at: usize) -> Result<i32> {
        self.load.call(&mut self.store, at as i32)
    }

    fn resident(&mut self) -> usize {
        match self.instance.get_memory(&mut self.store, "memory") {
            Some(memory) => memory.resident(&self.store),
            None => {
                let memory = self.instance.get_shared_memory(&mut self.store, "memory");
                memory.expect("it is exported").resident()
            }
        }
    }
}

fn code<T>(result: Result<T>) -> TrapCode {
    let error = result.err().expect("it fails");
    error.trap().unwrap_or_else(|| panic!("no trap: {error}")).code()
}

const KINDS: [&str; 2] =
    [r#"(memory (export "memory") 600 600)"#, r#"(memory (export "memory") 600 600 shared)"#];

#[test]
fn what_is_given_back_reads_zero_and_takes_no_memory() -> Result<()> {
    const MIB: usize = 1 << 20;
    for engine in engines(allow) {
        for kind in KINDS {
            let mut guest = Guest::new(&engine, kind, ())?;
            guest.fill(32 * MIB)?;
            assert_eq!(guest.load(32 * MIB - 1)?, 0xaa);
            let (resident, process) = (guest.resident(), resident_set());
            guest.discard(MIB, 30 * MIB)?;
            assert_eq!(resident - guest.resident(), 30 * MIB);
            // Other tests run beside this one, on a few pages each.
            let given_back = process.saturating_sub(resident_set());
            assert!(given_back > 20 * MIB, "{given_back}");
            for (at, byte) in [(0, 0xaa), (MIB - 1, 0xaa), (MIB, 0), (16 * MIB, 0)] {
                assert_eq!(guest.load(at)?, byte, "{at:#x}");
            }
            assert_eq!(guest.load(31 * MIB - 1)?, 0);
            assert_eq!(guest.load(31 * MIB)?, 0xaa);
            guest.fill(32 * MIB)?;
            assert_eq!(guest.load(16 * MIB)?, 0xaa);
        }
    }
    Ok(())
}

#[test]
fn only_whole_pages_inside_are_given_back() -> Result<()> {
    let engine = Engine::new(Config::new().wasm_feature(Feature::MemoryControl, true))?;
    for kind in KINDS {
        let mut guest = Guest::new(&engine, kind, ())?;
        guest.fill(2 * PAGE)?;
        for (start, len) in [(1, PAGE), (0, 1), (4096, PAGE), (0, PAGE + 4096)] {
            assert_eq!(code(guest.discard(start, len)), TrapCode::UnalignedDiscard);
        }
        for (start, len) in [(600 * PAGE, PAGE), (0, 601 * PAGE), (65535 * PAGE, 2 * PAGE)] {
            assert_eq!(code(guest.discard(start, len)), TrapCode::MemoryOutOfBounds);
        }
        assert_eq!(guest.load(PAGE)?, 0xaa);
        guest.discard(600 * PAGE, 0)?;
        guest.discard(PAGE, 0)?;
        assert_eq!(guest.load(PAGE)?, 0xaa);
        guest.discard(0, 600 * PAGE)?;
        assert_eq!((guest.load(PAGE)?, guest.load(0)?), (0, 0));
    }
    Ok(())
}

#[test]
fn memories_with_wide_addresses_have_it_too() -> Result<()> {
    let engine = Engine::new(Config::new().wasm_feature(Feature::MemoryControl, true))?;
    let module = Module::new(
        &engine,
        r#"(module (memory (export "memory") i64 4)
            (func (export "discard") (param i64 i64)
              (memory.discard (local.get 0) (local.get 1))))"#,
    )?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_memory(&mut store, "memory").expect("it is exported");
    memory.write(&mut store, PAGE, &[1; 2 * PAGE])?;
    let discard = instance.get_typed_func::<(i64, i64), ()>(&mut store, "discard")?;
    discard.call(&mut store, (PAGE as i64, PAGE as i64))?;
    let mut bytes = [9; 1];
    memory.read(&store, PAGE, &mut bytes)?;
    assert_eq!(bytes, [0]);
    memory.read(&store, 2 * PAGE, &mut bytes)?;
    assert_eq!(bytes, [1]);
    for (start, len) in [(PAGE as i64, -(PAGE as i64)), (-(PAGE as i64), 2 * PAGE as i64)] {
        let result = discard.call(&mut store, (start, len));
        assert_eq!(code(result), TrapCode::MemoryOutOfBounds);
    }
    Ok(())
}

#[test]
fn it_is_a_feature_that_is_off_by_default() {
    let refused = Module::new(&Engine::default(), discards(KINDS[0]));
    assert!(refused.is_err());
}

/// Allows a number of bytes.
struct Budget(usize);

impl ResourceLimiter for Budget {
    fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }

    fn memory_discarding(&mut self, bytes: usize) -> Result<bool> {
        if bytes > 100 * PAGE {
            return Err(Error::msg("that is too much at once"));
        }
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        Ok(left.is_some())
    }
}

#[test]
fn the_host_may_refuse() -> Result<()> {
    let engine = Engine::new(Config::new().wasm_feature(Feature::MemoryControl, true))?;
    for kind in KINDS {
        let mut guest = Guest::new(&engine, kind, Budget(3 * PAGE))?;
        guest.store.limiter(|budget| budget);
        guest.fill(4 * PAGE)?;
        guest.discard(0, 2 * PAGE)?;
        assert_eq!(code(guest.discard(2 * PAGE, 2 * PAGE)), TrapCode::DiscardRefused);
        assert_eq!(guest.load(2 * PAGE)?, 0xaa);
        guest.discard(2 * PAGE, PAGE)?;
        assert_eq!((guest.load(2 * PAGE)?, guest.load(3 * PAGE)?), (0, 0xaa));
        let error = guest.discard(0, 101 * PAGE).unwrap_err();
        assert_eq!(error.to_string(), "that is too much at once");
        assert_eq!(guest.store.data().0, 0);
    }
    Ok(())
}

/// Lets so many bytes be given back in each period, and makes the guest wait for the next one.
struct Rate {
    bytes: usize,
    period: Duration,
    /// When the guest may go on, and what it may give back until the period after that.
    next: Instant,
    left: usize,
}

impl ResourceLimiter for Rate {
    fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }

    fn memory_discarding(&mut self, bytes: usize) -> Result<bool> {
        if bytes > self.left {
            std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
            self.next = Instant::now() + self.period;
            self.left = self.bytes;
        }
        self.left -= bytes;
        Ok(true)
    }
}

#[test]
fn the_host_may_slow_it_down() -> Result<()> {
    let engine = Engine::new(Config::new().wasm_feature(Feature::MemoryControl, true))?;
    for kind in KINDS {
        let period = Duration::from_millis(20);
        let rate = Rate { bytes: 2 * PAGE, period, next: Instant::now(), left: 0 };
        let mut guest = Guest::new(&engine, kind, rate)?;
        guest.store.limiter(|rate| rate);
        guest.fill(4 * PAGE)?;
        let begun = Instant::now();
        for round in 0..8 {
            guest.discard((round % 4) * PAGE, PAGE)?;
        }
        // Eight pages, two at a time: three waits between them.
        assert!(begun.elapsed() >= 3 * period, "{:?}", begun.elapsed());
        assert_eq!(guest.load(3 * PAGE)?, 0);
    }
    Ok(())
}

#[test]
fn hosts_give_back_without_asking_anybody() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(4, None))?;
    let shared = SharedMemory::new(&engine, MemoryType::shared(4, 4))?;
    memory.write(&mut store, 0, &[1; 4 * PAGE])?;
    shared.write(0, &[1; 4 * PAGE])?;
    memory.discard(&mut store, PAGE..3 * PAGE)?;
    shared.discard(PAGE..3 * PAGE)?;
    assert_eq!(memory.resident(&store), 2 * PAGE);
    assert_eq!(shared.resident(), 2 * PAGE);
    let (mut own, mut other) = ([9; 2], [9; 2]);
    memory.read(&store, PAGE - 1, &mut own)?;
    shared.read(PAGE - 1, &mut other)?;
    assert_eq!((own, other), ([1, 0], [1, 0]));
    #[allow(clippy::reversed_empty_ranges, reason = "it is refused")]
    for bad in [0..1, 1..PAGE + 1, 3 * PAGE..5 * PAGE, PAGE..0] {
        assert!(memory.discard(&mut store, bad.clone()).is_err(), "{bad:?}");
        assert!(shared.discard(bad.clone()).is_err(), "{bad:?}");
    }
    Ok(())
}
