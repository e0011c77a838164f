//! Conversions between numbers, except those that trap (in `traps`).

use super::Result;
use super::function::FuncTranslator;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, types};

impl FuncTranslator<'_, '_> {
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
