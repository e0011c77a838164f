//! Every operator of WebAssembly 2.0 translates, verifies and compiles.

use super::{FEATURES, TestModule};
use crate::compile::{CompileScratch, CompiledFunction, Compiler, ModuleSource};
use crate::tunables::{OptLevel, Tunables};
use std::collections::BTreeSet;

/// Operators that only take and give operands: `(parameters, result, operators)`.
const PLAIN: &[(&str, &str, &str)] = &[
    ("", "", "nop, unreachable"),
    ("", "i32", "i32.const -1"),
    ("", "i64", "i64.const -1"),
    ("", "f32", "f32.const nan"),
    ("", "f64", "f64.const -0"),
    ("", "v128", "v128.const i64x2 1 -1"),
    ("", "i32", "memory.size, table.size"),
    ("", "funcref", "ref.null func, ref.func $f"),
    ("", "externref", "ref.null extern"),
    ("", "", "data.drop 0, elem.drop 0"),
    ("i32", "", "drop, local.set 0, global.set $g"),
    ("i32", "i32", "local.tee 0"),
    ("", "i32", "global.get $g, call $f, local.get $z"),
    ("i32", "i32", "call_indirect (result i32)"),
    ("i32", "funcref", "table.get $t"),
    ("i32", "externref", "table.get $e"),
    ("i32 funcref", "", "table.set $t"),
    ("i32 externref", "", "table.set $e"),
    ("funcref i32", "i32", "table.grow $t"),
    ("externref i32", "i32", "table.grow $e"),
    ("i32 funcref i32", "", "table.fill $t"),
    ("i32 externref i32", "", "table.fill $e"),
    ("i32 i32 i32", "", "table.init $t 0, table.copy $t $t"),
    ("i32 i32 i32", "", "memory.init 0, memory.copy, memory.fill"),
    ("i32", "i32", "memory.grow"),
    ("i32", "i32", "i32.atomic.load8_u, i32.atomic.load16_u, i32.atomic.load"),
    ("i32 i32", "", "i32.atomic.store8, i32.atomic.store16, i32.atomic.store"),
    ("i32 i32", "i32", "i32.atomic.rmw8.add_u, i32.atomic.rmw16.add_u, i32.atomic.rmw.add"),
    ("i32 i32", "i32", "i32.atomic.rmw8.sub_u, i32.atomic.rmw16.sub_u, i32.atomic.rmw.sub"),
    ("i32 i32", "i32", "i32.atomic.rmw8.and_u, i32.atomic.rmw16.and_u, i32.atomic.rmw.and"),
    ("i32 i32", "i32", "i32.atomic.rmw8.or_u, i32.atomic.rmw16.or_u, i32.atomic.rmw.or"),
    ("i32 i32", "i32", "i32.atomic.rmw8.xor_u, i32.atomic.rmw16.xor_u, i32.atomic.rmw.xor"),
    ("i32 i32", "i32", "i32.atomic.rmw8.xchg_u, i32.atomic.rmw16.xchg_u, i32.atomic.rmw.xchg"),
    (
        "i32 i32 i32",
        "i32",
        "i32.atomic.rmw8.cmpxchg_u, i32.atomic.rmw16.cmpxchg_u, i32.atomic.rmw.cmpxchg",
    ),
    ("i32", "i64", "i64.atomic.load8_u, i64.atomic.load16_u, i64.atomic.load32_u, i64.atomic.load"),
    ("i32 i64", "", "i64.atomic.store8, i64.atomic.store16, i64.atomic.store32, i64.atomic.store"),
    (
        "i32 i64",
        "i64",
        "i64.atomic.rmw8.add_u, i64.atomic.rmw16.add_u, i64.atomic.rmw32.add_u, i64.atomic.rmw.add",
    ),
    (
        "i32 i64",
        "i64",
        "i64.atomic.rmw8.sub_u, i64.atomic.rmw16.sub_u, i64.atomic.rmw32.sub_u, i64.atomic.rmw.sub",
    ),
    (
        "i32 i64",
        "i64",
        "i64.atomic.rmw8.and_u, i64.atomic.rmw16.and_u, i64.atomic.rmw32.and_u, i64.atomic.rmw.and",
    ),
    (
        "i32 i64",
        "i64",
        "i64.atomic.rmw8.or_u, i64.atomic.rmw16.or_u, i64.atomic.rmw32.or_u, i64.atomic.rmw.or",
    ),
    (
        "i32 i64",
        "i64",
        "i64.atomic.rmw8.xor_u, i64.atomic.rmw16.xor_u, i64.atomic.rmw32.xor_u, i64.atomic.rmw.xor",
    ),
    (
        "i32 i64",
        "i64",
        "i64.atomic.rmw8.xchg_u, i64.atomic.rmw16.xchg_u, i64.atomic.rmw32.xchg_u, i64.atomic.rmw.xchg",
    ),
    (
        "i32 i64 i64",
        "i64",
        "i64.atomic.rmw8.cmpxchg_u, i64.atomic.rmw16.cmpxchg_u, i64.atomic.rmw32.cmpxchg_u, i64.atomic.rmw.cmpxchg",
    ),
    ("", "", "atomic.fence"),
    ("i32 i32 i64", "i32", "memory.atomic.wait32"),
    ("i32 i64 i64", "i32", "memory.atomic.wait64"),
    ("i32 i32", "i32", "memory.atomic.notify"),
    ("i32 i32", "", "memory.discard"),
    ("funcref", "i32", "ref.is_null"),
    ("externref", "i32", "ref.is_null"),
    ("f32 f32 i32", "f32", "select"),
    ("v128 v128 i32", "v128", "select"),
    ("externref externref i32", "externref", "select (result externref)"),
    ("i32", "i32", "i32.eqz, i32.clz, i32.ctz, i32.popcnt, i32.extend8_s, i32.extend16_s"),
    ("i64", "i32", "i64.eqz, i32.wrap_i64"),
    ("i64", "i64", "i64.clz, i64.ctz, i64.popcnt, i64.extend8_s, i64.extend16_s, i64.extend32_s"),
    (
        "i32 i32",
        "i32",
        "i32.eq, i32.ne, i32.lt_s, i32.lt_u, i32.gt_s, i32.gt_u, i32.le_s, i32.le_u,
         i32.ge_s, i32.ge_u, i32.add, i32.sub, i32.mul, i32.div_s, i32.div_u, i32.rem_s,
         i32.rem_u, i32.and, i32.or, i32.xor, i32.shl, i32.shr_s, i32.shr_u, i32.rotl,
         i32.rotr",
    ),
    (
        "i64 i64",
        "i32",
        "i64.eq, i64.ne, i64.lt_s, i64.lt_u, i64.gt_s, i64.gt_u, i64.le_s, i64.le_u,
         i64.ge_s, i64.ge_u",
    ),
    (
        "i64 i64",
        "i64",
        "i64.add, i64.sub, i64.mul, i64.div_s, i64.div_u, i64.rem_s, i64.rem_u, i64.and,
         i64.or, i64.xor, i64.shl, i64.shr_s, i64.shr_u, i64.rotl, i64.rotr",
    ),
    ("f32 f32", "i32", "f32.eq, f32.ne, f32.lt, f32.gt, f32.le, f32.ge"),
    ("f64 f64", "i32", "f64.eq, f64.ne, f64.lt, f64.gt, f64.le, f64.ge"),
    ("f32", "f32", "f32.abs, f32.neg, f32.ceil, f32.floor, f32.trunc, f32.nearest, f32.sqrt"),
    ("f64", "f64", "f64.abs, f64.neg, f64.ceil, f64.floor, f64.trunc, f64.nearest, f64.sqrt"),
    ("f32 f32", "f32", "f32.add, f32.sub, f32.mul, f32.div, f32.min, f32.max, f32.copysign"),
    ("f64 f64", "f64", "f64.add, f64.sub, f64.mul, f64.div, f64.min, f64.max, f64.copysign"),
    (
        "f32",
        "i32",
        "i32.trunc_f32_s, i32.trunc_f32_u, i32.trunc_sat_f32_s, i32.trunc_sat_f32_u,
         i32.reinterpret_f32",
    ),
    ("f64", "i32", "i32.trunc_f64_s, i32.trunc_f64_u, i32.trunc_sat_f64_s, i32.trunc_sat_f64_u"),
    ("f32", "i64", "i64.trunc_f32_s, i64.trunc_f32_u, i64.trunc_sat_f32_s, i64.trunc_sat_f32_u"),
    (
        "f64",
        "i64",
        "i64.trunc_f64_s, i64.trunc_f64_u, i64.trunc_sat_f64_s, i64.trunc_sat_f64_u,
         i64.reinterpret_f64",
    ),
    ("i32", "i64", "i64.extend_i32_s, i64.extend_i32_u"),
    ("i32", "f32", "f32.convert_i32_s, f32.convert_i32_u, f32.reinterpret_i32"),
    ("i64", "f32", "f32.convert_i64_s, f32.convert_i64_u"),
    ("i32", "f64", "f64.convert_i32_s, f64.convert_i32_u"),
    ("i64", "f64", "f64.convert_i64_s, f64.convert_i64_u, f64.reinterpret_i64"),
    ("f64", "f32", "f32.demote_f64"),
    ("f32", "f64", "f64.promote_f32"),
    ("i32", "i32", "i32.load, i32.load8_s, i32.load8_u, i32.load16_s, i32.load16_u"),
    (
        "i32",
        "i64",
        "i64.load, i64.load8_s, i64.load8_u, i64.load16_s, i64.load16_u, i64.load32_s,
         i64.load32_u",
    ),
    ("i32", "f32", "f32.load"),
    ("i32", "f64", "f64.load, f64.load offset=0x80000000"),
    ("i32 i32", "", "i32.store, i32.store8, i32.store16"),
    ("i32 i64", "", "i64.store, i64.store8, i64.store16, i64.store32"),
    ("i32 f32", "", "f32.store"),
    ("i32 f64", "", "f64.store"),
    (
        "i32",
        "v128",
        "v128.load, v128.load8x8_s, v128.load8x8_u, v128.load16x4_s, v128.load16x4_u,
         v128.load32x2_s, v128.load32x2_u, v128.load8_splat, v128.load16_splat,
         v128.load32_splat, v128.load64_splat, v128.load32_zero, v128.load64_zero,
         i8x16.splat, i16x8.splat, i32x4.splat",
    ),
    ("i32 v128", "", "v128.store"),
    (
        "i32 v128",
        "v128",
        "v128.load8_lane 15, v128.load16_lane 7, v128.load32_lane 3, v128.load64_lane 1",
    ),
    (
        "i32 v128",
        "",
        "v128.store8_lane 15, v128.store16_lane 7, v128.store32_lane 3,
         v128.store64_lane 1",
    ),
    ("i64", "v128", "i64x2.splat"),
    ("f32", "v128", "f32x4.splat"),
    ("f64", "v128", "f64x2.splat"),
    (
        "v128",
        "i32",
        "i8x16.extract_lane_s 15, i8x16.extract_lane_u 15, i16x8.extract_lane_s 7,
         i16x8.extract_lane_u 7, i32x4.extract_lane 3, v128.any_true, i8x16.all_true,
         i16x8.all_true, i32x4.all_true, i64x2.all_true, i8x16.bitmask, i16x8.bitmask,
         i32x4.bitmask, i64x2.bitmask",
    ),
    ("v128", "i64", "i64x2.extract_lane 1"),
    ("v128", "f32", "f32x4.extract_lane 3"),
    ("v128", "f64", "f64x2.extract_lane 1"),
    (
        "v128 i32",
        "v128",
        "i8x16.replace_lane 15, i16x8.replace_lane 7, i32x4.replace_lane 3, i8x16.shl,
         i8x16.shr_s, i8x16.shr_u, i16x8.shl, i16x8.shr_s, i16x8.shr_u, i32x4.shl,
         i32x4.shr_s, i32x4.shr_u, i64x2.shl, i64x2.shr_s, i64x2.shr_u",
    ),
    ("v128 i64", "v128", "i64x2.replace_lane 1"),
    ("v128 f32", "v128", "f32x4.replace_lane 3"),
    ("v128 f64", "v128", "f64x2.replace_lane 1"),
    (
        "v128",
        "v128",
        "v128.not, i8x16.abs, i8x16.neg, i8x16.popcnt, i16x8.abs, i16x8.neg, i32x4.abs,
         i32x4.neg, i64x2.abs, i64x2.neg, i16x8.extadd_pairwise_i8x16_s,
         i16x8.extadd_pairwise_i8x16_u, i32x4.extadd_pairwise_i16x8_s,
         i32x4.extadd_pairwise_i16x8_u, i16x8.extend_low_i8x16_s,
         i16x8.extend_high_i8x16_s, i16x8.extend_low_i8x16_u, i16x8.extend_high_i8x16_u,
         i32x4.extend_low_i16x8_s, i32x4.extend_high_i16x8_s, i32x4.extend_low_i16x8_u,
         i32x4.extend_high_i16x8_u, i64x2.extend_low_i32x4_s, i64x2.extend_high_i32x4_s,
         i64x2.extend_low_i32x4_u, i64x2.extend_high_i32x4_u, f32x4.ceil, f32x4.floor,
         f32x4.trunc, f32x4.nearest, f32x4.abs, f32x4.neg, f32x4.sqrt, f64x2.ceil,
         f64x2.floor, f64x2.trunc, f64x2.nearest, f64x2.abs, f64x2.neg, f64x2.sqrt,
         i32x4.trunc_sat_f32x4_s, i32x4.trunc_sat_f32x4_u, f32x4.convert_i32x4_s,
         f32x4.convert_i32x4_u, i32x4.trunc_sat_f64x2_s_zero,
         i32x4.trunc_sat_f64x2_u_zero, f64x2.convert_low_i32x4_s,
         f64x2.convert_low_i32x4_u, f32x4.demote_f64x2_zero, f64x2.promote_low_f32x4",
    ),
    ("v128 v128 v128", "v128", "v128.bitselect"),
    (
        "v128 v128",
        "v128",
        "i8x16.shuffle 0 31 2 29 4 27 6 25 8 23 10 21 12 19 14 17, i8x16.swizzle,
         v128.and, v128.andnot, v128.or, v128.xor, i8x16.eq, i8x16.ne, i8x16.lt_s,
         i8x16.lt_u, i8x16.gt_s, i8x16.gt_u, i8x16.le_s, i8x16.le_u, i8x16.ge_s,
         i8x16.ge_u, i16x8.eq, i16x8.ne, i16x8.lt_s, i16x8.lt_u, i16x8.gt_s, i16x8.gt_u,
         i16x8.le_s, i16x8.le_u, i16x8.ge_s, i16x8.ge_u, i32x4.eq, i32x4.ne, i32x4.lt_s,
         i32x4.lt_u, i32x4.gt_s, i32x4.gt_u, i32x4.le_s, i32x4.le_u, i32x4.ge_s,
         i32x4.ge_u, i64x2.eq, i64x2.ne, i64x2.lt_s, i64x2.gt_s, i64x2.le_s, i64x2.ge_s,
         f32x4.eq, f32x4.ne, f32x4.lt, f32x4.gt, f32x4.le, f32x4.ge, f64x2.eq, f64x2.ne,
         f64x2.lt, f64x2.gt, f64x2.le, f64x2.ge, i8x16.narrow_i16x8_s,
         i8x16.narrow_i16x8_u, i16x8.narrow_i32x4_s, i16x8.narrow_i32x4_u, i8x16.add,
         i8x16.add_sat_s, i8x16.add_sat_u, i8x16.sub, i8x16.sub_sat_s, i8x16.sub_sat_u,
         i8x16.min_s, i8x16.min_u, i8x16.max_s, i8x16.max_u, i8x16.avgr_u, i16x8.add,
         i16x8.add_sat_s, i16x8.add_sat_u, i16x8.sub, i16x8.sub_sat_s, i16x8.sub_sat_u,
         i16x8.mul, i16x8.min_s, i16x8.min_u, i16x8.max_s, i16x8.max_u, i16x8.avgr_u,
         i16x8.q15mulr_sat_s, i16x8.extmul_low_i8x16_s, i16x8.extmul_high_i8x16_s,
         i16x8.extmul_low_i8x16_u, i16x8.extmul_high_i8x16_u, i32x4.add, i32x4.sub,
         i32x4.mul, i32x4.min_s, i32x4.min_u, i32x4.max_s, i32x4.max_u,
         i32x4.dot_i16x8_s, i32x4.extmul_low_i16x8_s, i32x4.extmul_high_i16x8_s,
         i32x4.extmul_low_i16x8_u, i32x4.extmul_high_i16x8_u, i64x2.add, i64x2.sub,
         i64x2.mul, i64x2.extmul_low_i32x4_s, i64x2.extmul_high_i32x4_s,
         i64x2.extmul_low_i32x4_u, i64x2.extmul_high_i32x4_u, f32x4.add, f32x4.sub,
         f32x4.mul, f32x4.div, f32x4.min, f32x4.max, f32x4.pmin, f32x4.pmax, f64x2.add,
         f64x2.sub, f64x2.mul, f64x2.div, f64x2.min, f64x2.max, f64x2.pmin, f64x2.pmax",
    ),
];

