//! A check that is put ahead of functions with large frames, where a signal must not report stack overflow.
//!
//! Such a function compares the stack pointer with the limit only when its frame is made, which touches the frame's
//! pages. The runtime keeps room for that below every limit, but not for frames of any size. So for large frames the
//! comparison is done first, by a function of the same type, which continues in the real function by a tail call.
//!
//! ```text
//! start ─► sp < limit + frame ? ── no ──► the function
//!                              └─ yes ─► raise_trap
//! ```

use crate::CompiledFunction;
use crate::abi::{self, POINTER};
use crate::arch;
use crate::code::{HandledCall, Handler};
use crate::trap::TrapCode;
use crate::types::FuncType;
use crate::vm::{VMBuiltins, VMContext, VMStoreContext};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, ExtFuncData, ExternalName, InstBuilder, MemFlagsData, Signature,
    UserExternalName, UserFuncName, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::mem::offset_of;

/// The alignment of the function behind the check: at least that of any constant in it.
const ALIGN: usize = 64;

/// Fills `func` with the check for a function of type `ty` whose frame has `frame` bytes.
pub(crate) fn build(
    ty: &FuncType,
    frame: u32,
    isa: &dyn TargetIsa,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
) {
    func.name = UserFuncName::user(2, 0);
    func.signature = abi::wasm_signature(ty);
    let mut builder = FunctionBuilder::new(func, context);
    let [entry, on, overflow, nowhere] = [(); 4].map(|()| builder.create_block());
    builder.set_cold_block(overflow);
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let vmctx = params[0];
    let store = load(&mut builder, vmctx, offset_of!(VMContext, store_context));
    let limit = load(&mut builder, store, offset_of!(VMStoreContext, stack_limit));
    let least = builder.ins().iadd_imm_u(limit, i64::from(frame));
    let here = builder.ins().get_stack_pointer(POINTER);
    let beyond = builder.ins().icmp(IntCC::UnsignedLessThan, here, least);
    builder.ins().brif(beyond, overflow, &[], on, &[]);

    builder.switch_to_block(on);
    let signature = builder.import_signature(abi::wasm_signature(ty));
    let name = UserExternalName { namespace: 2, index: 1 };
    let name = ExternalName::user(builder.func.declare_imported_user_function(name));
    let function = ExtFuncData { name, signature, colocated: true, patchable: false };
    let function = builder.import_function(function);
    builder.ins().return_call(function, &params);

    builder.switch_to_block(overflow);
    let mut raise = Signature::new(isa.default_call_conv());
    raise.params.extend([AbiParam::new(POINTER), AbiParam::new(types::I32)]);
    let raise = builder.import_signature(raise);
    let builtins = load(&mut builder, vmctx, offset_of!(VMContext, builtins));
    let code = load(&mut builder, builtins, offset_of!(VMBuiltins, raise_trap));
    let number = builder.ins().iconst(types::I32, i64::from(TrapCode::StackOverflow as u8));
    builder.ins().call_indirect(raise, code, &[vmctx, number]);
    builder.ins().jump(nowhere, &[]);
    builder.switch_to_block(nowhere);
    builder.ins().jump(nowhere, &[]);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
}

fn load(builder: &mut FunctionBuilder<'_>, base: Value, offset: usize) -> Value {
    builder.ins().load(POINTER, MemFlagsData::trusted(), base, offset as i32)
}

/// Appends `function` to the code of the check, and completes the check's jumps to it.
///
/// # Errors
///
/// When a jump has a relocation of an unknown kind.
pub(crate) fn join(
    mut ahead: Vec<u8>,
    jumps: &[FinalizedMachReloc],
    function: CompiledFunction,
) -> Result<CompiledFunction, String> {
    let start = ahead.len().next_multiple_of(ALIGN);
    for jump in jumps {
        let known =
            matches!(jump.target, FinalizedRelocTarget::ExternalName(ExternalName::User(_)));
        let at = jump.offset as usize;
        if !known || !arch::complete_jump(&mut ahead, jump.kind, at, jump.addend, start) {
            return Err(format!("unexpected relocation {jump:?}"));
        }
    }
    // Never executed.
    ahead.resize(start, 0xcc);
    ahead.extend_from_slice(&function.code);
    Ok(CompiledFunction { code: ahead, unwind: None, ..function }.moved(start as u32))
}

impl CompiledFunction {
    /// Moves every position `by` bytes further from the start. The code before has no position in the module.
    fn moved(mut self, by: u32) -> CompiledFunction {
        self.traps.iter_mut().for_each(|trap| trap.0 += by);
        self.addresses.iter_mut().for_each(|address| address.0 += by);
        self.addresses.insert(0, (0, None));
        self.stack_maps.iter_mut().for_each(|map| map.0 += by);
        let moved = |handler: &Handler| Handler { code: handler.code + by, ..*handler };
        for call in &mut self.handled_calls {
            let handlers = call.handlers.iter().map(moved).collect();
            *call = HandledCall { returns_to: call.returns_to + by, handlers, ..call.clone() };
        }
        self
    }
}
