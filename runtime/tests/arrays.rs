//! Arrays that are made, filled and copied have the elements that they should have, whatever their kind, length and place,
//! and whether the length is known when they are compiled.

use seqfault::{Config, Engine, Instance, Module, Result, Store, TypedFunc};

/// A kind of arrays: the name of its type, the type of its elements, an element for `$v`, and `$v` for an element.
const KINDS: &[(&str, &str, &str, &str)] = &[
    ("i8", "i8", "(local.get $v)", "(array.get_u $a GET)"),
    ("i16", "i16", "(local.get $v)", "(array.get_u $a GET)"),
    ("i32", "i32", "(local.get $v)", "(array.get $a GET)"),
    ("i64", "i64", "(i64.extend_i32_u (local.get $v))", "(i32.wrap_i64 (array.get $a GET))"),
    ("f32", "f32", "(f32.convert_i32_u (local.get $v))", "(i32.trunc_f32_u (array.get $a GET))"),
    ("f64", "f64", "(f64.convert_i32_u (local.get $v))", "(i32.trunc_f64_u (array.get $a GET))"),
    (
        "v128",
        "v128",
        "(i32x4.replace_lane 3 (i32x4.splat (local.get $v)) (i32.mul (local.get $v) (i32.const 5)))",
        "(i32.sub (i32x4.extract_lane 3 (array.get $a GET))
            (i32.shl (i32x4.extract_lane 1 (array.get $a GET)) (i32.const 2)))",
    ),
    (
        "object",
        "(ref null $box)",
        "(struct.new $box (local.get $v))",
        "(if (result i32) (ref.is_null (array.get $a GET)) (then (i32.const 0))
            (else (struct.get $box 0 (array.get $a GET))))",
    ),
    (
        "i31",
        "i31ref",
        "(ref.i31 (local.get $v))",
        "(if (result i32) (ref.is_null (array.get $a GET)) (then (i32.const 0))
            (else (i31.get_u (array.get $a GET))))",
    ),
    (
        "function",
        "funcref",
        "(select (result funcref) (ref.null func) (ref.func $f) (i32.eqz (local.get $v)))",
        "(i32.mul (local.get $last) (i32.eqz (ref.is_null (array.get $a GET))))",
    ),
];

/// Lengths that are constants: all that are short, and some that are not.
const LENGTHS: [usize; 44] = {
    let mut lengths = [0; 44];
    let mut at = 0;
    while at < 36 {
        lengths[at] = at;
        at += 1;
    }
    (lengths[36], lengths[37], lengths[38], lengths[39]) = (63, 64, 65, 127);
    (lengths[40], lengths[41], lengths[42], lengths[43]) = (128, 129, 130, 1_000);
    lengths
};

fn module(element: &str, value: &str, get: &str) -> String {
    let get = get.replace("GET", "(global.get $it) (local.get $i)");
    let mut functions = format!(
        r#"(func (export "new") (param $v i32) (param $n i32)
             (global.set $it (array.new $a {value} (local.get $n))))
           (func (export "default") (param $v i32) (param $n i32)
             (global.set $it (array.new_default $a (local.get $n))))
           (func (export "fill") (param $at i32) (param $v i32) (param $n i32)
             (array.fill $a (global.get $it) (local.get $at) {value} (local.get $n)))
           (func (export "copy") (param $to i32) (param $from i32) (param $n i32)
             (array.copy $a $a (global.get $it) (local.get $to) (global.get $it) (local.get $from)
               (local.get $n)))
           (func (export "get") (param $i i32) (param $last i32) (result i32) {get})"#
    );
    for n in LENGTHS {
        functions += &format!(
            r#"(func (export "new{n}") (param $v i32)
                 (global.set $it (array.new $a {value} (i32.const {n}))))
               (func (export "default{n}") (param $v i32)
                 (global.set $it (array.new_default $a (i32.const {n}))))
               (func (export "fill{n}") (param $at i32) (param $v i32)
                 (array.fill $a (global.get $it) (local.get $at) {value} (i32.const {n})))"#
        );
    }
    format!(
        "(module (type $box (struct (field i32))) (type $a (array (mut {element})))
            (func $f) (elem declare func $f)
            (global $it (mut (ref null $a)) (ref.null $a)) {functions})"
    )
}

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn length(&mut self) -> usize {
        let end = [20, 100, 700, 3_000][self.below(4)];
        self.below(end)
    }
}

/// An array in the guest, and what it should be.
struct Twins {
    store: Store<()>,
    instance: Instance,
    get: TypedFunc<(i32, i32), i32>,
    expected: Vec<i32>,
    last: i32,
}

impl Twins {
    fn new(engine: &Engine, text: &str) -> Result<Twins> {
        let module = Module::new(engine, text)?;
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let get = instance.get_typed_func(&mut store, "get")?;
        Ok(Twins { store, instance, get, expected: Vec::new(), last: 0 })
    }

