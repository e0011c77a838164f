//! The functions of the runtime that compiled code calls: this is the only list of them.
//!
//! Everything else about a builtin comes from its line in [`foreach_builtin`]: its field in the
//! table of addresses ([`VMBuiltins`]), the function by which the translator calls it
//! (`translate::builtins`), and the runtime's shim and entry, which call the body. The body is a
//! function of the same name in the runtime. If a call or a body does not have the types of the
//! line, it does not compile.
//!
//! Every builtin takes the caller's context first and follows the platform's C convention. No
//! builtin returns an error: when it fails, it does not return, but records the trap or error and
//! unwinds to the entry of wasm.
//!
//! Beside the builtins, the table holds the [`routines`](super::VMCopyBytes) that copy and fill bytes.

use super::{
    VMContext, VMCopyBytes, VMFillBytes, VMFillPairs, VMFillWords, VMHostContext, VMTag, ValRaw,
};
use std::ptr::NonNull;

/// Calls a macro with the list of builtins, without the context that comes first.
///
/// *Returning* builtins may also trap. So may *keeping* ones, which return no value and leave all
/// registers as they were: being called off the path, they cost the path none. *Checking* ones keep all registers, too:
/// they are called on the path, with a condition first, and return at once if it is 0; otherwise they never return.
/// *Throwing* ones never return: they are called in the `tail` convention, so that handlers of the caller are found.
/// *Failing* ones never return either: code that raises no signals calls them to trap.
#[macro_export]
macro_rules! foreach_builtin {
    ($mac:ident) => {
        $mac! {
            returning {
                /// `memory.grow`: pages to add; the old size in pages, or -1.
                fn memory_grow(memory: u32, delta: u64) -> i64;
                /// `memory.copy`: `len` bytes.
                fn memory_copy(to: u32, to_addr: u64, from: u32, from_addr: u64, len: u64);
                /// `memory.fill`: `len` bytes, with the low byte of `byte`.
                fn memory_fill(memory: u32, addr: u64, byte: u32, len: u64);
                /// `memory.init`: `len` bytes, from `from` on in the data segment.
                fn memory_init(memory: u32, segment: u32, addr: u64, from: u32, len: u32);
                /// `memory.discard`: `len` bytes.
                fn memory_discard(memory: u32, addr: u64, len: u64);
                /// `memory.atomic.wait32`: the timeout is in nanoseconds, or negative for none; 0 if
                /// notified, 1 if the value was another, 2 at the timeout.
                fn memory_atomic_wait32(
                    memory: u32, index: u64, offset: u64, expected: u32, timeout: i64,
                ) -> u32;
                /// `memory.atomic.wait64`: the same for a value of 64 bits.
                fn memory_atomic_wait64(
                    memory: u32, index: u64, offset: u64, expected: u64, timeout: i64,
                ) -> u32;
                /// `memory.atomic.notify`: the most waiters to wake; how many were.
                fn memory_atomic_notify(memory: u32, index: u64, offset: u64, count: u32) -> u32;
                /// `data.drop`.
                fn data_drop(segment: u32);
                /// `table.grow`: elements to add, and their value; the old size, or -1.
                fn table_grow(table: u32, delta: u64, value: u64) -> i64;
                /// `table.fill`: `len` elements.
                fn table_fill(table: u32, index: u64, value: u64, len: u64);
                /// `table.copy`: `len` elements.
                fn table_copy(to: u32, to_index: u64, from: u32, from_index: u64, len: u64);
                /// `table.init`: `len` elements, from `from` on in the element segment.
                fn table_init(table: u32, segment: u32, index: u64, from: u32, len: u32);
                /// `elem.drop`.
                fn elem_drop(segment: u32);
                /// Allocates an object for which the heap has no room at present: the engine's
                /// number of its type, bytes, length; the new object.
                fn gc_alloc(ty: u32, size: u64, len: u32) -> u32;
                /// `array.new` of many elements: `len` of the module's type `ty`, all with the same value, which is in
                /// the low bits of two words; the new array.
                fn array_new(ty: u32, len: u32, low: u64, high: u64) -> u32;
                /// `array.fill` of `len` elements from `index` on with such a value.
                fn array_fill(
                    ty: u32, array: u32, index: u32, low: u64, high: u64, len: u32,
                );
                /// `array.new_data`: `len` elements, from the byte `from` on in the segment; the new
                /// array.
                fn array_new_data(ty: u32, segment: u32, from: u32, len: u32) -> u32;
                /// `array.new_elem`: `len` elements, from `from` on in the segment; the new array.
                fn array_new_elem(ty: u32, segment: u32, from: u32, len: u32) -> u32;
                /// `array.init_data`: as `array_new_data`, to `index` in an array.
                fn array_init_data(
                    ty: u32, segment: u32, array: u32, index: u32, from: u32, len: u32,
                );
                /// `array.init_elem`: as `array_new_elem`, to `index` in an array.
                fn array_init_elem(
                    ty: u32, segment: u32, array: u32, index: u32, from: u32, len: u32,
                );
                /// `array.copy`: `len` elements of `size` bytes.
                fn array_copy(
                    to: u32, to_index: u32, from: u32, from_index: u32, len: u32, size: u32,
                );
                /// The epoch has reached the store's deadline.
                fn new_epoch();
            }
            keeping {
                /// Makes the reference of a function of the module.
                fn make_function(func: u32);
                /// Makes the function of an element, and stores it there.
                fn make_element(table: u32, index: u64);
                /// `call_indirect` has found that the function of an element does not have the module's
                /// type `ty`: makes it, and stores it in the element. Traps if it was made.
                fn make_callee(table: u32, index: u64, ty: u32);
            }
            checking {
                /// The trap with this number.
                fn check_trap(failed: u32, code: u32);
                /// The trap for an access at `index + offset` that would leave the memory.
                fn check_bounds(failed: u32, memory: u32, index: u64, offset: u64);
            }
            throwing {
                /// `throw`: as many values as the tag says.
                fn throw(tag: NonNull<VMTag>, values: *const ValRaw);
                /// `throw_ref`: an exception that is not null.
                fn throw_ref(exception: u64);
            }
            failing {
                /// A check has failed: the trap with this number.
                fn raise_trap(code: u32);
                /// An access at `index + offset` would have left the memory.
                fn raise_out_of_bounds(memory: u32, index: u64, offset: u64);
                /// A routine was stopped: its [`VMVerdict`](super::VMVerdict).
                fn raise_stopped(code: u64, addr: u64);
            }
        }
    };
}

