//! Shapes of many checks: functions in which most operators may trap.
//!
//! Without signals each check is a branch to a block of its own, so the number of blocks is what a guest
//! chooses.

use crate::guest::{ARRAY, EMPTY, Guest, Kind, OPEN, STRUCT, Shape, condition, set_locals, times};
use wasm_encoder::{Function, HeapType, Instruction as I, MemArg, MemArgTarget, RefType, ValType};

/// An access of the memory.
const AT: MemArg = MemArg { offset: 4, align: 0, target: MemArgTarget::Memory(0), ordering: None };
const ALIGNED: MemArg = MemArg { align: 2, ..AT };

/// So many of the kinds are about accesses of a memory, and come first.
pub(crate) const OF_MEMORY: usize = 4;

/// The kinds of checks, each with how many locals it is about and at how many places.
pub(crate) const KINDS: &[Kind] = &[
    ("loads", |n, m| {
        numbers("loads", n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::I32Load(AT));
            f.instruction(&I::LocalSet(local));
        })
    }),
    ("stores", |n, m| {
        numbers("stores", n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::LocalGet(0));
            f.instruction(&I::I32Store(AT));
        })
    }),
    ("atomic loads", |n, m| {
        numbers("atomic loads", n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::I32AtomicLoad(ALIGNED));
            f.instruction(&I::LocalSet(0));
        })
    }),
    ("fills", |n, m| {
        numbers("fills", n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::I32Const(0));
            f.instruction(&I::LocalGet(0)).instruction(&I::MemoryFill(0));
        })
    }),
    ("divisions", |n, m| {
        numbers("divisions", n, m, |f, local| {
            f.instruction(&I::LocalGet(0)).instruction(&I::LocalGet(local));
            f.instruction(&I::I32DivS).instruction(&I::LocalSet(0));
        })
    }),
    ("remainders", |n, m| {
        numbers("remainders", n, m, |f, local| {
            f.instruction(&I::LocalGet(0)).instruction(&I::LocalGet(local));
            f.instruction(&I::I32RemU).instruction(&I::LocalSet(local));
        })
    }),
    ("conversions", |n, m| {
        numbers("conversions", n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::F32ReinterpretI32);
            f.instruction(&I::I32TruncF32S).instruction(&I::LocalSet(local));
        })
    }),
    ("unreachables", |n, m| {
        numbers("unreachables", n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::If(OPEN));
            f.instruction(&I::Unreachable).instruction(&I::End);
        })
    }),
    ("indirect calls", |n, m| {
        let m = m.min(8000);
        numbers("indirect calls", n, m, |f, local| {
            let call = I::CallIndirect { type_index: EMPTY, table_index: 0 };
            f.instruction(&I::LocalGet(local)).instruction(&call);
        })
    }),
    ("entries of a table", |n, m| {
        numbers("entries of a table", n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::TableGet(0));
            f.instruction(&I::RefIsNull).instruction(&I::LocalSet(0));
        })
    }),
    ("fields", |n, m| {
        let m = m.min(6000);
        references("fields", STRUCT, n, m, |f, local| {
            let get = I::StructGet { struct_type_index: STRUCT, field_index: 0 };
            f.instruction(&I::LocalGet(local)).instruction(&get);
            f.instruction(&I::I32WrapI64).instruction(&I::LocalSet(0));
        })
    }),
    ("elements", |n, m| {
        let m = m.min(6000);
        references("elements", ARRAY, n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::LocalGet(0));
            f.instruction(&I::ArrayGet(ARRAY)).instruction(&I::LocalSet(0));
        })
    }),
    ("casts", |n, m| {
        let m = m.min(6000);
        references("casts", ARRAY, n, m, |f, local| {
            f.instruction(&I::LocalGet(local)).instruction(&I::RefAsNonNull);
            f.instruction(&I::RefCastNonNull(HeapType::Concrete(ARRAY)));
            f.instruction(&I::ArrayLen).instruction(&I::LocalSet(0));
        })
    }),
];

/// Checks of numbers in `n` locals in turn, at `m` places.
fn numbers(what: &str, n: u32, m: u32, check: impl Fn(&mut Function, u32)) -> Shape {
    Guest::new(format!("{m} {what} of {n} locals")).locals(n, ValType::I32).body(|f| {
        set_locals(f, 1, n);
        times(f, m, |f, index| check(f, 1 + index % n));
    })
}

/// The same for references to objects of a type.
fn references(what: &str, ty: u32, n: u32, m: u32, check: impl Fn(&mut Function, u32)) -> Shape {
    let nullable = RefType { nullable: true, heap_type: HeapType::Concrete(ty) };
    let locals =
        Guest::new(format!("{m} {what} of {n} references")).locals(n, ValType::Ref(nullable));
    // A reference that is alive at a call is passed there; there is no call here.
    locals.body(|f| {
        times(f, n, |f, index| {
            condition(f);
            f.instruction(&I::If(OPEN)).instruction(&I::RefNull(HeapType::Concrete(ty)));
            f.instruction(&I::LocalSet(1 + index)).instruction(&I::End);
        });
        times(f, m, |f, index| check(f, 1 + index % n));
    })
}
