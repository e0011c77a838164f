//! `Shelf`: type-stable items of one kind, made once and used again and again.
//!
//! Items live in blocks of 64 (fewer if they are large). A block of which no item is in use is kept for the next user,
//! but only one of them: the others are emptied when all [`Readers`] have left who may hold references to their items.
//! Their addresses stay. The first free item by address is taken first, so that blocks become idle.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::list::List;
use super::primitive::{self, Arena, Use};
use super::readers::Readers;
use super::types::PAGE;
use crate::sys::SysError;

/// Items in a block, at most.
const MOST: usize = u64::BITS as usize;
/// Bytes in a block, unless it has a handful of items only.
const ENOUGH: usize = 64 << 10;
/// How many idle blocks are kept.
const KEPT: usize = primitive::KEPT_BLOCKS;

/// The items. Only writers come here, never a signal handler, so a plain mutex is right.
pub(crate) struct Shelf<T> {
    stock: Mutex<Stock<T>>,
}

struct Stock<T> {
    /// Bytes beside each item, from the arena's sparse part: zero when the item is made.
    annex: usize,
    /// By address.
    blocks: List<Block<T>>,
    /// No block before this one has a free item.
    first_free: usize,
    /// How many blocks are idle.
    idle: usize,
}

/// Room for some items.
struct Block<T> {
    start: NonNull<T>,
    /// One bit for each item that is not in use.
    free: u64,
    /// One bit for each item that was made.
    made: u64,
    /// The annexes of all items.
    annexes: NonNull<u8>,
}

// SAFETY: the pointers own what they point to.
unsafe impl<T: Send> Send for Stock<T> {}

impl<T> Block<T> {
    const ITEMS: usize = {
        let fit = ENOUGH / size_of::<T>();
        if fit > MOST {
            MOST
        } else if fit < 8 {
            8
        } else {
            fit
        }
    };
    const BYTES: usize = (size_of::<T>() * Self::ITEMS).next_multiple_of(PAGE);
    const ALL: u64 = u64::MAX >> (MOST - Self::ITEMS);

    fn item(&self, index: u32) -> *mut T {
        // SAFETY: a block has room for all its items.
        unsafe { self.start.as_ptr().add(index as usize) }
    }

    /// Items were made in it, and none is in use.
    fn is_idle(&self) -> bool {
        self.free == Self::ALL && self.made != 0
    }

    /// Drops all items, and gives the pages back.
    ///
    /// # Safety
    /// Nobody has a reference to an item.
    unsafe fn empty(&mut self, mut dismantle: impl FnMut(T)) {
        for index in (0..u64::BITS).filter(|index| self.made >> index & 1 != 0) {
            // SAFETY: it was made, and is forgotten below.
            dismantle(unsafe { self.item(index).read() });
        }
        self.made = 0;
        // SAFETY: a piece of the arena, whose items are gone.
        unsafe { primitive::decommit(self.start.cast(), Self::BYTES) };
    }
}

impl<T> Shelf<T> {
    /// Empty; each item will have `annex` bytes (whole pages, or none) beside it.
    pub(crate) const fn new(annex: usize) -> Self {
        let blocks = List::new();
        Self { stock: Mutex::new(Stock { annex, blocks, first_free: 0, idle: 0 }) }
    }

    fn stock(&self) -> MutexGuard<'_, Stock<T>> {
        // Nothing panics while it is half changed.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An item that nobody uses: one that was given back, or one that `make` makes, given its annex.
    pub(crate) fn take(
        &self,
        arena: &Arena,
        make: impl FnOnce(NonNull<u8>) -> T,
    ) -> Result<NonNull<T>, SysError> {
        self.stock().take(arena, make)
    }

