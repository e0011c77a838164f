//! Which family an operator belongs to, and who translates the family.
//!
//! `families!` below is the one list of operators. It makes an enum of each family, and the family's own file matches on
//! that enum. So the compiler asks for an arm for each operator of the family, and for a family for each operator that
//! the parser knows.

use super::Result;
use super::function::{FuncTranslator, read_error};
use crate::error::CompileError;
use wasmparser::{
    BlockType, BrTable, HeapType, Ieee32, Ieee64, MemArg, OperatorsReader, Ordering, RefType,
    ResumeTable, TryTable, V128, ValType, VisitOperator, VisitSimdOperator,
};

/// Reads the next operator.
pub(super) fn read_operator<'a>(reader: &mut OperatorsReader<'a>) -> Result<Family<'a>> {
    reader.visit_operator(&mut Sorter).map_err(read_error)
}

impl FuncTranslator<'_, '_> {
    /// Translates one operator.
    pub(super) fn operator(&mut self, operator: Family<'_>) -> Result {
        if let Some(nested) = self.dead {
            return match operator {
                Family::Control(operator) => self.unreachable_control_operator(operator, nested),
                _ => Ok(()),
            };
        }
        match operator {
            Family::Control(operator) => self.control_operator(operator),
            Family::Call(operator) => self.call_operator(operator),
            Family::Variable(operator) => self.variable_operator(operator),
            Family::Memory(operator) => self.memory_operator(operator),
            Family::Numeric(operator) => self.numeric_operator(operator),
            Family::Conversion(operator) => self.conversion_operator(operator),
            Family::Wide(operator) => self.wide_operator(operator),
            Family::Reference(operator) => self.reference_operator(operator),
            Family::Table(operator) => self.table_operator(operator),
            Family::Object(operator) => self.object_operator(operator),
            Family::Vector(operator) => self.vector_operator(operator),
            Family::Atomic(operator) => self.atomic_operator(operator),
            Family::Refused(operator) => {
                Err(CompileError::Unsupported(format!("operator {operator:?}")))
            }
        }
    }
}

/// Gives each operator that the parser reads its family.
struct Sorter;

