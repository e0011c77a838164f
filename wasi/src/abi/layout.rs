//! The layout of the interface's types in memory.

use crate::guest::GuestPtr;

/// A type that has a layout in guest memory.
pub(crate) trait Layout {
    /// Its size in bytes.
    const SIZE: u32;
    /// Its alignment.
    const ALIGN: u32;
}

/// A type that calls write to guest memory.
pub(crate) trait Record: Layout {
    /// An array of its bytes.
    type Bytes: AsRef<[u8]>;

    /// Its bytes, little-endian.
    fn encode(&self) -> Self::Bytes;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Layout for $number {
            const SIZE: u32 = size_of::<$number>() as u32;
            const ALIGN: u32 = Self::SIZE;
        }

        impl Record for $number {
            type Bytes = [u8; size_of::<$number>()];

            fn encode(&self) -> Self::Bytes {
                self.to_le_bytes()
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

impl<T> Layout for GuestPtr<T> {
    const SIZE: u32 = 4;
    const ALIGN: u32 = 4;
}

impl<T> Record for GuestPtr<T> {
    type Bytes = [u8; 4];

    fn encode(&self) -> [u8; 4] {
        self.at().to_le_bytes()
    }
}
