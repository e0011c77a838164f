//! Bulk operations on memories and tables: ranges that end at, before and behind the end, empty
//! ones included, and that an operation which traps has changed nothing.

use crate::Check;
use crate::guest::{Guest, PAGE, PAGERS};
use seqfault::{TrapCode, Val};

pub(crate) const CHECKS: &[Check] = &[
    ("memory_fill_copy_and_init_trap_when_a_range_ends_beyond_the_memory", memories),
    ("a_bulk_operation_that_traps_writes_nothing", nothing_is_written),
    ("a_dropped_segment_is_an_empty_one", dropped_segments),
    ("table_operations_trap_when_a_range_ends_beyond_the_table", tables),
    ("segments_that_do_not_fit_trap_at_instantiation", active_segments),
];

const MEMORY: &str = r#"(module
    (memory (export "memory") 2)
    (data $d "0123456789abcdef")
    (func (export "fill") (param i32 i32)
        (memory.fill (local.get 0) (i32.const 0xcc) (local.get 1)))
    (func (export "copy") (param i32 i32 i32)
        (memory.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i32 i32 i32)
        (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
    (func (export "drop") (data.drop $d)))"#;

/// Starts and lengths around the ends of something of this size.
fn ranges(size: u64) -> Vec<(u32, u32)> {
    let edge = |at: u64| [at.saturating_sub(1), at, at + 1];
    let numbers = [0, 1, size / 2, size, 1 << 31, (1 << 32) - 1];
    let mut numbers: Vec<u32> =
        numbers.into_iter().flat_map(edge).filter_map(|n| u32::try_from(n).ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.iter().flat_map(|&start| numbers.iter().map(move |&length| (start, length))).collect()
}

fn fits((start, length): (u32, u32), size: u64) -> bool {
    u64::from(start) + u64::from(length) <= size
}

fn memories() {
    const TRAP: Option<TrapCode> = Some(TrapCode::MemoryOutOfBounds);
    let size = 2 * PAGE;
    for pager in PAGERS {
        let mut guest = Guest::with_pager(MEMORY, pager);
        for (start, length) in ranges(size) {
            let expected = if fits((start, length), size) { None } else { TRAP };
            guest.expect("fill", &[start, length], expected);
            // The other range fits whenever this one does.
            for other in [0, 5] {
                let both = fits((start, length), size) && fits((other, length), size);
                let expected = if both { None } else { TRAP };
                guest.expect("copy", &[start, other, length], expected);
                guest.expect("copy", &[other, start, length], expected);
            }
            let within = fits((start, length), size) && fits((0, length), 16);
            guest.expect("init", &[start, 0, length], if within { None } else { TRAP });
        }
        for (from, length) in ranges(16) {
            let expected = if fits((from, length), 16) { None } else { TRAP };
            guest.expect("init", &[0, from, length], expected);
        }
    }
}

fn nothing_is_written() {
    const TRAP: Option<TrapCode> = Some(TrapCode::MemoryOutOfBounds);
    for pager in PAGERS {
        let mut guest = Guest::with_pager(MEMORY, pager);
        let size = (2 * PAGE) as u32;
        guest.memory().write(&mut guest.store, 0, &[0x55; 4096]).expect("in bounds");
        guest.expect("fill", &[size - 100, 101], TRAP);
        guest.expect("copy", &[size - 100, 0, 101], TRAP);
        guest.expect("init", &[size - 8, 0, 9], TRAP);
        guest.expect("init", &[size - 100, 8, 9], TRAP);
        let mut end = [0xaa; 128];
        let memory = guest.memory();
        memory.read(&guest.store, size as usize - 128, &mut end).expect("in bounds");
        assert_eq!(end, [0; 128]);
    }
}

fn dropped_segments() {
    let mut guest = Guest::new(MEMORY);
    guest.expect("drop", &[], None);
    guest.expect("init", &[0, 0, 0], None);
    guest.expect("init", &[0, 0, 1], Some(TrapCode::MemoryOutOfBounds));
    guest.expect("init", &[0, 1, 0], Some(TrapCode::MemoryOutOfBounds));
    guest.expect("drop", &[], None);
}

const TABLE: &str = r#"(module
    (table $t (export "table") 20 funcref) (table $u 20 30 externref)
    (elem $e func $f $f $f $f $f)
    (func $f)
    (func (export "get") (param i32) (drop (table.get $t (local.get 0))))
    (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $f)))
    (func (export "fill") (param i32 i32)
        (table.fill $t (local.get 0) (ref.func $f) (local.get 1)))
    (func (export "copy") (param i32 i32 i32)
        (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
    (func (export "init") (param i32 i32 i32)
        (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
    (func (export "grow") (param i32) (result i32)
        (table.grow $u (ref.null extern) (local.get 0)))
    (func (export "get_u") (param i32) (drop (table.get $u (local.get 0)))))"#;

fn tables() {
    const TRAP: Option<TrapCode> = Some(TrapCode::TableOutOfBounds);
    let size = 20;
    let mut guest = Guest::new(TABLE);
    for (start, length) in ranges(size) {
        let expected = if fits((start, length), size) { None } else { TRAP };
        guest.expect("fill", &[start, length], expected);
        guest.expect("copy", &[start, 0, length], expected);
        guest.expect("copy", &[0, start, length], expected);
        let within = fits((start, length), size) && fits((0, length), 5);
        guest.expect("init", &[start, 0, length], if within { None } else { TRAP });
        let one = if fits((start, 1), size) { None } else { TRAP };
        guest.expect("get", &[start], one);
        guest.expect("set", &[start], one);
    }
    // Beyond the maximum, and beyond what a number can say: no growth.
    for (delta, old) in [(11, -1), (u32::MAX, -1), (1 << 31, -1), (10, 20), (1, -1), (0, 30)] {
        let found = guest.call("grow", &[Val::I32(delta as i32)]).expect("no trap");
        assert_eq!(found[0].unwrap_i32(), old, "{delta}");
    }
    guest.expect("get_u", &[29], None);
    guest.expect("get_u", &[30], TRAP);
}

fn active_segments() {
    let instantiate = |text: &str| {
        let engine = seqfault::Engine::default();
        let module = seqfault::Module::new(&engine, text).expect("a module");
        let mut store = seqfault::Store::new(&engine, ());
        let instance = seqfault::Instance::new(&mut store, &module, &[]);
        instance.map(drop).map_err(|error| error.trap().expect("a trap").code())
    };
    for (offset, length, fits) in [
        (65535_u32, 1_usize, true),
        (65536, 0, true),
        (65535, 2, false),
        (65536, 1, false),
        (65537, 0, false),
        (u32::MAX, 1, false),
        (u32::MAX, 0, false),
    ] {
        let bytes = "x".repeat(length);
        let text = format!("(module (memory 1) (data (i32.const {}) \"{bytes}\"))", offset as i32);
        let expected = if fits { Ok(()) } else { Err(TrapCode::MemoryOutOfBounds) };
        assert_eq!(instantiate(&text), expected, "{offset} {length}");

        let items = "$f ".repeat(length);
        let text = format!(
            "(module (table 65536 funcref) (func $f) (elem (i32.const {}) func {items}))",
            offset as i32
        );
        let expected = if fits { Ok(()) } else { Err(TrapCode::TableOutOfBounds) };
        assert_eq!(instantiate(&text), expected, "{offset} {length}");
    }
}
