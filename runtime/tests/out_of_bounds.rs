//! Traps out of bounds of a memory say which memory it was, where, and how long it is.

use seqfault::{
    Config, Engine, Feature, Instance, MemoryFault, MemoryType, Module, PagerKind, Result,
    SharedMemory, Store, Trap, TrapCode,
};

fn engine(pager: PagerKind) -> Engine {
    engine_with(Config::new().pager(pager))
}

fn engine_with(config: &mut Config) -> Engine {
    config.wasm_feature(Feature::CustomPageSizes, true).wasm_feature(Feature::MemoryControl, true);
    Engine::new(config).unwrap()
}

fn trap(engine: &Engine, text: &str) -> Trap {
    let module = Module::new(engine, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut store = Store::new(engine, ());
    let error = Instance::new(&mut store, &module, &[]).and_then(|instance| {
        instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())
    });
    error.expect_err(text).trap().expect(text).clone()
}

/// What a trap says behind the specification's text, in its first line.
fn said(trap: &Trap) -> String {
    assert_eq!(trap.code(), TrapCode::MemoryOutOfBounds);
    let text = trap.to_string();
    let line = text.lines().next().unwrap().to_owned();
    line.strip_prefix("out of bounds memory access").expect(&line).to_owned()
}

/// Memories and segments, what `run` does, and what the trap says.
const CASES: &[(&str, &str, &str)] = &[
    (
        "(memory 13)",
        "(drop (i32.load (i32.const -4)))",
        " at 0xfffffffc of a memory of 0xd0000 bytes (memory 0)",
    ),
    (
        "(memory 1)",
        "(i32.store8 offset=4294967295 (i32.const -1) (i32.const 0))",
        " at 0x1fffffffe of a memory of 0x10000 bytes (memory 0)",
    ),
    // The first byte that is outside.
    (
        "(memory 1)",
        "(drop (i64.load (i32.const 65532)))",
        " at 0x10000 of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 0)",
        "(drop (i32.load8_u (i32.const 0)))",
        " at 0x0 of a memory of 0x0 bytes (memory 0)",
    ),
    // As long as it is now.
    (
        "(memory 1)",
        "(drop (memory.grow (i32.const 2))) (drop (v128.load (i32.const 0x40000)))",
        " at 0x40000 of a memory of 0x30000 bytes (memory 0)",
    ),
    (
        "(memory 1) (memory 2)",
        "(i64.store 1 (i32.const 0x20008) (i64.const 0))",
        " at 0x20008 of a memory of 0x20000 bytes (memory 1)",
    ),
    (
        "(memory 1 1 shared)",
        "(drop (i32.atomic.rmw.add (i32.const 0x10000) (i32.const 1)))",
        " at 0x10000 of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory i64 1)",
        "(drop (i32.load (i64.const 0x1_2345_6789)))",
        " at 0x123456789 of a memory of 0x10000 bytes (memory 0)",
    ),
    // Behind what is reserved all addresses are one.
    (
        "(memory i64 1)",
        "(drop (i32.load (i64.const -1)))",
        " at 0x1000000000 or above of a memory of 0x10000 bytes (memory 0)",
    ),
    // The length is compared, and the address forgotten.
    (
        "(memory 100 (pagesize 1))",
        "(drop (i32.load (i32.const 98)))",
        " of a memory of 0x64 bytes (memory 0)",
    ),
    (
        "(memory 1) (global $len (mut i32) (i32.const 0x20))",
        "(memory.fill (i32.const 0xfff0) (i32.const 0) (global.get $len))",
        " at 0xfff0 (0x20 bytes) of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (memory 2) (global $len (mut i32) (i32.const 1))",
        "(memory.copy 1 0 (i32.const 0) (i32.const 0x10000) (global.get $len))",
        " at 0x10000 (0x1 bytes) of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (memory 2) (global $len (mut i32) (i32.const 2))",
        "(memory.copy 1 0 (i32.const 0x1ffff) (i32.const 0) (global.get $len))",
        " at 0x1ffff (0x2 bytes) of a memory of 0x20000 bytes (memory 1)",
    ),
    // A short constant length is a few loads and stores, and these are told like others.
    (
        "(memory 1)",
        "(memory.fill (i32.const 0xfff0) (i32.const 0) (i32.const 0x20))",
        " at 0x10000 of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (memory 2)",
        "(memory.copy 1 0 (i32.const 0) (i32.const 0x10000) (i32.const 1))",
        " at 0x10000 of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (memory 2)",
        "(memory.copy 1 0 (i32.const 0x1ffff) (i32.const 0) (i32.const 2))",
        " at 0x20000 of a memory of 0x20000 bytes (memory 1)",
    ),
    (
        "(memory i64 1)",
        "(memory.fill (i64.const -1) (i32.const 0) (i64.const -1))",
        " at 0xffffffffffffffff (0xffffffffffffffff bytes) of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (data $d \"abc\")",
        "(memory.init $d (i32.const 0x10000) (i32.const 0) (i32.const 3))",
        " at 0x10000 (0x3 bytes) of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (data \"\") (data $d \"abc\")",
        "(memory.init $d (i32.const 0) (i32.const 1) (i32.const 3))",
        " at 0x1 (0x3 bytes) of a data segment of 0x3 bytes (segment 1)",
    ),
    (
        "(data $d \"abc\") (type $a (array i64))",
        "(drop (array.new_data $a $d (i32.const 0) (i32.const 2)))",
        " at 0x0 (0x10 bytes) of a data segment of 0x3 bytes (segment 0)",
    ),
    (
        "(memory 1) (data (i32.const 0xffff) \"abc\")",
        "",
        " at 0xffff (0x3 bytes) of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (memory 1 1 shared)",
        "(drop (memory.atomic.wait32 1 offset=4 (i32.const 0x10000) (i32.const 0) (i64.const 0)))",
        " at 0x10004 of a memory of 0x10000 bytes (memory 1)",
    ),
    (
        "(memory 1)",
        "(drop (memory.atomic.notify (i32.const 0x20000) (i32.const 0)))",
        " at 0x20000 of a memory of 0x10000 bytes (memory 0)",
    ),
    (
        "(memory 1) (memory 2)",
        "(memory.discard 1 (i32.const 0x20000) (i32.const 0x10000))",
        " at 0x20000 (0x10000 bytes) of a memory of 0x20000 bytes (memory 1)",
    ),
];

