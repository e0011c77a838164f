//! The table from operators to the methods that translate them.
//!
//! Arms are in the order of the binary format. Vectors have a table of their own, in `simd`: this
//! one is for what every module uses.

use super::Result;
use super::function::FuncTranslator;
use super::gc::Extension;
use super::rounding::Rounding;
use crate::error::CompileError;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, types};
use wasmparser::Operator;

impl FuncTranslator<'_, '_> {
    /// Translates one operator.
    pub(super) fn operator(&mut self, operator: &Operator<'_>) -> Result {
        match self.dead {
            None => self.reachable_operator(operator),
            Some(nested) => self.unreachable_operator(operator, nested),
        }
    }

    /// Skips an unreachable operator, except where it ends or divides an open block.
    fn unreachable_operator(&mut self, operator: &Operator<'_>, nested: u32) -> Result {
        match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => {
                self.dead = Some(nested + 1);
            }
            Operator::Try { .. } => {
                self.meet_try();
                self.dead = Some(nested + 1);
            }
            Operator::Catch { .. } | Operator::CatchAll if nested == 0 => return self.catch(),
            Operator::Delegate { .. } if nested == 0 => return self.end(),
            Operator::Delegate { .. } => self.dead = Some(nested - 1),
            Operator::Else if nested == 0 => return self.else_(),
            Operator::End if nested == 0 => return self.end(),
            Operator::End => self.dead = Some(nested - 1),
            _ => {}
        }
        Ok(())
    }

    fn reachable_operator(&mut self, operator: &Operator<'_>) -> Result {
        match *operator {
            // Control.
            Operator::Unreachable => self.unreachable(),
            Operator::Nop => Ok(()),
            Operator::Block { blockty } => self.block(blockty),
            Operator::Loop { blockty } => self.loop_(blockty),
            Operator::If { blockty } => self.if_(blockty),
            Operator::Else => self.else_(),
            Operator::End => self.end(),
            Operator::Br { relative_depth } => self.br(relative_depth),
            Operator::BrIf { relative_depth } => self.br_if(relative_depth),
            Operator::BrTable { ref targets } => self.br_table(targets),
            Operator::Return => self.return_(),
            Operator::TryTable { ref try_table } => self.try_table(try_table),
            Operator::Throw { tag_index } => self.throw(tag_index),
            Operator::ThrowRef => self.throw_ref(),
            Operator::Try { blockty } => self.try_(blockty),
            Operator::Catch { .. } | Operator::CatchAll => self.catch(),
            Operator::Delegate { .. } => self.end(),
            Operator::Rethrow { relative_depth } => self.rethrow(relative_depth),
            // Calls.
            Operator::Call { function_index } => self.call(function_index),
            Operator::CallIndirect { type_index, table_index } => {
                self.call_indirect(type_index, table_index)
            }
            Operator::ReturnCall { function_index } => self.return_call(function_index),
            Operator::ReturnCallIndirect { type_index, table_index } => {
                self.return_call_indirect(type_index, table_index)
            }
            Operator::CallRef { type_index } => self.call_ref(type_index),
            Operator::ReturnCallRef { type_index } => self.return_call_ref(type_index),
            // Values and variables.
            Operator::Drop => self.drop_operand(),
            Operator::Select => self.select(),
            Operator::TypedSelect { ty } => self.typed_select(ty),
            Operator::LocalGet { local_index } => self.local_get(local_index),
            Operator::LocalSet { local_index } => self.local_set(local_index),
            Operator::LocalTee { local_index } => self.local_tee(local_index),
            Operator::GlobalGet { global_index } => self.global_get(global_index),
            Operator::GlobalSet { global_index } => self.global_set(global_index),
            // Memory.
            Operator::I32Load { ref memarg } => self.load(memarg, types::I32),
            Operator::I64Load { ref memarg } => self.load(memarg, types::I64),
            Operator::F32Load { ref memarg } => self.load(memarg, types::F32),
            Operator::F64Load { ref memarg } => self.load(memarg, types::F64),
            Operator::I32Load8S { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.sload8(types::I32, at.flags, at.address, at.offset)
            }),
            Operator::I32Load8U { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.uload8(types::I32, at.flags, at.address, at.offset)
            }),
            Operator::I32Load16S { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.sload16(types::I32, at.flags, at.address, at.offset)
            }),
            Operator::I32Load16U { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.uload16(types::I32, at.flags, at.address, at.offset)
            }),
            Operator::I64Load8S { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.sload8(types::I64, at.flags, at.address, at.offset)
            }),
            Operator::I64Load8U { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.uload8(types::I64, at.flags, at.address, at.offset)
            }),
            Operator::I64Load16S { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.sload16(types::I64, at.flags, at.address, at.offset)
            }),
            Operator::I64Load16U { ref memarg } => self.load_with(memarg, |ins, at| {
                ins.uload16(types::I64, at.flags, at.address, at.offset)
            }),
            Operator::I64Load32S { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.sload32(at.flags, at.address, at.offset))
            }
            Operator::I64Load32U { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.uload32(at.flags, at.address, at.offset))
            }
            Operator::I32Store { ref memarg }
            | Operator::I64Store { ref memarg }
            | Operator::F32Store { ref memarg }
            | Operator::F64Store { ref memarg } => self.store(memarg),
            Operator::I32Store8 { ref memarg } | Operator::I64Store8 { ref memarg } => {
                self.store_low(memarg, types::I8)
            }
            Operator::I32Store16 { ref memarg } | Operator::I64Store16 { ref memarg } => {
                self.store_low(memarg, types::I16)
            }
            Operator::I64Store32 { ref memarg } => self.store_low(memarg, types::I32),
            Operator::MemorySize { mem } => self.memory_size(mem),
            Operator::MemoryGrow { mem } => self.memory_grow(mem),
            // Constants.
            Operator::I32Const { value } => self.i32_const(value),
            Operator::I64Const { value } => self.i64_const(value),
            Operator::F32Const { value } => self.f32_const(value.bits()),
            Operator::F64Const { value } => self.f64_const(value.bits()),
            // Comparisons.
            Operator::I32Eqz | Operator::I64Eqz => self.is_zero(),
            Operator::I32Eq | Operator::I64Eq => self.compare_ints(IntCC::Equal),
            Operator::I32Ne | Operator::I64Ne => self.compare_ints(IntCC::NotEqual),
            Operator::I32LtS | Operator::I64LtS => self.compare_ints(IntCC::SignedLessThan),
            Operator::I32LtU | Operator::I64LtU => self.compare_ints(IntCC::UnsignedLessThan),
            Operator::I32GtS | Operator::I64GtS => self.compare_ints(IntCC::SignedGreaterThan),
            Operator::I32GtU | Operator::I64GtU => self.compare_ints(IntCC::UnsignedGreaterThan),
            Operator::I32LeS | Operator::I64LeS => self.compare_ints(IntCC::SignedLessThanOrEqual),
            Operator::I32LeU | Operator::I64LeU => {
                self.compare_ints(IntCC::UnsignedLessThanOrEqual)
            }
            Operator::I32GeS | Operator::I64GeS => {
                self.compare_ints(IntCC::SignedGreaterThanOrEqual)
            }
            Operator::I32GeU | Operator::I64GeU => {
                self.compare_ints(IntCC::UnsignedGreaterThanOrEqual)
            }
            Operator::F32Eq | Operator::F64Eq => self.compare_floats(FloatCC::Equal),
            Operator::F32Ne | Operator::F64Ne => self.compare_floats(FloatCC::NotEqual),
            Operator::F32Lt | Operator::F64Lt => self.compare_floats(FloatCC::LessThan),
            Operator::F32Gt | Operator::F64Gt => self.compare_floats(FloatCC::GreaterThan),
            Operator::F32Le | Operator::F64Le => self.compare_floats(FloatCC::LessThanOrEqual),
            Operator::F32Ge | Operator::F64Ge => self.compare_floats(FloatCC::GreaterThanOrEqual),
            // Integer arithmetic.
            Operator::I32Clz | Operator::I64Clz => self.unary(|ins, x| ins.clz(x)),
            Operator::I32Ctz | Operator::I64Ctz => self.unary(|ins, x| ins.ctz(x)),
            Operator::I32Popcnt | Operator::I64Popcnt => self.unary(|ins, x| ins.popcnt(x)),
            Operator::I32Add | Operator::I64Add => self.binary(|ins, x, y| ins.iadd(x, y)),
            Operator::I32Sub | Operator::I64Sub => self.binary(|ins, x, y| ins.isub(x, y)),
            Operator::I32Mul | Operator::I64Mul => self.binary(|ins, x, y| ins.imul(x, y)),
            Operator::I32DivS | Operator::I64DivS => self.div_signed(),
            Operator::I32DivU | Operator::I64DivU => self.div_unsigned(),
            Operator::I32RemS | Operator::I64RemS => self.rem_signed(),
            Operator::I32RemU | Operator::I64RemU => self.rem_unsigned(),
            Operator::I32And | Operator::I64And => self.binary(|ins, x, y| ins.band(x, y)),
            Operator::I32Or | Operator::I64Or => self.binary(|ins, x, y| ins.bor(x, y)),
            Operator::I32Xor | Operator::I64Xor => self.binary(|ins, x, y| ins.bxor(x, y)),
            Operator::I32Shl | Operator::I64Shl => self.binary(|ins, x, y| ins.ishl(x, y)),
            Operator::I32ShrS | Operator::I64ShrS => self.binary(|ins, x, y| ins.sshr(x, y)),
            Operator::I32ShrU | Operator::I64ShrU => self.binary(|ins, x, y| ins.ushr(x, y)),
            Operator::I32Rotl | Operator::I64Rotl => self.binary(|ins, x, y| ins.rotl(x, y)),
            Operator::I32Rotr | Operator::I64Rotr => self.binary(|ins, x, y| ins.rotr(x, y)),
            // Float arithmetic.
            Operator::F32Abs | Operator::F64Abs => self.unary(|ins, x| ins.fabs(x)),
            Operator::F32Neg | Operator::F64Neg => self.unary(|ins, x| ins.fneg(x)),
            Operator::F32Ceil | Operator::F64Ceil => self.round_operand(Rounding::Ceil),
            Operator::F32Floor | Operator::F64Floor => self.round_operand(Rounding::Floor),
            Operator::F32Trunc | Operator::F64Trunc => self.round_operand(Rounding::Trunc),
            Operator::F32Nearest | Operator::F64Nearest => self.round_operand(Rounding::Nearest),
            Operator::F32Sqrt | Operator::F64Sqrt => self.unary(|ins, x| ins.sqrt(x)),
            Operator::F32Add | Operator::F64Add => self.binary(|ins, x, y| ins.fadd(x, y)),
            Operator::F32Sub | Operator::F64Sub => self.binary(|ins, x, y| ins.fsub(x, y)),
            Operator::F32Mul | Operator::F64Mul => self.binary(|ins, x, y| ins.fmul(x, y)),
            Operator::F32Div | Operator::F64Div => self.binary(|ins, x, y| ins.fdiv(x, y)),
            Operator::F32Min | Operator::F64Min => self.binary(|ins, x, y| ins.fmin(x, y)),
            Operator::F32Max | Operator::F64Max => self.binary(|ins, x, y| ins.fmax(x, y)),
            Operator::F32Copysign | Operator::F64Copysign => {
                self.binary(|ins, x, y| ins.fcopysign(x, y))
            }
            // Conversions.
            Operator::I32WrapI64 => self.wrap(),
            Operator::I64ExtendI32S => self.extend_signed(),
            Operator::I64ExtendI32U => self.extend_unsigned(),
            Operator::I32TruncF32S | Operator::I32TruncF64S => self.trunc(types::I32, true),
            Operator::I32TruncSatF32S | Operator::I32TruncSatF64S => {
                self.trunc_sat_signed(types::I32)
            }
            Operator::I32TruncF32U | Operator::I32TruncF64U => self.trunc(types::I32, false),
            Operator::I32TruncSatF32U | Operator::I32TruncSatF64U => {
                self.trunc_sat_unsigned(types::I32)
            }
            Operator::I64TruncF32S | Operator::I64TruncF64S => self.trunc(types::I64, true),
            Operator::I64TruncSatF32S | Operator::I64TruncSatF64S => {
                self.trunc_sat_signed(types::I64)
            }
            Operator::I64TruncF32U | Operator::I64TruncF64U => self.trunc(types::I64, false),
            Operator::I64TruncSatF32U | Operator::I64TruncSatF64U => {
                self.trunc_sat_unsigned(types::I64)
            }
            Operator::F32ConvertI32S | Operator::F32ConvertI64S => self.convert_signed(types::F32),
            Operator::F32ConvertI32U | Operator::F32ConvertI64U => {
                self.convert_unsigned(types::F32)
            }
            Operator::F64ConvertI32S | Operator::F64ConvertI64S => self.convert_signed(types::F64),
            Operator::F64ConvertI32U | Operator::F64ConvertI64U => {
                self.convert_unsigned(types::F64)
            }
            Operator::F32DemoteF64 => self.demote(),
            Operator::F64PromoteF32 => self.promote(),
            Operator::I32ReinterpretF32 => self.reinterpret(types::I32),
            Operator::I64ReinterpretF64 => self.reinterpret(types::I64),
            Operator::F32ReinterpretI32 => self.reinterpret(types::F32),
            Operator::F64ReinterpretI64 => self.reinterpret(types::F64),
            Operator::I32Extend8S => self.sign_extend_low(types::I8, types::I32),
            Operator::I32Extend16S => self.sign_extend_low(types::I16, types::I32),
            Operator::I64Extend8S => self.sign_extend_low(types::I8, types::I64),
            Operator::I64Extend16S => self.sign_extend_low(types::I16, types::I64),
            Operator::I64Extend32S => self.sign_extend_low(types::I32, types::I64),
            // Numbers of 128 bits.
            Operator::I64Add128 => self.wide_binary(|ins, x, y| ins.iadd(x, y)),
            Operator::I64Sub128 => self.wide_binary(|ins, x, y| ins.isub(x, y)),
            Operator::I64MulWideS => self.wide_multiply(|ins, x| ins.sextend(types::I128, x)),
            Operator::I64MulWideU => self.wide_multiply(|ins, x| ins.uextend(types::I128, x)),
            // References and tables.
            Operator::RefNull { hty } => self.ref_null(hty),
            Operator::RefIsNull => self.is_zero(),
            Operator::RefFunc { function_index } => self.ref_func(function_index),
            Operator::RefAsNonNull => self.ref_as_non_null(),
            Operator::BrOnNull { relative_depth } => self.br_on_null(relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.br_on_non_null(relative_depth),
            Operator::TableGet { table } => self.table_get(table),
            Operator::TableSet { table } => self.table_set(table),
            Operator::TableSize { table } => self.table_size(table),
            Operator::TableGrow { table } => self.table_grow(table),
            Operator::TableFill { table } => self.table_fill(table),
            // Bulk operations.
            Operator::MemoryInit { data_index, mem } => self.memory_init(mem, data_index),
            Operator::DataDrop { data_index } => self.data_drop(data_index),
            Operator::MemoryCopy { dst_mem, src_mem } => self.memory_copy(dst_mem, src_mem),
            Operator::MemoryFill { mem } => self.memory_fill(mem),
            Operator::MemoryDiscard { mem } => self.memory_discard(mem),
            Operator::TableInit { elem_index, table } => self.table_init(table, elem_index),
            Operator::ElemDrop { elem_index } => self.elem_drop(elem_index),
            Operator::TableCopy { dst_table, src_table } => self.table_copy(dst_table, src_table),
            ref other => self.object_operator(other),
        }
    }

    /// Translates an operator on objects of the heap.
    fn object_operator(&mut self, operator: &Operator<'_>) -> Result {
        match *operator {
            Operator::RefEq => self.ref_eq(),
            Operator::RefI31 => self.ref_i31(),
            Operator::I31GetS => self.i31_get(true),
            Operator::I31GetU => self.i31_get(false),
            // The same reference, seen from the other side.
            Operator::AnyConvertExtern | Operator::ExternConvertAny => Ok(()),
            Operator::RefTestNonNull { hty } => {
                let target = self.target_type(false, hty)?;
                self.ref_test(target)
            }
            Operator::RefTestNullable { hty } => {
                let target = self.target_type(true, hty)?;
                self.ref_test(target)
            }
            Operator::RefCastNonNull { hty } => {
                let target = self.target_type(false, hty)?;
                self.ref_cast(target)
            }
            Operator::RefCastNullable { hty } => {
                let target = self.target_type(true, hty)?;
                self.ref_cast(target)
            }
            Operator::BrOnCast { relative_depth, to_ref_type, .. } => {
                let target =
                    self.target_type(to_ref_type.is_nullable(), to_ref_type.heap_type())?;
                self.br_on_cast(relative_depth, target, true)
            }
            Operator::BrOnCastFail { relative_depth, to_ref_type, .. } => {
                let target =
                    self.target_type(to_ref_type.is_nullable(), to_ref_type.heap_type())?;
                self.br_on_cast(relative_depth, target, false)
            }
            Operator::StructNew { struct_type_index } => self.struct_new(struct_type_index),
            Operator::StructNewDefault { struct_type_index } => {
                self.struct_new_default(struct_type_index)
            }
            Operator::StructGet { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Extension::None)
            }
            Operator::StructGetS { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Extension::Signed)
            }
            Operator::StructGetU { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Extension::Unsigned)
            }
            Operator::StructSet { struct_type_index, field_index } => {
                self.struct_set(struct_type_index, field_index)
            }
            Operator::ArrayNew { array_type_index } => self.array_new(array_type_index),
            Operator::ArrayNewDefault { array_type_index } => {
                self.array_new_default(array_type_index)
            }
            Operator::ArrayNewFixed { array_type_index, array_size } => {
                self.array_new_fixed(array_type_index, array_size)
            }
            Operator::ArrayNewData { array_type_index, array_data_index } => {
                self.array_new_data(array_type_index, array_data_index)
            }
            Operator::ArrayNewElem { array_type_index, array_elem_index } => {
                self.array_new_elem(array_type_index, array_elem_index)
            }
            Operator::ArrayGet { array_type_index } => {
                self.array_get(array_type_index, Extension::None)
            }
            Operator::ArrayGetS { array_type_index } => {
                self.array_get(array_type_index, Extension::Signed)
            }
            Operator::ArrayGetU { array_type_index } => {
                self.array_get(array_type_index, Extension::Unsigned)
            }
            Operator::ArraySet { array_type_index } => self.array_set(array_type_index),
            Operator::ArrayLen => self.array_len(),
            Operator::ArrayFill { array_type_index } => self.array_fill(array_type_index),
            Operator::ArrayCopy { array_type_index_dst, .. } => {
                self.array_copy(array_type_index_dst)
            }
            Operator::ArrayInitData { array_type_index, array_data_index } => {
                self.array_init_data(array_type_index, array_data_index)
            }
            Operator::ArrayInitElem { array_type_index, array_elem_index } => {
                self.array_init_elem(array_type_index, array_elem_index)
            }
            ref other => self.vector_operator(other),
        }
    }
}

/// What to say of an operator that has no place in any table.
pub(super) fn unsupported(operator: &Operator<'_>) -> CompileError {
    CompileError::Unsupported(format!("operator {operator:?}"))
}
