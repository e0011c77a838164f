//! Conversions between numbers, except those that trap (in `traps`).

use super::Result;
use super::dispatch::Conversion;
use super::function::FuncTranslator;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, types};

impl FuncTranslator<'_, '_> {
    /// Translates a conversion.
    pub(super) fn conversion_operator(&mut self, operator: Conversion) -> Result {
        match operator {
            Conversion::I32WrapI64 => self.wrap(),
            Conversion::I64ExtendI32S => self.extend_signed(),
            Conversion::I64ExtendI32U => self.extend_unsigned(),
            Conversion::I32TruncF32S | Conversion::I32TruncF64S => self.trunc(types::I32, true),
            Conversion::I32TruncSatF32S | Conversion::I32TruncSatF64S => {
                self.trunc_sat_signed(types::I32)
            }
            Conversion::I32TruncF32U | Conversion::I32TruncF64U => self.trunc(types::I32, false),
            Conversion::I32TruncSatF32U | Conversion::I32TruncSatF64U => {
                self.trunc_sat_unsigned(types::I32)
            }
            Conversion::I64TruncF32S | Conversion::I64TruncF64S => self.trunc(types::I64, true),
            Conversion::I64TruncSatF32S | Conversion::I64TruncSatF64S => {
                self.trunc_sat_signed(types::I64)
            }
            Conversion::I64TruncF32U | Conversion::I64TruncF64U => self.trunc(types::I64, false),
            Conversion::I64TruncSatF32U | Conversion::I64TruncSatF64U => {
                self.trunc_sat_unsigned(types::I64)
            }
            Conversion::F32ConvertI32S | Conversion::F32ConvertI64S => {
                self.convert_signed(types::F32)
            }
            Conversion::F32ConvertI32U | Conversion::F32ConvertI64U => {
                self.convert_unsigned(types::F32)
            }
            Conversion::F64ConvertI32S | Conversion::F64ConvertI64S => {
                self.convert_signed(types::F64)
            }
            Conversion::F64ConvertI32U | Conversion::F64ConvertI64U => {
                self.convert_unsigned(types::F64)
            }
            Conversion::F32DemoteF64 => self.demote(),
            Conversion::F64PromoteF32 => self.promote(),
            Conversion::I32ReinterpretF32 => self.reinterpret(types::I32),
            Conversion::I64ReinterpretF64 => self.reinterpret(types::I64),
            Conversion::F32ReinterpretI32 => self.reinterpret(types::F32),
            Conversion::F64ReinterpretI64 => self.reinterpret(types::F64),
            Conversion::I32Extend8S => self.sign_extend_low(types::I8, types::I32),
            Conversion::I32Extend16S => self.sign_extend_low(types::I16, types::I32),
            Conversion::I64Extend8S => self.sign_extend_low(types::I8, types::I64),
            Conversion::I64Extend16S => self.sign_extend_low(types::I16, types::I64),
            Conversion::I64Extend32S => self.sign_extend_low(types::I32, types::I64),
        }
    }

    /// Takes the low bits as a signed number and gives it the width of the whole.
    pub(super) fn sign_extend_low(&mut self, low: Type, whole: Type) -> Result {
        self.unary(|ins, x| ins.ireduce(low, x))?;
        self.unary(|ins, x| ins.sextend(whole, x))
    }

    pub(super) fn wrap(&mut self) -> Result {
        self.unary(|ins, x| ins.ireduce(types::I32, x))
    }

    pub(super) fn extend_signed(&mut self) -> Result {
        self.unary(|ins, x| ins.sextend(types::I64, x))
    }

    pub(super) fn extend_unsigned(&mut self) -> Result {
        self.unary(|ins, x| ins.uextend(types::I64, x))
    }

    pub(super) fn trunc_sat_signed(&mut self, ty: Type) -> Result {
        self.unary(|ins, x| ins.fcvt_to_sint_sat(ty, x))
    }

    pub(super) fn trunc_sat_unsigned(&mut self, ty: Type) -> Result {
        self.unary(|ins, x| ins.fcvt_to_uint_sat(ty, x))
    }

    pub(super) fn convert_signed(&mut self, ty: Type) -> Result {
        self.unary(|ins, x| ins.fcvt_from_sint(ty, x))
    }

    pub(super) fn convert_unsigned(&mut self, ty: Type) -> Result {
        self.unary(|ins, x| ins.fcvt_from_uint(ty, x))
    }

    pub(super) fn demote(&mut self) -> Result {
        self.unary(|ins, x| ins.fdemote(types::F32, x))
    }

    pub(super) fn promote(&mut self) -> Result {
        self.unary(|ins, x| ins.fpromote(types::F64, x))
    }

    pub(super) fn reinterpret(&mut self, ty: Type) -> Result {
        self.unary(|ins, x| ins.bitcast(ty, MemFlagsData::new(), x))
    }
}
