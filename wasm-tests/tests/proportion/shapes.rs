//! The shapes: functions whose cost could be a product of numbers that a guest chooses.

use crate::guest::*;
use wasm_encoder::{BlockType, Catch, Function, Instruction as I, ValType};

/// The kinds of shapes, each with how many values and how many places there are. Those of a name with
/// "values" pass them by their types.
pub(crate) const KINDS: &[Kind] = &[
    ("values through calls", calls),
    ("values below calls", below_calls),
    ("values into calls", into_calls),
    ("v128 values through calls", vector_calls),
    ("locals around ifs", around_ifs),
    ("locals set in ifs", set_in_ifs),
    ("locals around loops", around_loops),
    ("locals set in nested loops", nested_loops),
    ("v128 locals around ifs", vectors_around_ifs),
    ("references around ifs", references_around_ifs),
    ("references around calls", references_around_calls),
    ("operands around ifs", operands_around_ifs),
    ("operands around calls", operands_around_calls),
    ("reference operands around ifs", reference_operands),
    ("values through nested blocks", nested_blocks),
    ("values through nested loops", loop_params),
    ("values through nested ifs", nested_ifs),
    ("values through br_ifs", br_ifs),
    ("values through br_tables", br_tables),
    ("entries of br_tables", long_br_tables),
    ("catches around calls", catches),
    ("nested try_tables", nested_tries),
    ("values in try_tables", values_in_tries),
    ("locals in try_tables", locals_in_tries),
    ("values in throws", throws),
    ("selects over locals", selects),
    ("fields of structs", structs),
    ("a deep expression", expression),
    ("locals swapped in a loop", swapped),
    ("locals of all blocks at its end", late_uses),
];

fn calls(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values through {m} calls"))
        .many(n, ValType::I32)
        .passes(2 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                f.instruction(&I::Call(SAME));
            });
            f.instruction(&I::Call(SINK));
        })
}

fn vector_calls(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} v128 through {m} calls"))
        .many(n, ValType::V128)
        .passes(2 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                f.instruction(&I::Call(SAME));
            });
            f.instruction(&I::Call(SINK));
        })
}

fn below_calls(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values below {m} calls"))
        .many(n, ValType::I64)
        .passes(2 * u64::from(n))
        .body(|f| {
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                f.instruction(&I::Call(NOTHING));
            });
            f.instruction(&I::Call(SINK));
        })
}

fn into_calls(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals into {m} calls"))
        .many(n, ValType::I32)
        .locals(n, ValType::I32)
        .passes(u64::from(n) * u64::from(m))
        .body(|f| {
            times(f, m, |f, _| {
                times(f, n, |f, index| {
                    f.instruction(&I::LocalGet(index));
                });
                f.instruction(&I::Call(SINK));
            });
        })
}

fn around_ifs(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals around {m} ifs")).locals(n, ValType::I32).body(|f| {
        set_locals(f, 1, n);
        times(f, m, |f, _| {
            condition(f);
            f.instruction(&I::If(OPEN)).instruction(&I::Call(NOTHING)).instruction(&I::End);
        });
        use_locals(f, 1, n);
    })
}

fn set_in_ifs(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals set in {m} ifs")).locals(n, ValType::I32).body(|f| {
        set_locals(f, 1, n);
        times(f, m, |f, index| {
            condition(f);
            f.instruction(&I::If(OPEN)).instruction(&I::I32Const(index as i32));
            f.instruction(&I::LocalSet(1 + index % n)).instruction(&I::End);
            f.instruction(&I::LocalGet(1 + (index * 7) % n)).instruction(&I::LocalSet(0));
        });
        use_locals(f, 1, n);
    })
}

fn around_loops(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals around {m} loops")).locals(n, ValType::I32).body(|f| {
        set_locals(f, 1, n);
        times(f, m, |f, index| {
            f.instruction(&I::Loop(OPEN));
            f.instruction(&I::LocalGet(1 + index % n)).instruction(&I::BrIf(0));
            f.instruction(&I::End);
        });
        use_locals(f, 1, n);
    })
}

