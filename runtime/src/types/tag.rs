//! [`TagType`]: the types of the values of a tag's exceptions.

use super::FuncType;
use std::fmt;

/// The type of a tag: the types of its exceptions' values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagType {
    ty: FuncType,
}

impl TagType {
    /// A tag whose exceptions carry the parameters of `ty`, which has no results.
    pub fn new(ty: FuncType) -> TagType {
        TagType { ty }
    }

    /// The type as a function type, as modules declare it.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }
}

impl fmt::Display for TagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(tag")?;
        if !self.ty.params().is_empty() {
            f.write_str(" (param")?;
            for ty in self.ty.params() {
                write!(f, " {ty}")?;
            }
            f.write_str(")")?;
        }
        f.write_str(")")
    }
}
