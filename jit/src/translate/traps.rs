//! Traps: how code that must not go on stops.
//!
//! There are two ways, and the tunables choose. With signals an instruction that cannot go on raises one: an access
//! that faults, a division, `ud2`; the trap table tells why. Without them every check is a branch to code off the path
//! that calls the builtin `raise_trap`, which does not return; no instruction of the function ever faults. Each such
//! branch ends a block. Where those would be too many, which is where the function is compiled plainly, checks call a
//! builtin on the path instead, which returns if all is well.
//!
//! Whoever leaves a check to a fault asks [`FuncTranslator::on_fault`] for the code of the access, and makes the check
//! itself where that has none.

use super::Result;
use super::alias::AliasRegion;
use super::builtins::{Bits32, Bits64};
use super::function::FuncTranslator;
use crate::abi;
use crate::trap::TrapCode;
use crate::vm::VMStoreContext;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Block, InstBuilder, Type, Value, types};
use std::mem::offset_of;

impl FuncTranslator<'_, '_> {
    /// Whether every check is a branch.
    pub(super) fn checks(&self) -> bool {
        !self.env.tunables.signals_based_traps
    }

    /// Whether every check of an access to a memory is a branch.
    pub(super) fn checks_memory(&self) -> bool {
        self.checks() || self.env.tunables.scarce_addresses
    }

    /// What an access carries whose fault would be the trap `code`: nothing where none may fault, and so the check must
    /// come before.
    pub(super) fn on_fault(&self, code: TrapCode) -> Option<TrapCode> {
        (!self.checks()).then_some(code)
    }

    /// Ends the block with a trap.
    pub(super) fn trap(&mut self, code: TrapCode) {
        if self.checks() {
            self.raise_trap(code);
        } else {
            self.builder.ins().trap(code.to_clif());
        }
    }

    /// Traps if `condition` is not 0.
    pub(super) fn trapnz(&mut self, condition: Value, code: TrapCode) {
        if !self.checks() {
            self.builder.ins().trapnz(condition, code.to_clif());
            return;
        }
        if self.calls_check() {
            let failed = self.widened_condition(condition, IntCC::NotEqual);
            self.checking_builtin().check_trap(failed, u32::from(code as u8));
            return;
        }
        let [trap, on] = self.trap_and_on();
        self.branch_off(condition, trap, on);
        self.trap_off_the_path(trap, on, code);
    }

    /// Traps if `condition` is 0.
    pub(super) fn trapz(&mut self, condition: Value, code: TrapCode) {
        if !self.checks() {
            self.builder.ins().trapz(condition, code.to_clif());
            return;
        }
        if self.calls_check() {
            let failed = self.widened_condition(condition, IntCC::Equal);
            self.checking_builtin().check_trap(failed, u32::from(code as u8));
            return;
        }
        let [trap, on] = self.trap_and_on();
        self.builder.ins().brif(condition, on, &[], trap, &[]);
        self.trap_off_the_path(trap, on, code);
    }

    /// Traps if `condition` is not 0, where otherwise a fault would.
    pub(super) fn check_outside(&mut self, condition: Value, code: TrapCode) {
        if self.checks() {
            self.trapnz(condition, code);
        }
    }

    /// Traps if `condition` is not 0: then an access of a memory at `index + offset` would leave it. Where otherwise a
    /// fault would, which tells the address.
    pub(super) fn check_memory(
        &mut self,
        condition: Value,
        memory: u32,
        index: Value,
        offset: u64,
    ) {
        if !self.checks_memory() {
            return;
        }
        if self.calls_check() {
            let failed = self.widened_condition(condition, IntCC::NotEqual);
            self.checking_builtin().check_bounds(failed, memory, Bits64(index), offset);
            return;
        }
        let [trap, on] = self.trap_and_on();
        self.branch_off(condition, trap, on);
        self.off_the_path(trap, on, |this| {
            this.failing_builtin().raise_out_of_bounds(memory, Bits64(index), offset);
        });
    }

    /// Traps if `reference` is null, where otherwise a fault would.
    pub(super) fn check_null(&mut self, reference: Value, code: TrapCode) {
        if self.checks() {
            self.trapz(reference, code);
        }
    }

    /// Whether a check is a call on the path: where the function is compiled plainly, since there all values that are
    /// alive at the end of a block are stored in the frame, each in a place of its own.
    ///
    /// The code generator takes any call for one that may collect, and lists the references that are alive there. So
    /// where there are references, checks stay branches.
    fn calls_check(&self) -> bool {
        self.env.plain && !self.env.names_spills
    }

