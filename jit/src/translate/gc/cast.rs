//! What type a reference has: tests, casts, branches, `i31`.

use crate::abi;
use crate::gc::{I31_TAG, TYPE_OFFSET};
use crate::module::convert;
use crate::translate::Result;
use crate::translate::alias::AliasRegion;
use crate::translate::function::FuncTranslator;
use crate::trap::TrapCode;
use crate::types::{HeapType, RefType};
use crate::vm::{
    MIN_DISPLAY, TYPE_KIND_BITS, TYPE_KIND_MASK, VMContext, VMFuncRef, VMType, VMTypeKind, VMTypes,
};
use cranelift_codegen::ir::{Block, InstBuilder, Value, condcodes::IntCC, types};
use std::mem::offset_of;

impl FuncTranslator<'_, '_> {
    pub(in crate::translate) fn ref_test(
        &mut self,
        nullable: bool,
        heap: wasmparser::HeapType,
    ) -> Result {
        let target = self.target_type(nullable, heap)?;
        let value = self.stack.pop();
        let [yes, no, done] = [(); 3].map(|()| self.builder.create_block());
        let result = self.builder.append_block_param(done, types::I32);
        self.branch_on_type(value, target, yes, no);
        for (block, answer) in [(yes, 1), (no, 0)] {
            self.enter_sealed(block);
            let answer = self.builder.ins().iconst(types::I32, answer);
            self.builder.ins().jump(done, &[answer.into()]);
        }
        self.enter_sealed(done);
        self.stack.push(result);
        Ok(())
    }

    pub(in crate::translate) fn ref_cast(
        &mut self,
        nullable: bool,
        heap: wasmparser::HeapType,
    ) -> Result {
        let target = self.target_type(nullable, heap)?;
        let value = self.stack.top(1)[0];
        let [yes, no] = [(); 2].map(|()| self.builder.create_block());
        self.set_cold(no);
        self.branch_on_type(value, target, yes, no);
        self.enter_sealed(no);
        self.trap(TrapCode::CastFailure);
        self.enter_sealed(yes);
        Ok(())
    }

    /// `br_on_cast`, and with `when` false `br_on_cast_fail`.
    pub(in crate::translate) fn br_on_cast(
        &mut self,
        depth: u32,
        target: wasmparser::RefType,
        when: bool,
    ) -> Result {
        let target = self.target_type(target.is_nullable(), target.heap_type())?;
        self.settle_operands(depth)?;
        let value = self.stack.top(1)[0];
        let [taken, next] = [(); 2].map(|()| self.builder.create_block());
        match when {
            true => self.branch_on_type(value, target, taken, next),
            false => self.branch_on_type(value, target, next, taken),
        }
        self.enter_sealed(taken);
        self.jump_to_label(depth)?;
        self.enter_sealed(next);
        Ok(())
    }

    /// The type that a cast names.
    fn target_type(&self, nullable: bool, heap: wasmparser::HeapType) -> Result<RefType> {
        Ok(RefType { nullable, heap: convert::heap_type(&self.env.module.types, heap)? })
    }

    /// Ends the block: goes to `yes` if `value` is of type `target`, else to `no`.
    fn branch_on_type(&mut self, value: Value, target: RefType, yes: Block, no: Block) {
        let if_null = if target.nullable { yes } else { no };
        match target.heap {
            HeapType::Func | HeapType::Extern | HeapType::Any | HeapType::Exn => {
                self.builder.ins().brif(value, yes, &[], if_null, &[]);
                return;
            }
            HeapType::NoFunc | HeapType::NoExtern | HeapType::None | HeapType::NoExn => {
                self.builder.ins().brif(value, no, &[], if_null, &[]);
                return;
            }
            HeapType::I31 => {
                let tag = self.builder.ins().band_imm_u(value, i64::from(I31_TAG));
                let other = self.builder.create_block();
                self.builder.ins().brif(tag, yes, &[], other, &[]);
                self.enter_sealed(other);
                self.builder.ins().brif(value, no, &[], if_null, &[]);
                return;
            }
            _ => {}
        }
        let not_null = self.builder.create_block();
        self.builder.ins().brif(value, not_null, &[], if_null, &[]);
        self.enter_sealed(not_null);
        if let HeapType::ConcreteFunc(index) = target.heap {
            let flags = AliasRegion::Context.trusted(self.builder.func).with_readonly();
            let offset = offset_of!(VMFuncRef, type_id) as i32;
            let id = self.builder.ins().load(types::I32, flags, value, offset);
            return self.branch_on_subtype(id, index, yes, no);
        }
        let object = self.builder.create_block();
        let tag = self.builder.ins().band_imm_u(value, i64::from(I31_TAG));
        let if_i31 = if target.heap == HeapType::Eq { yes } else { no };
        self.builder.ins().brif(tag, if_i31, &[], object, &[]);
        self.enter_sealed(object);
        let address = self.object_address(value);
        let flags = AliasRegion::Object.trusted(self.builder.func);
        let id = self.builder.ins().load(types::I32, flags, address, TYPE_OFFSET as i32);
        if let Some(index) = target.heap.concrete() {
            return self.branch_on_subtype(id, index, yes, no);
        }
        let kind = self.builder.ins().band_imm_u(id, i64::from(TYPE_KIND_MASK));
        let (cc, wanted) = match target.heap {
            HeapType::Struct => (IntCC::Equal, VMTypeKind::Struct),
            HeapType::Array => (IntCC::Equal, VMTypeKind::Array),
            _ => (IntCC::NotEqual, VMTypeKind::Other),
        };
        let fits = self.builder.ins().icmp_imm_u(cc, kind, wanted as i64);
        self.builder.ins().brif(fits, yes, &[], no, &[]);
    }

