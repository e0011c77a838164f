//! `memory.copy`, `memory.fill` and `table.copy` against plain slices: constant and other lengths, every
//! overlap, both ends of the memory.

use seqfault::{Config, Engine, Instance, Memory, Module, Result, Store, TrapCode};

const PAGE: usize = 65536;
/// Lengths that are compiled as constants.
const CONSTANTS: usize = 140;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }

    /// A place in a memory: near an end of it, near another place, or anywhere.
    fn place(&mut self, near: usize) -> usize {
        match self.below(4) {
            0 => self.below(80),
            1 => PAGE + 4 - self.below(200),
            2 => (near + self.below(160)).saturating_sub(80),
            _ => self.below(PAGE),
        }
    }
}

/// A module whose functions copy and fill `n` bytes, for each constant and for any number.
fn module(index: &str, memory: &str) -> String {
    let get = |at| format!("(local.get {at})");
    let (to, from, len) = (get(0), get(1), get(2));
    let mut text = format!("(module (memory (export \"m\") {memory})");
    for n in 0..CONSTANTS {
        text += &format!(
            "(func (export \"copy{n}\") (param {index} {index})
                (memory.copy {to} {from} ({index}.const {n})))
             (func (export \"fill{n}\") (param {index} i32)
                (memory.fill {to} {from} ({index}.const {n})))"
        );
    }
    text + &format!(
        "(func (export \"copy\") (param {index} {index} {index}) (memory.copy {to} {from} {len}))
         (func (export \"fill\") (param {index} i32 {index}) (memory.fill {to} {from} {len})))"
    )
}

/// What an operation makes of the bytes; whether it traps, and then leaves them alone.
fn expected(bytes: &mut [u8], to: usize, from: Option<usize>, byte: u8, len: usize) -> bool {
    let inside = |at: usize| at.checked_add(len).is_some_and(|end| end <= bytes.len());
    if !inside(to) || from.is_some_and(|from| !inside(from)) {
        return false;
    }
    match from {
        Some(from) => bytes.copy_within(from..from + len, to),
        None => bytes[to..to + len].fill(byte),
    }
    true
}

struct Subject {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
    bytes: Vec<u8>,
    is_64: bool,
}

impl Subject {
    fn new(config: &Config, memory: &str, is_64: bool) -> Subject {
        let engine = Engine::new(config).unwrap();
        let text = module(if is_64 { "i64" } else { "i32" }, memory);
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "m").unwrap();
        let bytes: Vec<u8> = (0..PAGE).map(|at| (at * 7 + at / 251) as u8).collect();
        memory.write(&mut store, 0, &bytes).unwrap();
        Subject { store, instance, memory, bytes, is_64 }
    }

    fn call(&mut self, name: &str, to: usize, second: usize, len: Option<usize>) -> Result<()> {
        let (store, is_copy) = (&mut self.store, name.starts_with("copy"));
        macro_rules! call {
            ($ty:ty, $($value:expr),*) => {{
                let func = self.instance.get_func(&mut *store, name).unwrap();
                func.typed::<$ty, ()>(&*store)?.call(&mut *store, ($($value,)*))
            }};
        }
        match (self.is_64, is_copy, len) {
            (false, _, None) => call!((i32, i32), to as i32, second as i32),
            (false, _, Some(len)) => call!((i32, i32, i32), to as i32, second as i32, len as i32),
            (true, true, None) => call!((i64, i64), to as i64, second as i64),
            (true, false, None) => call!((i64, i32), to as i64, second as i32),
            (true, true, Some(len)) => {
                call!((i64, i64, i64), to as i64, second as i64, len as i64)
            }
            (true, false, Some(len)) => {
                call!((i64, i32, i64), to as i64, second as i32, len as i64)
            }
        }
    }

    fn check(&mut self, copies: bool, to: usize, second: usize, len: usize, constant: bool) {
        let name = if copies { "copy" } else { "fill" };
        let (name, passed) = match constant {
            true => (format!("{name}{len}"), None),
            false => (name.to_owned(), Some(len)),
        };
        let from = copies.then_some(second);
        let done = expected(&mut self.bytes, to, from, second as u8, len);
        let outcome = self.call(&name, to, second, passed);
        let what = format!("{name} to {to:#x}, {second:#x}, {len}");
        match outcome {
            Ok(()) => assert!(done, "{what} should have trapped"),
            Err(error) => {
                let code = error.trap().map(|trap| trap.code());
                assert_eq!(code, Some(TrapCode::MemoryOutOfBounds), "{what}: {error}");
                assert!(!done, "{what} trapped");
            }
        }
        let mut found = vec![0; PAGE];
        self.memory.read(&self.store, 0, &mut found).unwrap();
        assert!(found == self.bytes, "{what}");
    }

    fn check_drawn(&mut self, random: &mut Random) {
        let (copies, constant) = (random.below(2) == 0, random.below(2) == 0);
        let longest = if constant { CONSTANTS } else { [CONSTANTS, 400, PAGE][random.below(3)] };
        let len = random.below(longest);
        let near = random.below(PAGE);
        let (to, second) = (random.place(near), random.place(near));
        self.check(copies, to, second, len, constant);
    }
}

fn configs() -> Vec<Config> {
    let plain = Config::new();
    let mut without_signals = Config::new();
    without_signals.signals_based_traps(false);
    let mut compiled_plainly = Config::new();
    compiled_plainly.compile_plainly(true);
    let mut baseline = Config::new();
    baseline.native_cpu(false);
    vec![plain, without_signals, compiled_plainly, baseline]
}

#[test]
fn lengths_of_all_kinds_do_what_slices_do() {
    for (at, config) in configs().iter_mut().enumerate() {
        config.wasm_feature(seqfault::Feature::CustomPageSizes, true);
        for (memory, is_64) in
            [("1 1", false), ("i64 1 1", true), ("65536 65536 (pagesize 1)", false)]
        {
            let mut subject = Subject::new(config, memory, is_64);
            let mut random = Random(0x9e37_79b9 + at as u64);
            for _ in 0..1500 {
                subject.check_drawn(&mut random);
            }
        }
    }
}

#[test]
fn addresses_that_wrap_are_out_of_bounds() {
    for config in configs() {
        let mut subject = Subject::new(&config, "1", false);
        for len in [0, 1, 16, 64, 65, 1 << 20, u32::MAX as usize] {
            for (to, from) in [(u32::MAX as usize, 0), (0, u32::MAX as usize), (PAGE + 1, 0)] {
                subject.check(true, to, from, len, false);
                subject.check(false, to, 1, len, false);
                if len < CONSTANTS {
                    subject.check(true, to, from, len, true);
                    subject.check(false, to, 1, len, true);
                }
            }
        }
        let mut subject = Subject::new(&config, "i64 1", true);
        for len in [0, 1, 16, 64, 65, 1 << 20, 1 << 33, usize::MAX, usize::MAX - 64] {
            for to in [usize::MAX, usize::MAX - 63, 1 << 63, 1 << 36, PAGE + 1, 65] {
                subject.check(true, to, 0, len, false);
                subject.check(true, 0, to, len, false);
                subject.check(false, to, 1, len, false);
                if len < CONSTANTS {
                    subject.check(true, to, 0, len, true);
                    subject.check(true, 0, to, len, true);
                    subject.check(false, to, 1, len, true);
                }
            }
        }
    }
}

#[test]
fn what_may_not_become_resident_stops_a_routine() -> Result<()> {
    let mut config = Config::new();
    config.memory_resident_limit(Some(8 * PAGE));
    let engine = Engine::new(&config)?;
    let text = r#"(module (memory 64)
        (func (export "copy") (param i32) (memory.copy (i32.const 0) (i32.const 0x200000) (local.get 0)))
        (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0))))"#;
    let module = Module::new(&engine, text)?;
    for name in ["copy", "fill"] {
        for len in [9 * PAGE, 30 * PAGE] {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let func = instance.get_typed_func::<i32, ()>(&mut store, name)?;
            func.call(&mut store, PAGE as i32)?;
            let error = func.call(&mut store, len as i32).unwrap_err();
            let trap = error.trap().expect("a trap");
            assert_eq!(trap.code(), TrapCode::ResidentLimit, "{name} {len}");
            assert_eq!(trap.frames().len(), 1, "{name} {len}");
        }
    }
    Ok(())
}

