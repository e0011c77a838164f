//! What compiled code and the collector know of the engine's types.
//!
//! A type has a number, the same in all modules of an engine. It stands in function references and
//! in the headers of objects. Its low bits say what kind of type it is, the others are its place
//! in the engine's table.

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
    /// What has no type of its own: host values, and exceptions that carry the parameters of the
    /// function type in the same place of the table.
    Other = 3,
}

/// Bits of a type's number that are its kind.
pub const TYPE_KIND_BITS: u32 = 2;

/// The mask of those bits.
pub const TYPE_KIND_MASK: u32 = (1 << TYPE_KIND_BITS) - 1;

/// The number in the header of an object that stands for a host value. No type has it: its place
/// in the table is never given out.
pub const HOST_OBJECT: u32 = VMTypeKind::Other as u32;

/// The number in the header of an object that has moved. No type has it.
pub const FORWARDED: u32 = u32::MAX;

/// The word that fills memory which no object lies in any more, in engines that look for references
/// that the collector has missed. As a reference it leads to bytes that nothing may touch; as the number
/// of an object's type it leads to a place of the table that is never given out, where a cast faults.
pub const POISON: u32 = POISON_PLACE << TYPE_KIND_BITS | VMTypeKind::Func as u32;

/// The place of the table that [`POISON`] leads to; every table has it.
pub const POISON_PLACE: u32 = 63;

/// One type, in the engine's table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VMType {
    /// The numbers of its supertypes from the root on, itself last; at least [`MIN_DISPLAY`], the
    /// rest filled with a number that no type has.
    pub supertypes: *const u32,
    /// How many there are, itself included.
    pub depth: u32,
    /// How objects of it look, for the collector. Functions: exceptions that carry its parameters.
    pub layout: *const GcLayout,
}

/// Entries that every display of supertypes has, so that types close to their root are looked up
/// without a check of its length.
pub const MIN_DISPLAY: u32 = 8;

/// The engine's table of types.
#[derive(Debug)]
#[repr(C)]
pub struct VMTypes {
    /// By place. Another table once it has grown; the old ones stay readable.
    pub types: AtomicPtr<VMType>,
}
