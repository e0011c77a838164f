//! Bulk operations on memories and tables with 64-bit addresses, and between those of both widths:
//! ranges around the end, behind the 4 GiB, and those whose end is beyond 2^64.

use crate::Check;
use crate::guest::{Guest, PAGE, PAGERS};
use seqfault::{TrapCode, Val};

pub(crate) const CHECKS: &[Check] = &[
    ("bulk_operations_on_64_bit_memories_see_whole_addresses", memories),
    ("copies_between_memories_of_both_widths_see_whole_addresses", copies),
    ("operations_on_64_bit_tables_see_whole_indices", tables),
    ("segments_for_64_bit_addresses_fit_or_trap", active_segments),
];

const MEMORY_TRAP: Option<TrapCode> = Some(TrapCode::MemoryOutOfBounds);
const TABLE_TRAP: Option<TrapCode> = Some(TrapCode::TableOutOfBounds);

const MEMORY: &str = r#"(module
    (memory (export "memory") i64 2)
    (memory $narrow (export "narrow") 1)
    (data $d "0123456789abcdef")
    (func (export "fill") (param i64 i64)
        (memory.fill (local.get 0) (i32.const 0xcc) (local.get 1)))
    (func (export "copy") (param i64 i64 i64)
        (memory.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "to_narrow") (param i32 i64 i32)
        (memory.copy $narrow 0 (local.get 0) (local.get 1) (local.get 2)))
    (func (export "from_narrow") (param i64 i32 i32)
        (memory.copy 0 $narrow (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i64 i32 i32)
        (memory.init $d (local.get 0) (local.get 1) (local.get 2))))"#;

/// Starts and lengths around the ends of something of this size, and around those of 32 and of 64
/// bits.
fn ranges(size: u64) -> Vec<(u64, u64)> {
    let edge = |at: u64| [at.wrapping_sub(1), at, at.wrapping_add(1)];
    let numbers = [0, 1, size / 2, size, 1 << 32, (1 << 32) + size, 1 << 63];
    let mut numbers: Vec<u64> = numbers.into_iter().flat_map(edge).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.iter().flat_map(|&start| numbers.iter().map(move |&length| (start, length))).collect()
}

fn fits((start, length): (u64, u64), size: u64) -> bool {
    u128::from(start) + u128::from(length) <= u128::from(size)
}

fn wide(value: u64) -> Val {
    Val::I64(value as i64)
}

fn narrow(value: u32) -> Val {
    Val::I32(value as i32)
}

fn memories() {
    let size = 2 * PAGE;
    for pager in PAGERS {
        let mut guest = Guest::with_pager(MEMORY, pager);
        for (start, length) in ranges(size) {
            let expected = if fits((start, length), size) { None } else { MEMORY_TRAP };
            guest.expect_values("fill", &[wide(start), wide(length)], expected);
            for other in [0, 5] {
                let both = fits((start, length), size) && fits((other, length), size);
                let expected = if both { None } else { MEMORY_TRAP };
                for (to, from) in [(start, other), (other, start)] {
                    guest.expect_values("copy", &[wide(to), wide(from), wide(length)], expected);
                }
            }
            let Ok(count) = u32::try_from(length) else { continue };
            let within = fits((start, length), size) && fits((0, length), 16);
            let expected = if within { None } else { MEMORY_TRAP };
            guest.expect_values("init", &[wide(start), narrow(0), narrow(count)], expected);
        }
    }
}

fn copies() {
    let (size, narrow_size) = (2 * PAGE, PAGE);
    let mut guest = Guest::new(MEMORY);
    for (start, length) in ranges(size) {
        let Ok(count) = u32::try_from(length) else { continue };
        for other in [0, 7, PAGE as u32 - 1, PAGE as u32, u32::MAX] {
            let both = fits((start, length), size) && fits((other.into(), length), narrow_size);
            let expected = if both { None } else { MEMORY_TRAP };
            let (start, other, count) = (wide(start), narrow(other), narrow(count));
            guest.expect_values("to_narrow", &[other, start, count], expected);
            guest.expect_values("from_narrow", &[start, other, count], expected);
        }
    }
    let memory = guest.memory();
    memory.write(&mut guest.store, 100_000, b"there and back").expect("in bounds");
    guest.expect_values("to_narrow", &[narrow(3), wide(100_000), narrow(14)], None);
    guest.expect_values("from_narrow", &[wide(8), narrow(9), narrow(8)], None);
    let mut found = [0; 8];
    memory.read(&guest.store, 8, &mut found).expect("in bounds");
    assert_eq!(&found, b"and back");
}

