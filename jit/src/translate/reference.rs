//! References.

use super::Result;
use super::alias::AliasRegion;
use super::dispatch::Reference;
use super::function::FuncTranslator;
use crate::module::convert;
use crate::trap::TrapCode;
use cranelift_codegen::ir::{InstBuilder, types};

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

    /// The reference has a place in the context, and is made there when it is first needed.
    pub(super) fn ref_func(&mut self, func: u32) -> Result {
        let place = self.env.module.escaped_index(func);
        let place = place.expect("validation admits `ref.func` only for functions that escape");
        let (vmctx, offset) = (self.env.vmctx, self.env.offsets.func_ref(place));
        let address = self.builder.ins().iadd_imm_u(vmctx, i64::from(offset));
        if self.env.module.is_imported_function(func) {
            // Made before code runs.
            self.stack.push(address);
            return Ok(());
        }
        let flags = AliasRegion::Made.trusted(self.builder.func);
        let made = self.env.offsets.made(place) as i32;
        let made = self.builder.ins().load(types::I8, flags, vmctx, made);
        let [make, done] = [(); 2].map(|()| self.builder.create_block());
        self.set_cold(make);
        self.builder.ins().brif(made, done, &[], make, &[]);
        self.enter_sealed(make);
        self.keeping_builtin().make_function(func);
        self.builder.ins().jump(done, &[]);
        self.enter_sealed(done);
        self.stack.push(address);
        Ok(())
    }
}
