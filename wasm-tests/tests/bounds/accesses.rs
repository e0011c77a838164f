//! Loads and stores of every width, with small and large offsets, around the end of memories of
//! several sizes, up to the 4 GiB that no 32-bit address can leave without an offset, and around the
//! ends of memories with 64-bit addresses and with pages of one byte.

use crate::Check;
use crate::guest::{Guest, PAGE, PAGERS};
use seqfault::{Config, Feature, TrapCode, Val};
use std::fmt::Write;

pub(crate) const CHECKS: &[Check] = &[
    ("an_access_traps_exactly_when_it_ends_beyond_the_memory", at_every_boundary),
    ("growing_moves_the_boundary_and_nothing_else", after_growing),
    ("a_memory_of_4_gib_has_no_end_for_plain_addresses", at_4_gib),
    ("a_store_that_traps_stores_nothing", nothing_is_stored),
    ("a_dropped_result_traps_all_the_same", dropped_loads),
    ("a_64_bit_memory_ends_where_it_says_for_every_address", with_64_bits),
    ("a_64_bit_memory_may_fill_its_reservation_and_not_exceed_it", to_the_reservation),
    ("a_64_bit_memory_may_be_larger_than_4_gib", beyond_4_gib),
    ("a_memory_with_pages_of_one_byte_ends_at_the_byte", at_single_bytes),
];

/// The instructions that read, with the bytes they read.
const LOADS: &[(&str, u64)] = &[
    ("i32.load8_s", 1),
    ("i32.load8_u", 1),
    ("i32.load16_s", 2),
    ("i32.load16_u", 2),
    ("i32.load", 4),
    ("i64.load8_s", 1),
    ("i64.load8_u", 1),
    ("i64.load16_s", 2),
    ("i64.load16_u", 2),
    ("i64.load32_s", 4),
    ("i64.load32_u", 4),
    ("i64.load", 8),
    ("f32.load", 4),
    ("f64.load", 8),
    ("v128.load", 16),
    ("v128.load8x8_s", 8),
    ("v128.load16x4_u", 8),
    ("v128.load32x2_s", 8),
    ("v128.load8_splat", 1),
    ("v128.load16_splat", 2),
    ("v128.load32_splat", 4),
    ("v128.load64_splat", 8),
    ("v128.load32_zero", 4),
    ("v128.load64_zero", 8),
];

/// Those that read one lane of a vector.
const LANE_LOADS: &[(&str, u64)] = &[
    ("v128.load8_lane", 1),
    ("v128.load16_lane", 2),
    ("v128.load32_lane", 4),
    ("v128.load64_lane", 8),
];

/// The instructions that write, with the type of what they write.
const STORES: &[(&str, &str, u64)] = &[
    ("i32.store8", "i32", 1),
    ("i32.store16", "i32", 2),
    ("i32.store", "i32", 4),
    ("i64.store8", "i64", 1),
    ("i64.store16", "i64", 2),
    ("i64.store32", "i64", 4),
    ("i64.store", "i64", 8),
    ("f32.store", "f32", 4),
    ("f64.store", "f64", 8),
    ("v128.store", "v128", 16),
];

/// Those that write one lane of a vector.
const LANE_STORES: &[(&str, u64)] = &[
    ("v128.store8_lane", 1),
    ("v128.store16_lane", 2),
    ("v128.store32_lane", 4),
    ("v128.store64_lane", 8),
];

/// Constant offsets: none, within a page, around a page, around the 2 GiB and the 4 GiB.
const OFFSETS: &[u64] =
    &[0, 1, 7, PAGE - 1, PAGE, PAGE + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff];

/// More for 64-bit addresses: around the 2 GiB behind a reservation, and up to the very last.
const OFFSETS64: &[u64] = &[
    0,
    7,
    PAGE - 1,
    PAGE,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_ffff,
    0x8001_0000,
    0x1_0000_0000,
    64 << 30,
    (64 << 30) + 1,
    1 << 47,
    u64::MAX >> 1,
    u64::MAX - 7,
    u64::MAX,
];

/// What the memory of a test is like.
struct Shape {
    /// Its limits, as in a module's text.
    limits: String,
    /// The type of its addresses.
    address: &'static str,
    offsets: &'static [u64],
}

