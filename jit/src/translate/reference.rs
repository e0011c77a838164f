//! References.

use super::Result;
use super::dispatch::Reference;
use super::function::FuncTranslator;
use crate::module::convert;
use crate::trap::TrapCode;
use cranelift_codegen::ir::InstBuilder;

impl FuncTranslator<'_, '_> {
    /// Translates an operator on any references.
    pub(super) fn reference_operator(&mut self, operator: Reference) -> Result {
        match operator {
            Reference::RefNull { hty } => self.ref_null(hty),
            Reference::RefIsNull => self.is_zero(),
            Reference::RefFunc { function_index } => self.ref_func(function_index),
            Reference::RefAsNonNull => self.ref_as_non_null(),
        }
    }

    pub(super) fn ref_null(&mut self, heap: wasmparser::HeapType) -> Result {
        let null = self.null(convert::heap_type(&self.env.module.types, heap)?);
        self.stack.push(null);
        Ok(())
    }

    pub(super) fn ref_as_non_null(&mut self) -> Result {
        let reference = self.stack.top(1)[0];
        self.trapz(reference, TrapCode::NullReference);
        Ok(())
    }

    pub(super) fn ref_func(&mut self, func: u32) -> Result {
        let place = self.env.module.escaped_index(func);
        let place = place.expect("validation admits `ref.func` only for functions that escape");
        let offset = self.env.offsets.func_ref(place);
        let address = self.builder.ins().iadd_imm_u(self.env.vmctx, i64::from(offset));
        self.stack.push(address);
        Ok(())
    }
}