    /// Takes back items that nobody finds any more. `dismantle` gets those that are made no longer.
    pub(crate) fn give(
        &self,
        items: impl IntoIterator<Item = NonNull<T>>,
        readers: &Readers,
        mut dismantle: impl FnMut(T),
    ) {
        let mut stock = self.stock();
        items.into_iter().for_each(|item| stock.give(item));
        while let Some(mut idle) = stock.surplus() {
            // The readers of items that were given back before are asked for, and nothing is waited for meanwhile.
            drop(stock);
            let left = readers.have_left();
            if left {
                // SAFETY: nobody uses them, nobody finds them, and who had found them has left.
                unsafe { idle.empty(&mut dismantle) };
            }
            stock = self.stock();
            stock.restore(idle);
            if !left {
                return;
            }
        }
    }

    /// Calls `f` with each item that was ever made and is still there.
    pub(crate) fn each(&self, mut f: impl FnMut(&T)) {
        for block in self.stock().blocks.iter() {
            for index in (0..u64::BITS).filter(|index| block.made >> index & 1 != 0) {
                // SAFETY: it was made, and the lock keeps it from being dropped.
                f(unsafe { &*block.item(index) });
            }
        }
    }

    /// How many items are in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.stock()
            .blocks
            .iter()
            .map(|block| (Block::<T>::ALL & !block.free).count_ones() as usize)
            .sum()
    }
}

impl<T> Stock<T> {
    fn take(
        &mut self,
        arena: &Arena,
        make: impl FnOnce(NonNull<u8>) -> T,
    ) -> Result<NonNull<T>, SysError> {
        let annex = self.annex;
        let from = self.first_free;
        let free = self.blocks[from..].iter().position(|block| block.free != 0);
        let at = free.map_or_else(|| self.add_block(arena), |at| Ok(from + at))?;
        let block = &mut self.blocks[at];
        let index = block.free.trailing_zeros();
        let item = block.item(index);
        let was_idle = block.is_idle();
        if block.made >> index & 1 == 0 {
            // SAFETY: the block has an annex for each item.
            let annex = unsafe { block.annexes.add(annex * index as usize) };
            // SAFETY: room of the block, which nobody uses.
            unsafe { item.write(make(annex)) };
            block.made |= 1 << index;
        }
        block.free &= !(1 << index);
        self.first_free = at;
        self.idle -= usize::from(was_idle);
        // SAFETY: an item of a block is not at zero.
        Ok(unsafe { NonNull::new_unchecked(item) })
    }

    fn add_block(&mut self, arena: &Arena) -> Result<usize, SysError> {
        const { assert!(align_of::<T>() <= PAGE) };
        let start = arena.take(Block::<T>::BYTES, Use::Dense)?;
        let annexes = match self.annex {
            0 => start,
            bytes => arena.take(bytes * Block::<T>::ITEMS, Use::Sparse)?,
        };
        let start = start.cast();
        let at = self.blocks.partition_point(|block| block.start < start);
        self.blocks.insert(at, Block { start, free: Block::<T>::ALL, made: 0, annexes }, arena)?;
        Ok(at)
    }

    fn give(&mut self, item: NonNull<T>) {
        let at = self.blocks.partition_point(|block| block.start <= item) - 1;
        let block = &mut self.blocks[at];
        let index = (item.addr().get() - block.start.addr().get()) / size_of::<T>();
        block.free |= 1 << index;
        self.idle += usize::from(block.is_idle());
        self.first_free = self.first_free.min(at);
    }

    /// An idle block that is not to be kept, out of use until it is restored.
    fn surplus(&mut self) -> Option<Block<T>> {
        if self.idle <= KEPT {
            return None;
        }
        let block = self.blocks.iter_mut().rfind(|block| block.is_idle())?;
        self.idle -= 1;
        let made = std::mem::take(&mut block.made);
        let free = std::mem::take(&mut block.free);
        Some(Block { start: block.start, free, made, annexes: block.annexes })
    }

    fn restore(&mut self, block: Block<T>) {
        let at = self.blocks.partition_point(|other| other.start < block.start);
        self.idle += usize::from(block.is_idle());
        self.first_free = self.first_free.min(at);
        self.blocks[at] = block;
    }
}

impl<T> Drop for Stock<T> {
    fn drop(&mut self) {
        for block in self.blocks.iter_mut() {
            // SAFETY: who drops the shelf has no references to its items.
            unsafe { block.empty(drop) };
        }
    }
}