/// Operators that open, close or leave blocks.
const CONTROL: &str = "
    (func (param i32) (result i32)
        (block (result i32)
            (loop (result i32)
                (br_if 1 (i32.const 1) (local.get 0))
                (drop)
                (br_table 1 2 1 (i32.const 2) (local.get 0)))))
    (func (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (return (i32.const 1)))
            (else (br 0 (i32.const 2)))))";

/// What the operators above refer to.
const DECLARATIONS: &str = r#"
    (memory 1)
    (data "data")
    (table $t 1 funcref)
    (table $e 1 10 externref)
    (elem funcref (ref.func $f))
    (global $g (mut i32) (i32.const 0))"#;

/// A module with a function for each operator.
pub(super) fn module_of_all_operators() -> String {
    let mut text = format!("(module {DECLARATIONS} (func $f (result i32) i32.const 0) {CONTROL}");
    for &(params, result, operators) in PLAIN {
        for operator in operators.split(',') {
            text += &format!("\n(func (param {params}) (result {result}) (local $z i32)\n");
            for index in 0..params.split_whitespace().count() {
                text += &format!("local.get {index} ");
            }
            text += operator;
            text += ")";
        }
    }
    text + ")"
}

macro_rules! operators_of_wasm_2 {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        [$((stringify!($proposal), stringify!($op))),*]
            .into_iter()
            .filter(|(proposal, _)| {
                ["mvp", "sign_extension", "saturating_float_to_int", "bulk_memory",
                 "reference_types", "simd", "threads", "memory_control"].contains(proposal)
            })
            .map(|(_, name)| name)
            // No module that validates has it.
            .filter(|&name| name != "TypedSelectMulti")
            .collect::<BTreeSet<&'static str>>()
    };
}

