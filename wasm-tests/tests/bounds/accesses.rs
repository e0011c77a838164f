//! Loads and stores of every width, with small and large offsets, around the end of memories of
//! several sizes, up to the 4 GiB that no 32-bit address can leave without an offset.

use crate::Check;
use crate::guest::{Guest, PAGE, PAGERS};
use seqfault::{TrapCode, Val};
use std::fmt::Write;

pub(crate) const CHECKS: &[Check] = &[
    ("an_access_traps_exactly_when_it_ends_beyond_the_memory", at_every_boundary),
    ("growing_moves_the_boundary_and_nothing_else", after_growing),
    ("a_memory_of_4_gib_has_no_end_for_plain_addresses", at_4_gib),
    ("a_store_that_traps_stores_nothing", nothing_is_stored),
    ("a_dropped_result_traps_all_the_same", dropped_loads),
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

/// One exported function: it takes an address and makes one access.
struct Access {
    name: String,
    offset: u64,
    width: u64,
}

/// Every instruction with every offset, as a module with a memory of that many pages.
fn every_access(pages: u64) -> (String, Vec<Access>) {
    let mut text = format!("(module (memory (export \"memory\") {pages})\n");
    let mut accesses = Vec::new();
    let mut add = |instruction: &str, offset: u64, width: u64, body: &str| {
        let name = format!("{instruction} offset={offset}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "(func (export \"{name}\") (param i32) {body})");
        accesses.push(Access { name, offset, width });
    };
    for &offset in OFFSETS {
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

/// The addresses at which something changes for this access, and some at the ends of the range.
fn boundaries(size: u64, access: &Access) -> Vec<u32> {
    let reach = access.offset + access.width;
    let interesting = [
        size.wrapping_sub(reach),
        size.wrapping_sub(reach).wrapping_add(1),
        size.wrapping_sub(access.offset),
        size.wrapping_sub(1),
        size,
        0,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0xffff_ffff - access.width + 1,
        // Where the sum of 32-bit numbers would wrap around to 0.
        (1 << 32) - access.offset,
    ];
    let mut addresses: Vec<u32> =
        interesting.into_iter().filter_map(|address| u32::try_from(address).ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[track_caller]
fn check_all(guest: &mut Guest, accesses: &[Access]) {
    let memory = guest.memory();
    let size = memory.data_size(&guest.store) as u64;
    let (mut fitted, mut trapped) = (0, 0);
    for access in accesses {
        for address in boundaries(size, access) {
            let end = u64::from(address) + access.offset + access.width;
            let expected = (end > size).then_some(TrapCode::MemoryOutOfBounds);
            match expected {
                None => fitted += 1,
                Some(_) => trapped += 1,
            }
            guest.expect(&access.name, &[address], expected);
        }
    }
    assert!(trapped > 1000 && (size == 0 || fitted > 100), "{fitted} fitted, {trapped} trapped");
}

fn at_every_boundary() {
    for pages in [0, 1, 3] {
        let (text, accesses) = every_access(pages);
        for pager in PAGERS {
            check_all(&mut Guest::with_pager(&text, pager), &accesses);
        }
    }
}

fn after_growing() {
    let (text, accesses) = every_access(1);
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
    let (text, accesses) = every_access(65536);
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
