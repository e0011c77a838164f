//! The lock order: what is allowed goes through, each forbidden order is caught.

#![cfg(all(feature = "speculation", debug_assertions))]

use super::child::in_child;
use crate::primitive::{Level, Lock};
use crate::space::SeqCount;

const COUNTS: [Level; 4] = [Level::Bounds, Level::BoundsNested, Level::Pages, Level::Structure];

/// Takes `first` and then `second` on a thread of its own, under the writer lock; whether that was caught.
fn is_caught(first: Level, second: Level) -> bool {
    std::thread::spawn(move || {
        let lock = Lock::new();
        let counts = [SeqCount::new(), SeqCount::new()];
        let _held = lock.lock();
        let _outer = counts[0].write_begin(first);
        let _inner = counts[1].write_begin(second);
    })
    .join()
    .is_err()
}

#[test]
fn each_order_but_the_right_one_is_caught() {
    for first in COUNTS {
        for second in COUNTS {
            assert_eq!(is_caught(first, second), second <= first, "{first:?}, then {second:?}");
        }
    }
}

#[test]
#[should_panic(expected = "without the writer lock")]
fn a_count_without_the_writer_lock_is_caught() {
    SeqCount::new().write_begin(Level::Pages);
}

#[test]
#[should_panic(expected = "Lock taken while")]
fn the_lock_of_another_space_inside_a_section_is_caught() {
    let (one, other) = (Lock::new(), Lock::new());
    let _held = one.lock();
    other.lock();
}

#[test]
#[should_panic(expected = "in a write section")]
fn a_second_begin_on_the_same_count_is_caught() {
    let count = SeqCount::new();
    count.raw_write_begin();
    count.raw_write_begin();
}

#[test]
#[should_panic(expected = "at rest")]
fn an_end_without_a_begin_is_caught() {
    SeqCount::new().raw_write_end();
}

#[test]
fn two_neighbours_in_address_order_are_allowed() {
    let lock = Lock::new();
    let counts = [SeqCount::new(), SeqCount::new(), SeqCount::new()];
    let _held = lock.lock();
    let _lower = counts[0].write_begin(Level::Bounds);
    let _upper = counts[1].write_begin_nested();
    let _pages = counts[2].write_begin(Level::Pages);
    assert!(counts.iter().all(|count| count.try_begin().is_none()));
}

#[test]
fn a_fault_by_the_locks_owner_ends_with_a_message_and_does_not_hang() {
    let output = in_child("a_fault_by_the_locks_owner", || {
        let lock = Lock::new();
        let _held = lock.lock();
        lock.lock();
    });
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(libc::SIGABRT));
    assert!(String::from_utf8_lossy(&output.stderr).contains("whose lock it holds"));
}
