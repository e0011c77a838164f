//! Storage is used again, and what nobody uses is emptied when nobody can look at it.

use std::ptr::NonNull;

use crate::PAGE_SIZE;
use crate::space::{Readers, Shelf};
use crate::sys::Arena;

/// Items in a block.
const ITEMS: usize = 64;

type Item = [u64; 64];

fn take(shelf: &Shelf<Item>, arena: &Arena, count: usize) -> Vec<NonNull<Item>> {
    (0..count).map(|n| shelf.take(arena, |_| [n as u64; 64]).unwrap()).collect()
}

#[test]
fn items_are_used_again_and_surplus_blocks_are_emptied_when_no_reader_is_left() {
    let (arena, readers, shelf) = (Arena::new(), Readers::new(), Shelf::new(0));
    let items = take(&shelf, &arena, ITEMS * 3);
    assert_eq!(shelf.in_use(), ITEMS * 3);
    let mut gone = 0;
    let reading = readers.enter();
    shelf.give(items.clone(), &readers, |_| gone += 1);
    assert_eq!((shelf.in_use(), gone), (0, 0), "a reader may still look");
    drop(reading);
    let again = take(&shelf, &arena, 1);
    assert_eq!(again[0], *items.iter().min().unwrap(), "the first by address");
    shelf.give(again, &readers, |_| gone += 1);
    assert_eq!(gone, ITEMS * 2, "one block is kept");
    let mut all = take(&shelf, &arena, ITEMS * 3);
    let mut before = items;
    all.sort_unstable();
    before.sort_unstable();
    assert_eq!(all, before, "the addresses are the same");
    let mut left = 0;
    shelf.each(|_| left += 1);
    assert_eq!(left, ITEMS * 3);
}

#[test]
fn a_block_with_an_item_in_use_stays() {
    let (arena, readers, shelf) = (Arena::new(), Readers::new(), Shelf::new(0));
    let items = take(&shelf, &arena, ITEMS * 4);
    let (stay, go): (Vec<_>, Vec<_>) =
        items.into_iter().enumerate().partition(|(n, _)| n % ITEMS == 7);
    shelf.give(go.into_iter().map(|(_, item)| item), &readers, |_| panic!("in use"));
    for (n, item) in stay {
        // SAFETY: still in use.
        assert_eq!(unsafe { item.as_ref() }, &[n as u64; 64]);
    }
    assert!(shelf.take(&arena, |_| panic!("there are items")).is_ok());
}

#[test]
fn each_item_has_an_annex_of_its_own_which_stays_with_it() {
    const ANNEX: usize = 2 * PAGE_SIZE;
    let (arena, readers, shelf) = (Arena::new(), Readers::new(), Shelf::<NonNull<u8>>::new(ANNEX));
    let take = || shelf.take(&arena, |annex| annex).unwrap();
    let items: Vec<_> = (0..ITEMS * 3).map(|_| take()).collect();
    // SAFETY: in use.
    let mut annexes: Vec<_> = items.iter().map(|item| unsafe { *item.as_ref() }).collect();
    annexes.sort_unstable();
    for pair in annexes.windows(2) {
        assert!(pair[1].addr().get() - pair[0].addr().get() >= ANNEX);
    }
    shelf.give(items, &readers, drop);
    // SAFETY: in use.
    let again = (0..ITEMS * 3).map(|_| *unsafe { take().as_ref() });
    let mut again: Vec<_> = again.collect();
    again.sort_unstable();
    assert_eq!(again, annexes);
}

#[test]
fn many_blocks_are_found_by_their_items() {
    let (arena, readers, shelf) = (Arena::new(), Readers::new(), Shelf::new(0));
    let items = take(&shelf, &arena, ITEMS * 500);
    for (n, item) in items.iter().enumerate() {
        // SAFETY: in use.
        assert_eq!(unsafe { item.as_ref() }, &[n as u64; 64]);
    }
    let mut gone = 0;
    shelf.give(items.into_iter().step_by(2), &readers, |_| gone += 1);
    assert_eq!((shelf.in_use(), gone), (ITEMS * 250, 0));
}
