//! [`I31`]: an integer that is a reference.

use crate::gc::heap::RawRef;
use seqfault_jit::gc::I31_TAG;

/// A 31-bit integer, which fits in a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct I31(u32);

const MASK: u32 = u32::MAX >> 1;

impl I31 {
    /// `value`, if 31 bits can hold it.
    pub fn new_u32(value: u32) -> Option<I31> {
        (value <= MASK).then_some(I31(value))
    }

    /// `value`, if 31 bits with a sign can hold it.
    pub fn new_i32(value: i32) -> Option<I31> {
        let wrapped = I31::wrapping_i32(value);
        (wrapped.get_i32() == value).then_some(wrapped)
    }

    /// The low 31 bits of `value`, as `ref.i31` takes them.
    pub fn wrapping_u32(value: u32) -> I31 {
        I31(value & MASK)
    }

    /// The low 31 bits of `value`, as `ref.i31` takes them.
    pub fn wrapping_i32(value: i32) -> I31 {
        I31::wrapping_u32(value as u32)
    }

    /// The value without a sign, as `i31.get_u` gives it.
    pub fn get_u32(self) -> u32 {
        self.0
    }

    /// The value with a sign, as `i31.get_s` gives it.
    pub fn get_i32(self) -> i32 {
        (self.0 << 1) as i32 >> 1
    }

    pub(crate) fn to_raw(self) -> RawRef {
        self.0 << 1 | I31_TAG
    }

    pub(crate) fn from_raw(reference: RawRef) -> Option<I31> {
        (reference & I31_TAG != 0).then_some(I31(reference >> 1))
    }
}

#[cfg(test)]
mod tests {
    use super::I31;

    #[test]
    fn the_sign_is_bit_30() {
        assert_eq!(I31::new_u32(1 << 31), None);
        assert_eq!(I31::new_i32(1 << 30), None);
        let minus_one = I31::new_i32(-1).unwrap();
        assert_eq!((minus_one.get_i32(), minus_one.get_u32()), (-1, u32::MAX >> 1));
        assert_eq!(I31::from_raw(minus_one.to_raw()), Some(minus_one));
        assert_eq!(I31::wrapping_u32(u32::MAX), minus_one);
        assert_eq!(I31::new_u32(u32::MAX >> 1), Some(minus_one));
    }
}
