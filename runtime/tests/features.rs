//! What single proposals promise beyond what the specification's scripts assert.

use seqfault::{
    Config, Engine, Extern, Feature, Instance, Memory, MemoryType, Module, RefType, Result,
    SharedMemory, Store, Table, TableType, Val,
};

fn engine(edit: impl FnOnce(&mut Config)) -> Result<Engine> {
    let mut config = Config::new();
    edit(&mut config);
    Engine::new(&config)
}

/// One relaxed operation on constants, and its lanes in the deterministic profile.
const RELAXED: &[(&str, &str)] = &[
    // A lane out of range is zero, also where the processor wraps around.
    (
        "(i8x16.relaxed_swizzle (v128.const i8x16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
            (v128.const i8x16 0 16 31 127 128 255 1 2 3 4 5 6 7 8 9 15))",
        "i8x16 1 0 0 0 0 0 2 3 4 5 6 7 8 9 10 16",
    ),
    (
        "(i32x4.relaxed_trunc_f32x4_s (v128.const f32x4 nan 3e9 -3e9 1.5))",
        "i32x4 0 2147483647 -2147483648 1",
    ),
    ("(i32x4.relaxed_trunc_f64x2_s_zero (v128.const f64x2 nan 3e9))", "i32x4 0 2147483647 0 0"),
    ("(i32x4.relaxed_trunc_f32x4_u (v128.const f32x4 nan -1 5e9 1.5))", "i32x4 0 0 4294967295 1"),
    // Bit by bit, although whole lanes are faster.
    (
        "(i8x16.relaxed_laneselect (v128.const i32x4 -1 -1 -1 -1) (v128.const i32x4 0 0 0 0)
            (v128.const i32x4 0x0f0f8001 0 0x7f80ff00 -1))",
        "i32x4 0x0f0f8001 0 0x7f80ff00 -1",
    ),
    (
        "(f32x4.relaxed_min (v128.const f32x4 0 -0 nan 1) (v128.const f32x4 -0 0 1 2))",
        "f32x4 -0 -0 nan 1",
    ),
    ("(f64x2.relaxed_max (v128.const f64x2 -0 3) (v128.const f64x2 0 2))", "f64x2 0 3"),
    // 1 + 2^-52, squared and less 1 + 2^-51: what rounding the product has lost is lost.
    (
        "(f64x2.relaxed_madd (v128.const f64x2 0x1.0000000000001p0 2)
            (v128.const f64x2 0x1.0000000000001p0 3) (v128.const f64x2 -0x1.0000000000002p0 4))",
        "f64x2 0 10",
    ),
    (
        "(f32x4.relaxed_nmadd (v128.const f32x4 1 2 3 4) (v128.const f32x4 1 1 1 1)
            (v128.const f32x4 1 1 1 1))",
        "f32x4 0 -1 -2 -3",
    ),
    (
        "(i16x8.relaxed_q15mulr_s (v128.const i16x8 -32768 0 0 0 0 0 0 16384)
            (v128.const i16x8 -32768 0 0 0 0 0 0 2))",
        "i16x8 32767 0 0 0 0 0 0 1",
    ),
    // Both operands are signed.
    (
        "(i16x8.relaxed_dot_i8x16_i7x16_s (v128.const i8x16 1 1 2 0 0 0 0 0 0 0 0 0 0 0 0 -1)
            (v128.const i8x16 -1 -128 3 0 0 0 0 0 0 0 0 0 0 0 0 -2))",
        "i16x8 -129 6 0 0 0 0 0 2",
    ),
    (
        "(i32x4.relaxed_dot_i8x16_i7x16_add_s (v128.const i32x4 0x01010101 0 0 0x02)
            (v128.const i8x16 -128 -128 -128 -128 0 0 0 0 0 0 0 0 5 0 0 0)
            (v128.const i32x4 10 20 30 40))",
        "i32x4 -502 20 30 50",
    ),
];