    /// Whether `condition` is equal to 0, or not, as a builtin takes it.
    fn widened_condition(&mut self, condition: Value, is: IntCC) -> Bits32 {
        let ty = self.builder.func.dfg.value_type(condition);
        let bit = match (is, ty) {
            (IntCC::NotEqual, types::I32) => return Bits32(condition),
            (IntCC::NotEqual, types::I8) => condition,
            _ => self.builder.ins().icmp_imm_u(is, condition, 0),
        };
        Bits32(self.builder.ins().uextend(types::I32, bit))
    }

    fn trap_and_on(&mut self) -> [Block; 2] {
        let blocks = [(); 2].map(|()| self.builder.create_block());
        self.set_cold(blocks[0]);
        self.check_blocks += 2;
        blocks
    }

    /// Has a block lie behind all others, off the path.
    ///
    /// Not where the function is compiled plainly. There a value lives in all blocks that lie between where it is made
    /// and where it is used, and each of those blocks takes time for it.
    pub(super) fn set_cold(&mut self, block: Block) {
        if !self.env.plain {
            self.builder.set_cold_block(block);
        }
    }

    /// Goes to `off`, which is cold and never leads to `on`, if `condition` is not 0.
    pub(super) fn branch_off(&mut self, condition: Value, off: Block, on: Block) {
        if !self.env.plain {
            self.builder.ins().brif(condition, off, &[], on, &[]);
            return;
        }
        // Of two blocks that do not meet again, the code generator puts the second one first.
        let stays = self.builder.ins().icmp_imm_u(IntCC::Equal, condition, 0);
        self.builder.ins().brif(stays, on, &[], off, &[]);
    }

    fn trap_off_the_path(&mut self, trap: Block, on: Block, code: TrapCode) {
        self.off_the_path(trap, on, |this| this.raise_trap(code));
    }

    /// Fills the block off the path, and goes on with the other one.
    fn off_the_path(&mut self, trap: Block, on: Block, raise: impl FnOnce(&mut Self)) {
        self.builder.seal_block(trap);
        self.builder.switch_to_block(trap);
        raise(self);
        self.builder.seal_block(on);
        self.builder.switch_to_block(on);
    }

    /// Ends the block with a call that does not return. Each trap has a call of its own: where it returns to tells the
    /// position in the module.
    fn raise_trap(&mut self, code: TrapCode) {
        self.failing_builtin().raise_trap(u32::from(code as u8));
    }

    /// Ends the block behind a call that does not return.
    pub(super) fn go_nowhere(&mut self) {
        /// For each predecessor, register allocation walks up the tree of dominators, from there to what dominates
        /// the predecessors before it (`merge_sets` in regalloc2's `domtree.rs`). Every check dominates the next one:
        /// so for a block that all of them lead to, the steps are the square of how many there are. (A function that
        /// is compiled plainly needs no such tree.)
        const MOST_PREDECESSORS: u32 = 64;
        let nowhere = match self.nowhere.last_mut() {
            Some((block, predecessors)) if *predecessors < MOST_PREDECESSORS => {
                *predecessors += 1;
                *block
            }
            _ => {
                let block = self.builder.create_block();
                self.set_cold(block);
                self.nowhere.push((block, 1));
                block
            }
        };
        self.builder.ins().jump(nowhere, &[]);
    }

    /// Closes what follows the calls that do not return, after the last of them.
    pub(super) fn finish_traps(&mut self) {
        for (block, _) in std::mem::take(&mut self.nowhere) {
            // Never reached, and no instruction that may trap: it only leads to itself.
            self.builder.switch_to_block(block);
            self.builder.ins().jump(block, &[]);
            self.builder.seal_block(block);
        }
    }

    /// Compares the stack pointer with the store's limit, where the prologue does not: the frame is made by then.
    pub(super) fn check_stack(&mut self) {
        if !self.checks() {
            return;
        }
        let store = self.store_context();
        let flags = AliasRegion::Store.trusted(self.builder.func);
        let offset = offset_of!(VMStoreContext, stack_limit) as i32;
        let limit = self.builder.ins().load(abi::POINTER, flags, store, offset);
        let here = self.builder.ins().get_stack_pointer(abi::POINTER);
        let beyond = self.builder.ins().icmp(IntCC::UnsignedLessThan, here, limit);
        self.trapnz(beyond, TrapCode::StackOverflow);
    }
}