fn nested_loops(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals set in {m} nested loops")).locals(n, ValType::I32).body(|f| {
        times(f, m, |f, _| {
            f.instruction(&I::Loop(OPEN));
        });
        set_locals(f, 1, n);
        times(f, m, |f, index| {
            f.instruction(&I::LocalGet(1 + index % n)).instruction(&I::BrIf(0));
            f.instruction(&I::End);
        });
        use_locals(f, 1, n);
    })
}

fn vectors_around_ifs(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} v128 locals around {m} ifs")).locals(n, ValType::V128).body(|f| {
        times(f, n, |f, index| {
            f.instruction(&I::LocalGet(0)).instruction(&I::I32x4Splat);
            f.instruction(&I::LocalSet(1 + index));
        });
        times(f, m, |f, _| {
            condition(f);
            f.instruction(&I::If(OPEN)).instruction(&I::Call(NOTHING)).instruction(&I::End);
        });
        times(f, n, |f, index| {
            f.instruction(&I::LocalGet(1 + index)).instruction(&I::V128AnyTrue);
            f.instruction(&I::LocalSet(0));
        });
    })
}

/// Makes references in locals.
fn set_references(f: &mut Function, n: u32) {
    times(f, n, |f, index| {
        f.instruction(&I::LocalGet(0)).instruction(&I::RefI31).instruction(&I::LocalSet(1 + index));
    });
}

fn use_references(f: &mut Function, n: u32) {
    times(f, n, |f, index| {
        f.instruction(&I::LocalGet(1 + index)).instruction(&I::RefIsNull);
        f.instruction(&I::LocalSet(0));
    });
}

fn references_around_ifs(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} references around {m} ifs")).locals(n, ANYREF).body(|f| {
        set_references(f, n);
        times(f, m, |f, _| {
            condition(f);
            f.instruction(&I::If(OPEN)).instruction(&I::I32Const(1));
            f.instruction(&I::LocalSet(0)).instruction(&I::End);
        });
        use_references(f, n);
    })
}

fn references_around_calls(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} references around {m} calls"))
        .locals(n, ANYREF)
        .passes(u64::from(n) * u64::from(m))
        .body(|f| {
            set_references(f, n);
            times(f, m, |f, _| {
                f.instruction(&I::Call(NOTHING));
            });
            use_references(f, n);
        })
}

fn operands_around_ifs(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} operands around {m} ifs")).body(|f| {
        operands(f, n);
        times(f, m, |f, index| {
            condition(f);
            f.instruction(&I::If(OPEN)).instruction(&I::I32Const(index as i32));
            f.instruction(&I::LocalSet(0)).instruction(&I::End);
        });
        times(f, n, |f, _| {
            f.instruction(&I::LocalSet(0));
        });
    })
}

fn reference_operands(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} reference operands around {m} ifs")).body(|f| {
        times(f, n, |f, _| {
            condition(f);
            f.instruction(&I::RefI31);
        });
        times(f, m, |f, index| {
            condition(f);
            f.instruction(&I::If(OPEN)).instruction(&I::GlobalGet(0)).instruction(&I::Drop);
            f.instruction(&I::I32Const(index as i32));
            f.instruction(&I::LocalSet(0)).instruction(&I::End);
        });
        times(f, n, |f, _| {
            f.instruction(&I::RefIsNull).instruction(&I::LocalSet(0));
        });
    })
}

fn operands_around_calls(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} operands around {m} calls")).body(|f| {
        operands(f, n);
        times(f, m, |f, _| {
            f.instruction(&I::Call(NOTHING));
        });
        times(f, n, |f, _| {
            f.instruction(&I::LocalSet(0));
        });
    })
}

fn nested_blocks(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values through {m} nested blocks"))
        .many(n, ValType::I32)
        .passes(3 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                f.instruction(&I::Block(BlockType::FunctionType(MANY_TO_MANY)));
            });
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::BrIf(0)).instruction(&I::End);
            });
            f.instruction(&I::Call(SINK));
        })
}

