//! What shapes are built of: a module of one function, with all that it may refer to.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
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

/// Leaves `n` operands of which nothing is known.
pub(crate) fn operands(f: &mut Function, n: u32) {
    times(f, n, |f, index| {
        f.instruction(&I::LocalGet(0)).instruction(&I::I32Const(index as i32));
        f.instruction(&I::I32Rotl);
    });
}