macro_rules! define_table {
    (
        returning {
            $($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $result:ty)?;)*
        }
        keeping { $($(#[$doc4:meta])* fn $keep:ident($($arg4:ident: $ty4:ty),* $(,)?);)* }
        checking { $($(#[$doc5:meta])* fn $check:ident($($arg5:ident: $ty5:ty),* $(,)?);)* }
        throwing { $($(#[$doc2:meta])* fn $throw:ident($($arg2:ident: $ty2:ty),* $(,)?);)* }
        failing { $($(#[$doc3:meta])* fn $fail:ident($($arg3:ident: $ty3:ty),* $(,)?);)* }
    ) => {
        /// The addresses of the builtins.
        ///
        /// ```
        /// # use seqfault_jit::vm::{VMBuiltins, VMContext};
        /// fn grow(builtins: &VMBuiltins) -> unsafe extern "C" fn(*mut VMContext, u32, u64) -> i64 {
        ///     builtins.memory_grow
        /// }
        /// ```
        ///
        /// Other types than those of the list do not compile:
        ///
        /// ```compile_fail,E0308
        /// # use seqfault_jit::vm::{VMBuiltins, VMContext};
        /// fn grow(builtins: &VMBuiltins) -> unsafe extern "C" fn(*mut VMContext, u32, u32) -> i64 {
        ///     builtins.memory_grow
        /// }
        /// ```
        #[derive(Debug)]
        #[repr(C)]
        pub struct VMBuiltins {
            $($(#[$doc])*
            pub $name: unsafe extern "C" fn(*mut VMContext, $($ty),*) $(-> $result)?,)*
            $($(#[$doc4])* pub $keep: unsafe extern "C" fn(*mut VMContext, $($ty4),*),)*
            $($(#[$doc2])* pub $throw: unsafe extern "C" fn(*mut VMContext, $($ty2),*) -> !,)*
            $($(#[$doc3])* pub $fail: unsafe extern "C" fn(*mut VMContext, $($ty3),*) -> !,)*
            /// A host function has failed and left its error in the store: unwinds. It is not in
            /// the list, because exit trampolines call it, which have already recorded the frame.
            pub raise: unsafe extern "C" fn(*mut VMHostContext) -> !,
            /// Copies bytes.
            pub copy_bytes: VMCopyBytes,
            /// Fills bytes.
            pub fill_bytes: VMFillBytes,
            /// Fills words.
            pub fill_words: VMFillWords,
            /// Fills pairs of words.
            pub fill_pairs: VMFillPairs,
            $($(#[$doc5])* pub $check: unsafe extern "C" fn(*mut VMContext, $($ty5),*),)*
        }
    };
}

foreach_builtin!(define_table);

/// How many builtins the table holds.
pub(crate) const NUM_BUILTINS: usize = size_of::<VMBuiltins>() / size_of::<fn()>();