/// Compiles all functions of a module.
pub(super) fn compile(module: &TestModule, tunables: Tunables) -> Vec<CompiledFunction> {
    let compiler = Compiler::new(tunables.clone()).unwrap();
    let mut scratch = CompileScratch::default();
    let source = ModuleSource {
        info: &module.info,
        offsets: &module.offsets,
        bytes: &module.bytes,
        features: FEATURES,
    };
    let compile = |func| {
        let compiled = compiler.compile_function(&mut scratch, source, func);
        compiled.unwrap_or_else(|error| panic!("function {func} with {tunables:?}: {error}"))
    };
    module.funcs().map(compile).collect()
}

#[test]
fn every_operator_of_wasm_2_translates() {
    let mut module = TestModule::new(&module_of_all_operators());
    let mut seen = BTreeSet::new();
    for func in module.funcs() {
        let mut reader = module.body(func).get_operators_reader().unwrap();
        while !reader.eof() {
            let operator = format!("{:?}", reader.read().unwrap());
            let name = operator.split(' ').next().unwrap();
            seen.insert(name.to_owned());
        }
        module.translate(func, &Tunables::default());
    }
    let expected = wasmparser::for_each_operator!(operators_of_wasm_2);
    assert!(expected.len() > 430, "the list of operators has {}", expected.len());
    let missing: Vec<_> = expected.iter().filter(|&&name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "operators without a test: {missing:?}");
}

#[test]
fn every_operator_of_wasm_2_compiles_in_every_mode() {
    let module = TestModule::new(&module_of_all_operators());
    for opt_level in [OptLevel::None, OptLevel::Speed, OptLevel::SpeedAndSize] {
        for nan_canonicalization in [false, true] {
            let epoch_interruption = nan_canonicalization;
            // Without what processors have come to have, too: no operator needs a relocation then.
            let native_cpu = !nan_canonicalization;
            let more = Tunables { native_cpu, ..Tunables::default() };
            compile(
                &module,
                Tunables { opt_level, nan_canonicalization, epoch_interruption, ..more },
            );
        }
    }
}
