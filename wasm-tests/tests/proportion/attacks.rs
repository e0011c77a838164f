//! Shapes as an attacker would draw them: nesting, what a function refers to, objects, and what is only declared.

use crate::guest::*;
use wasm_encoder::{
    BlockType, Catch, Function, HeapType, Instruction as I, MemArg, MemArgTarget, RefType, ValType,
};

pub(crate) const KINDS: &[Kind] = &[
    ("exits of a block", |_, m| {
        Guest::new(format!("{m} exits of a block")).body(|f| {
            f.instruction(&I::Block(OPEN));
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::BrIf(0));
            });
            f.instruction(&I::End);
        })
    }),
    ("exits of as many blocks", |_, m| {
        Guest::new(format!("{m} exits of as many blocks")).body(|f| {
            times(f, m, |f, _| {
                f.instruction(&I::Block(OPEN));
            });
            times(f, m, |f, index| {
                condition(f);
                f.instruction(&I::BrIf(index));
            });
            times(f, m, |f, _| {
                f.instruction(&I::End);
            });
        })
    }),
    ("turns of a loop", |_, m| {
        Guest::new(format!("{m} turns of a loop")).body(|f| {
            f.instruction(&I::Loop(OPEN));
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::BrIf(0));
            });
            f.instruction(&I::End);
        })
    }),
    ("turns of as many loops", |_, m| {
        Guest::new(format!("{m} turns of as many loops")).body(|f| {
            times(f, m, |f, _| {
                f.instruction(&I::Loop(OPEN));
            });
            times(f, m, |f, index| {
                condition(f);
                f.instruction(&I::BrIf(index));
            });
            times(f, m, |f, _| {
                f.instruction(&I::End);
            });
        })
    }),
    ("table into as many blocks", |_, m| {
        Guest::new(format!("table into {m} blocks")).body(|f| {
            times(f, m, |f, _| {
                f.instruction(&I::Block(OPEN));
            });
            condition(f);
            let targets: Vec<u32> = (0..m).collect();
            f.instruction(&I::BrTable(targets.into(), 0));
            times(f, m, |f, _| {
                f.instruction(&I::End);
            });
        })
    }),
    ("nested ifs with else", |_, m| {
        Guest::new(format!("{m} nested ifs with else")).body(|f| {
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::If(OPEN));
            });
            times(f, m, |f, _| {
                f.instruction(&I::Else).instruction(&I::Nop).instruction(&I::End);
            });
        })
    }),
    ("nested plain ifs", |_, m| {
        Guest::new(format!("{m} nested plain ifs")).body(|f| {
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::If(OPEN));
            });
            times(f, m, |f, _| {
                f.instruction(&I::End);
            });
        })
    }),
    ("plain ifs in a row", |_, m| {
        Guest::new(format!("{m} plain ifs in a row")).body(|f| {
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::If(OPEN)).instruction(&I::End);
            });
        })
    }),
    ("imported functions and ifs", |n, m| {
        let calls = |f: &mut Function| {
            times(f, n, |f, index| {
                f.instruction(&I::Call(index));
            });
        };
        Guest::new(format!("{n} imported functions and {m} ifs")).imports(n).body(|f| {
            calls(f);
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::If(OPEN)).instruction(&I::Call(0)).instruction(&I::End);
            });
            calls(f);
        })
    }),
    ("imported globals and ifs", |n, m| {
        let gets = |f: &mut Function| {
            times(f, n, |f, index| {
                f.instruction(&I::GlobalGet(index)).instruction(&I::GlobalSet((index + 1) % n));
            });
        };
        Guest::new(format!("{n} imported globals and {m} ifs")).imports(n).body(|f| {
            gets(f);
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::If(OPEN)).instruction(&I::Call(0)).instruction(&I::End);
            });
            gets(f);
        })
    }),
    ("declared locals of functions", |n, m| {
        let m = m.min(4000);
        Guest::new(format!("{n} declared locals of {m} functions"))
            .locals(n, ValType::I64)
            .copies(m)
            .body(|f| {
                f.instruction(&I::Nop);
            })
    }),
    ("operands around loops", |n, m| {
        Guest::new(format!("{n} reference operands around {m} nested loops")).body(|f| {
            times(f, n, |f, _| {
                condition(f);
                f.instruction(&I::RefI31);
            });
            times(f, m, |f, _| {
                f.instruction(&I::Loop(OPEN));
            });
            f.instruction(&I::Call(NOTHING));
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::BrIf(0)).instruction(&I::End);
            });
            times(f, n, |f, _| {
                f.instruction(&I::RefIsNull).instruction(&I::LocalSet(0));
            });
        })
    }),
    ("references in nested loops", |n, m| {
        Guest::new(format!("{n} references in {m} nested loops")).locals(n, ANYREF).body(|f| {
            times(f, n, |f, index| {
                condition(f);
                f.instruction(&I::RefI31).instruction(&I::LocalSet(1 + index));
            });
            times(f, m, |f, _| {
                f.instruction(&I::Loop(OPEN));
            });
            times(f, m, |f, index| {
                f.instruction(&I::LocalGet(1 + index % n))
                    .instruction(&I::LocalSet(1 + (index * 7) % n));
                condition(f);
                f.instruction(&I::BrIf(0)).instruction(&I::End);
            });
            f.instruction(&I::Call(NOTHING));
            times(f, n, |f, index| {
                f.instruction(&I::LocalGet(1 + index))
                    .instruction(&I::RefIsNull)
                    .instruction(&I::LocalSet(0));
            });
        })
    }),
    ("delegates around calls", |n, m| {
        Guest::new(format!("{n} delegates around {m} calls")).body(|f| {
            times(f, n, |f, _| {
                f.instruction(&I::Try(OPEN));
            });
            times(f, m, |f, _| {
                f.instruction(&I::Call(NOTHING));
            });
            times(f, n, |f, _| {
                f.instruction(&I::Delegate(0));
            });
        })
    }),
    ("tries around calls", |n, m| {
        Guest::new(format!("{n} tries around {m} calls"))
            .passes(2 * u64::from(n) * u64::from(m))
            .body(|f| {
                times(f, n, |f, _| {
                    f.instruction(&I::Try(OPEN));
                });
                times(f, m, |f, _| {
                    f.instruction(&I::Call(NOTHING));
                });
                times(f, n, |f, _| {
                    f.instruction(&I::Catch(0)).instruction(&I::Rethrow(0)).instruction(&I::End);
                });
            })
    }),
    ("labels of catches around calls", |n, m| {
        Guest::new(format!("labels of {n} catches around {m} calls"))
            .passes(2 * u64::from(n) * u64::from(m))
            .body(|f| {
                times(f, n, |f, _| {
                    f.instruction(&I::Block(OPEN));
                });
                let catches: Vec<Catch> =
                    (0..n).map(|label| Catch::One { tag: 0, label }).collect();
                f.instruction(&I::TryTable(OPEN, catches.into()));
                times(f, m, |f, _| {
                    f.instruction(&I::Call(NOTHING));
                });
                f.instruction(&I::End);
                times(f, n, |f, _| {
                    f.instruction(&I::End);
                });
            })
    }),
    ("elements of arrays", |n, m| {
        let (n, m) = (n.min(10_000), m.min(200_000 / n));
        Guest::new(format!("{n} elements of {m} arrays")).passes(u64::from(n) * u64::from(m)).body(
            |f| {
                times(f, m, |f, _| {
                    times(f, n, |f, _| condition(f));
                    f.instruction(&I::ArrayNewFixed { array_type_index: ARRAY, array_size: n });
                    f.instruction(&I::Drop);
                });
            },
        )
    }),
    ("casts of a reference", |_, m| {
        let m = m.min(6000);
        let to = RefType { nullable: false, heap_type: HeapType::Concrete(ARRAY) };
        let from = RefType { nullable: true, heap_type: HeapType::ANY };
        Guest::new(format!("{m} casts of a reference")).locals(1, ANYREF).body(|f| {
            times(f, m, |f, _| {
                f.instruction(&I::Block(BlockType::Result(ValType::Ref(to))));
                f.instruction(&I::LocalGet(1));
                f.instruction(&I::BrOnCast {
                    relative_depth: 0,
                    from_ref_type: from,
                    to_ref_type: to,
                });
                f.instruction(&I::Drop).instruction(&I::Return).instruction(&I::End);
                f.instruction(&I::LocalSet(1));
            });
        })
    }),
    ("tables of functions", |_, m| {
        let m = m.min(6000);
        Guest::new(format!("{m} gets and calls of a table")).body(|f| {
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::TableGet(0))
                    .instruction(&I::RefIsNull)
                    .instruction(&I::LocalSet(0));
                condition(f);
                f.instruction(&I::CallIndirect { type_index: EMPTY, table_index: 0 });
            });
        })
    }),
    ("new objects", |_, m| {
        let m = m.min(6000);
        Guest::new(format!("{m} new objects")).body(|f| {
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::ArrayNewFixed { array_type_index: ARRAY, array_size: 1 });
                f.instruction(&I::Drop);
            });
        })
    }),
    ("constants of v128", |_, m| {
        Guest::new(format!("{m} constants of v128")).locals(1, ValType::V128).body(|f| {
            times(f, m, |f, index| {
                f.instruction(&I::V128Const(i128::from(index) * 0x1234_5678_9abc_def1));
                f.instruction(&I::LocalGet(1))
                    .instruction(&I::I8x16Add)
                    .instruction(&I::LocalSet(1));
            });
        })
    }),
    ("returned values", |n, m| {
        Guest::new(format!("{n} values returned {m} times"))
            .many(n, ValType::I64)
            .passes(u64::from(n) * u64::from(m))
            .body(|f| {
                times(f, m, |f, _| {
                    condition(f);
                    f.instruction(&I::If(OPEN));
                    f.instruction(&I::Call(SOURCE)).instruction(&I::ReturnCall(SINK));
                    f.instruction(&I::End);
                });
            })
    }),
    ("operands spilled in ifs", |n, m| {
        Guest::new(format!("{n} operands left by {m} branches")).body(|f| {
            operands(f, n);
            f.instruction(&I::Block(OPEN));
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::BrIf(0));
            });
            f.instruction(&I::End);
            times(f, n, |f, _| {
                f.instruction(&I::LocalSet(0));
            });
        })
    }),
    ("common terms", |n, m| {
        Guest::new(format!("{n} common terms at {m} loads")).locals(1, ValType::I32).body(|f| {
            times(f, m, |f, index| {
                f.instruction(&I::LocalGet(0)).instruction(&I::I32Const((index % n) as i32));
                f.instruction(&I::I32Mul).instruction(&I::I32Load(MemArg {
                    offset: 4,
                    align: 0,
                    target: MemArgTarget::Memory(0),
                    ordering: None,
                }));
                f.instruction(&I::LocalSet(1));
            });
        })
    }),
    ("common terms in ifs", |n, m| {
        Guest::new(format!("{n} common terms in {m} ifs")).locals(1, ValType::I32).body(|f| {
            times(f, n, |f, index| {
                f.instruction(&I::LocalGet(0)).instruction(&I::I32Const(index as i32));
                f.instruction(&I::I32Mul).instruction(&I::LocalSet(1));
            });
            times(f, m, |f, index| {
                condition(f);
                f.instruction(&I::If(OPEN));
                f.instruction(&I::LocalGet(0)).instruction(&I::I32Const((index % n) as i32));
                f.instruction(&I::I32Mul).instruction(&I::LocalSet(1));
                f.instruction(&I::End);
            });
        })
    }),
    ("terms used in ifs that return", |_, m| {
        Guest::new(format!("{m} terms used in ifs that return")).locals(1, ValType::I32).body(|f| {
            one_way(f, m, false);
        })
    }),
    ("terms used in ifs that go on", |_, m| {
        Guest::new(format!("{m} terms used in ifs that go on")).locals(1, ValType::I32).body(|f| {
            one_way(f, m, true);
        })
    }),
];

/// Values that are used where the function is left, and nowhere else.
fn one_way(f: &mut Function, m: u32, in_else: bool) {
    times(f, m, |f, _| {
        condition(f);
        f.instruction(&I::GlobalGet(0)).instruction(&I::RefIsNull).instruction(&I::I32Rotl);
        condition(f);
        f.instruction(&I::If(BlockType::FunctionType(ONE_TO_NONE)));
        if in_else {
            f.instruction(&I::Drop).instruction(&I::Else);
        }
        f.instruction(&I::LocalSet(1)).instruction(&I::Return);
        if !in_else {
            f.instruction(&I::Else).instruction(&I::Drop);
        }
        f.instruction(&I::End);
    });
}
