//! Storage is used again, and what nobody uses is emptied when nobody can look at it.

use std::ptr::NonNull;

use crate::space::{Readers, Shelf};
use crate::sys::{Arena, SysError};

/// Items in a block.
const ITEMS: usize = 64;

type Item = [u64; 64];

fn take(shelf: &Shelf<Item>, arena: &Arena, count: usize) -> Vec<NonNull<Item>> {
    (0..count).map(|n| shelf.take(arena, || Ok([n as u64; 64])).unwrap()).collect()
}

#[test]
fn items_are_used_again_and_surplus_blocks_are_emptied_when_no_reader_is_left() {
    let (arena, readers, shelf) = (Arena::new(), Readers::new(), Shelf::new());
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
    let (arena, readers, shelf) = (Arena::new(), Readers::new(), Shelf::new());
    let items = take(&shelf, &arena, ITEMS * 4);
    let (stay, go): (Vec<_>, Vec<_>) =
        items.into_iter().enumerate().partition(|(n, _)| n % ITEMS == 7);
    shelf.give(go.into_iter().map(|(_, item)| item), &readers, |_| panic!("in use"));
    for (n, item) in stay {
        // SAFETY: still in use.
        assert_eq!(unsafe { item.as_ref() }, &[n as u64; 64]);
    }
    assert!(shelf.take(&arena, || panic!("there are items")).is_ok());
}

#[test]
fn an_item_that_cannot_be_made_leaves_the_shelf_as_it_was() {
    let (arena, shelf) = (Arena::new(), Shelf::<Item>::new());
    let refused = SysError { call: "test", errno: libc::ENOMEM };
    assert!(shelf.take(&arena, || Err(refused)).is_err());
    assert_eq!(shelf.in_use(), 0);
    take(&shelf, &arena, 1);
}
