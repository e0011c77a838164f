//! What compiled code and the collector read of the engine's types.
//!
//! A type has a number, the same in all modules of an engine. Function references and the headers of objects hold it.
//! Its low bits are the kind of the type, the other bits are its place in the engine's table.

use crate::gc::GcLayout;
use std::sync::atomic::AtomicPtr;

/// The kind of a type, in the low bits of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum VMTypeKind {
    /// A function type.
    Func = 0,
    /// A struct type.
    Struct = 1,
    /// An array type.
    Array = 2,
    /// Objects without a type of their own: host values; and exceptions, which carry the parameters of the function
    /// type in the same place of the table.
    Other = 3,
}

/// How many bits of a type's number are its kind.
pub const TYPE_KIND_BITS: u32 = 2;

/// The mask of those bits.
pub const TYPE_KIND_MASK: u32 = (1 << TYPE_KIND_BITS) - 1;

/// The number in the header of an object that stands for a host value. No type has it, because its place in the table
/// is never used.
pub const HOST_OBJECT: u32 = VMTypeKind::Other as u32;

/// The number in the header of an array that is still being filled ([`crate::gc`]). No type has it, because its place in
/// the table is never used.
pub const UNFINISHED: u32 = UNFINISHED_PLACE << TYPE_KIND_BITS | VMTypeKind::Other as u32;

/// The place of the table that [`UNFINISHED`] refers to; every table has it.
pub const UNFINISHED_PLACE: u32 = POISON_PLACE - 1;

/// What stands for the type in a function reference that has not been made: the first reader of a table's element finds
/// a number that no type has, because its place in the table of types is never used.
pub const UNMADE: u32 = VMTypeKind::Func as u32;

/// The number in the header of an object that has moved. No type has it.
pub const FORWARDED: u32 = u32::MAX;

/// The word that fills memory without objects, in engines that look for references which the collector has missed. As a
/// reference it points to bytes that are never accessible. As the number of an object's type it refers to a place of
/// the table that is never used, where a cast faults.
pub const POISON: u32 = POISON_PLACE << TYPE_KIND_BITS | VMTypeKind::Func as u32;

/// The place of the table that [`POISON`] refers to; every table has it.
pub const POISON_PLACE: u32 = 63;

/// One type, in the engine's table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VMType {
    /// The numbers of its supertypes from the root on, itself last. It has at least [`MIN_DISPLAY`] entries; the rest
    /// is filled with a number that no type has.
    pub supertypes: *const u32,
    /// How many supertypes there are, including itself.
    pub depth: u32,
    /// The layout of its objects, for the collector. For functions: of exceptions that carry its parameters.
    pub layout: *const GcLayout,
}

/// Every display of supertypes has at least this many entries, so that a cast to a type close to its root need not
/// check its length.
pub const MIN_DISPLAY: u32 = 8;

/// The engine's table of types.
#[derive(Debug)]
#[repr(C)]
pub struct VMTypes {
    /// By place. When the table grows, this points to a new one; the old ones stay readable.
    pub types: AtomicPtr<VMType>,
}