fn loop_params(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values through {m} nested loops"))
        .many(n, ValType::I32)
        .passes(3 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                f.instruction(&I::Loop(BlockType::FunctionType(MANY_TO_MANY)));
            });
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::BrIf(0)).instruction(&I::End);
            });
            f.instruction(&I::Call(SINK));
        })
}

fn nested_ifs(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values through {m} nested ifs"))
        .many(n, ValType::I32)
        .passes(3 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::If(BlockType::FunctionType(MANY_TO_MANY)));
            });
            times(f, m, |f, _| {
                f.instruction(&I::End);
            });
            f.instruction(&I::Call(SINK));
        })
}

fn br_ifs(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values through {m} br_ifs"))
        .many(n, ValType::I32)
        .passes(u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Block(BlockType::FunctionType(NONE_TO_MANY)));
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::BrIf(0));
            });
            f.instruction(&I::End).instruction(&I::Call(SINK));
        })
}

fn br_tables(n: u32, m: u32) -> Shape {
    const TARGETS: u32 = 8;
    Guest::new(format!("{n} values through {m} br_tables of {TARGETS} targets"))
        .many(n, ValType::I32)
        .passes(u64::from(TARGETS + 2) * u64::from(n) * u64::from(m))
        .body(|f| {
            times(f, TARGETS, |f, _| {
                f.instruction(&I::Block(BlockType::FunctionType(NONE_TO_MANY)));
            });
            times(f, m, |f, _| {
                f.instruction(&I::Block(OPEN));
                f.instruction(&I::Call(SOURCE));
                condition(f);
                let targets: Vec<u32> = (1..TARGETS).chain(1..TARGETS).collect();
                f.instruction(&I::BrTable(targets.into(), TARGETS)).instruction(&I::End);
            });
            f.instruction(&I::Call(SOURCE));
            times(f, TARGETS, |f, _| {
                f.instruction(&I::End);
            });
            f.instruction(&I::Call(SINK));
        })
}

fn long_br_tables(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} entries of {m} br_tables")).body(|f| {
        times(f, m, |f, _| {
            f.instruction(&I::Block(OPEN)).instruction(&I::Block(OPEN));
            condition(f);
            let targets: Vec<u32> = (0..n).map(|index| index % 2).collect();
            f.instruction(&I::BrTable(targets.into(), 0));
            f.instruction(&I::End).instruction(&I::End);
        });
    })
}

fn catches(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} catches around {m} calls"))
        .passes(2 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Block(OPEN));
            let catches = vec![Catch::One { tag: 0, label: 0 }; n as usize];
            f.instruction(&I::TryTable(OPEN, catches.into()));
            times(f, m, |f, _| {
                f.instruction(&I::Call(NOTHING));
            });
            f.instruction(&I::End).instruction(&I::End);
        })
}

fn nested_tries(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} nested try_tables around {m} calls"))
        .passes(2 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Block(OPEN));
            times(f, n, |f, index| {
                let catches = vec![Catch::One { tag: 0, label: index }];
                f.instruction(&I::TryTable(OPEN, catches.into()));
            });
            times(f, m, |f, _| {
                f.instruction(&I::Call(NOTHING));
            });
            times(f, n, |f, _| {
                f.instruction(&I::End);
            });
            f.instruction(&I::End);
        })
}

fn values_in_tries(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values through {m} calls in try_tables"))
        .many(n, ValType::I64)
        .passes(4 * u64::from(n) * u64::from(m))
        .body(|f| {
            f.instruction(&I::Block(BlockType::FunctionType(NONE_TO_MANY)));
            f.instruction(&I::Call(SOURCE));
            times(f, m, |f, _| {
                let catches =
                    vec![Catch::One { tag: 1, label: 0 }, Catch::One { tag: 1, label: 0 }];
                let ty = BlockType::FunctionType(MANY_TO_MANY);
                f.instruction(&I::TryTable(ty, catches.into()));
                f.instruction(&I::Call(SAME)).instruction(&I::End);
            });
            f.instruction(&I::End).instruction(&I::Call(SINK));
        })
}

