//! [`FuncTranslator`]: the state of one translation, its prologue, main loop and epilogue.

use super::control::Frame;
use super::dispatch::read_operator;
use super::env::Env;
use super::exception::Clause;
use super::legacy::Outline;
use super::limits::Limits;
use super::lives;
use super::locals::Locals;
use super::plan::{Effort, Plan, Shape};
use super::stack::ValueStack;
use super::{FunctionInput, Result};
use crate::abi;
use crate::error::CompileError;
use crate::types::{FuncType, HeapType, ValType};
use cranelift_codegen::ir::{
    self, Block, InstBuilder, SourceLoc, StackSlot, UserFuncName, Value, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use wasmparser::FunctionBody;

/// The translation of one function.
///
/// `'a` is the life of the module, `'f` that of the CLIF being built.
pub(super) struct FuncTranslator<'a, 'f> {
    pub(super) builder: FunctionBuilder<'f>,
    pub(super) env: Env<'a>,
    pub(super) stack: ValueStack,
    /// Blocks, loops and ifs around the current operator; the first is the function's body.
    pub(super) frames: Vec<Frame<'a>>,
    /// The clauses of the `try_table`s among them, the innermost last.
    pub(super) clauses: Vec<Clause>,
    pub(super) body: FunctionBody<'a>,
    /// What stands behind each `try` of the legacy form of exceptions, once there was one.
    pub(super) outline: Option<Outline>,
    /// Where the values of an exception are put together that this function throws.
    pub(super) payload: Option<StackSlot>,
    /// In unreachable code, how many blocks have been opened since it began. They get no frame.
    pub(super) dead: Option<u32>,
    pub(super) locals: Locals,
    pub(super) limits: Limits,
    /// Where calls that do not return lead to, each block with how many of them do.
    pub(super) nowhere: Vec<(Block, u32)>,
    /// How many blocks there are for checks.
    pub(super) check_blocks: usize,
}

pub(super) fn translate(
    input: FunctionInput<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
) -> Result<Effort> {
    let result = fill(&input, context, func);
    if result.is_err() {
        // What is left of the function would otherwise get into the next one.
        *context = FunctionBuilderContext::new();
    }
    result
}

fn fill(
    input: &FunctionInput<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
) -> Result<Effort> {
    let plan = Plan::of(input)?;
    let shape = fill_as(&plan, input, context, func)?;
    if plan.plain {
        return Ok(Effort::Plain);
    }
    if plan.admits(shape) {
        return Ok(Effort::Optimized);
    }
    // Only its translation has told that it is not ordinary.
    func.clear();
    fill_as(&Plan::plain(input)?, input, context, func)?;
    Ok(Effort::Plain)
}

/// Translates the function in one way or the other.
fn fill_as(
    plan: &Plan,
    input: &FunctionInput<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
) -> Result<Shape> {
    let ty = input.module.func_type(input.func);
    func.name = UserFuncName::user(0, input.func);
    func.signature = abi::wasm_signature(ty);
    let mut translator = FuncTranslator::new(input, ty, context, func, plan);
    translator.declare_locals(ty, &input.body, plan)?;
    translator.check_stack();
    translator.epoch_check();
    translator.translate_operators()?;
    translator.finish_traps();
    let operands = translator.stack.highest();
    let check_blocks = translator.check_blocks;
    translator.builder.finalize(input.isa.frontend_config());
    if plan.plain {
        lives::check(func, input.func, plan.bytes)?;
        return Ok(Shape::default());
    }
    Ok(Shape { check_blocks, ..Shape::of(func, operands) })
}

impl<'a, 'f> FuncTranslator<'a, 'f> {
    /// Opens the entry block and the frame of the body.
    fn new(
        input: &FunctionInput<'a>,
        ty: &'a FuncType,
        context: &'f mut FunctionBuilderContext,
        func: &'f mut ir::Function,
        plan: &Plan,
    ) -> Self {
        let mut builder = FunctionBuilder::new(func, context);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        // Loads from the context are added to the entry block at any time, even when nothing else
        // ever is: it has to be in the layout.
        builder.ensure_inserted_block();
        let vmctx = builder.block_params(entry)[0];
        let mut env = Env::new(input, entry, vmctx, plan.plain);
        if input.tunables.signals_based_traps {
            env.declare_stack_limit(&mut builder);
        }
        FuncTranslator {
            builder,
            env,
            stack: ValueStack::default(),
            frames: vec![Frame::body(ty)],
            clauses: Vec::new(),
            body: input.body.clone(),
            outline: None,
            payload: None,
            dead: None,
            locals: Locals::Variables(None),
            limits: Limits::new(input.func, plan.references),
            nowhere: Vec::new(),
            check_blocks: 0,
        }
    }

    /// The value that a local of this type has at first.
    pub(super) fn zero(&mut self, ty: ValType) -> Value {
        let ins = self.builder.ins();
        match ty {
            ValType::I32 => ins.iconst(types::I32, 0),
            ValType::I64 => ins.iconst(types::I64, 0),
            ValType::F32 => ins.f32const(0.0),
            ValType::F64 => ins.f64const(0.0),
            ValType::V128 => self.vector_constant([0; 16]),
            ValType::Ref(ty) => self.null(ty.heap),
        }
    }

    /// The null reference.
    pub(super) fn null(&mut self, heap: HeapType) -> Value {
        let ty = if heap.is_func() { abi::POINTER } else { types::I32 };
        self.builder.ins().iconst(ty, 0)
    }

    fn translate_operators(&mut self) -> Result {
        let mut reader = self.body.get_operators_reader().map_err(read_error)?;
        while !reader.eof() {
            let position = reader.original_position();
            let operator = read_operator(&mut reader)?;
            // A module is smaller than 4 GiB; the position of one that is not would be of no use.
            self.builder.set_srcloc(SourceLoc::new(position as u32));
            self.operator(operator)?;
            self.limits.check_references()?;
        }
        debug_assert!(self.frames.is_empty(), "the body's own `end` closes the last frame");
        Ok(())
    }
}

/// A body that cannot be read was never validated.
pub(super) fn read_error(error: wasmparser::Error) -> CompileError {
    CompileError::Malformed { message: error.message().to_owned(), offset: error.offset() as usize }
}
