//! [`Catch`]: what a handler catches, in the 32 bits that Cranelift carries for it.

/// What a handler catches.
///
/// A tag is named by the offset of its address in the handler's context, so that a search for a
/// handler needs only that context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Catch(u32);

/// The handler wants a reference to the exception. Offsets of tags are multiples of 8.
const BY_REFERENCE: u32 = 1;

impl Catch {
    /// Exceptions with the tag whose address is at offset `tag` of the context, or all exceptions.
    pub(crate) fn new(tag: Option<u32>, by_reference: bool) -> Catch {
        let tag = tag.unwrap_or(0);
        debug_assert!(tag.is_multiple_of(8));
        Catch(tag | if by_reference { BY_REFERENCE } else { 0 })
    }

    pub(crate) fn from_bits(bits: u32) -> Catch {
        Catch(bits)
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// The offset in the context of the tag's address; `None` if it catches all.
    pub fn tag(self) -> Option<u32> {
        // The start of a context is not a tag.
        let tag = self.0 & !BY_REFERENCE;
        (tag != 0).then_some(tag)
    }

    /// Whether the handler wants a reference to the exception.
    pub fn by_reference(self) -> bool {
        self.0 & BY_REFERENCE != 0
    }
}

impl std::fmt::Debug for Catch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catch")
            .field("tag", &self.tag())
            .field("by_reference", &self.by_reference())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Catch;

    #[test]
    fn both_parts_survive_the_way_through_cranelift() {
        for tag in [None, Some(56), Some(0xffff_fff8)] {
            for by_reference in [false, true] {
                let catch = Catch::from_bits(Catch::new(tag, by_reference).bits());
                assert_eq!((catch.tag(), catch.by_reference()), (tag, by_reference));
            }
        }
    }
}
