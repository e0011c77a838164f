//! [`MemoryType`] and its builder.
//!
//! Source: WebAssembly core specification, section 2.3.13 "Memory Types", and the proposals
//! threads and custom page sizes.

use std::fmt;

/// Bytes in a page of linear memory, unless its type says otherwise.
pub const WASM_PAGE_SIZE: usize = 1 << WASM_PAGE_SIZE_LOG2;

const WASM_PAGE_SIZE_LOG2: u8 = 16;

/// The type of a linear memory; sizes are in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    /// Pages at the start.
    pub minimum: u64,
    /// The most pages it may have, if declared.
    pub maximum: Option<u64>,
    /// Whether several threads may use it at once.
    pub shared: bool,
    /// Whether addresses have 64 bits, not 32.
    pub memory64: bool,
    /// The binary logarithm of the bytes in a page: 16 or 0.
    pub page_size_log2: u8,
}

impl MemoryType {
    /// A memory of one thread with 32-bit addresses, with sizes in pages of 64 KiB.
    pub fn new(minimum: u32, maximum: Option<u32>) -> MemoryType {
        let maximum = maximum.map(u64::from);
        MemoryType { memory64: false, ..MemoryType::new64(minimum.into(), maximum) }
    }

    /// A memory of one thread with 64-bit addresses, with sizes in pages of 64 KiB.
    pub fn new64(minimum: u64, maximum: Option<u64>) -> MemoryType {
        let page_size_log2 = WASM_PAGE_SIZE_LOG2;
        MemoryType { minimum, maximum, shared: false, memory64: true, page_size_log2 }
    }

    /// A memory that several threads may use at once, with 32-bit addresses and sizes in pages of
    /// 64 KiB.
    pub fn shared(minimum: u32, maximum: u32) -> MemoryType {
        MemoryType { shared: true, ..MemoryType::new(minimum, Some(maximum)) }
    }

    /// Builds any type of memory there is.
    pub fn builder() -> MemoryTypeBuilder {
        MemoryTypeBuilder(MemoryType::new(0, None))
    }

    /// Whether addresses have 64 bits.
    pub fn is_64(&self) -> bool {
        self.memory64
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> u64 {
        1 << self.page_size_log2
    }

    /// The most pages that it can have: as many as addresses reach and its size can express.
    pub fn addressable_pages(&self) -> u64 {
        let (bits, most) = if self.memory64 { (64, u64::MAX) } else { (32, u32::MAX.into()) };
        let log2 = u32::from(self.page_size_log2);
        if log2 == 0 { most } else { 1 << (bits - log2) }
    }
}

impl fmt::Display for MemoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.memory64 { "i64 " } else { "" };
        write!(f, "(memory {width}{}", self.minimum)?;
        if let Some(maximum) = self.maximum {
            write!(f, " {maximum}")?;
        }
        if self.shared {
            f.write_str(" shared")?;
        }
        if self.page_size_log2 != WASM_PAGE_SIZE_LOG2 {
            write!(f, " (pagesize {})", self.page_size())?;
        }
        f.write_str(")")
    }
}

/// Builds a [`MemoryType`]; at first that of an unshared, empty, unlimited memory with 32-bit
/// addresses and pages of 64 KiB.
#[derive(Clone, Debug)]
pub struct MemoryTypeBuilder(MemoryType);

impl MemoryTypeBuilder {
    /// Pages at the start.
    pub fn min(mut self, pages: u64) -> MemoryTypeBuilder {
        self.0.minimum = pages;
        self
    }

    /// Pages it may grow to.
    pub fn max(mut self, pages: Option<u64>) -> MemoryTypeBuilder {
        self.0.maximum = pages;
        self
    }

    /// Whether several threads may use it at once, which needs a maximum.
    pub fn shared(mut self, shared: bool) -> MemoryTypeBuilder {
        self.0.shared = shared;
        self
    }

    /// Whether addresses have 64 bits.
    pub fn memory64(mut self, memory64: bool) -> MemoryTypeBuilder {
        self.0.memory64 = memory64;
        self
    }

    /// The binary logarithm of the bytes in a page: 16 or 0.
    pub fn page_size_log2(mut self, log2: u8) -> MemoryTypeBuilder {
        self.0.page_size_log2 = log2;
        self
    }

    /// The type.
    ///
    /// # Errors
    ///
    /// When no memory can have it.
    pub fn build(self) -> Result<MemoryType, InvalidMemoryType> {
        let ty = self.0;
        if !matches!(ty.page_size_log2, 0 | WASM_PAGE_SIZE_LOG2) {
            return Err(InvalidMemoryType("pages have 1 byte or 65536"));
        }
        if ty.shared && ty.maximum.is_none() {
            return Err(InvalidMemoryType("a shared memory needs a maximum"));
        }
        let maximum = ty.maximum.unwrap_or(ty.addressable_pages());
        if ty.minimum > maximum {
            return Err(InvalidMemoryType("the minimum exceeds the maximum"));
        }
        if maximum > ty.addressable_pages() {
            return Err(InvalidMemoryType("the maximum exceeds what addresses can reach"));
        }
        Ok(ty)
    }
}

/// No memory can have this type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid memory type: {0}")]
pub struct InvalidMemoryType(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_that_memories_can_have_are_built() {
        let build = |edit: fn(MemoryTypeBuilder) -> MemoryTypeBuilder| {
            edit(MemoryType::builder()).build().map(|ty| ty.to_string())
        };
        assert_eq!(build(|b| b.min(1)), Ok("(memory 1)".into()));
        assert_eq!(build(|b| b.min(1).max(Some(65536))), Ok("(memory 1 65536)".into()));
        assert!(build(|b| b.max(Some(65537))).is_err());
        assert_eq!(
            build(|b| b.memory64(true).min(1 << 48)),
            Ok("(memory i64 281474976710656)".into())
        );
        assert!(build(|b| b.memory64(true).min((1 << 48) + 1)).is_err());
        assert!(build(|b| b.min(2).max(Some(1))).is_err());
        assert!(build(|b| b.shared(true)).is_err());
        assert_eq!(build(|b| b.shared(true).max(Some(2))), Ok("(memory 0 2 shared)".into()));
        assert_eq!(build(|b| b.page_size_log2(0).min(7)), Ok("(memory 7 (pagesize 1))".into()));
        assert!(build(|b| b.page_size_log2(12)).is_err());
    }
}