#[test]
fn elements_of_tables_are_copied_as_a_slice_would_be() -> Result<()> {
    const LEN: usize = 40;
    let functions: String =
        (0..LEN).map(|at| format!("(func $f{at} (result i32) (i32.const {at}))")).collect();
    let names: String = (0..LEN).map(|at| format!("$f{at} ")).collect();
    let text = format!(
        r#"(module {functions} (type $t (func (result i32)))
        (table $a {LEN} {LEN} funcref) (table $b {LEN} funcref) (elem $e func {names})
        (func (export "reset")
          (table.init $a $e (i32.const 0) (i32.const 0) (i32.const {LEN}))
          (table.init $b $e (i32.const 0) (i32.const 0) (i32.const {LEN})))
        (func (export "within") (param i32 i32 i32)
          (table.copy $a $a (local.get 0) (local.get 1) (local.get 2)))
        (func (export "between") (param i32 i32 i32)
          (table.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
        (func (export "get") (param i32) (result i32)
          (call_indirect $a (type $t) (local.get 0))))"#
    );
    let mut random = Random(77);
    for config in configs() {
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, &text)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let reset = instance.get_typed_func::<(), ()>(&mut store, "reset")?;
        let get = instance.get_typed_func::<i32, i32>(&mut store, "get")?;
        for round in 0..300 {
            reset.call(&mut store, ())?;
            let mut model: Vec<i32> = (0..LEN as i32).collect();
            let name = ["within", "between"][round % 2];
            let copy = instance.get_typed_func::<(i32, i32, i32), ()>(&mut store, name)?;
            let [to, from, len] = [(); 3].map(|()| random.below(LEN + 2));
            let fits = to + len <= LEN && from + len <= LEN;
            if fits {
                model.copy_within(from..from + len, to);
            }
            let outcome = copy.call(&mut store, (to as i32, from as i32, len as i32));
            assert_eq!(outcome.is_ok(), fits, "{name} {to} {from} {len}");
            for (at, &expected) in model.iter().enumerate() {
                assert_eq!(get.call(&mut store, at as i32)?, expected, "{name} {to} {from} {len}");
            }
        }
    }
    Ok(())
}