/// Makes the enums from the list: for each family the operators without immediates (`plain`), then the others (`with`
/// their immediates, as the parser has them). For each operator the [`Sorter`] gets a function of its name.
macro_rules! families {
    ($(
        $(#[$doc:meta])+
        $family:ident $(<$life:lifetime>)? {
            $(plain [$($plain:ident)+])?
            $(with $immediates:tt [$($op:ident)+])*
        }
    )+) => {
        /// An operator in its family.
        pub(super) enum Family<'a> {
            $($(#[$doc])+ $family($family $(<$life>)?),)+
        }

        $($(#[$doc])+
        // The names are the parser's, and not all immediates matter to the translator.
        #[allow(clippy::enum_variant_names, dead_code)]
        #[derive(Debug)]
        pub(super) enum $family $(<$life>)? {
            $($($plain,)+)?
            $($($op $immediates,)+)*
        })+

        #[allow(non_snake_case)]
        impl<'a> Sorter {
            $(
                $($(fn $plain() -> Family<'a> { Family::$family($family::$plain) })+)?
                $($(families!(@sort $family $op $immediates);)+)*
            )+
        }
    };
    (@sort $family:ident $op:ident { $($immediate:ident: $ty:ty),+ }) => {
        fn $op($($immediate: $ty),+) -> Family<'a> { Family::$family($family::$op { $($immediate),+ }) }
    };
}

/// Makes the parser's visitor of its own list of operators. "No associated item named `X` found for struct `Sorter`" says
/// that the parser knows an operator which has no family.
macro_rules! sort_operators {
    ($(@$proposal:ident $op:ident $({ $($immediate:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        $(fn $visit(&mut self $($(, $immediate: $ty)*)?) -> Family<'a> { Sorter::$op($($($immediate),*)?) })*
    };
}

impl<'a> VisitOperator<'a> for Sorter {
    type Output = Family<'a>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Family<'a>>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(sort_operators);
}

impl<'a> VisitSimdOperator<'a> for Sorter {
    wasmparser::for_each_visit_simd_operator!(sort_operators);
}

families! {
    /// Blocks, branches, exceptions.
    Control<'a> {
        plain [Unreachable Nop Else End Return ThrowRef CatchAll]
        with { blockty: BlockType } [Block Loop If Try]
        with { relative_depth: u32 } [Br BrIf Rethrow Delegate BrOnNull BrOnNonNull]
        with { targets: BrTable<'a> } [BrTable]
        with { try_table: TryTable } [TryTable]
        with { tag_index: u32 } [Throw Catch]
        with { relative_depth: u32, from_ref_type: RefType, to_ref_type: RefType } [BrOnCast BrOnCastFail]
    }

    /// Calls.
    Call {
        with { function_index: u32 } [Call ReturnCall]
        with { type_index: u32, table_index: u32 } [CallIndirect ReturnCallIndirect]
        with { type_index: u32 } [CallRef ReturnCallRef]
    }

    /// Operands, locals, globals.
    Variable {
        plain [Drop Select]
        with { local_index: u32 } [LocalGet LocalSet LocalTee]
        with { global_index: u32 } [GlobalGet GlobalSet]
        with { ty: ValType } [TypedSelect]
    }

    /// Linear memories.
    Memory {
        with { memarg: MemArg } [
            I32Load I64Load F32Load F64Load I32Load8S I32Load8U I32Load16S I32Load16U I64Load8S
            I64Load8U I64Load16S I64Load16U I64Load32S I64Load32U I32Store I64Store F32Store F64Store
            I32Store8 I32Store16 I64Store8 I64Store16 I64Store32
        ]
        with { mem: u32 } [MemorySize MemoryGrow MemoryFill MemoryDiscard]
        with { data_index: u32, mem: u32 } [MemoryInit]
        with { data_index: u32 } [DataDrop]
        with { dst_mem: u32, src_mem: u32 } [MemoryCopy]
    }

    /// Constants; arithmetic and comparisons of numbers.
    Numeric {
        plain [
            I32Eqz I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU I32Clz I32Ctz
            I32Popcnt I32Add I32Sub I32Mul I32DivS I32DivU I32RemS I32RemU I32And I32Or I32Xor I32Shl
            I32ShrS I32ShrU I32Rotl I32Rotr
            I64Eqz I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU I64Clz I64Ctz
            I64Popcnt I64Add I64Sub I64Mul I64DivS I64DivU I64RemS I64RemU I64And I64Or I64Xor I64Shl
            I64ShrS I64ShrU I64Rotl I64Rotr
            F32Eq F32Ne F32Lt F32Gt F32Le F32Ge F32Abs F32Neg F32Ceil F32Floor F32Trunc F32Nearest
            F32Sqrt F32Add F32Sub F32Mul F32Div F32Min F32Max F32Copysign
            F64Eq F64Ne F64Lt F64Gt F64Le F64Ge F64Abs F64Neg F64Ceil F64Floor F64Trunc F64Nearest
            F64Sqrt F64Add F64Sub F64Mul F64Div F64Min F64Max F64Copysign
        ]
        with { value: i32 } [I32Const]
        with { value: i64 } [I64Const]
        with { value: Ieee32 } [F32Const]
        with { value: Ieee64 } [F64Const]
    }

    /// Conversions between numbers.
    Conversion {
        plain [
            I32WrapI64 I32TruncF32S I32TruncF32U I32TruncF64S I32TruncF64U I32ReinterpretF32 I32Extend8S
            I32Extend16S I32TruncSatF32S I32TruncSatF32U I32TruncSatF64S I32TruncSatF64U
            I64ExtendI32S I64ExtendI32U I64TruncF32S I64TruncF32U I64TruncF64S I64TruncF64U
            I64ReinterpretF64 I64Extend8S I64Extend16S I64Extend32S I64TruncSatF32S I64TruncSatF32U
            I64TruncSatF64S I64TruncSatF64U
            F32ConvertI32S F32ConvertI32U F32ConvertI64S F32ConvertI64U F32DemoteF64 F32ReinterpretI32
            F64ConvertI32S F64ConvertI32U F64ConvertI64S F64ConvertI64U F64PromoteF32 F64ReinterpretI64
        ]
    }

    /// Arithmetic on numbers of 128 bits.
    Wide {
        plain [I64Add128 I64Sub128 I64MulWideS I64MulWideU]
    }

    /// References of any kind.
    Reference {
        plain [RefIsNull RefAsNonNull]
        with { hty: HeapType } [RefNull]
        with { function_index: u32 } [RefFunc]
    }

    /// Tables.
    Table {
        with { elem_index: u32, table: u32 } [TableInit]
        with { elem_index: u32 } [ElemDrop]
        with { dst_table: u32, src_table: u32 } [TableCopy]
        with { table: u32 } [TableFill TableGet TableSet TableGrow TableSize]
    }

    /// Objects of the heap; tests and casts of references.
    Object {
        plain [RefEq ArrayLen AnyConvertExtern ExternConvertAny RefI31 I31GetS I31GetU]
        with { struct_type_index: u32 } [StructNew StructNewDefault]
        with { struct_type_index: u32, field_index: u32 } [StructGet StructGetS StructGetU StructSet]
        with { array_type_index: u32 } [ArrayNew ArrayNewDefault ArrayGet ArrayGetS ArrayGetU ArraySet ArrayFill]
        with { array_type_index: u32, array_size: u32 } [ArrayNewFixed]
        with { array_type_index: u32, array_data_index: u32 } [ArrayNewData ArrayInitData]
        with { array_type_index: u32, array_elem_index: u32 } [ArrayNewElem ArrayInitElem]
        with { array_type_index_dst: u32, array_type_index_src: u32 } [ArrayCopy]
        with { hty: HeapType } [RefTestNonNull RefTestNullable RefCastNonNull RefCastNullable]
    }

    /// Vectors of 128 bits.
    Vector {
        plain [
            I8x16Swizzle I8x16Splat I8x16Eq I8x16Ne I8x16LtS I8x16LtU I8x16GtS I8x16GtU I8x16LeS
            I8x16LeU I8x16GeS I8x16GeU I8x16Abs I8x16Neg I8x16Popcnt I8x16AllTrue I8x16Bitmask
            I8x16NarrowI16x8S I8x16NarrowI16x8U I8x16Shl I8x16ShrS I8x16ShrU I8x16Add I8x16AddSatS
            I8x16AddSatU I8x16Sub I8x16SubSatS I8x16SubSatU I8x16MinS I8x16MinU I8x16MaxS I8x16MaxU
            I8x16AvgrU I8x16RelaxedSwizzle I8x16RelaxedLaneselect
            I16x8Splat I16x8Eq I16x8Ne I16x8LtS I16x8LtU I16x8GtS I16x8GtU I16x8LeS I16x8LeU I16x8GeS
            I16x8GeU I16x8ExtAddPairwiseI8x16S I16x8ExtAddPairwiseI8x16U I16x8Abs I16x8Neg
            I16x8Q15MulrSatS I16x8AllTrue I16x8Bitmask I16x8NarrowI32x4S I16x8NarrowI32x4U
            I16x8ExtendLowI8x16S I16x8ExtendHighI8x16S I16x8ExtendLowI8x16U I16x8ExtendHighI8x16U
            I16x8Shl I16x8ShrS I16x8ShrU I16x8Add I16x8AddSatS I16x8AddSatU I16x8Sub I16x8SubSatS
            I16x8SubSatU I16x8Mul I16x8MinS I16x8MinU I16x8MaxS I16x8MaxU I16x8AvgrU
            I16x8ExtMulLowI8x16S I16x8ExtMulHighI8x16S I16x8ExtMulLowI8x16U I16x8ExtMulHighI8x16U
            I16x8RelaxedLaneselect I16x8RelaxedQ15mulrS I16x8RelaxedDotI8x16I7x16S
            I32x4Splat I32x4Eq I32x4Ne I32x4LtS I32x4LtU I32x4GtS I32x4GtU I32x4LeS I32x4LeU I32x4GeS
            I32x4GeU I32x4ExtAddPairwiseI16x8S I32x4ExtAddPairwiseI16x8U I32x4Abs I32x4Neg I32x4AllTrue
            I32x4Bitmask I32x4ExtendLowI16x8S I32x4ExtendHighI16x8S I32x4ExtendLowI16x8U
            I32x4ExtendHighI16x8U I32x4Shl I32x4ShrS I32x4ShrU I32x4Add I32x4Sub I32x4Mul I32x4MinS
            I32x4MinU I32x4MaxS I32x4MaxU I32x4DotI16x8S I32x4ExtMulLowI16x8S I32x4ExtMulHighI16x8S
            I32x4ExtMulLowI16x8U I32x4ExtMulHighI16x8U I32x4TruncSatF32x4S I32x4TruncSatF32x4U
            I32x4TruncSatF64x2SZero I32x4TruncSatF64x2UZero I32x4RelaxedTruncF32x4S
            I32x4RelaxedTruncF32x4U I32x4RelaxedTruncF64x2SZero I32x4RelaxedTruncF64x2UZero
            I32x4RelaxedLaneselect I32x4RelaxedDotI8x16I7x16AddS
            I64x2Splat I64x2Eq I64x2Ne I64x2LtS I64x2GtS I64x2LeS I64x2GeS I64x2Abs I64x2Neg
            I64x2AllTrue I64x2Bitmask I64x2ExtendLowI32x4S I64x2ExtendHighI32x4S I64x2ExtendLowI32x4U
            I64x2ExtendHighI32x4U I64x2Shl I64x2ShrS I64x2ShrU I64x2Add I64x2Sub I64x2Mul
            I64x2ExtMulLowI32x4S I64x2ExtMulHighI32x4S I64x2ExtMulLowI32x4U I64x2ExtMulHighI32x4U
            I64x2RelaxedLaneselect
            F32x4Splat F32x4Eq F32x4Ne F32x4Lt F32x4Gt F32x4Le F32x4Ge F32x4Ceil F32x4Floor F32x4Trunc
            F32x4Nearest F32x4Abs F32x4Neg F32x4Sqrt F32x4Add F32x4Sub F32x4Mul F32x4Div F32x4Min
            F32x4Max F32x4PMin F32x4PMax F32x4ConvertI32x4S F32x4ConvertI32x4U F32x4DemoteF64x2Zero
            F32x4RelaxedMadd F32x4RelaxedNmadd F32x4RelaxedMin F32x4RelaxedMax
            F64x2Splat F64x2Eq F64x2Ne F64x2Lt F64x2Gt F64x2Le F64x2Ge F64x2Ceil F64x2Floor F64x2Trunc
            F64x2Nearest F64x2Abs F64x2Neg F64x2Sqrt F64x2Add F64x2Sub F64x2Mul F64x2Div F64x2Min
            F64x2Max F64x2PMin F64x2PMax F64x2ConvertLowI32x4S F64x2ConvertLowI32x4U
            F64x2PromoteLowF32x4 F64x2RelaxedMadd F64x2RelaxedNmadd F64x2RelaxedMin F64x2RelaxedMax
            V128Not V128And V128AndNot V128Or V128Xor V128Bitselect V128AnyTrue
        ]
        with { memarg: MemArg } [
            V128Load V128Load8x8S V128Load8x8U V128Load16x4S V128Load16x4U V128Load32x2S V128Load32x2U
            V128Load8Splat V128Load16Splat V128Load32Splat V128Load64Splat V128Load32Zero V128Load64Zero
            V128Store
        ]
        with { memarg: MemArg, lane: u8 } [
            V128Load8Lane V128Load16Lane V128Load32Lane V128Load64Lane V128Store8Lane V128Store16Lane
            V128Store32Lane V128Store64Lane
        ]
        with { value: V128 } [V128Const]
        with { lanes: [u8; 16] } [I8x16Shuffle]
        with { lane: u8 } [
            I8x16ExtractLaneS I8x16ExtractLaneU I8x16ReplaceLane
            I16x8ExtractLaneS I16x8ExtractLaneU I16x8ReplaceLane
            I32x4ExtractLane I32x4ReplaceLane
            I64x2ExtractLane I64x2ReplaceLane
            F32x4ExtractLane F32x4ReplaceLane
            F64x2ExtractLane F64x2ReplaceLane
        ]
    }

    /// Atomic accesses of linear memories; waiting and notifying.
    Atomic {
        with { ordering: Ordering } [AtomicFence]
        with { memarg: MemArg } [
            MemoryAtomicNotify MemoryAtomicWait32 MemoryAtomicWait64
            I32AtomicLoad I32AtomicLoad8U I32AtomicLoad16U I32AtomicStore I32AtomicStore8
            I32AtomicStore16 I32AtomicRmwAdd I32AtomicRmw8AddU I32AtomicRmw16AddU I32AtomicRmwSub
            I32AtomicRmw8SubU I32AtomicRmw16SubU I32AtomicRmwAnd I32AtomicRmw8AndU I32AtomicRmw16AndU
            I32AtomicRmwOr I32AtomicRmw8OrU I32AtomicRmw16OrU I32AtomicRmwXor I32AtomicRmw8XorU
            I32AtomicRmw16XorU I32AtomicRmwXchg I32AtomicRmw8XchgU I32AtomicRmw16XchgU
            I32AtomicRmwCmpxchg I32AtomicRmw8CmpxchgU I32AtomicRmw16CmpxchgU
            I64AtomicLoad I64AtomicLoad8U I64AtomicLoad16U I64AtomicLoad32U I64AtomicStore
            I64AtomicStore8 I64AtomicStore16 I64AtomicStore32 I64AtomicRmwAdd I64AtomicRmw8AddU
            I64AtomicRmw16AddU I64AtomicRmw32AddU I64AtomicRmwSub I64AtomicRmw8SubU I64AtomicRmw16SubU
            I64AtomicRmw32SubU I64AtomicRmwAnd I64AtomicRmw8AndU I64AtomicRmw16AndU I64AtomicRmw32AndU
            I64AtomicRmwOr I64AtomicRmw8OrU I64AtomicRmw16OrU I64AtomicRmw32OrU I64AtomicRmwXor
            I64AtomicRmw8XorU I64AtomicRmw16XorU I64AtomicRmw32XorU I64AtomicRmwXchg I64AtomicRmw8XchgU
            I64AtomicRmw16XchgU I64AtomicRmw32XchgU I64AtomicRmwCmpxchg I64AtomicRmw8CmpxchgU
            I64AtomicRmw16CmpxchgU I64AtomicRmw32CmpxchgU
        ]
    }

    /// Operators that this engine does not translate.
    Refused {
        plain [RefI31Shared Pause]
        // Valid in no module.
        with { tys: Vec<ValType> } [TypedSelectMulti]
        // Custom descriptors.
        with { struct_type_index: u32 } [StructNewDesc StructNewDefaultDesc]
        with { type_index: u32 } [RefGetDesc]
        with { hty: HeapType } [RefCastDescEqNonNull RefCastDescEqNullable]
        with { relative_depth: u32, from_ref_type: RefType, to_ref_type: RefType } [
            BrOnCastDescEq BrOnCastDescEqFail
        ]
        // Shared-everything threads.
        with { ordering: Ordering, global_index: u32 } [
            GlobalAtomicGet GlobalAtomicSet GlobalAtomicRmwAdd GlobalAtomicRmwSub GlobalAtomicRmwAnd
            GlobalAtomicRmwOr GlobalAtomicRmwXor GlobalAtomicRmwXchg GlobalAtomicRmwCmpxchg
        ]
        with { ordering: Ordering, table_index: u32 } [
            TableAtomicGet TableAtomicSet TableAtomicRmwXchg TableAtomicRmwCmpxchg
        ]
        with { ordering: Ordering, struct_type_index: u32, field_index: u32 } [
            StructAtomicGet StructAtomicGetS StructAtomicGetU StructAtomicSet StructAtomicRmwAdd
            StructAtomicRmwSub StructAtomicRmwAnd StructAtomicRmwOr StructAtomicRmwXor StructAtomicRmwXchg
            StructAtomicRmwCmpxchg
        ]
        with { ordering: Ordering, array_type_index: u32 } [
            ArrayAtomicGet ArrayAtomicGetS ArrayAtomicGetU ArrayAtomicSet ArrayAtomicRmwAdd ArrayAtomicRmwSub
            ArrayAtomicRmwAnd ArrayAtomicRmwOr ArrayAtomicRmwXor ArrayAtomicRmwXchg ArrayAtomicRmwCmpxchg
        ]
        // Stack switching.
        with { cont_type_index: u32 } [ContNew]
        with { argument_index: u32, result_index: u32 } [ContBind]
        with { tag_index: u32 } [Suspend]
        with { cont_type_index: u32, resume_table: ResumeTable } [Resume ResumeThrowRef]
        with { cont_type_index: u32, tag_index: u32, resume_table: ResumeTable } [ResumeThrow]
        with { cont_type_index: u32, tag_index: u32 } [Switch]
    }
}
