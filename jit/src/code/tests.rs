//! The code space as a whole: units that come and go, and what [`lookup`] finds meanwhile.

use super::*;
use crate::CompiledFunction;
use std::sync::Arc;

fn function(len: usize) -> CompiledFunction {
    CompiledFunction {
        kind: CodeKind::Exit,
        code: vec![0xc3; len],
        traps: Vec::new(),
        addresses: Vec::new(),
        handled_calls: Vec::new(),
        stack_maps: Vec::new(),
        unwind: None,
    }
}

fn unit(arena: &CodeArena, lens: &[usize], owner: usize) -> PublishedUnit {
    let mut unit = UnitBuilder::new();
    for &len in lens {
        unit.push(function(len));
    }
    unit.publish(arena, owner).unwrap()
}

fn unlimited() -> Arc<CodeQuota> {
    CodeQuota::new("test", None, None)
}

/// The owner of the code at an address.
fn owner_at(pc: usize) -> Option<usize> {
    // SAFETY: the caller owns the unit, if there is one.
    unsafe { lookup(pc) }.map(CodeUnit::owner)
}

/// The code at an address.
fn code_at(start: *const u8, len: usize) -> &'static [u8] {
    // SAFETY: code can be read; the caller owns the unit.
    unsafe { std::slice::from_raw_parts(start, len) }
}

#[test]
fn units_lie_behind_each_other_and_all_their_addresses_are_theirs() {
    let arena = CodeArena::new(unlimited());
    let units: Vec<_> = (1..200).map(|n| unit(&arena, &[n, 2 * n, 1], n)).collect();
    for (n, unit) in (1..200).zip(&units) {
        let starts: Vec<_> = unit.function_starts().collect();
        assert_eq!(starts.len(), 3);
        for (start, len) in starts.iter().zip([n, 2 * n, 1]) {
            assert_eq!(code_at(*start, len), vec![0xc3; len]);
            assert_eq!(owner_at(*start as usize), Some(n));
            assert_eq!(owner_at(*start as usize + len - 1), Some(n));
        }
    }
    assert!(units.windows(2).filter(|pair| pair[0].start() < pair[1].start()).count() > 190);
    // Their code is 80,000 bytes.
    assert!(arena.quota().used() < 200_000, "{}", arena.quota().used());
}

#[test]
fn what_an_arena_took_comes_back_with_its_last_unit() {
    let quota = unlimited();
    let arena = CodeArena::new(quota.clone());
    let units: Vec<_> = (0..1_000).map(|n| unit(&arena, &[500], n)).collect();
    let kept = unit(&arena, &[500], 7);
    drop(arena);
    assert!(quota.used() > 500_000);
    drop(units);
    assert!((4096..=256 << 10).contains(&quota.used()), "{}", quota.used());
    assert_eq!(owner_at(kept.start() as usize + 499), Some(7));
    drop(kept);
    assert_eq!(quota.used(), 0);
}

#[test]
fn more_code_than_there_are_addresses_comes_and_goes() {
    let arena = CodeArena::new(unlimited());
    for round in 0..10_000 {
        let unit = unit(&arena, &[256 << 10], round);
        assert_eq!(owner_at(unit.start() as usize + 100_000), Some(round));
    }
}

#[test]
fn units_are_found_while_their_neighbours_come_and_go() {
    for arena in [CodeArena::new(unlimited()), CodeArena::of_pages(unlimited())] {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let arena = &arena;
                scope.spawn(move || {
                    let mut units = std::collections::VecDeque::new();
                    for round in 0..3_000 {
                        let owner = thread << 32 | round;
                        let len = 1 + (round * 37 + thread * 11) % 700;
                        units.push_back((unit(arena, &[len], owner), owner, len));
                        if units.len() > 20 {
                            units.pop_front();
                        }
                        for (unit, owner, len) in &units {
                            let start = unit.start() as usize;
                            assert_eq!(owner_at(start), Some(*owner));
                            assert_eq!(owner_at(start + len - 1), Some(*owner));
                            assert_eq!(code_at(unit.start(), *len)[len - 1], 0xc3);
                        }
                    }
                });
            }
        });
    }
}
