//! Trap codes: the reasons of traps, as machine code carries them.
//!
//! Cranelift carries the code of a trap as a "user" trap code (never 0, below 250); it ends up in
//! the table of [`crate::code::CodeUnit`]. The texts are those that the specification's test suite
//! expects.

use cranelift_codegen::ir;
use std::fmt;

macro_rules! trap_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The reason of a trap.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum TrapCode {
            $($(#[$doc])* $name = $number,)*
        }

        impl TrapCode {
            /// Every trap code there is.
            pub const ALL: &[TrapCode] = &[$(TrapCode::$name),*];

            /// The trap code with this number, if there is one.
            pub fn from_u8(number: u8) -> Option<TrapCode> {
                match number {
                    $($number => Some(TrapCode::$name),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for TrapCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(TrapCode::$name => $text,)* })
            }
        }
    };
}

trap_codes! {
    /// `unreachable` was executed.
    Unreachable = 1, "unreachable";
    /// A load, store or bulk operation was out of its memory's bounds.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// A table instruction was out of its table's bounds.
    TableOutOfBounds = 3, "out of bounds table access";
    /// `call_indirect` was given an index outside its table.
    UndefinedElement = 4, "undefined element";
    /// `call_indirect` met a null reference.
    IndirectCallToNull = 5, "uninitialized element";
    /// `call_indirect` met a function of another type.
    BadSignature = 6, "indirect call type mismatch";
    /// A quotient, or a float that is converted to an integer, does not fit.
    IntegerOverflow = 7, "integer overflow";
    /// An integer was divided by zero.
    IntegerDivisionByZero = 8, "integer divide by zero";
    /// NaN was converted to an integer.
    BadConversionToInteger = 9, "invalid conversion to integer";
    /// The stack that wasm may use is exhausted.
    StackOverflow = 10, "call stack exhausted";
    /// The store's epoch deadline was reached.
    Interrupt = 11, "interrupted";
    /// A touch would have exceeded the limit on resident memory.
    ResidentLimit = 12, "resident memory limit exceeded";
    /// The system had no memory for a page that was touched.
    OutOfMemory = 13, "out of memory while committing a page";
    /// `call_ref` was given a null reference.
    NullFunctionReference = 14, "null function reference";
    /// `throw_ref` met a null reference.
    NullException = 15, "null exception reference";
    /// A reference was null where none may be.
    NullReference = 20, "null reference";
    /// A field of a null reference was accessed.
    NullStruct = 21, "null structure reference";
    /// An element or the length of a null reference was accessed.
    NullArray = 22, "null array reference";
    /// A null reference was taken for an integer.
    NullI31 = 23, "null i31 reference";
    /// An array instruction was out of its array's bounds.
    ArrayOutOfBounds = 24, "out of bounds array access";
    /// A reference does not have the type that it was cast to.
    CastFailure = 25, "cast failure";
    /// The heap has no room left for objects.
    GcHeapOutOfMemory = 26, "GC heap out of memory";
    /// The address of an atomic access is not a multiple of its size.
    UnalignedAtomic = 27, "unaligned atomic";
    /// A wait on a memory that is not shared, so that no thread could end it.
    WaitOnUnsharedMemory = 28, "expected shared memory";
    /// `memory.discard` of a range that is not whole pages.
    UnalignedDiscard = 29, "unaligned memory discard";
    /// The host does not allow a `memory.discard`.
    DiscardRefused = 30, "memory discard refused";
}

impl TrapCode {
    /// The code as Cranelift carries it.
    pub(crate) fn to_clif(self) -> ir::TrapCode {
        ir::TrapCode::unwrap_user(self as u8)
    }

    /// The trap code that Cranelift attached to an instruction; its reserved codes have the same
    /// meaning as in WebAssembly.
    pub(crate) fn from_clif(code: ir::TrapCode) -> Option<TrapCode> {
        Some(match code {
            ir::TrapCode::STACK_OVERFLOW => TrapCode::StackOverflow,
            ir::TrapCode::INTEGER_OVERFLOW => TrapCode::IntegerOverflow,
            ir::TrapCode::HEAP_OUT_OF_BOUNDS => TrapCode::MemoryOutOfBounds,
            ir::TrapCode::INTEGER_DIVISION_BY_ZERO => TrapCode::IntegerDivisionByZero,
            ir::TrapCode::BAD_CONVERSION_TO_INTEGER => TrapCode::BadConversionToInteger,
            code => return TrapCode::from_u8(code.as_raw().get()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_through_cranelift() {
        for &code in TrapCode::ALL {
            assert_eq!(TrapCode::from_clif(code.to_clif()), Some(code));
            assert_eq!(TrapCode::from_u8(code as u8), Some(code));
        }
        assert_eq!(TrapCode::from_u8(0), None);
    }
}