#[test]
fn relaxed_vectors_have_the_results_of_the_deterministic_profile_when_asked() -> Result<()> {
    let engine = engine(|config| {
        config.relaxed_simd_deterministic(true).cranelift_nan_canonicalization(true);
    })?;
    for (operation, expected) in RELAXED {
        let text = format!(
            "(module (func (export \"found\") (result v128) {operation})
                (func (export \"expected\") (result v128) (v128.const {expected})))"
        );
        let module = Module::new(&engine, text)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let mut value = |name: &str| -> Result<u128> {
            instance.get_typed_func::<(), u128>(&mut store, name)?.call(&mut store, ())
        };
        let (found, expected) = (value("found")?, value("expected")?);
        assert_eq!(found, expected, "{operation}: {found:#x}, not {expected:#x}");
    }
    Ok(())
}

#[test]
fn compact_imports_are_imports() -> Result<()> {
    // Two functions of module "m" under one mention of it, then two globals with one type, too.
    let bytes = [
        &b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0"[..],
        b"\x02\x1a\x02\x01m\0\x7f\x02\x01a\0\0\x01b\0\0\x01n\0\x7e\x03\x7f\0\x02\x01c\x01d",
    ]
    .concat();
    assert!(Module::new(&engine(|_| ())?, &bytes).is_err());
    let engine = engine(|config| {
        config.wasm_feature(Feature::CompactImports, true);
    })?;
    let module = Module::new(&engine, &bytes)?;
    let imports = module.imports().map(|i| format!("{}.{} {}", i.module(), i.name(), i.ty()));
    let imports: Vec<String> = imports.collect();
    assert_eq!(imports, ["m.a (func)", "m.b (func)", "n.c (global i32)", "n.d (global i32)"]);
    Ok(())
}

#[test]
fn wide_memories_and_tables_are_made_by_hosts_and_match_only_their_like() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let wide = Memory::new(&mut store, MemoryType::new64(1, Some(5)))?;
    let narrow = Memory::new(&mut store, MemoryType::new(1, Some(5)))?;
    let table = TableType::new64(RefType::FUNCREF, 3, None);
    let table = Table::new(&mut store, table, Val::FuncRef(None))?;
    let module = Module::new(
        &engine,
        r#"(module (import "" "memory" (memory i64 1 9)) (import "" "table" (table i64 2 funcref))
            (func (export "last") (result i32) (i32.load8_u (i64.const 65535)))
            (func (export "grow") (result i64) (memory.grow (i64.const 0x1_0000_0000)))
            (func (export "size") (result i64) (table.size)))"#,
    )?;
    let imports = [Extern::Memory(wide), Extern::Table(table)];
    let instance = Instance::new(&mut store, &module, &imports)?;
    wide.write(&mut store, 65535, &[7])?;
    let last = instance.get_typed_func::<(), i32>(&mut store, "last")?;
    assert_eq!(last.call(&mut store, ())?, 7);
    for (name, expected) in [("grow", -1), ("size", 3)] {
        let func = instance.get_typed_func::<(), i64>(&mut store, name)?;
        assert_eq!(func.call(&mut store, ())?, expected, "{name}");
    }
    let imports = [Extern::Memory(narrow), Extern::Table(table)];
    let error = Instance::new(&mut store, &module, &imports).unwrap_err().to_string();
    assert!(error.contains("expected (memory i64 1 9), found (memory 1 5)"), "{error}");
    Ok(())
}

#[test]
fn a_memory_that_cannot_fit_its_reservation_is_refused_with_its_size() -> Result<()> {
    let engine = engine(|config| {
        config.memory64_reservation(1 << 20);
    })?;
    let mut store = Store::new(&engine, ());
    let error = Memory::new(&mut store, MemoryType::new64(17, None)).unwrap_err().to_string();
    assert!(error.contains("(memory i64 17) can have 1048576 bytes at most"), "{error}");
    Memory::new(&mut store, MemoryType::new64(16, None))?;
    // Whatever is asked for, it is 4 TiB at most; what is not touched costs nothing.
    let engine = Engine::new(Config::new().memory64_reservation(u64::MAX))?;
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new64(1, None))?;
    assert!(memory.grow(&mut store, 4 << 24).is_err());
    memory.grow(&mut store, (4 << 24) - 1)?;
    memory.write(&mut store, (4 << 40) - 1, &[1])?;
    assert!(memory.resident(&store) <= 2 << 20);
    Ok(())
}

