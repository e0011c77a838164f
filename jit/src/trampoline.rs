//! The trampolines into wasm and out of it.
//!
//! **Entry** (host to wasm): a C function that takes arguments from an array, calls the wasm
//! function, and stores the results in the array. The call is a `try_call`: before it, the
//! trampoline tells the store its frame and the address of its exceptional edge. A trap is raised
//! by continuing at that address with the trampoline's stack pointer and frame pointer; the
//! trampoline then returns 0. No register needs restoring, since Cranelift keeps none alive across
//! an exceptional edge. A slot of its frame holds the store's context. So code that follows frame
//! pointers from wasm up to this frame finds the store. The signal handler does that, because it
//! must not rely on thread-locals.
//!
//! **Exit** (wasm to host): a wasm function that tells the store which frame was left, stores the
//! arguments in an array on its stack, and calls the host's C function.

use crate::abi::{POINTER, value_type, wasm_signature};
use crate::types::FuncType;
use crate::vm::{VMBuiltins, VMHostContext, VMStoreContext, ValRaw};
use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, BlockCall, ExceptionTableData, ExceptionTableItem, InstBuilder,
    MemFlagsData, Signature, StackSlot, StackSlotData, StackSlotKind, UserFuncName, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::mem::offset_of;

/// Fills `func` with the entry trampoline of functions of type `ty`:
/// `extern "C" fn(callee, store context, code, values) -> 1 or 0`. Returns the slot of its frame that
/// holds the store context.
pub(crate) fn build_entry(
    ty: &FuncType,
    isa: &dyn TargetIsa,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
) -> StackSlot {
    func.name = UserFuncName::user(1, 0);
    func.signature = Signature::new(isa.default_call_conv());
    func.signature.params.extend([AbiParam::new(POINTER); 4]);
    func.signature.returns.push(AbiParam::new(types::I32));
    let mut builder = FunctionBuilder::new(func, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let &[callee, store, code, values] = builder.block_params(entry) else {
        unreachable!("four parameters")
    };

    let own_store = StackSlotData::new(StackSlotKind::ExplicitSlot, POINTER.bytes(), 3);
    let own_store = builder.create_sized_stack_slot(own_store);
    builder.ins().stack_store(POINTER, store, own_store, 0);
    let fp = builder.ins().get_frame_pointer(POINTER);
    let sp = builder.ins().get_stack_pointer(POINTER);
    // The block that ends in the call must not be the function's entry block.
    let calling = builder.create_block();
    let handler = builder.ins().get_exception_handler_address(POINTER, calling, 0);
    store_field(&mut builder, store, offset_of!(VMStoreContext, entry_fp), fp);
    store_field(&mut builder, store, offset_of!(VMStoreContext, entry_sp), sp);
    store_field(&mut builder, store, offset_of!(VMStoreContext, entry_handler), handler);

    builder.ins().jump(calling, &[]);
    builder.switch_to_block(calling);
    let mut args = vec![callee];
    for (index, &ty) in ty.params().iter().enumerate() {
        args.push(load_value(&mut builder, value_type(ty), values, index));
    }
    let returned = builder.create_block();
    let unwound = builder.create_block();
    let mut results = Vec::new();
    for &ty in ty.results() {
        results.push(builder.append_block_param(returned, value_type(ty)));
    }
    let signature = builder.import_signature(wasm_signature(ty));
    let on_return = (0..results.len() as u32).map(BlockArg::TryCallRet);
    let pool = &mut builder.func.dfg.value_lists;
    let normal = BlockCall::new(returned, on_return, pool);
    let exceptional = BlockCall::new(unwound, [], pool);
    let table = builder.func.dfg.exception_tables.push(ExceptionTableData::new(
        signature,
        normal,
        [ExceptionTableItem::Default(exceptional)],
    ));
    builder.ins().try_call_indirect(code, &args, table);

    builder.switch_to_block(returned);
    for (index, &value) in results.iter().enumerate() {
        store_value(&mut builder, value, values, index);
    }
    let one = builder.ins().iconst(types::I32, 1);
    builder.ins().return_(&[one]);

    builder.switch_to_block(unwound);
    let zero = builder.ins().iconst(types::I32, 0);
    builder.ins().return_(&[zero]);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
    own_store
}

/// Fills `func` with the exit trampoline of host functions of type `ty`: a wasm function whose
/// context is a [`VMHostContext`].
pub(crate) fn build_exit(
    ty: &FuncType,
    isa: &dyn TargetIsa,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
) {
    func.name = UserFuncName::user(1, 1);
    func.signature = wasm_signature(ty);
    let mut builder = FunctionBuilder::new(func, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let (callee, params) = (params[0], &params[1..]);

    let store_offset = offset_of!(VMHostContext, store_context);
    let store = load_pointer(&mut builder, callee, store_offset);
    let own_fp = builder.ins().get_frame_pointer(POINTER);
    // A frame begins with the caller's frame pointer.
    let exit_fp = load_pointer(&mut builder, own_fp, 0);
    let exit_pc = builder.ins().get_return_address(POINTER);
    store_field(&mut builder, store, offset_of!(VMStoreContext, exit_fp), exit_fp);
    store_field(&mut builder, store, offset_of!(VMStoreContext, exit_pc), exit_pc);

    let count = params.len().max(ty.results().len());
    let size = u32::try_from(count * size_of::<ValRaw>()).expect("at most 1,000 values");
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 4);
    let slot = builder.create_sized_stack_slot(slot);
    let values = builder.ins().stack_addr(POINTER, slot, 0);
    for (index, &param) in params.iter().enumerate() {
        store_value(&mut builder, param, values, index);
    }

    let mut host = Signature::new(isa.default_call_conv());
    host.params.extend([AbiParam::new(POINTER); 2]);
    host.returns.push(AbiParam::new(types::I32));
    let host = builder.import_signature(host);
    let function = load_pointer(&mut builder, callee, offset_of!(VMHostContext, function));
    let call = builder.ins().call_indirect(host, function, &[callee, values]);
    let ok = builder.inst_results(call)[0];

    let succeeded = builder.create_block();
    let failed = builder.create_block();
    builder.set_cold_block(failed);
    builder.ins().brif(ok, succeeded, &[], failed, &[]);

    builder.switch_to_block(failed);
    let mut raise = Signature::new(isa.default_call_conv());
    raise.params.push(AbiParam::new(POINTER));
    let raise = builder.import_signature(raise);
    let builtins = load_pointer(&mut builder, callee, offset_of!(VMHostContext, builtins));
    let address = load_pointer(&mut builder, builtins, offset_of!(VMBuiltins, raise));
    builder.ins().call_indirect(raise, address, &[callee]);
    // `raise` has not returned. The code that follows is no trap instruction, so that there is none
    // without signals.
    let nowhere = builder.create_block();
    builder.ins().jump(nowhere, &[]);
    builder.switch_to_block(nowhere);
    builder.ins().jump(nowhere, &[]);

    builder.switch_to_block(succeeded);
    let mut results = Vec::new();
    for (index, &ty) in ty.results().iter().enumerate() {
        results.push(load_value(&mut builder, value_type(ty), values, index));
    }
    builder.ins().return_(&results);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
}

fn load_pointer(builder: &mut FunctionBuilder<'_>, base: Value, offset: usize) -> Value {
    builder.ins().load(POINTER, MemFlagsData::trusted(), base, offset as i32)
}

fn store_field(builder: &mut FunctionBuilder<'_>, base: Value, offset: usize, value: Value) {
    builder.ins().store(MemFlagsData::trusted(), value, base, offset as i32);
}

fn load_value(builder: &mut FunctionBuilder<'_>, ty: ir::Type, values: Value, at: usize) -> Value {
    let flags = MemFlagsData::trusted().with_endianness(ir::Endianness::Little);
    builder.ins().load(ty, flags, values, (at * size_of::<ValRaw>()) as i32)
}

fn store_value(builder: &mut FunctionBuilder<'_>, value: Value, values: Value, at: usize) {
    let flags = MemFlagsData::trusted().with_endianness(ir::Endianness::Little);
    builder.ins().store(flags, value, values, (at * size_of::<ValRaw>()) as i32);
}