    fn call<const N: usize>(&mut self, name: &str, args: [usize; N]) -> Result<()> {
        let args = args.map(|arg| (arg as i32).into());
        let func = self.instance.get_func(&mut self.store, name).expect(name);
        func.call(&mut self.store, &args, &mut [])
    }

    fn check(&mut self, what: &str) -> Result<()> {
        // Only so many of them: all of the short ones, and both ends.
        let len = self.expected.len();
        for index in (0..len).filter(|&index| index < 200 || len - index < 200) {
            let found = self.get.call(&mut self.store, (index as i32, self.last))?;
            assert_eq!(found, self.expected[index], "{what}: element {index} of {len}");
        }
        Ok(())
    }

    /// One operation that is drawn.
    fn step(&mut self, numbers: &mut Numbers, is_function: bool) -> Result<()> {
        // A function says only that it is there, so all that are have the same number.
        let v = if is_function { 1 } else { 1 + numbers.below(120) };
        self.last = v as i32;
        let constant = LENGTHS[numbers.below(LENGTHS.len())];
        let (n, len) = (numbers.length(), self.expected.len());
        match numbers.below(7) {
            0 => {
                self.call("new", [v, n])?;
                self.expected = vec![v as i32; n];
            }
            1 => {
                self.call("default", [v, n])?;
                self.expected = vec![0; n];
            }
            2 => {
                self.call(&format!("new{constant}"), [v])?;
                self.expected = vec![v as i32; constant];
            }
            3 => {
                self.call(&format!("default{constant}"), [v])?;
                self.expected = vec![0; constant];
            }
            4 => {
                let at = numbers.below(len + 1);
                let n = numbers.below(len - at + 1);
                self.call("fill", [at, v, n])?;
                self.expected[at..at + n].fill(v as i32);
                assert!(self.call("fill", [at, v, len - at + 1]).is_err());
            }
            5 if constant <= len => {
                let at = numbers.below(len - constant + 1);
                self.call(&format!("fill{constant}"), [at, v])?;
                self.expected[at..at + constant].fill(v as i32);
            }
            5 => assert!(self.call(&format!("fill{constant}"), [0, v]).is_err()),
            _ => {
                let n = numbers.below(len + 1);
                let [to, from] = [(); 2].map(|()| numbers.below(len - n + 1));
                self.call("copy", [to, from, n])?;
                self.expected.copy_within(from..from + n, to);
                assert!(self.call("copy", [to, from, len - to.max(from) + 1]).is_err());
            }
        }
        if numbers.below(10) == 0 {
            // New arrays come where others have been.
            self.store.gc()?;
        }
        Ok(())
    }
}

fn compare(config: &Config, steps: usize) -> Result<()> {
    let engine = Engine::new(config)?;
    let mut numbers = Numbers(3);
    for &(name, element, value, get) in KINDS {
        let mut twins = Twins::new(&engine, &module(element, value, get))?;
        twins.call("default", [0, 0])?;
        for step in 0..steps {
            twins.step(&mut numbers, name == "function")?;
            twins.check(&format!("{name}, step {step}"))?;
        }
    }
    Ok(())
}

#[test]
fn arrays_have_their_elements() -> Result<()> {
    compare(&Config::new(), 250)
}

#[test]
fn arrays_have_their_elements_where_everything_is_collected_all_the_time() -> Result<()> {
    compare(Config::new().gc_stress(true), 120)
}

#[test]
fn arrays_have_their_elements_without_signals() -> Result<()> {
    compare(Config::new().signals_based_traps(false), 120)
}

/// Bytes of the segment.
const DATA: usize = 5_000;

fn byte(at: usize) -> u8 {
    (at * 7 + at / 256) as u8
}