impl Shape {
    fn of(limits: impl ToString) -> Shape {
        Shape { limits: limits.to_string(), address: "i32", offsets: OFFSETS }
    }

    fn wide(limits: impl ToString) -> Shape {
        let limits = format!("i64 {}", limits.to_string());
        Shape { limits, address: "i64", offsets: OFFSETS64 }
    }
}

/// One exported function: it takes an address and makes one access.
struct Access {
    name: String,
    offset: u64,
    width: u64,
}

/// Every instruction with every offset, as a module with a memory of that shape.
fn every_access(shape: &Shape) -> (String, Vec<Access>) {
    let Shape { limits, address, offsets } = shape;
    let mut text = format!("(module (memory (export \"memory\") {limits})\n");
    let mut accesses = Vec::new();
    let mut add = |instruction: &str, offset: u64, width: u64, body: &str| {
        let name = format!("{instruction} offset={offset}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "(func (export \"{name}\") (param {address}) {body})");
        accesses.push(Access { name, offset, width });
    };
    for &offset in *offsets {
        for (op, width) in LOADS {
            add(op, offset, *width, &format!("(drop ({op} offset={offset} (local.get 0)))"));
        }
        for (op, width) in LANE_LOADS {
            let vector = "(v128.const i64x2 0 0)";
            let body = format!("(drop ({op} offset={offset} 0 (local.get 0) {vector}))");
            add(op, offset, *width, &body);
        }
        for (op, ty, width) in STORES {
            let value = if *ty == "v128" { "i64x2 0 0" } else { "0" };
            let body = format!("({op} offset={offset} (local.get 0) ({ty}.const {value}))");
            add(op, offset, *width, &body);
        }
        for (op, width) in LANE_STORES {
            let body = format!("({op} offset={offset} 0 (local.get 0) (v128.const i64x2 0 0))");
            add(op, offset, *width, &body);
        }
    }
    text.push(')');
    (text, accesses)
}

/// The addresses at which something changes for this access, and some at the ends of the range,
/// which `last` is the last of.
fn boundaries(size: u64, access: &Access, last: u64) -> Vec<u64> {
    let reach = access.offset.wrapping_add(access.width);
    let interesting = [
        size.wrapping_sub(reach),
        size.wrapping_sub(reach).wrapping_add(1),
        size.wrapping_sub(access.offset),
        size.wrapping_sub(1),
        size,
        0,
        1,
        last >> 1,
        (last >> 1) + 1,
        last,
        last - access.width + 1,
        // Where the sum of 32-bit numbers would wrap around to 0, and of 64-bit ones.
        (1u64 << 32).wrapping_sub(access.offset),
        access.offset.wrapping_neg(),
        // Around the reservation of a 64-bit memory, and its end less what the offset adds.
        RESERVATION - 1,
        RESERVATION,
        RESERVATION.wrapping_sub(access.offset),
        RESERVATION.wrapping_sub(access.offset).wrapping_add(1),
    ];
    let mut addresses: Vec<u64> =
        interesting.into_iter().filter(|&address| address <= last).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// What a 64-bit memory has by default.
const RESERVATION: u64 = 64 << 30;

#[track_caller]
fn check_all(guest: &mut Guest, accesses: &[Access]) {
    let memory = guest.memory();
    let size = memory.data_size(&guest.store) as u64;
    let wide = memory.ty(&guest.store).is_64();
    let last = if wide { u64::MAX } else { u32::MAX.into() };
    let (mut fitted, mut trapped) = (0, 0);
    for access in accesses {
        for address in boundaries(size, access, last) {
            let end = u128::from(address) + u128::from(access.offset) + u128::from(access.width);
            let expected = (end > size.into()).then_some(TrapCode::MemoryOutOfBounds);
            match expected {
                None => fitted += 1,
                Some(_) => trapped += 1,
            }
            let argument =
                if wide { Val::I64(address as i64) } else { Val::I32(address as u32 as i32) };
            guest.expect_values(&access.name, &[argument], expected);
        }
    }
    assert!(trapped > 1000 && (size < 16 || fitted > 100), "{fitted} fitted, {trapped} trapped");
}

fn at_every_boundary() {
    for pages in [0, 1, 3] {
        let (text, accesses) = every_access(&Shape::of(pages));
        for pager in PAGERS {
            check_all(&mut Guest::with_pager(&text, pager), &accesses);
        }
    }
}

fn after_growing() {
    let (text, accesses) = every_access(&Shape::of(1));
    for pager in PAGERS {
        let mut guest = Guest::with_pager(&text, pager);
        for pages in [1, 30] {
            let memory = guest.memory();
            memory.grow(&mut guest.store, pages).expect("room");
            check_all(&mut guest, &accesses);
        }
    }
}

fn at_4_gib() {
    let (text, accesses) = every_access(&Shape::of(65536));
    for pager in PAGERS {
        let mut guest = Guest::with_pager(&text, pager);
        check_all(&mut guest, &accesses);
        let resident = guest.memory().resident(&guest.store);
        assert!(resident < 1 << 30 || pager == PAGERS[2], "{resident} bytes are resident");
    }
}

/// A store across the end must not leave the part that would have fitted.
fn nothing_is_stored() {
    for pager in PAGERS {
        for (op, ty, width) in STORES {
            let value = if *ty == "v128" { "i64x2 -1 -1" } else { "-1" };
            let text = format!(
                "(module (memory (export \"memory\") 1)
                    (func (export \"store\") (param i32)
                        ({op} (local.get 0) ({ty}.const {value}))))"
            );
            let mut guest = Guest::with_pager(&text, pager);
            for beyond in 1..*width {
                let at = PAGE - width + beyond;
                guest.expect("store", &[at as u32], Some(TrapCode::MemoryOutOfBounds));
            }
            let mut end = [0xaa; 16];
            guest.memory().read(&guest.store, PAGE as usize - 16, &mut end).expect("in bounds");
            assert_eq!(end, [0; 16], "{op}");
        }
    }
}

/// The value is not needed, the trap is.
fn dropped_loads() {
    let text = "(module (memory (export \"memory\") 1)
        (func (export \"first\") (param i32) (result i32)
            (drop (i32.load (local.get 0))) (i32.const 1)))";
    let mut guest = Guest::new(text);
    assert_eq!(guest.call("first", &[Val::I32(0)]).map(|values| values.len()), Ok(1));
    guest.expect("first", &[PAGE as u32], Some(TrapCode::MemoryOutOfBounds));
    guest.expect("first", &[u32::MAX], Some(TrapCode::MemoryOutOfBounds));
}

fn with_64_bits() {
    for limits in ["0", "1", "3 5"] {
        let (text, accesses) = every_access(&Shape::wide(limits));
        for pager in PAGERS {
            check_all(&mut Guest::with_pager(&text, pager), &accesses);
        }
    }
}

fn to_the_reservation() {
    let (text, accesses) = every_access(&Shape::wide(1));
    let mut config = Config::new();
    config.memory64_reservation(3 * PAGE);
    let mut guest = Guest::with_config(&text, &config);
    let memory = guest.memory();
    memory.grow(&mut guest.store, 1).expect("room");
    check_all(&mut guest, &accesses);
    assert!(memory.grow(&mut guest.store, 2).is_err(), "more than is reserved");
    memory.grow(&mut guest.store, 1).expect("room");
    assert!(memory.grow(&mut guest.store, 1).is_err(), "more than is reserved");
    check_all(&mut guest, &accesses);
}

fn beyond_4_gib() {
    let (text, accesses) = every_access(&Shape::wide(65536 + 7));
    for pager in [None, PAGERS[1]] {
        let mut guest = Guest::with_pager(&text, pager);
        check_all(&mut guest, &accesses);
        let resident = guest.memory().resident(&guest.store);
        assert!(resident < 1 << 30, "{resident} bytes are resident");
    }
}

fn at_single_bytes() {
    let mut config = Config::new();
    config.wasm_feature(Feature::CustomPageSizes, true);
    for limits in ["0 (pagesize 1)", "1 (pagesize 1)", "100 (pagesize 1)", "4097 (pagesize 1)"] {
        for shape in [Shape::of(limits), Shape::wide(limits)] {
            let (text, accesses) = every_access(&shape);
            let mut guest = Guest::with_config(&text, &config);
            check_all(&mut guest, &accesses);
            let memory = guest.memory();
            let old = memory.size(&guest.store);
            assert_eq!(memory.grow(&mut guest.store, 4095).expect("room"), old);
            assert_eq!(memory.data_size(&guest.store) as u64, old + 4095);
            check_all(&mut guest, &accesses);
        }
    }
}
