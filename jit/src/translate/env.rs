//! [`Env`]: what a function's code knows of its instance.
//!
//! Everything hangs from the context, the first parameter. What never changes there is loaded in the
//! entry block, once for the function: such loads are free to move, so the code generator drops
//! those that a path does not need and takes them out of loops.

use super::FunctionInput;
use super::alias::{self, AliasRegion};
use super::function::FuncTranslator;
use crate::abi;
use crate::gc::FieldsLayout;
use crate::module::ModuleInfo;
use crate::tunables::Tunables;
use crate::vm::{NUM_BUILTINS, VMContext, VMOffsets, VMStoreContext};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Block, GlobalValueData, InstBuilder, SigRef, SourceLoc, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilder;
use std::collections::HashMap;
use std::mem::offset_of;

/// The module and context of a function, and what has been made of them so far.
pub(super) struct Env<'a> {
    pub(super) module: &'a ModuleInfo,
    pub(super) offsets: &'a VMOffsets,
    pub(super) tunables: &'a Tunables,
    pub(super) isa: &'a dyn TargetIsa,
    /// Whether the function is compiled plainly.
    pub(super) plain: bool,
    /// The function's index in the module.
    func: u32,
    /// The entry block, to which loads from the context are added.
    pub(super) entry: Block,
    /// The context of the instance.
    pub(super) vmctx: Value,
    /// Constant pointers in the context, by their offset.
    pointers: HashMap<u32, Value>,
    /// The signature of each function type, by its index.
    signatures: HashMap<u32, SigRef>,
    /// The signature of each builtin, by its place in the table.
    pub(super) builtins: [Option<SigRef>; NUM_BUILTINS],
    /// The layout of each struct type that has been used, by its index.
    pub(super) struct_layouts: HashMap<u32, FieldsLayout>,
    /// Whether stack slots of references have their alias region.
    pub(super) names_spills: bool,
}

impl<'a> Env<'a> {
    pub(super) fn new(
        input: &FunctionInput<'a>,
        entry: Block,
        vmctx: Value,
        plain: bool,
    ) -> Env<'a> {
        Env {
            module: input.module,
            offsets: input.offsets,
            tunables: input.tunables,
            isa: input.isa,
            plain,
            func: input.func,
            entry,
            vmctx,
            pointers: HashMap::new(),
            signatures: HashMap::new(),
            builtins: [None; NUM_BUILTINS],
            struct_layouts: HashMap::new(),
            names_spills: false,
        }
    }

    /// Whether the branch at a position in the module is usually taken, where that is known.
    pub(super) fn branch_hint(&self, position: SourceLoc) -> Option<bool> {
        let defined = self.module.defined_function(self.func)?;
        let start = u32::try_from(self.module.bodies[defined].start).ok()?;
        self.module.branch_hints.get(self.func, position.bits().checked_sub(start)?)
    }

    /// Has the prologue compare the stack pointer with the store's limit.
    pub(super) fn declare_stack_limit(&mut self, builder: &mut FunctionBuilder<'_>) {
        let flags = AliasRegion::Context.constant(builder.func);
        let constant = alias::intern(builder.func, flags);
        let flags = AliasRegion::Store.trusted(builder.func);
        let changing = alias::intern(builder.func, flags);
        let load = |base, offset: usize, flags| GlobalValueData::Load {
            base,
            offset: (offset as i32).into(),
            global_type: abi::POINTER,
            flags,
        };
        let vmctx = builder.create_global_value(GlobalValueData::VMContext);
        let store = builder.create_global_value(load(
            vmctx,
            offset_of!(VMContext, store_context),
            constant,
        ));
        let limit = builder.create_global_value(load(
            store,
            offset_of!(VMStoreContext, stack_limit),
            changing,
        ));
        builder.func.stack_limit = Some(limit);
    }
}

impl FuncTranslator<'_, '_> {
    /// A pointer that the context holds at `offset` and that never changes.
    pub(super) fn context_pointer(&mut self, offset: u32) -> Value {
        if let Some(&value) = self.env.pointers.get(&offset) {
            return value;
        }
        if self.env.plain {
            // In the entry block it would be made once, and then be alive in all blocks.
            let flags = AliasRegion::Context.constant(self.builder.func);
            return self.builder.ins().load(abi::POINTER, flags, self.env.vmctx, offset as i32);
        }
        let func = &mut *self.builder.func;
        let flags = AliasRegion::Context.constant(func);
        let mut cursor = FuncCursor::new(func).at_first_insertion_point(self.env.entry);
        let value = cursor.ins().load(abi::POINTER, flags, self.env.vmctx, offset as i32);
        self.env.pointers.insert(offset, value);
        value
    }

    /// The store's context.
    pub(super) fn store_context(&mut self) -> Value {
        self.context_pointer(offset_of!(VMContext, store_context) as u32)
    }

    /// Loads a pointer that never changes from `base`, which must be good to read here.
    pub(super) fn constant_pointer(&mut self, base: Value, offset: usize) -> Value {
        let flags = AliasRegion::Context.constant(self.builder.func);
        self.builder.ins().load(abi::POINTER, flags, base, offset as i32)
    }

    /// The signature of a function type.
    pub(super) fn signature(&mut self, type_index: u32) -> SigRef {
        let module = self.env.module;
        *self.env.signatures.entry(type_index).or_insert_with(|| {
            let ty = module.types.func(type_index);
            self.builder.import_signature(abi::wasm_signature(ty))
        })
    }

    /// A 32-bit constant, such as an index for a builtin.
    pub(super) fn index(&mut self, index: u32) -> Value {
        self.builder.ins().iconst(types::I32, i64::from(index))
    }
}