/// Functions on a segment, an array of `bits` bits an element, and a memory.
fn data_module(bits: u32) -> String {
    let (element, get) = match bits {
        8 => ("i8", "(i64.extend_i32_u (array.get_u $a IT))"),
        16 => ("i16", "(i64.extend_i32_u (array.get_u $a IT))"),
        32 => ("i32", "(i64.extend_i32_u (array.get $a IT))"),
        _ => ("i64", "(array.get $a IT)"),
    };
    let get = get.replace("IT", "(global.get $it) (local.get $i)");
    let data: String = (0..DATA).map(|at| format!("\\{:02x}", byte(at))).collect();
    // Others, so that the bit of the segment is not the first.
    let others = r#"(data "x")"#.repeat(69);
    format!(
        r#"(module (type $a (array (mut {element}))) (memory (export "memory") 1)
            (global $it (mut (ref null $a)) (ref.null $a))
            {others} (data $d "{data}") (data $next "abc")
            (func (export "new") (param i32 i32)
              (global.set $it (array.new_data $a $d (local.get 0) (local.get 1))))
            (func (export "new10") (param i32)
              (global.set $it (array.new_data $a $d (local.get 0) (i32.const 10))))
            (func (export "init") (param i32 i32 i32)
              (array.init_data $a $d (global.get $it) (local.get 0) (local.get 1) (local.get 2)))
            (func (export "memory.init") (param i32 i32 i32)
              (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
            (func (export "next") (memory.init $next (i32.const 0) (i32.const 0) (i32.const 3)))
            (func (export "drop") (data.drop $d))
            (func (export "get") (param $i i32) (result i64) {get}))"#
    )
}

/// What an element of `size` bytes that begins at this byte of the segment is.
fn element_at(at: usize, size: usize) -> i64 {
    let bytes = (0..size).rev().map(|offset| u64::from(byte(at + offset)));
    bytes.fold(0, |sum, byte| sum << 8 | byte) as i64
}

fn compare_data(config: &Config) -> Result<()> {
    let engine = Engine::new(config)?;
    let mut numbers = Numbers(5);
    for bits in [8, 16, 32, 64] {
        let size = bits as usize / 8;
        let module = Module::new(&engine, data_module(bits))?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let get = instance.get_typed_func::<i32, i64>(&mut store, "get")?;
        let memory = instance.get_memory(&mut store, "memory").expect("exported");
        let call = |store: &mut Store<()>, name: &str, args: &[usize]| {
            let args: Vec<_> = args.iter().map(|&arg| (arg as i32).into()).collect();
            instance.get_func(&mut *store, name).expect(name).call(store, &args, &mut [])
        };
        let mut expected: Vec<i64> = Vec::new();
        let mut bytes = vec![0; 10_000];
        for _ in 0..150 {
            let from = numbers.below(DATA);
            let n = numbers.below((DATA - from) / size + 1);
            match numbers.below(4) {
                0 => {
                    call(&mut store, "new", &[from, n])?;
                    expected = (0..n).map(|i| element_at(from + i * size, size)).collect();
                    assert!(call(&mut store, "new", &[from, (DATA - from) / size + 1]).is_err());
                }
                1 if DATA - from >= 10 * size => {
                    call(&mut store, "new10", &[from])?;
                    expected = (0..10).map(|i| element_at(from + i * size, size)).collect();
                }
                1 => assert!(call(&mut store, "new10", &[from]).is_err()),
                2 => {
                    call(&mut store, "new", &[0, DATA / size])?;
                    expected = (0..DATA / size).map(|i| element_at(i * size, size)).collect();
                    let at = numbers.below(expected.len() - n + 1);
                    call(&mut store, "init", &[at, from, n])?;
                    for i in 0..n {
                        expected[at + i] = element_at(from + i * size, size);
                    }
                    let beyond = expected.len() - n + 1;
                    assert!(call(&mut store, "init", &[beyond, from, n]).is_err());
                    assert!(call(&mut store, "init", &[0, DATA - n * size + 1, n]).is_err());
                }
                _ => {
                    let to = numbers.below(bytes.len() - n + 1);
                    call(&mut store, "memory.init", &[to, from, n])?;
                    (0..n).for_each(|i| bytes[to + i] = byte(from + i));
                    assert!(call(&mut store, "memory.init", &[65_536 - n + 1, from, n]).is_err());
                    assert!(call(&mut store, "memory.init", &[to, DATA - n + 1, n]).is_err());
                    let mut found = vec![0; bytes.len()];
                    memory.read(&store, 0, &mut found)?;
                    assert!(found == bytes, "memory.init of {n} from {from} to {to}");
                }
            }
            for (index, &expected) in expected.iter().enumerate().step_by(13) {
                assert_eq!(get.call(&mut store, index as i32)?, expected, "{index}, {bits} bits");
            }
        }
        call(&mut store, "new", &[0, 3])?;
        call(&mut store, "drop", &[])?;
        for (name, nothing, one) in [
            ("init", &[0, 0, 0][..], &[0, 0, 1][..]),
            ("memory.init", &[0, 0, 0], &[0, 0, 1]),
            ("new", &[0, 0], &[0, 1]),
        ] {
            call(&mut store, name, nothing)?;
            let error = call(&mut store, name, one).expect_err("the segment is dropped");
            assert!(error.trap().is_some(), "{name}: {error}");
        }
        call(&mut store, "next", &[])?;
    }
    Ok(())
}

#[test]
fn arrays_and_memories_get_the_bytes_of_segments() -> Result<()> {
    compare_data(&Config::new())?;
    compare_data(Config::new().gc_stress(true))?;
    compare_data(Config::new().signals_based_traps(false))
}
