//! Calls.
//!
//! First a callee is resolved to code, context and signature ([`Callee`]), then it is called; other
//! ways to call (tail calls, calls with handlers) only differ in the second step, other callees
//! (references) only in the first.
//!
//! A tail call leaves the caller's frame before the callee's is made: what the callee returns goes to
//! the caller's own caller, and so does everything that follows frames, backtraces for one.
//!
//! Code is always reached through a slot: it first leads to the compiler, later to the code.

use super::Result;
use super::alias::AliasRegion;
use super::builtins::Bits64;
use super::dispatch::Call;
use super::function::FuncTranslator;
use super::table::Element;
use crate::abi;
use crate::trap::TrapCode;
use crate::types::FuncType;
use crate::vm::{VMContext, VMFuncRef, VMFunctionImport, VMSlot, VMStoreContext};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, SigRef, Value, condcodes::IntCC, types};
use smallvec::SmallVec;
use std::mem::offset_of;

/// What is called: where its code starts, its first argument, and its signature.
struct Callee<'a> {
    code: Value,
    vmctx: Value,
    signature: SigRef,
    ty: &'a FuncType,
}

impl<'a> FuncTranslator<'a, '_> {
    /// Translates an operator that calls.
    pub(super) fn call_operator(&mut self, operator: Call) -> Result {
        match operator {
            Call::Call { function_index } => self.call(function_index),
            Call::CallIndirect { type_index, table_index } => {
                self.call_indirect(type_index, table_index)
            }
            Call::ReturnCall { function_index } => self.return_call(function_index),
            Call::ReturnCallIndirect { type_index, table_index } => {
                self.return_call_indirect(type_index, table_index)
            }
            Call::CallRef { type_index } => self.call_ref(type_index),
            Call::ReturnCallRef { type_index } => self.return_call_ref(type_index),
        }
    }

    pub(super) fn call(&mut self, func: u32) -> Result {
        let callee = self.direct_callee(func);
        self.emit_call(&callee)
    }

    pub(super) fn call_indirect(&mut self, type_index: u32, table: u32) -> Result {
        let callee = self.indirect_callee(type_index, table);
        self.emit_call(&callee)
    }

    pub(super) fn return_call(&mut self, func: u32) -> Result {
        let callee = self.direct_callee(func);
        self.emit_tail_call(&callee)
    }

    pub(super) fn return_call_indirect(&mut self, type_index: u32, table: u32) -> Result {
        let callee = self.indirect_callee(type_index, table);
        self.emit_tail_call(&callee)
    }

    pub(super) fn call_ref(&mut self, type_index: u32) -> Result {
        let func_ref = self.stack.pop();
        let callee = self.nullable_callee(func_ref, type_index);
        self.emit_call(&callee)
    }

    pub(super) fn return_call_ref(&mut self, type_index: u32) -> Result {
        let func_ref = self.stack.pop();
        let callee = self.nullable_callee(func_ref, type_index);
        self.emit_tail_call(&callee)
    }

    // Resolving.

    /// A function by its index.
    fn direct_callee(&mut self, func: u32) -> Callee<'a> {
        match self.env.module.defined_function(func) {
            Some(defined) => self.defined_callee(func, defined),
            None => self.imported_callee(func),
        }
    }

    /// The function that an element of a table refers to; the index is the newest operand.
    fn indirect_callee(&mut self, type_index: u32, table: u32) -> Callee<'a> {
        let index = self.stack.pop();
        let element = self.load_element(table, index, TrapCode::UndefinedElement);
        let func_ref = self.check_type(&element, table, index, type_index);
        self.reference_callee(func_ref, type_index)
    }

    /// A function of this module: the context is our own.
    fn defined_callee(&mut self, func: u32, defined: usize) -> Callee<'a> {
        let type_index = self.env.module.functions[func as usize];
        let slots = self.context_pointer(offset_of!(VMContext, slots) as u32);
        let code = self.load_code(slots, defined * size_of::<VMSlot>());
        self.callee(code, self.env.vmctx, type_index)
    }

    fn imported_callee(&mut self, func: u32) -> Callee<'a> {
        let type_index = self.env.module.functions[func as usize];
        let import = self.env.offsets.function_import(func);
        let slot = self.context_pointer(import + offset_of!(VMFunctionImport, slot) as u32);
        let vmctx = self.context_pointer(import + offset_of!(VMFunctionImport, vmctx) as u32);
        self.record_caller();
        let code = self.load_code(slot, 0);
        self.callee(code, vmctx, type_index)
    }

    /// A function reference that is not null and has the right type.
    fn reference_callee(&mut self, func_ref: Value, type_index: u32) -> Callee<'a> {
        let flags = AliasRegion::Context.trusted(self.builder.func).with_readonly();
        self.callee_of(func_ref, flags, type_index)
    }

    /// A function reference of the right type that may be null, which traps.
    fn nullable_callee(&mut self, func_ref: Value, type_index: u32) -> Callee<'a> {
        let code = TrapCode::NullFunctionReference;
        self.check_null(func_ref, code);
        let code = self.on_fault(code);
        let flags = AliasRegion::Context.trapping(self.builder.func, code).with_readonly();
        self.callee_of(func_ref, flags, type_index)
    }

    fn callee_of(&mut self, func_ref: Value, flags: MemFlagsData, type_index: u32) -> Callee<'a> {
        let mut field =
            |offset: usize| self.builder.ins().load(abi::POINTER, flags, func_ref, offset as i32);
        let slot = field(offset_of!(VMFuncRef, slot));
        let vmctx = field(offset_of!(VMFuncRef, vmctx));
        self.record_caller();
        let code = self.load_code(slot, 0);
        self.callee(code, vmctx, type_index)
    }

    fn callee(&mut self, code: Value, vmctx: Value, type_index: u32) -> Callee<'a> {
        let ty = self.env.module.types.func(type_index);
        Callee { code, vmctx, signature: self.signature(type_index), ty }
    }

    /// The function of the element at `index`, if it has the type `type_index`; otherwise a trap. A null reference
    /// faults, as a trap of its own kind.
    ///
    /// The only test is the one for the type. A reference that is not made fails it, as one of another type does: off
    /// the path the runtime tells them apart.
    fn check_type(
        &mut self,
        element: &Element,
        table: u32,
        index: Value,
        type_index: u32,
    ) -> Value {
        let loaded = element.value;
        self.check_null(loaded, TrapCode::IndirectCallToNull);
        let code = self.on_fault(TrapCode::IndirectCallToNull);
        let flags = AliasRegion::Context.trapping(self.builder.func, code);
        let offset = offset_of!(VMFuncRef, type_id) as i32;
        let found = self.builder.ins().load(types::I32, flags.with_readonly(), loaded, offset);
        let [same, other] = [(); 2].map(|()| self.builder.create_block());
        self.set_cold(other);
        let func_ref = self.builder.append_block_param(same, abi::POINTER);
        if self.env.module.types[type_index].is_final {
            let wanted = self.type_id(type_index);
            let fits = self.builder.ins().icmp(IntCC::Equal, found, wanted);
            self.builder.ins().brif(fits, same, &[loaded.into()], other, &[]);
        } else {
            let refines = self.builder.create_block();
            self.branch_on_subtype(found, type_index, refines, other);
            self.enter_sealed(refines);
            self.builder.ins().jump(same, &[loaded.into()]);
        }
        self.enter_sealed(other);
        let index = Bits64(self.widen(index));
        self.keeping_builtin().make_callee(table, index, type_index);
        let made = self.reload(element);
        self.builder.ins().jump(same, &[made.into()]);
        self.enter_sealed(same);
        func_ref
    }

    /// Loads an address of code. It may be another one after the next call.
    fn load_code(&mut self, slot: Value, offset: usize) -> Value {
        let flags = AliasRegion::Slot.trusted(self.builder.func);
        self.builder.ins().load(abi::POINTER, flags, slot, offset as i32)
    }

    /// Notes who calls, for callees that may be functions of the host.
    fn record_caller(&mut self) {
        let store = self.store_context();
        let flags = AliasRegion::Store.trusted(self.builder.func);
        let offset = offset_of!(VMStoreContext, caller_vmctx) as i32;
        self.builder.ins().store(flags, self.env.vmctx, store, offset);
    }

    // Calling.

    /// Calls with the newest operands as arguments and leaves the results in their place.
    fn emit_call(&mut self, callee: &Callee<'_>) -> Result {
        let args = self.take_arguments(callee)?;
        self.count_call();
        let Callee { code, signature, .. } = *callee;
        if self.clauses.is_empty() {
            let call = self.builder.ins().call_indirect(signature, code, &args);
            self.map_locals(call);
            self.stack.extend(self.builder.inst_results(call));
            let results = callee.ty.results();
            for (index, &ty) in results.iter().enumerate() {
                self.declare(ty, self.stack.top(results.len())[index]);
            }
        } else {
            let returned = self.try_call(signature, code, &args, callee.ty.results())?;
            self.stack.extend(self.builder.block_params(returned));
        }
        Ok(())
    }

    /// Calls with the newest operands as arguments, in place of this function.
    fn emit_tail_call(&mut self, callee: &Callee<'_>) -> Result {
        let args = self.take_arguments(callee)?;
        self.builder.ins().return_call_indirect(callee.signature, callee.code, &args);
        self.dead = Some(0);
        Ok(())
    }

    /// The callee's context and the newest operands, which are taken off.
    fn take_arguments(&mut self, callee: &Callee<'_>) -> Result<SmallVec<[Value; 16]>> {
        let params = callee.ty.params().len();
        self.canonicalize_top(params);
        let mut args: SmallVec<[Value; 16]> = SmallVec::with_capacity(1 + params);
        args.push(callee.vmctx);
        args.extend_from_slice(self.stack.top(params));
        self.stack.drop_top(params);
        Ok(args)
    }
}