/// Arithmetic that traps.
impl FuncTranslator<'_, '_> {
    pub(super) fn div_signed(&mut self) -> Result {
        let (left, right) = self.checked_operands();
        if self.checks() {
            let ty = self.builder.func.dfg.value_type(left);
            let least = self.builder.ins().iconst(ty, i64::MIN >> (64 - ty.bits()) & mask(ty));
            let is_least = self.builder.ins().icmp(IntCC::Equal, left, least);
            let minus_one = self.builder.ins().iconst(ty, mask(ty));
            let is_minus_one = self.builder.ins().icmp(IntCC::Equal, right, minus_one);
            let overflows = self.builder.ins().band(is_least, is_minus_one);
            self.trapnz(overflows, TrapCode::IntegerOverflow);
        }
        let value = self.builder.ins().sdiv(left, right);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn div_unsigned(&mut self) -> Result {
        let (left, right) = self.checked_operands();
        let value = self.builder.ins().udiv(left, right);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn rem_signed(&mut self) -> Result {
        let (left, right) = self.checked_operands();
        let value = self.builder.ins().srem(left, right);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn rem_unsigned(&mut self) -> Result {
        let (left, right) = self.checked_operands();
        let value = self.builder.ins().urem(left, right);
        self.stack.push(value);
        Ok(())
    }

    /// The operands of a division, by what is not zero.
    fn checked_operands(&mut self) -> (Value, Value) {
        let (left, right) = self.stack.pop2();
        if self.checks() {
            self.trapz(right, TrapCode::IntegerDivisionByZero);
        }
        (left, right)
    }

    /// A float to an integer of type `ty`. With signals the two codes (not a number, out of range) are left to the code
    /// generator.
    pub(super) fn trunc(&mut self, ty: Type, signed: bool) -> Result {
        let float = self.stack.pop();
        let checks = self.checks();
        if checks {
            self.check_convertible(float, ty, signed);
        }
        let ins = self.builder.ins();
        // What was checked is in range, where both forms agree.
        let value = match (checks, signed) {
            (false, true) => ins.fcvt_to_sint(ty, float),
            (false, false) => ins.fcvt_to_uint(ty, float),
            (true, true) => ins.fcvt_to_sint_sat(ty, float),
            (true, false) => ins.fcvt_to_uint_sat(ty, float),
        };
        self.stack.push(value);
        Ok(())
    }

    /// Traps unless the integer part of `float` is an integer of type `ty`.
    fn check_convertible(&mut self, float: Value, ty: Type, signed: bool) {
        let not_a_number = self.builder.ins().fcmp(FloatCC::Unordered, float, float);
        self.trapnz(not_a_number, TrapCode::BadConversionToInteger);
        let from = self.builder.func.dfg.value_type(float);
        let range = convertible(from, ty, signed);
        let [low, high] = [range.above, range.below].map(|bound| match from {
            types::F32 => self.builder.ins().f32const(bound as f32),
            _ => self.builder.ins().f64const(bound),
        });
        let too_low = match range.inclusive {
            true => self.builder.ins().fcmp(FloatCC::LessThan, float, low),
            false => self.builder.ins().fcmp(FloatCC::LessThanOrEqual, float, low),
        };
        let too_high = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, float, high);
        let outside = self.builder.ins().bor(too_low, too_high);
        self.trapnz(outside, TrapCode::IntegerOverflow);
    }
}

/// All bits of a type, as a constant has them.
fn mask(ty: Type) -> i64 {
    (u64::MAX >> (64 - ty.bits())) as i64
}

/// What floats may be converted to an integer. Every bound is a float of the type.
struct Convertible {
    above: f64,
    /// Whether `above` itself may be.
    inclusive: bool,
    below: f64,
}

fn convertible(from: Type, to: Type, signed: bool) -> Convertible {
    let bits = to.bits() as i32;
    if !signed {
        return Convertible { above: -1.0, inclusive: false, below: 2f64.powi(bits) };
    }
    let limit = 2f64.powi(bits - 1);
    // Where a float lies between the least integer and the one below, its integer part is the least.
    let exact = from == types::F64 && bits == 32;
    let above = if exact { -limit - 1.0 } else { -limit };
    Convertible { above, inclusive: !exact, below: limit }
}
