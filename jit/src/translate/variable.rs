//! Globals, `drop` and `select`.

use super::Result;
use super::alias::AliasRegion;
use super::dispatch::Variable;
use super::function::FuncTranslator;
use crate::abi;
use crate::module::convert;
use cranelift_codegen::ir::{InstBuilder, Type, Value};

impl FuncTranslator<'_, '_> {
    /// Translates an operator on operands, locals or globals.
    pub(super) fn variable_operator(&mut self, operator: Variable) -> Result {
        match operator {
            Variable::Drop => self.drop_operand(),
            Variable::Select => self.select(),
            Variable::TypedSelect { ty } => self.typed_select(ty),
            Variable::LocalGet { local_index } => self.local_get(local_index),
            Variable::LocalSet { local_index } => self.local_set(local_index),
            Variable::LocalTee { local_index } => self.local_tee(local_index),
            Variable::GlobalGet { global_index } => self.global_get(global_index),
            Variable::GlobalSet { global_index } => self.global_set(global_index),
        }
    }

    pub(super) fn global_get(&mut self, global: u32) -> Result {
        let (base, offset, ty) = self.global_place(global);
        let flags = AliasRegion::Global.trusted(self.builder.func);
        let value = self.builder.ins().load(ty, flags, base, offset);
        self.declare(self.env.module.globals[global as usize].content, value);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn global_set(&mut self, global: u32) -> Result {
        let value = self.pop_canonical();
        let (base, offset, _) = self.global_place(global);
        let flags = AliasRegion::Global.trusted(self.builder.func);
        self.builder.ins().store(flags, value, base, offset);
        Ok(())
    }

    /// Where a global's value lies, and its type. Our own globals are part of the context.
    fn global_place(&mut self, global: u32) -> (Value, i32, Type) {
        let ty = abi::value_type(self.env.module.globals[global as usize].content);
        if self.env.module.is_imported_global(global) {
            let global = self.context_pointer(self.env.offsets.imported_global(global));
            (global, 0, ty)
        } else {
            (self.env.vmctx, self.env.offsets.defined_global(global) as i32, ty)
        }
    }

    /// `drop`.
    pub(super) fn drop_operand(&mut self) -> Result {
        self.stack.drop_top(1);
        Ok(())
    }

    /// `select` with the type of its operands.
    pub(super) fn typed_select(&mut self, ty: wasmparser::ValType) -> Result {
        self.select()?;
        let ty = convert::val_type(&self.env.module.types, ty)?;
        self.declare(ty, self.stack.top(1)[0]);
        Ok(())
    }

    pub(super) fn select(&mut self) -> Result {
        // Both values have to look the same: a vector may be in any lane type.
        self.canonicalize_below(1, 2);
        let (first, second, condition) = self.stack.pop3();
        let value = self.builder.ins().select(condition, first, second);
        self.stack.push(value);
        Ok(())
    }
}
