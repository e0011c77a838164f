//! Exceptions: `try_table`, `throw`, `throw_ref`.
//!
//! Calls inside a `try_table` get exceptional edges: one for each clause around them, from the
//! innermost to the first that catches everything. An edge leads to the landing pad of its clause,
//! which is written when the `try_table` ends: it takes what the exception carries and branches to
//! the clause's label. Which clause fits is found by the runtime, which walks the frames and reads
//! the tables made from these edges; entering and leaving a `try_table` does nothing.
//!
//! A landing pad begins with two values from the runtime: a reference to the exception, if the
//! clause wants one, and the address of the values that it carries, good until the next call.

use super::Result;
use super::alias::AliasRegion;
use super::builtins::Bits64;
use super::control::FrameKind;
use super::function::FuncTranslator;
use crate::abi;
use crate::trap::TrapCode;
use crate::types::ValType;
use crate::vm::{Catch, ValRaw};
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, ExceptionTableData, ExceptionTableItem, ExceptionTag, InstBuilder,
    SigRef, StackSlot, StackSlotData, StackSlotKind, Value, types,
};
use wasmparser::TryTable;

/// A clause of a `try_table`, or of a `try`, around the current operator.
pub(super) struct Clause {
    /// The tag that it catches; none if it catches all.
    pub(super) tag: Option<u32>,
    /// Whether it wants a reference to the exception.
    pub(super) by_reference: bool,
    /// What it does with what it catches.
    pub(super) way: Way,
    /// Its landing pad, once a call leads there.
    pub(super) pad: Option<Block>,
}

/// What a clause does.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// It branches to a frame.
    Branch { target: usize },
    /// Its code stands behind that of its `try`.
    Inline,
    /// It catches nothing, and hides the clauses around it, down to this number of them.
    Delegate { around: usize },
}

/// log2 of the alignment of a [`ValRaw`].
const VALUE_ALIGN_LOG2: u8 = align_of::<ValRaw>().trailing_zeros() as u8;

impl FuncTranslator<'_, '_> {
    pub(super) fn try_table(&mut self, try_table: &TryTable) -> Result {
        let around = self.clauses.len();
        // Labels count from the frame around.
        let innermost = self.frames.len() - 1;
        // The last is the innermost.
        for catch in try_table.catches.iter().rev() {
            let (tag, by_reference, label) = match *catch {
                wasmparser::Catch::One { tag, label } => (Some(tag), false, label),
                wasmparser::Catch::OneRef { tag, label } => (Some(tag), true, label),
                wasmparser::Catch::All { label } => (None, false, label),
                wasmparser::Catch::AllRef { label } => (None, true, label),
            };
            let way = Way::Branch { target: innermost - label as usize };
            self.clauses.push(Clause { tag, by_reference, way, pad: None });
        }
        self.open_block(try_table.ty, FrameKind::TryTable { around })
    }

    /// Writes the landing pads of the innermost frame, a `try_table` with `around` clauses around.
    pub(super) fn end_try_table(&mut self, innermost: usize, around: usize) -> Result {
        let clauses = self.clauses.split_off(around);
        if clauses.iter().all(|clause| clause.pad.is_none()) {
            return Ok(());
        }
        if self.dead.is_none() {
            self.jump_to_exit(innermost)?;
        }
        for clause in clauses.iter().rev() {
            if let (Some(pad), Way::Branch { target }) = (clause.pad, clause.way) {
                self.landing_pad(clause, pad, target)?;
            }
        }
        self.dead = Some(0);
        Ok(())
    }

    fn landing_pad(&mut self, clause: &Clause, pad: Block, target: usize) -> Result {
        let height = self.stack.len();
        if let Some(reference) = self.enter_pad(clause, pad) {
            self.stack.push(reference);
        }
        self.jump_to(target)?;
        self.stack.truncate(height);
        Ok(())
    }

    /// Enters a landing pad and pushes what the exception carries; a reference to the exception, if
    /// the clause wants one.
    pub(super) fn enter_pad(&mut self, clause: &Clause, pad: Block) -> Option<Value> {
        self.enter_sealed(pad);
        let &[exception, values] = self.builder.block_params(pad) else {
            unreachable!("made with two parameters")
        };
        if let Some(tag) = clause.tag {
            self.load_payload(tag, values);
        }
        clause.by_reference.then(|| {
            let reference = self.builder.ins().ireduce(types::I32, exception);
            self.declare_reference(reference);
            reference
        })
    }

