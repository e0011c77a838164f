//! The shapes: functions whose cost could be a product of numbers that a guest chooses.

use wasm_encoder::{
    BlockType, Catch, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, HeapType, ImportSection, Instruction as I,
    MemorySection, MemoryType, RefType, StorageType, TableSection, TableType, TagKind, TagSection,
    TagType, TypeSection, ValType,
};

/// A module of a function, and what it has to be compared with.
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) module: Vec<u8>,
    /// Bytes of its body.
    pub(crate) bytes: u64,
    /// Values that the function passes at its calls, branches and merges, and references of the heap that are
    /// alive at its calls.
    pub(crate) passed: u64,
}

/// Types by the numbers that all shapes know them by.
pub(crate) const EMPTY: u32 = 0;
pub(crate) const MANY_TO_MANY: u32 = 1;
pub(crate) const NONE_TO_MANY: u32 = 2;
pub(crate) const MANY_TO_NONE: u32 = 3;
pub(crate) const STRUCT: u32 = 4;
pub(crate) const ONE_TO_NONE: u32 = 5;
pub(crate) const ARRAY: u32 = 6;

/// Functions.
pub(crate) const SAME: u32 = 1;
pub(crate) const SINK: u32 = 3;
pub(crate) const SOURCE: u32 = 2;
pub(crate) const NOTHING: u32 = 4;

/// What a shape's signatures are made of.
pub(crate) struct Guest {
    name: String,
    /// The values of the types that are called "many".
    many: Vec<ValType>,
    locals: Vec<(u32, ValType)>,
    passed: u64,
    /// How many functions, globals, and tables it imports.
    imports: u32,
    /// How many copies of the function there are.
    copies: u32,
}

impl Guest {
    pub(crate) fn new(name: String) -> Guest {
        Guest { name, many: Vec::new(), locals: Vec::new(), passed: 0, imports: 0, copies: 1 }
    }

    pub(crate) fn many(mut self, count: u32, ty: ValType) -> Guest {
        assert!(count <= MOST, "types have no more values");
        self.many = vec![ty; count as usize];
        self
    }

    pub(crate) fn locals(mut self, count: u32, ty: ValType) -> Guest {
        self.locals.push((count, ty));
        self
    }

    pub(crate) fn passes(mut self, count: u64) -> Guest {
        self.passed += count;
        self
    }

    /// Imports so many functions of the type `EMPTY` and so many globals, whose numbers come before all
    /// others.
    pub(crate) fn imports(mut self, count: u32) -> Guest {
        self.imports = count;
        self
    }

    /// Has the function so many times.
    pub(crate) fn copies(mut self, count: u32) -> Guest {
        self.copies = count;
        self
    }

    fn import_section(&self) -> ImportSection {
        let mut imports = ImportSection::new();
        for index in 0..self.imports {
            let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            imports.import("functions", &index.to_string(), EntityType::Function(EMPTY));
            imports.import("globals", &index.to_string(), EntityType::Global(ty));
        }
        imports
    }

    /// The module whose function has this body.
    pub(crate) fn body(self, body: impl FnOnce(&mut Function)) -> Shape {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        types.ty().function(self.many.clone(), self.many.clone());
        types.ty().function([], self.many.clone());
        types.ty().function(self.many.clone(), []);
        let field =
            wasm_encoder::FieldType { element_type: StorageType::Val(ValType::I64), mutable: true };
        types.ty().struct_(vec![field; 8000]);
        types.ty().function([ValType::I32], []);
        types.ty().array(&StorageType::Val(ValType::I32), true);
        let mut functions = FunctionSection::new();
        for ty in [ONE_TO_NONE, MANY_TO_MANY, NONE_TO_MANY, MANY_TO_NONE, EMPTY] {
            functions.function(ty);
        }
        for _ in 1..self.copies {
            functions.function(ONE_TO_NONE);
        }
        let imports = self.import_section();
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 1,
            maximum: None,
            shared: false,
        });
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut tags = TagSection::new();
        for func_type_idx in [EMPTY, MANY_TO_NONE] {
            tags.tag(TagType { kind: TagKind::Exception, func_type_idx });
        }
        let mut globals = GlobalSection::new();
        let ty = GlobalType { val_type: ANYREF, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::ref_null(HeapType::ANY));
        let mut exports = ExportSection::new();
        exports.export("f", ExportKind::Func, self.imports);
        let mut function = Function::new(self.locals);
        body(&mut function);
        function.instruction(&I::End);
        let bytes = u64::from(self.copies) * function.byte_len() as u64;
        let mut code = CodeSection::new();
        code.function(&function);
        for _ in 0..4 {
            let mut helper = Function::new([]);
            helper.instruction(&I::Unreachable).instruction(&I::End);
            code.function(&helper);
        }
        for _ in 1..self.copies {
            code.function(&function);
        }
        let mut module = wasm_encoder::Module::new();
        module
            .section(&types)
            .section(&imports)
            .section(&functions)
            .section(&tables)
            .section(&memories)
            .section(&tags)
            .section(&globals)
            .section(&exports)
            .section(&code);
        Shape { name: self.name, module: module.finish(), bytes, passed: self.passed }
    }
}

/// Writes something `count` times.
pub(crate) fn times(f: &mut Function, count: u32, mut write: impl FnMut(&mut Function, u32)) {
    for index in 0..count {
        write(f, index);
    }
}

/// A condition that nothing is known of.
pub(crate) fn condition(f: &mut Function) {
    f.instruction(&I::LocalGet(0));
}

pub(crate) const OPEN: BlockType = BlockType::Empty;
pub(crate) const ANYREF: ValType =
    ValType::Ref(RefType { nullable: true, heap_type: HeapType::ANY });

/// The most parameters and the most results that a type may have.
pub(crate) const MOST: u32 = 1000;

/// The name of a kind, and how to make one from how many values and how many places there are.
pub(crate) type Kind = (&'static str, fn(u32, u32) -> Shape);

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

/// Sets all locals from the first on to something that is not constant.
pub(crate) fn set_locals(f: &mut Function, first: u32, n: u32) {
    times(f, n, |f, index| {
        f.instruction(&I::LocalGet(0)).instruction(&I::I32Const(index as i32));
        f.instruction(&I::I32Rotl).instruction(&I::LocalSet(first + index));
    });
}

/// Uses all locals.
pub(crate) fn use_locals(f: &mut Function, first: u32, n: u32) {
    times(f, n, |f, index| {
        f.instruction(&I::LocalGet(0)).instruction(&I::LocalGet(first + index));
        f.instruction(&I::I32Xor).instruction(&I::LocalSet(0));
    });
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

/// Leaves `n` operands of which nothing is known.
pub(crate) fn operands(f: &mut Function, n: u32) {
    times(f, n, |f, index| {
        f.instruction(&I::LocalGet(0)).instruction(&I::I32Const(index as i32));
        f.instruction(&I::I32Rotl);
    });
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