fn locals_in_tries(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals in {m} try_tables"))
        .locals(n, ValType::I32)
        .passes(4 * u64::from(m))
        .body(|f| {
            set_locals(f, 1, n);
            times(f, m, |f, index| {
                f.instruction(&I::Block(OPEN));
                f.instruction(&I::TryTable(OPEN, vec![Catch::All { label: 0 }].into()));
                f.instruction(&I::Call(NOTHING));
                f.instruction(&I::I32Const(1)).instruction(&I::LocalSet(1 + index % n));
                f.instruction(&I::Call(NOTHING));
                f.instruction(&I::End).instruction(&I::End);
            });
            use_locals(f, 1, n);
        })
}

fn throws(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} values in {m} throws"))
        .many(n, ValType::I64)
        .passes(2 * u64::from(n) * u64::from(m))
        .body(|f| {
            times(f, m, |f, _| {
                condition(f);
                f.instruction(&I::If(OPEN)).instruction(&I::Call(SOURCE));
                f.instruction(&I::Throw(1)).instruction(&I::End);
            });
        })
}

fn selects(n: u32, m: u32) -> Shape {
    Guest::new(format!("{m} selects over {n} locals")).locals(n, ValType::I32).body(|f| {
        set_locals(f, 1, n);
        times(f, m, |f, index| {
            f.instruction(&I::LocalGet(1 + index % n))
                .instruction(&I::LocalGet(1 + (index + 1) % n));
            f.instruction(&I::LocalGet(1 + (index + 2) % n)).instruction(&I::Select);
            f.instruction(&I::LocalSet(1 + (index + 3) % n));
        });
        use_locals(f, 1, n);
    })
}

fn structs(n: u32, m: u32) -> Shape {
    // The type has 8000 fields.
    let m = m * n / 8000 + 1;
    Guest::new(format!("8000 fields of {m} structs")).passes(8000 * u64::from(m)).body(|f| {
        times(f, m, |f, _| {
            f.instruction(&I::StructNewDefault(STRUCT)).instruction(&I::Drop);
        });
    })
}

fn expression(n: u32, m: u32) -> Shape {
    Guest::new(format!("an expression {n} deep, {m} times")).body(|f| {
        times(f, m, |f, _| {
            operands(f, n);
            times(f, n - 1, |f, _| {
                f.instruction(&I::I32Add);
            });
            f.instruction(&I::LocalSet(0));
        });
    })
}

/// Each round of each loop permutes the locals.
fn swapped(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals swapped in {m} loops")).locals(n + 1, ValType::I32).body(|f| {
        set_locals(f, 1, n);
        times(f, m, |f, index| {
            f.instruction(&I::Loop(OPEN));
            times(f, 8, |f, step| {
                let [a, b] = [index + step, index + 5 * step + 1].map(|local| 1 + local % n);
                f.instruction(&I::LocalGet(a)).instruction(&I::LocalGet(b));
                f.instruction(&I::LocalSet(a)).instruction(&I::LocalSet(b));
            });
            condition(f);
            f.instruction(&I::BrIf(0)).instruction(&I::End);
        });
        use_locals(f, 1, n);
    })
}

/// Nested blocks that are left from everywhere, and locals that differ on each way.
fn late_uses(n: u32, m: u32) -> Shape {
    Guest::new(format!("{n} locals after {m} exits")).locals(n, ValType::I32).body(|f| {
        set_locals(f, 1, n);
        times(f, m, |f, _| {
            f.instruction(&I::Block(OPEN));
        });
        times(f, m, |f, index| {
            f.instruction(&I::LocalGet(1 + index % n)).instruction(&I::BrIf(index));
            f.instruction(&I::I32Const(index as i32)).instruction(&I::LocalSet(1 + index % n));
        });
        times(f, m, |f, _| {
            f.instruction(&I::End);
        });
        use_locals(f, 1, n);
    })
}