    /// Pushes the values that an exception carries.
    fn load_payload(&mut self, tag: u32, values: Value) {
        for (index, &ty) in self.env.module.tag_type(tag).params().iter().enumerate() {
            let flags = AliasRegion::Payload.trusted(self.builder.func);
            let offset = (index * size_of::<ValRaw>()) as i32;
            let value = self.builder.ins().load(abi::value_type(ty), flags, values, offset);
            self.declare(ty, value);
            self.stack.push(value);
        }
    }

    /// Calls with an edge to each clause around, and goes on where the call returns; its results are
    /// then the parameters of the current block.
    pub(super) fn try_call(
        &mut self,
        signature: SigRef,
        code: Value,
        args: &[Value],
        results: &[ValType],
    ) -> Result<Block> {
        let returned = self.block_with_params(results)?;
        let mut items = vec![ExceptionTableItem::Context(self.env.vmctx)];
        let mut around = self.clauses.len();
        while let Some(index) = around.checked_sub(1) {
            around = index;
            let Clause { tag, by_reference, way, .. } = self.clauses[index];
            if let Way::Delegate { around: beyond } = way {
                around = beyond;
                continue;
            }
            let pad = self.pad(index);
            let place = tag.map(|tag| self.env.offsets.tag(tag));
            let catch = Catch::new(place, by_reference);
            let payload = [BlockArg::TryCallExn(0), BlockArg::TryCallExn(1)];
            let edge = BlockCall::new(pad, payload, &mut self.builder.func.dfg.value_lists);
            items.push(ExceptionTableItem::Tag(ExceptionTag::from_u32(catch.bits()), edge));
            if tag.is_none() {
                break;
            }
        }
        let dfg = &mut self.builder.func.dfg;
        let values = (0..results.len() as u32).map(BlockArg::TryCallRet);
        let normal = BlockCall::new(returned, values, &mut dfg.value_lists);
        let table = dfg.exception_tables.push(ExceptionTableData::new(signature, normal, items));
        let call = self.builder.ins().try_call_indirect(code, args, table);
        self.map_locals(call);
        self.enter_sealed(returned);
        Ok(returned)
    }

    /// The landing pad of a clause.
    fn pad(&mut self, clause: usize) -> Block {
        if let Some(pad) = self.clauses[clause].pad {
            return pad;
        }
        let pad = self.builder.create_block();
        self.builder.append_block_param(pad, abi::POINTER);
        self.builder.append_block_param(pad, abi::POINTER);
        self.set_cold(pad);
        *self.clauses[clause].pad.insert(pad)
    }

    pub(super) fn throw(&mut self, tag: u32) -> Result {
        let count = self.env.module.tag_type(tag).params().len();
        self.canonicalize_top(count);
        let values = self.payload_address(count);
        for index in 0..count {
            let value = self.stack.top(count)[index];
            let flags = AliasRegion::Payload.trusted(self.builder.func);
            let offset = (index * size_of::<ValRaw>()) as i32;
            self.builder.ins().store(flags, value, values, offset);
        }
        self.stack.drop_top(count);
        let tag = self.context_pointer(self.env.offsets.tag(tag));
        self.throwing_builtin().throw(Bits64(tag), Bits64(values))
    }

    pub(super) fn throw_ref(&mut self) -> Result {
        let exception = self.stack.pop();
        self.trapz(exception, TrapCode::NullException);
        let exception = self.builder.ins().uextend(types::I64, exception);
        self.throwing_builtin().throw_ref(Bits64(exception))
    }

    /// Room on the stack for the values of an exception. All throws of a function use the same.
    fn payload_address(&mut self, count: usize) -> Value {
        if count == 0 {
            return self.builder.ins().iconst(abi::POINTER, 0);
        }
        let size = (count * size_of::<ValRaw>()) as u32;
        let slot = self.payload_slot(size);
        self.builder.ins().stack_addr(abi::POINTER, slot, 0)
    }

    fn payload_slot(&mut self, size: u32) -> StackSlot {
        let Some(slot) = self.payload else {
            let kind = StackSlotKind::ExplicitSlot;
            let data = StackSlotData::new(kind, size, VALUE_ALIGN_LOG2);
            self.limits.take_frame(size);
            return *self.payload.insert(self.builder.create_sized_stack_slot(data));
        };
        let data = &mut self.builder.func.sized_stack_slots[slot];
        data.size = data.size.max(size);
        slot
    }
}
