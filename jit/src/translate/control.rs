//! Blocks, loops and ifs; code that cannot be reached. `branch` has the branches.
//!
//! The block that follows a `block` or `if` is made by the first branch to it: nesting alone makes
//! no blocks. Its parameters are the results. A loop's header is made at once; its parameters are the
//! loop's.
//!
//! After a branch that is always taken, `dead` is set and operators are skipped until an `else` or `end` that another path leads to. Blocks opened meanwhile are only counted.

use super::Result;
use super::dispatch::Control;
use super::exception::Clause;
use super::function::FuncTranslator;
use crate::abi;
use crate::module::{ModuleInfo, convert};
use crate::types::{FuncType, ValType};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value};
use smallvec::SmallVec;
use wasmparser::BlockType;

/// The values that a branch passes.
type BranchArgs = SmallVec<[BlockArg; 8]>;

/// A block, loop or if that is open.
pub(super) struct Frame<'a> {
    kind: FrameKind,
    params: &'a [ValType],
    pub(super) results: Results<'a>,
    /// How many operands lie below its own.
    height: usize,
    /// The block after its end, once something has branched there. Loops have none.
    exit: Option<Block>,
    /// How many clauses are for calls in it.
    clauses: usize,
}

pub(super) enum FrameKind {
    /// `block`, or the function's body.
    Block,
    /// `try_table`, and how many clauses of outer ones there are around it.
    TryTable { around: usize },
    /// `try` of the legacy form of exceptions, and how many clauses of outer ones there are around it.
    Try { around: usize },
    /// `try`, after a `catch`: the clauses of the `catch`es to come, the last first, and the exception
    /// that this one has caught, if it is to be thrown again.
    Catch { rest: Vec<Clause>, caught: Option<Value> },
    /// `loop`.
    Loop { header: Block },
    /// `if`, before an `else`. Its parameters stay on the stack, once more, below its operands.
    If { otherwise: Block },
    /// `if`, after its `else`.
    Else,
}

impl<'a> Frame<'a> {
    /// The frame of a function's body.
    pub(super) fn body(ty: &'a FuncType) -> Frame<'a> {
        let results = Results::Listed(ty.results());
        Frame { kind: FrameKind::Block, params: &[], results, height: 0, exit: None, clauses: 0 }
    }

    /// The values that a branch to it passes.
    fn branch_arity(&self) -> usize {
        match self.kind {
            FrameKind::Loop { .. } => self.params.len(),
            _ => self.results.len(),
        }
    }

    /// How many parameters of an `if` are kept for its `else`.
    fn kept_params(&self) -> usize {
        match self.kind {
            FrameKind::If { .. } | FrameKind::Else => self.params.len(),
            FrameKind::Block
            | FrameKind::TryTable { .. }
            | FrameKind::Try { .. }
            | FrameKind::Catch { .. }
            | FrameKind::Loop { .. } => 0,
        }
    }
}

impl<'a> FuncTranslator<'a, '_> {
    /// Translates an operator of the control flow.
    pub(super) fn control_operator(&mut self, operator: Control<'_>) -> Result {
        match operator {
            Control::Unreachable => self.unreachable(),
            Control::Nop => Ok(()),
            Control::Block { blockty } => self.block(blockty),
            Control::Loop { blockty } => self.loop_(blockty),
            Control::If { blockty } => self.if_(blockty),
            Control::Else => self.else_(),
            Control::End => self.end(),
            Control::Br { relative_depth } => self.br(relative_depth),
            Control::BrIf { relative_depth } => self.br_if(relative_depth),
            Control::BrTable { targets } => self.br_table(&targets),
            Control::Return => self.return_(),
            Control::TryTable { try_table } => self.try_table(&try_table),
            Control::Throw { tag_index } => self.throw(tag_index),
            Control::ThrowRef => self.throw_ref(),
            Control::Try { blockty } => self.try_(blockty),
            Control::Catch { .. } | Control::CatchAll => self.catch(),
            Control::Delegate { .. } => self.end(),
            Control::Rethrow { relative_depth } => self.rethrow(relative_depth),
            Control::BrOnNull { relative_depth } => self.br_on_null(relative_depth),
            Control::BrOnNonNull { relative_depth } => self.br_on_non_null(relative_depth),
            Control::BrOnCast { relative_depth, to_ref_type, .. } => {
                self.br_on_cast(relative_depth, to_ref_type, true)
            }
            Control::BrOnCastFail { relative_depth, to_ref_type, .. } => {
                self.br_on_cast(relative_depth, to_ref_type, false)
            }
        }
    }