#[test]
fn pages_of_one_byte_are_counted_one_by_one() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let ty = MemoryType::builder().min(5).max(Some(10_000)).page_size_log2(0).build();
    let memory = Memory::new(&mut store, ty.expect("a type"))?;
    assert_eq!((memory.size(&store), memory.page_size(&store)), (5, 1));
    memory.write(&mut store, 0, b"12345")?;
    assert!(memory.write(&mut store, 5, b"6").is_err());
    assert_eq!(memory.grow(&mut store, 9_000)?, 5);
    memory.write(&mut store, 9_004, b"6")?;
    assert!(memory.grow(&mut store, 1_000).is_err());
    Ok(())
}

#[test]
fn segments_that_do_not_all_fit_are_written_in_part_or_not_at_all() -> Result<()> {
    for (first, expected) in [(false, *b"abc"), (true, *b"\0\0\0")] {
        let engine = engine(|config| {
            config.check_segments_first(first);
        })?;
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
        let module = Module::new(
            &engine,
            r#"(module (import "" "" (memory 1)) (data (i32.const 0) "abc") (data (i32.const 65536) "d"))"#,
        )?;
        assert!(Instance::new(&mut store, &module, &[Extern::Memory(memory)]).is_err());
        let mut found = [0xff; 3];
        memory.read(&store, 0, &mut found)?;
        assert_eq!(found, expected);
    }
    Ok(())
}

#[test]
fn a_shared_memory_may_have_64_bit_addresses() -> Result<()> {
    let engine = Engine::default();
    let ty = MemoryType::builder().memory64(true).shared(true).min(1).max(Some(1 << 17)).build();
    let memory = SharedMemory::new(&engine, ty.expect("a type"))?;
    let module = Module::new(
        &engine,
        r#"(module (import "" "" (memory i64 1 0x20000 shared))
            (func (export "size") (result i64) (memory.size))
            (func (export "load") (param i64) (result i32) (i32.load8_u (local.get 0))))"#,
    )?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[Extern::SharedMemory(memory.clone())])?;
    let size = instance.get_typed_func::<(), i64>(&mut store, "size")?;
    let load = instance.get_typed_func::<i64, i32>(&mut store, "load")?;
    let beyond = 5 << 30;
    assert!(load.call(&mut store, beyond).is_err());
    memory.grow((1 << 17) - 1)?;
    assert_eq!(size.call(&mut store, ())?, 1 << 17);
    memory.write(beyond as usize, &[9])?;
    assert_eq!(load.call(&mut store, beyond)?, 9);
    assert!(load.call(&mut store, 1 << 33).is_err());
    assert!(load.call(&mut store, -1).is_err());
    Ok(())
}

#[test]
fn a_64_bit_memory_gives_back_what_lies_beyond_4_gib() -> Result<()> {
    let engine = engine(|config| {
        config.wasm_feature(Feature::MemoryControl, true);
    })?;
    let module = Module::new(
        &engine,
        r#"(module (memory (export "memory") i64 81920)
            (func (export "discard") (param i64 i64) (memory.discard (local.get 0) (local.get 1))))"#,
    )?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_memory(&mut store, "memory").expect("exported");
    let discard = instance.get_typed_func::<(i64, i64), ()>(&mut store, "discard")?;
    let beyond: usize = (4 << 30) + (1 << 20);
    // The same place but for the upper half of its address, which must stay.
    let below = beyond & 0xffff_ffff;
    for at in [below, beyond] {
        memory.write(&mut store, at, b"here")?;
    }
    let resident = memory.resident(&store);
    discard.call(&mut store, (beyond as i64, 1 << 16))?;
    assert!(memory.resident(&store) < resident);
    let read = |at: usize| -> Result<[u8; 4]> {
        let mut found = [0xff; 4];
        memory.read(&store, at, &mut found)?;
        Ok(found)
    };
    assert_eq!((read(beyond)?, read(below)?), ([0; 4], *b"here"));
    for (start, len) in [(5 << 30, 1 << 16), (0, (5 << 30) + (1 << 16)), (-(1 << 16), 1 << 16)] {
        assert!(discard.call(&mut store, (start, len)).is_err(), "{start} {len}");
    }
    Ok(())
}
