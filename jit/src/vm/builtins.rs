//! The functions of the runtime that compiled code calls.
//!
//! One list defines the table of addresses, the signature of each for the translator, and (through
//! [`crate::foreach_builtin`]) what the runtime has to provide. Every one takes the caller's
//! `*mut VMContext` first, follows the C calling convention, and does not return when it fails: it
//! records the trap or error and unwinds to the entry of wasm, so callers check nothing.

use std::mem::offset_of;

/// Calls a macro with the list of builtins: `name(argument types) -> result type;`.
#[macro_export]
macro_rules! foreach_builtin {
    ($mac:ident) => {
        $mac! {
            /// `memory.grow`: memory, pages to add; the old size in pages, or -1.
            memory_grow(i32, i64) -> i64;
            /// `memory.copy`: destination memory and address, source memory and address, bytes.
            memory_copy(i32, i64, i32, i64, i64);
            /// `memory.fill`: memory, address, byte, bytes.
            memory_fill(i32, i64, i32, i64);
            /// `memory.init`: memory, data segment, address, offset in the segment, bytes.
            memory_init(i32, i32, i64, i32, i32);
            /// `memory.discard`: memory, address, bytes.
            memory_discard(i32, i64, i64);
            /// `memory.atomic.wait32`: memory, index, offset, expected value, timeout in nanoseconds
            /// or negative for none; 0 if notified, 1 if the value was another, 2 at the timeout.
            memory_atomic_wait32(i32, i64, i64, i32, i64) -> i32;
            /// `memory.atomic.wait64`: the same for a value of 64 bits.
            memory_atomic_wait64(i32, i64, i64, i64, i64) -> i32;
            /// `memory.atomic.notify`: memory, index, offset, the most waiters to wake; how many were.
            memory_atomic_notify(i32, i64, i64, i32) -> i32;
            /// `data.drop`: data segment.
            data_drop(i32);
            /// `table.grow`: table, elements to add, their value; the old size, or -1.
            table_grow(i32, i64, i64) -> i64;
            /// `table.fill`: table, index, value, elements.
            table_fill(i32, i64, i64, i64);
            /// `table.copy`: destination table and index, source table and index, elements.
            table_copy(i32, i64, i32, i64, i64);
            /// `table.init`: table, element segment, index, offset in the segment, elements.
            table_init(i32, i32, i64, i32, i32);
            /// `elem.drop`: element segment.
            elem_drop(i32);
            /// Allocates an object that the heap has no room for as it is: type, bytes, length.
            gc_alloc(i32, i64, i32) -> i32;
            /// `array.new_data`: type, data segment, offset in the segment, elements.
            array_new_data(i32, i32, i32, i32) -> i32;
            /// `array.new_elem`: type, element segment, offset in the segment, elements.
            array_new_elem(i32, i32, i32, i32) -> i32;
            /// `array.init_data`: type, segment, array, index, offset in the segment, elements.
            array_init_data(i32, i32, i32, i32, i32, i32);
            /// `array.init_elem`: as `array_init_data`.
            array_init_elem(i32, i32, i32, i32, i32, i32);
            /// `array.copy`: array and index to copy to, to copy from, elements, bytes of each.
            array_copy(i32, i32, i32, i32, i32, i32);
            /// The epoch has reached the store's deadline.
            new_epoch();
            /// A host function has failed and left its error in the store: unwind.
            raise();
            /// `throw`: tag, values. Called in the `tail` convention, so that handlers of the caller
            /// are found; never returns.
            throw(i64, i64);
            /// `throw_ref`: an exception that is not null. As `throw`.
            throw_ref(i64);
        }
    };
}

/// A type in the signature of a builtin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the names of CLIF types")]
pub enum BuiltinType {
    /// 32-bit integer.
    i32,
    /// 64-bit integer.
    i64,
}

/// The signature of a builtin, without the context that comes first.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinSignature {
    /// Its name.
    pub name: &'static str,
    /// Byte offset of its address in [`VMBuiltins`].
    pub offset: usize,
    /// Parameters after the context.
    pub params: &'static [BuiltinType],
    /// Result, if any.
    pub result: Option<BuiltinType>,
}

macro_rules! define_builtins {
    ($($(#[$doc:meta])* $name:ident($($param:ident),*) $(-> $result:ident)?;)*) => {
        /// The addresses of the builtins.
        #[derive(Debug)]
        #[repr(C)]
        pub struct VMBuiltins {
            $($(#[$doc])* pub $name: *const u8,)*
        }

        /// The signature of each builtin.
        impl BuiltinSignature {
            $(
                $(#[$doc])*
                #[allow(non_upper_case_globals, reason = "named as the function is")]
                pub const $name: BuiltinSignature = BuiltinSignature {
                    name: stringify!($name),
                    offset: offset_of!(VMBuiltins, $name),
                    params: &[$(BuiltinType::$param),*],
                    result: define_builtins!(@result $($result)?),
                };
            )*
        }
    };
    (@result) => { None };
    (@result $result:ident) => { Some(BuiltinType::$result) };
}

foreach_builtin!(define_builtins);

// SAFETY: a table of code addresses, immutable once built.
unsafe impl Sync for VMBuiltins {}
// SAFETY: as above.
unsafe impl Send for VMBuiltins {}
