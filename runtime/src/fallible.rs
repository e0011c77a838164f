//! Allocations whose size or number a guest chooses: if the system has no memory, they return an
//! error instead of ending the process.
//!
//! Values of a small fixed size that are not repeated for the guest (an error, a store, a handle)
//! are allocated as everywhere in Rust. So are the data of the code generator and the parser. There
//! the process may end.

use smallvec::SmallVec;
use std::alloc::{Layout, alloc_zeroed};
use std::fmt;

/// The system has no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory {
    bytes: usize,
}

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system has no memory for {} bytes", self.bytes)
    }
}

impl std::error::Error for NoMemory {}

impl NoMemory {
    fn of<T>(count: usize) -> NoMemory {
        NoMemory { bytes: count.saturating_mul(size_of::<T>()) }
    }
}

/// An empty vector with room for `count` values, and no more.
pub(crate) fn with_capacity<T>(count: usize) -> Result<Vec<T>, NoMemory> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| NoMemory::of::<T>(count))?;
    Ok(values)
}

/// A vector of `count` times the same value.
pub(crate) fn repeated<T: Clone>(value: T, count: usize) -> Result<Vec<T>, NoMemory> {
    let mut values = with_capacity(count)?;
    values.resize(count, value);
    Ok(values)
}

/// `count` zeroes; if there are many, in pages that the system brings when they are touched.
pub(crate) fn zeroes(count: usize) -> Result<Vec<u64>, NoMemory> {
    let no_memory = NoMemory::of::<u64>(count);
    let layout = Layout::array::<u64>(count).map_err(|_| no_memory)?;
    if layout.size() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the size is not zero.
    let zeroes = unsafe { alloc_zeroed(layout) }.cast::<u64>();
    match zeroes.is_null() {
        true => Err(no_memory),
        // SAFETY: from the allocator that vectors use, with the layout of `count` numbers. All are
        // initialised: zero is a valid number.
        false => Ok(unsafe { Vec::from_raw_parts(zeroes, count, count) }),
    }
}

/// A value on the heap.
pub(crate) fn boxed<T>(value: T) -> Result<Box<T>, NoMemory> {
    let mut one = with_capacity(1)?;
    one.push(value);
    // The capacity is one, so this moves nothing.
    let one: Box<[T]> = one.into_boxed_slice();
    // SAFETY: a slice of one value has the layout of the value, and comes from the same allocator.
    Ok(unsafe { Box::from_raw(Box::into_raw(one).cast()) })
}

/// Appends a value to `values`.
pub(crate) fn push<T>(values: &mut Vec<T>, value: T) -> Result<(), NoMemory> {
    reserve(values, 1)?;
    values.push(value);
    Ok(())
}

/// Makes room for `more` values, and for some in advance.
pub(crate) fn reserve<T>(values: &mut Vec<T>, more: usize) -> Result<(), NoMemory> {
    let count = values.len().saturating_add(more);
    values.try_reserve(more).map_err(|_| NoMemory::of::<T>(count))
}

/// Values of which there are mostly so few that they need no allocation.
pub(crate) type Few<T, const N: usize> = SmallVec<[T; N]>;

/// Makes room for `more` of a few values.
pub(crate) fn reserve_few<T, const N: usize>(
    values: &mut Few<T, N>,
    more: usize,
) -> Result<(), NoMemory> {
    let count = values.len().saturating_add(more);
    values.try_reserve(more).map_err(|_| NoMemory::of::<T>(count))
}

/// The values of an iterator, or its first error.
pub(crate) fn collect<T, E: Into<crate::Error>>(
    values: impl ExactSizeIterator<Item = Result<T, E>>,
) -> crate::Result<Vec<T>> {
    let mut collected = with_capacity(values.len())?;
    for value in values {
        push(&mut collected, value.map_err(Into::into)?)?;
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn what_cannot_be_had_is_an_error_that_says_how_much_it_was() {
        for error in [
            with_capacity::<u64>(usize::MAX / 2).map(drop),
            repeated(1u64, 1 << 60).map(drop),
            zeroes(1 << 60).map(drop),
            zeroes(1 << 57).map(drop),
            reserve(&mut vec![1u8], usize::MAX),
        ] {
            assert!(error.unwrap_err().to_string().starts_with("the system has no memory for "));
        }
    }

    #[test]
    fn what_can_be_had_is_as_from_anywhere() {
        assert_eq!(zeroes(3), Ok(vec![0; 3]));
        assert_eq!(zeroes(0), Ok(Vec::new()));
        assert_eq!(repeated('x', 2), Ok(vec!['x'; 2]));
        let value = Rc::new(());
        let held = boxed(Rc::clone(&value)).unwrap();
        assert_eq!(Rc::strong_count(&value), 2);
        drop(held);
        assert_eq!(Rc::strong_count(&value), 1);
        assert_eq!(*boxed(()).unwrap(), ());
        let none: Vec<Result<u8, NoMemory>> = Vec::new();
        assert!(collect(none.into_iter()).unwrap().is_empty());
    }
}