    /// Skips an operator that nothing leads to, except where it ends or divides an open block. `nested` blocks have been
    /// opened since.
    pub(super) fn unreachable_control_operator(
        &mut self,
        operator: Control<'_>,
        nested: u32,
    ) -> Result {
        match operator {
            Control::Block { .. }
            | Control::Loop { .. }
            | Control::If { .. }
            | Control::TryTable { .. } => self.dead = Some(nested + 1),
            Control::Try { .. } => {
                self.meet_try()?;
                self.dead = Some(nested + 1);
            }
            Control::Else if nested == 0 => return self.else_(),
            Control::Catch { .. } | Control::CatchAll if nested == 0 => return self.catch(),
            Control::End | Control::Delegate { .. } if nested == 0 => return self.end(),
            Control::End | Control::Delegate { .. } => self.dead = Some(nested - 1),
            Control::Else | Control::Catch { .. } | Control::CatchAll => {}
            Control::Unreachable
            | Control::Nop
            | Control::Return
            | Control::Br { .. }
            | Control::BrIf { .. }
            | Control::BrTable { .. }
            | Control::BrOnNull { .. }
            | Control::BrOnNonNull { .. }
            | Control::BrOnCast { .. }
            | Control::BrOnCastFail { .. }
            | Control::Throw { .. }
            | Control::ThrowRef
            | Control::Rethrow { .. } => {}
        }
        Ok(())
    }

    // Opening and closing.

    pub(super) fn block(&mut self, ty: BlockType) -> Result {
        self.open_block(ty, FrameKind::Block)
    }

    /// Opens a frame that is entered by going on.
    pub(super) fn open_block(&mut self, ty: BlockType, kind: FrameKind) -> Result {
        let (params, results) = block_signature(self.env.module, ty)?;
        let height = self.stack.len() - params.len();
        let clauses = self.clauses.len();
        self.frames.push(Frame { kind, params, results, height, exit: None, clauses });
        Ok(())
    }

    pub(super) fn loop_(&mut self, ty: BlockType) -> Result {
        let (params, results) = block_signature(self.env.module, ty)?;
        let header = self.block_with_params(params)?;
        let args = self.branch_args(params.len())?;
        self.builder.ins().jump(header, &args);
        self.count_block();
        self.builder.switch_to_block(header);
        let height = self.stack.len() - params.len();
        self.stack.truncate(height);
        self.stack.extend(self.builder.block_params(header));
        let kind = FrameKind::Loop { header };
        let clauses = self.clauses.len();
        self.frames.push(Frame { kind, params, results, height, exit: None, clauses });
        self.epoch_check();
        Ok(())
    }

    pub(super) fn if_(&mut self, ty: BlockType) -> Result {
        let condition = self.stack.pop();
        let (params, results) = block_signature(self.env.module, ty)?;
        let then = self.builder.create_block();
        let otherwise = self.builder.create_block();
        if let Some(taken) = self.branch_hint() {
            self.set_cold(if taken { otherwise } else { then });
        }
        self.builder.ins().brif(condition, then, &[], otherwise, &[]);
        self.enter_sealed(then);
        let height = self.stack.len() - params.len();
        self.stack.duplicate_top(params.len());
        let kind = FrameKind::If { otherwise };
        let clauses = self.clauses.len();
        self.frames.push(Frame { kind, params, results, height, exit: None, clauses });
        Ok(())
    }