#[test]
fn the_trap_says_which_memory_where_and_how_long() {
    for pager in [PagerKind::Uffd, PagerKind::Protect, PagerKind::Eager] {
        let engine = engine(pager);
        for (memories, body, expected) in CASES {
            let text = format!(r#"(module {memories} (func (export "run") {body}))"#);
            assert_eq!(&said(&trap(&engine, &text)), expected, "{text}");
        }
    }
}

/// Where every access is compared, nothing is beyond what is known.
#[test]
fn without_signals_it_says_the_same_and_every_address() {
    let engine = engine_with(Config::new().signals_based_traps(false));
    for (memories, body, expected) in CASES {
        let expected = match *body {
            "(drop (i32.load (i64.const -1)))" => {
                " at 0xffffffffffffffff of a memory of 0x10000 bytes (memory 0)"
            }
            "(drop (i32.load (i32.const 98)))" => " at 0x64 of a memory of 0x64 bytes (memory 0)",
            _ => expected,
        };
        let text = format!(r#"(module {memories} (func (export "run") {body}))"#);
        assert_eq!(said(&trap(&engine, &text)), expected, "{text}");
    }
}

#[test]
fn the_index_is_that_of_the_module_whose_code_it_was() -> Result<()> {
    let engine = engine(PagerKind::Protect);
    let mut store = Store::new(&engine, ());
    let run = r#"(func (export "run") (drop (i32.load $m (i32.const -1))))"#;
    let own = Module::new(&engine, format!(r#"(module (memory $m (export "m") 1) {run})"#))?;
    let other =
        Module::new(&engine, format!(r#"(module (memory 5) (memory 5) (memory $m 3) {run})"#))?;
    let import =
        format!(r#"(module (import "" "a" (memory 0)) (import "" "b" (memory $m 0)) {run})"#);
    let import = Module::new(&engine, import)?;
    // Others of the same module, whose memories are not meant.
    let instances = [
        Instance::new(&mut store, &own, &[])?,
        Instance::new(&mut store, &own, &[])?,
        Instance::new(&mut store, &other, &[])?,
    ];
    let [a, b] = [0, 1].map(|at| instances[at].get_export(&mut store, "m").unwrap());
    let imports = Instance::new(&mut store, &import, &[a.clone(), b.clone()])?;
    let mut index = |instance: &Instance| -> Result<Option<u32>> {
        let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
        let error = run.call(&mut store, ()).unwrap_err();
        Ok(error.trap().unwrap().memory_fault().unwrap().memory())
    };
    assert_eq!(index(&instances[0])?, Some(0));
    assert_eq!(index(&instances[1])?, Some(0));
    assert_eq!(index(&instances[2])?, Some(2));
    assert_eq!(index(&imports)?, Some(1));
    // The other way round: now it depends on which instance it was, and nobody guesses.
    let crossed = Instance::new(&mut store, &import, &[b, a])?;
    let run = crossed.get_typed_func::<(), ()>(&mut store, "run")?;
    let error = run.call(&mut store, ()).unwrap_err();
    let fault = *error.trap().unwrap().memory_fault().unwrap();
    assert_eq!((fault.memory(), fault.address(), fault.size()), (None, Some(0xffff_ffff), 0x10000));
    Ok(())
}

#[test]
fn embedders_get_the_numbers() {
    let engine = engine(PagerKind::Protect);
    let fault = |text| *trap(&engine, text).memory_fault().expect(text);
    let parts = |fault: MemoryFault| (fault.memory(), fault.address(), fault.bytes(), fault.size());
    let load = r#"(module (memory 2) (func (export "run") (drop (i32.load (i32.const -4)))))"#;
    assert_eq!(parts(fault(load)), (Some(0), Some(0xffff_fffc), None, 0x20000));
    let fill = r#"(module (memory 1) (func (export "run")
        (memory.fill (i32.const 7) (i32.const 0) (i32.const -1))))"#;
    assert_eq!(parts(fault(fill)), (Some(0), Some(7), Some(0xffff_ffff), 0x10000));
    let far = r#"(module (memory i64 1) (func (export "run") (drop (i32.load (i64.const -1)))))"#;
    assert_eq!(parts(fault(far)), (Some(0), None, None, 0x10000));
    let other = r#"(module (memory 1) (func (export "run") unreachable))"#;
    assert!(trap(&engine, other).memory_fault().is_none());
    let shared = SharedMemory::new(&engine, MemoryType::shared(1, 1)).unwrap();
    let host = shared.atomic_notify(0x10000, 1).unwrap_err();
    assert_eq!(parts(*host.memory_fault().unwrap()), (None, Some(0x10000), None, 0x10000));
    assert_eq!(said(&host), " at 0x10000 of a memory of 0x10000 bytes");
}