    /// Ends the block: goes to `yes` if the type numbered `id` is the module's type `wanted` or
    /// refines it.
    pub(in crate::translate) fn branch_on_subtype(
        &mut self,
        id: Value,
        wanted: u32,
        yes: Block,
        no: Block,
    ) {
        let wanted_id = self.type_id(wanted);
        let same = self.builder.ins().icmp(IntCC::Equal, id, wanted_id);
        if self.env.module.types[wanted].is_final {
            self.builder.ins().brif(same, yes, &[], no, &[]);
            return;
        }
        let other = self.builder.create_block();
        self.builder.ins().brif(same, yes, &[], other, &[]);
        self.enter_sealed(other);
        let types_of_engine = self.context_pointer(offset_of!(VMContext, types) as u32);
        let flags = AliasRegion::Types.trusted(self.builder.func);
        let table = offset_of!(VMTypes, types) as i32;
        let table = self.builder.ins().load(abi::POINTER, flags, types_of_engine, table);
        let place = self.builder.ins().ushr_imm_u(id, i64::from(TYPE_KIND_BITS));
        let place = self.builder.ins().uextend(types::I64, place);
        let offset = self.builder.ins().imul_imm_u(place, size_of::<VMType>() as i64);
        let entry = self.builder.ins().iadd(table, offset);
        let above = self.env.module.types.depth(wanted) - 1;
        if above >= MIN_DISPLAY {
            let depth = offset_of!(VMType, depth) as i32;
            let depth = self.builder.ins().load(types::I32, flags, entry, depth);
            let deep =
                self.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, depth, i64::from(above));
            let long = self.builder.create_block();
            self.builder.ins().brif(deep, long, &[], no, &[]);
            self.enter_sealed(long);
        }
        let supertypes = offset_of!(VMType, supertypes) as i32;
        let supertypes = self.builder.ins().load(abi::POINTER, flags, entry, supertypes);
        let found = (above as usize * size_of::<u32>()) as i32;
        let found = self.builder.ins().load(types::I32, flags, supertypes, found);
        let refines = self.builder.ins().icmp(IntCC::Equal, found, wanted_id);
        self.builder.ins().brif(refines, yes, &[], no, &[]);
    }

    pub(in crate::translate) fn ref_eq(&mut self) -> Result {
        let (a, b) = self.stack.pop2();
        let same = self.builder.ins().icmp(IntCC::Equal, a, b);
        let same = self.builder.ins().uextend(types::I32, same);
        self.stack.push(same);
        Ok(())
    }

    pub(in crate::translate) fn ref_i31(&mut self) -> Result {
        let value = self.stack.pop();
        let value = self.builder.ins().ishl_imm_u(value, 1);
        let value = self.builder.ins().bor_imm_u(value, i64::from(I31_TAG));
        self.stack.push(value);
        Ok(())
    }

    pub(in crate::translate) fn i31_get(&mut self, signed: bool) -> Result {
        let value = self.stack.pop();
        self.trapz(value, TrapCode::NullI31);
        let value = match signed {
            true => self.builder.ins().sshr_imm_u(value, 1),
            false => self.builder.ins().ushr_imm_u(value, 1),
        };
        self.stack.push(value);
        Ok(())
    }
}