const TABLE: &str = r#"(module
    (table $t i64 20 funcref) (table $u i64 20 30 externref) (table $narrow 20 funcref)
    (elem $e func $f $f $f $f $f)
    (type $void (func))
    (func $f)
    (func (export "get") (param i64) (drop (table.get $t (local.get 0))))
    (func (export "set") (param i64) (table.set $t (local.get 0) (ref.func $f)))
    (func (export "call") (param i64) (call_indirect $t (type $void) (local.get 0)))
    (func (export "fill") (param i64 i64)
        (table.fill $t (local.get 0) (ref.func $f) (local.get 1)))
    (func (export "copy") (param i64 i64 i64)
        (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
    (func (export "from_narrow") (param i64 i32 i32)
        (table.copy $t $narrow (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i64 i32 i32)
        (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
    (func (export "grow") (param i64) (result i64)
        (table.grow $u (ref.null extern) (local.get 0)))
    (func (export "size") (result i64) (table.size $u)))"#;

fn tables() {
    let size = 20;
    let mut guest = Guest::new(TABLE);
    for (start, length) in ranges(size) {
        let one = if fits((start, 1), size) { None } else { TABLE_TRAP };
        guest.expect_values("set", &[wide(start)], one);
        guest.expect_values("get", &[wide(start)], one);
        let called = if one.is_none() { None } else { Some(TrapCode::UndefinedElement) };
        guest.expect_values("call", &[wide(start)], called);
        let expected = if fits((start, length), size) { None } else { TABLE_TRAP };
        guest.expect_values("fill", &[wide(start), wide(length)], expected);
        guest.expect_values("copy", &[wide(start), wide(0), wide(length)], expected);
        guest.expect_values("copy", &[wide(0), wide(start), wide(length)], expected);
        let Ok(count) = u32::try_from(length) else { continue };
        guest.expect_values("from_narrow", &[wide(start), narrow(0), narrow(count)], expected);
        let within = fits((start, length), size) && fits((0, length), 5);
        let expected = if within { None } else { TABLE_TRAP };
        guest.expect_values("init", &[wide(start), narrow(0), narrow(count)], expected);
        // What came from the other table is null; a called element must not be.
        guest.expect_values("fill", &[wide(0), wide(size)], None);
    }
    for (delta, old) in [(11, -1), (1 << 32, -1), (u64::MAX, -1), (10, 20), (1, -1), (0, 30)] {
        let found = guest.call("grow", &[wide(delta)]).expect("no trap");
        assert_eq!(found[0].unwrap_i64(), old, "{delta}");
    }
    assert_eq!(guest.call("size", &[]).expect("no trap")[0].unwrap_i64(), 30);
}

fn active_segments() {
    let instantiate = |text: &str| {
        let engine = seqfault::Engine::default();
        let module = seqfault::Module::new(&engine, text).expect("a module");
        let mut store = seqfault::Store::new(&engine, ());
        let instance = seqfault::Instance::new(&mut store, &module, &[]);
        instance.map(drop).map_err(|error| error.trap().expect("a trap").code())
    };
    for (offset, fits) in
        [(0_u64, true), (65535, true), (65536, false), (1 << 32, false), (u64::MAX, false)]
    {
        let offset = offset as i64;
        let memory = format!("(module (memory i64 1) (data (i64.const {offset}) \"x\"))");
        let expected = if fits { Ok(()) } else { Err(TrapCode::MemoryOutOfBounds) };
        assert_eq!(instantiate(&memory), expected, "{offset}");
        let table = format!(
            "(module (table i64 65536 funcref) (func $f) (elem (i64.const {offset}) func $f))"
        );
        let expected = if fits { Ok(()) } else { Err(TrapCode::TableOutOfBounds) };
        assert_eq!(instantiate(&table), expected, "{offset}");
    }
}
