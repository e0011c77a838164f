//! Types for a guest's pointer arguments.
//!
//! A guest passes addresses and lengths as plain words. These types add what is at the address, or is to be written
//! there, so that the calls read like the interface's documents. Making one checks nothing: the address may be
//! anything, and its use is checked.

use std::marker::PhantomData;

use crate::abi::Layout;
use crate::error::{PointerError, Result};

/// The address of a `T` (`(@witx pointer T)`).
#[derive(Debug)]
pub(crate) struct GuestPtr<T> {
    at: u32,
    what: PhantomData<fn() -> T>,
}

/// The address and the number of elements (`(list T)`); of bytes: a buffer.
#[derive(Debug)]
pub(crate) struct GuestSlice<T: ?Sized> {
    at: u32,
    len: u32,
    what: PhantomData<fn() -> *const T>,
}

/// The address and the length in bytes of text (`string`).
pub(crate) type GuestStr = GuestSlice<str>;

/// Makes a pointer of an argument.
pub(crate) const fn ptr<T>(at: u32) -> GuestPtr<T> {
    GuestPtr { at, what: PhantomData }
}

/// Makes a slice of two arguments, an address and a length.
pub(crate) const fn slice<T: ?Sized>(at: u32, len: u32) -> GuestSlice<T> {
    GuestSlice { at, len, what: PhantomData }
}

impl<T> GuestPtr<T> {
    /// The address.
    pub(crate) fn at(self) -> u32 {
        self.at
    }
}

impl<T: Layout> GuestPtr<T> {
    /// The address, if it is aligned for a `T`.
    pub(crate) fn aligned(self) -> Result<u32> {
        if !self.at.is_multiple_of(T::ALIGN) {
            return Err(PointerError::Misaligned { at: self.at, align: T::ALIGN }.into());
        }
        Ok(self.at)
    }

    /// The pointer to the element `index` further on.
    pub(crate) fn nth(self, index: u32) -> Result<Self> {
        let whole = u64::from(self.at) + u64::from(index) * u64::from(T::SIZE);
        match u32::try_from(whole) {
            Ok(at) => Ok(ptr(at)),
            Err(_) => Err(PointerError::OutOfBounds { at: self.at, len: whole }.into()),
        }
    }
}

impl<T: ?Sized> GuestSlice<T> {
    /// The number of elements; of text: bytes.
    pub(crate) fn len(self) -> u32 {
        self.len
    }

    /// The address, whatever is there.
    pub(crate) fn at(self) -> u32 {
        self.at
    }
}

impl<T> GuestSlice<T> {
    /// The first element.
    pub(crate) fn start(self) -> GuestPtr<T> {
        ptr(self.at)
    }
}

// By hand: a derived implementation would require it of `T`, too.
impl<T> Clone for GuestPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for GuestPtr<T> {}

impl<T: ?Sized> Clone for GuestSlice<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for GuestSlice<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Iovec;

    #[test]
    fn addresses_are_checked_for_what_they_lead_to() {
        assert_eq!(ptr::<Iovec>(4).aligned(), Ok(4));
        assert_eq!(
            ptr::<u64>(4).aligned(),
            Err(PointerError::Misaligned { at: 4, align: 8 }.into())
        );
        assert_eq!(ptr::<u8>(7).aligned(), Ok(7));
        assert_eq!(ptr::<Iovec>(16).nth(3).unwrap().at(), 40);
        assert!(ptr::<Iovec>(u32::MAX - 7).nth(0).is_ok());
        assert!(ptr::<Iovec>(u32::MAX - 7).nth(1).is_err());
    }
}