    pub(super) fn else_(&mut self) -> Result {
        let innermost = self.frames.len() - 1;
        if self.dead.is_none() {
            self.jump_to_exit(innermost)?;
        }
        let frame = &mut self.frames[innermost];
        let FrameKind::If { otherwise } = std::mem::replace(&mut frame.kind, FrameKind::Else)
        else {
            unreachable!("validation pairs each `else` with an `if`")
        };
        self.stack.truncate(frame.height + frame.params.len());
        self.stack.duplicate_top(frame.params.len());
        self.enter_sealed(otherwise);
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result {
        let innermost = self.frames.len() - 1;
        match self.frames[innermost].kind {
            FrameKind::If { otherwise } => self.implied_else(innermost, otherwise)?,
            FrameKind::Loop { header } => self.builder.seal_block(header),
            FrameKind::TryTable { around } => self.end_try_table(innermost, around)?,
            // Without a `catch`: there is at most the clause of a `delegate`.
            FrameKind::Try { around } => self.clauses.truncate(around),
            FrameKind::Catch { .. } => {}
            FrameKind::Block | FrameKind::Else => {}
        }
        if self.frames[innermost].exit.is_some() && self.dead.is_none() {
            self.jump_to_exit(innermost)?;
        }
        let frame = self.frames.pop().expect("validation pairs each `end` with an opening");
        if let Some(exit) = frame.exit {
            self.enter_sealed(exit);
            self.stack.truncate(frame.height);
            self.stack.extend(self.builder.block_params(exit));
        } else if self.dead.is_some() {
            self.stack.truncate(frame.height);
        } else {
            self.stack.remove_below(frame.height, frame.kept_params());
        }
        if self.frames.is_empty() {
            self.end_function(frame.results.len())?;
        }
        Ok(())
    }

    /// An `if` that ends without an `else` passes its parameters on as its results.
    fn implied_else(&mut self, innermost: usize, otherwise: Block) -> Result {
        let frame = &self.frames[innermost];
        let (height, arity) = (frame.height, frame.results.len());
        if frame.exit.is_none() && arity == 0 {
            // The usual case: the block for "otherwise" is the one after the end.
            if self.dead.is_none() {
                self.builder.ins().jump(otherwise, &[]);
            }
            self.stack.truncate(height);
            self.enter_sealed(otherwise);
            return Ok(());
        }
        if self.dead.is_none() {
            self.jump_to_exit(innermost)?;
        }
        self.stack.truncate(height + arity);
        self.stack.duplicate_top(arity);
        self.enter_sealed(otherwise);
        Ok(())
    }

    fn end_function(&mut self, arity: usize) -> Result {
        if self.dead.is_none() {
            self.return_values(arity)?;
        }
        Ok(())
    }

    // Frames of the legacy form of exceptions.

    /// How many clauses are for calls in a frame.
    pub(super) fn clauses_in(&self, frame: usize) -> usize {
        self.frames[frame].clauses
    }

    /// Goes from a `try`, or one of its `catch`es, to the next `catch`: its clause.
    pub(super) fn next_catch(&mut self, index: usize) -> Clause {
        let frame = &mut self.frames[index];
        let mut rest = match std::mem::replace(&mut frame.kind, FrameKind::Block) {
            FrameKind::Try { around } => self.clauses.split_off(around),
            FrameKind::Catch { rest, .. } => rest,
            _ => unreachable!("validation pairs each `catch` with a `try`"),
        };
        let clause = rest.pop().expect("each `catch` has its clause");
        frame.kind = FrameKind::Catch { rest, caught: None };
        frame.clauses = self.clauses.len();
        self.stack.truncate(frame.height);
        clause
    }

    /// Notes what the `catch` that has begun will throw again.
    pub(super) fn set_caught(&mut self, index: usize, exception: Option<Value>) {
        if let FrameKind::Catch { caught, .. } = &mut self.frames[index].kind {
            *caught = exception;
        }
    }

    /// What a `catch` has caught.
    pub(super) fn caught(&self, index: usize) -> Value {
        match self.frames[index].kind {
            FrameKind::Catch { caught: Some(exception), .. } => exception,
            _ => unreachable!("the clause of a `catch` knows of each `rethrow` in it"),
        }
    }

    // Parts.

    /// Where a branch to `depth` goes, and how many values it passes.
    pub(super) fn branch_target(&mut self, depth: u32) -> Result<(Block, usize)> {
        self.frame_target(self.frames.len() - 1 - depth as usize)
    }

    /// Where a branch to a frame goes, and how many values it passes.
    pub(super) fn frame_target(&mut self, index: usize) -> Result<(Block, usize)> {
        let frame = &self.frames[index];
        let arity = frame.branch_arity();
        let target = match frame.kind {
            FrameKind::Loop { header } => header,
            _ => self.exit_block(index)?,
        };
        Ok((target, arity))
    }

    /// The block after the end of a frame.
    fn exit_block(&mut self, index: usize) -> Result<Block> {
        if let Some(exit) = self.frames[index].exit {
            return Ok(exit);
        }
        let results = self.frames[index].results;
        let exit = self.block_with_params(&results)?;
        self.frames[index].exit = Some(exit);
        Ok(exit)
    }

    /// Ends the current block with the newest operands as the results of a frame.
    pub(super) fn jump_to_exit(&mut self, index: usize) -> Result {
        let exit = self.exit_block(index)?;
        let args = self.branch_args(self.frames[index].results.len())?;
        self.builder.ins().jump(exit, &args);
        Ok(())
    }

    pub(super) fn return_values(&mut self, arity: usize) -> Result {
        self.canonicalize_top(arity);
        self.builder.ins().return_(self.stack.top(arity));
        Ok(())
    }

    /// The newest operands, as a branch passes them. They stay on the stack.
    pub(super) fn branch_args(&mut self, arity: usize) -> Result<BranchArgs> {
        self.canonicalize_top(arity);
        Ok(self.stack.top(arity).iter().map(|&value: &Value| BlockArg::Value(value)).collect())
    }

    pub(super) fn block_with_params(&mut self, types: &[ValType]) -> Result<Block> {
        let block = self.builder.create_block();
        for &ty in types {
            let param = self.builder.append_block_param(block, abi::value_type(ty));
            self.declare(ty, param);
        }
        Ok(block)
    }

    /// Goes on in a block that nothing will branch to from here on.
    pub(super) fn enter_sealed(&mut self, block: Block) {
        self.count_block();
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
        self.dead = None;
    }
}

/// The results of a block, as its type lists them.
#[derive(Clone, Copy)]
pub(super) enum Results<'a> {
    /// Those of a function type.
    Listed(&'a [ValType]),
    /// Just one.
    One(ValType),
}

impl std::ops::Deref for Results<'_> {
    type Target = [ValType];

    fn deref(&self) -> &[ValType] {
        match self {
            Results::Listed(types) => types,
            Results::One(ty) => std::slice::from_ref(ty),
        }
    }
}

/// The parameters and results of a block.
pub(super) fn block_signature(
    module: &ModuleInfo,
    ty: BlockType,
) -> Result<(&[ValType], Results<'_>)> {
    Ok(match ty {
        BlockType::Empty => (&[], Results::Listed(&[])),
        BlockType::Type(ty) => (&[], Results::One(convert::val_type(&module.types, ty)?)),
        BlockType::FuncType(index) => {
            let ty = module.types.func(index);
            (ty.params(), Results::Listed(ty.results()))
        }
    })
}
