//! Control flow of every shape, and bodies that are large in one dimension.

use super::TestModule;
use crate::error::CompileError;
use crate::tunables::Tunables;

/// Translates and verifies all functions of a module, with and without epoch checks.
fn check(text: &str) {
    let mut module = TestModule::new(text);
    for func in module.funcs() {
        for epoch_interruption in [false, true] {
            module.translate(func, &Tunables { epoch_interruption, ..Tunables::default() });
        }
    }
}

/// How many CLIF blocks the first function of a module has.
fn blocks(text: &str) -> usize {
    let mut module = TestModule::new(text);
    let function = module.translate(module.funcs().start, &Tunables::default());
    function.layout.blocks().count()
}

/// Translates the first function of a module on a thread with little stack: nothing may recurse.
fn translate_flat(text: String) -> Result<(), CompileError> {
    let work = move || {
        let mut module = TestModule::try_new(&text)?;
        module.try_translate(module.funcs().start, &Tunables::default()).map(drop)
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap()
}

#[test]
fn unreachable_code_is_skipped_to_where_something_leads() {
    check(
        "(module
            (func (result i32) unreachable)
            (func (result f32) unreachable i32.add drop f32.neg)
            (func (result i32) (return (i32.const 1)) (block (loop (if (i32.const 0) (then)))))
            (func (result i32) (block (result i32) (br 0 (i32.const 1)) (drop) (i32.const 2)))
            (func (result i32) (loop (result i32) (br 0)))
            (func (loop (loop (br 1)) unreachable))
            (func (block (br 0) (block (br 1)) (br_if 0) (br_table 0 0)))
            (func (param i32) (result i32)
                (if (result i32) (local.get 0) (then unreachable) (else (i32.const 1))))
            (func (param i32) (result i32)
                (if (result i32) (local.get 0) (then (i32.const 1)) (else unreachable)))
            (func (param i32) (result i32)
                (if (result i32) (local.get 0) (then unreachable) (else unreachable)))
            (func (param i32) (if (local.get 0) (then unreachable)))
            (func (param i32) (if (local.get 0) (then (i32.const 1) (br 0 (drop))) (else (return))))
            (func (param i32) (block (if (local.get 0) (then (br 1)) (else (br 1))) unreachable))
            (func (param i32) unreachable (if (then) (else)) (if (then)) (local.set 0 (i32.const 3)))
            (func (result v128) (select unreachable))
            (func (result i32) (local i32) (block unreachable (local.get 0) drop) (local.get 0)))",
    );
}

#[test]
fn vectors_of_any_lane_type_take_every_way_of_a_branch() {
    check(
        "(module
            (func (param i32 i32) (result i32)
                (block (result v128)
                    (block (result v128)
                        (i32x4.splat (local.get 1))
                        (br_table 0 1 (local.get 0)))
                    (f64x2.neg))
                (i32x4.extract_lane 2))
            (func (param anyref i32) (result i32)
                (block (result v128 anyref)
                    (i32x4.splat (local.get 1))
                    (local.get 0)
                    (br_on_cast 0 anyref (ref i31))
                    (br_on_cast_fail 0 anyref (ref struct))
                    (drop)
                    (i16x8.neg)
                    (local.get 0))
                (drop)
                (i32x4.extract_lane 2))
            (func (param externref i32) (result i32)
                (block (result v128)
                    (i32x4.splat (local.get 1))
                    (local.get 0)
                    (br_on_null 0)
                    (drop)
                    (i16x8.neg))
                (i32x4.extract_lane 2))
            (func (param i32 i32) (result i32)
                (block (result v128)
                    (i32x4.splat (local.get 1))
                    (br_if 0 (local.get 0))
                    (i16x8.neg))
                (i32x4.extract_lane 2)))",
    );
}

#[test]
fn values_cross_blocks_ifs_and_loops() {
    check(
        "(module
            (type $swap (func (param i32 i64) (result i64 i32)))
            (type $keep (func (param i32 i64) (result i32 i64)))
            (func (param i32 i64) (result i64 i32)
                (local.get 0) (local.get 1) (block (type $swap)
                    (local.set 1) (local.set 0) (local.get 1) (local.get 0)))
            (func (param i32 i64) (result i64 i32)
                (i32.const 7) (local.get 0) (local.get 1)
                (if (type $swap) (local.get 0)
                    (then (local.set 1) (local.set 0) (local.get 1) (local.get 0))
                    (else (local.set 1) (drop) (local.get 1) (i32.const 0)))
                (br 0 (local.set 0) (local.set 1) (drop) (local.get 1) (local.get 0)))
            (func (param i32 i64) (result i32 i64)
                (local.get 0) (local.get 1) (if (type $keep) (local.get 0) (then)))
            (func (param i32 i64) (result i32 i64)
                (local.get 0) (local.get 1)
                (if (type $keep) (local.get 0) (then (br_if 0 (local.get 0)) (br 0))))
            (func (param i32 i64) (result i32 i64)
                (local.get 0) (local.get 1)
                (if (type $keep) (local.get 0) (then unreachable)))
            (func (param i32 i64) (result i32 i64)
                (i32.const 5) (local.get 0) (local.get 1)
                (if (type $keep) (local.get 0) (then) (else (drop) (i64.const 1)))
                (local.set 1) (local.set 0) (drop) (local.get 0) (local.get 1))
            (func (param i32 i64) (result i32 i64)
                (local.get 0) (local.get 1) (loop (type $keep)
                    (local.set 1) (local.set 0)
                    (br_if 1 (local.get 0) (local.get 1) (local.get 0))
                    (local.set 1) (local.set 0)
                    (br 0 (local.get 0) (local.get 1))))
            (func (param i32 i64) (result i32 i64)
                (local.get 0) (local.get 1) (block (type $keep) unreachable)
                (loop (type $keep)
                    (br_table 0 1 0 (local.get 0))))
            (func (param v128 i32) (result v128)
                (block (result v128)
                    (br_if 0 (i32x4.add (local.get 0) (local.get 0)) (local.get 1))
                    (drop)
                    (f64x2.neg (local.get 0)))
                (local.tee 0)
                (f32x4.sqrt)
                (select (i8x16.neg (local.get 0)) (local.get 1))
                (if (param v128) (result v128) (local.get 1) (then (i64x2.neg)))
                (loop (param v128) (result v128) (i16x8.neg) (br_if 0 (local.get 1)))
                (return (i16x8.abs))))",
    );
}

#[test]
fn nesting_alone_makes_no_blocks() {
    let nested = format!("(module (func {} {}))", "block ".repeat(100), "end ".repeat(100));
    assert_eq!(blocks(&nested), 1);
    // Condition, what it guards, and what follows.
    assert_eq!(blocks("(module (func (param i32) (if (local.get 0) (then (nop)))))"), 3);
}

#[test]
fn deep_nesting_needs_no_stack() {
    let depth = 100_000;
    for open in ["block ", "loop ", "i32.const 1 if "] {
        let body = format!("{} br {} {}", open.repeat(depth), depth - 1, "end ".repeat(depth));
        translate_flat(format!("(module (func {body}))")).unwrap();
    }
}

#[test]
fn clauses_times_calls_are_limited() {
    let (depth, calls) = (5_000, 5_000);
    let text = format!(
        "(module (tag) (func {} {} {}))",
        "block try_table (catch 0 0) ".repeat(depth),
        "call 0 ".repeat(calls),
        "end end ".repeat(depth),
    );
    let error = translate_flat(text).unwrap_err();
    assert!(error.to_string().contains("pass 75000000 values"), "{error}");
    // What catches all ends the list.
    let text = format!(
        "(module (tag) (func block {} try_table (catch_all 0) {} end {} end))",
        "try_table (catch 0 0) ".repeat(depth),
        "call 0 ".repeat(calls),
        "end ".repeat(depth),
    );
    translate_flat(text).unwrap();
}

#[test]
fn as_many_locals_as_validation_admits() {
    let locals = "i64 ".repeat(49_999);
    let uses: String = (0..50_000).step_by(7).map(|i| format!("local.get {i} drop ")).collect();
    let text = format!("(module (func (param i32) (local {locals}) {uses} {uses}))");
    translate_flat(text).unwrap();
}

#[test]
fn as_many_targets_of_a_table_as_validation_admits() {
    let targets = "0 1 2 3 ".repeat(65_520 / 4 - 1);
    for (result, value) in [("", ""), ("(result i64 i64)", "i64.const 1 i64.const 2 ")] {
        let open = format!("block {result} ").repeat(4);
        let text = format!(
            "(module (func (param i32) {result} {open} {value} local.get 0 br_table {targets} 3
                end end end end))"
        );
        // Two blocks for the table's own use, and one for each of the four exits.
        assert!(blocks(&text) <= 12, "{} blocks", blocks(&text));
        translate_flat(text).unwrap();
    }
}

#[test]
fn values_passed_over_and_over_are_limited() {
    let types = "i32 ".repeat(1000);
    let operands: String = (0..1000).map(|i| format!("local.get {i} ")).collect();
    let text = |calls: usize| {
        let calls = "call 0 ".repeat(calls);
        format!(
            "(module (func (param {types}) (result {types}) {operands})
                (func (param {types}) (result {types}) {operands} {calls}))"
        )
    };
    assert!(TestModule::try_new(&text(1000)).is_ok());
    let Err(error) = TestModule::try_new(&text(1100)) else { panic!("too many") };
    assert!(matches!(error, CompileError::Codegen { func: 1, .. }), "{error}");
}

#[test]
fn references_alive_at_calls_are_limited() {
    let text = format!(
        "(module (func) (func (param anyref) {} {} {}))",
        "local.get 0 ".repeat(3_000),
        "call 0 ".repeat(1_500),
        "drop ".repeat(3_000),
    );
    let mut module = TestModule::new(&text);
    let error = module.try_translate(1, &Tunables::default()).unwrap_err();
    assert!(matches!(error, CompileError::Codegen { func: 1, .. }), "{error}");
    // What is left of a function that failed does not get into the next.
    module.translate(0, &Tunables::default());
}

#[test]
fn locals_that_are_used_around_too_many_blocks_live_in_the_frame() {
    let used = 400;
    let text = |blocks: usize| {
        format!(
            "(module (func (local i64 i32 {}) loop {} {} end))",
            "i32 ".repeat(2 * used),
            (2..2 + used).map(|i| format!("local.get {i} drop ")).collect::<String>(),
            "local.get 1 br_if 0 ".repeat(blocks),
        )
    };
    let frame = |blocks: usize| {
        let mut module = TestModule::new(&text(blocks));
        let function = module.translate(0, &Tunables::default());
        function.sized_stack_slots.values().map(|slot| slot.size).sum::<u32>()
    };
    assert_eq!(frame(100), 0);
    // Those that are not used take no room.
    assert_eq!(frame(12_000), 4 * (used as u32 + 1));
}

#[test]
fn locals_that_are_used_in_deeply_nested_loops_live_in_the_frame() {
    let text = |loops: usize| {
        let ends = "(br_if 0 (local.get 0)) nop nop nop nop end ".repeat(loops);
        format!("(module (func (param i32) {} {ends}))", "loop ".repeat(loops))
    };
    let slots = |loops: usize| {
        let mut module = TestModule::new(&text(loops));
        module.translate(0, &Tunables::default()).sized_stack_slots.len()
    };
    assert_eq!([slots(500), slots(501)], [0, 1]);
}

#[test]
fn locals_that_are_only_declared_cost_nothing() {
    let text = format!(
        "(module (func (local {}) (local.set 49999 (i32.const 1))))",
        "i32 ".repeat(50_000)
    );
    let function = TestModule::new(&text).translate(0, &Tunables::default());
    assert!(function.dfg.num_values() < 10, "{}", function.display());
}

#[test]
fn branches_are_limited() {
    let text = |ifs: usize| {
        let ifs = "local.get 0 if ".repeat(ifs) + &"end ".repeat(ifs);
        format!("(module (func (param i32) {ifs}))")
    };
    assert!(TestModule::try_new(&text(260_000)).is_ok());
    let Err(error) = TestModule::try_new(&text(263_000)) else { panic!("too many") };
    assert!(error.to_string().contains("branches"), "{error}");
}

#[test]
fn operands_alive_around_blocks_are_limited() {
    let text = |blocks: usize| {
        format!(
            "(module (func (param i32) {} {} {}))",
            "local.get 0 ".repeat(5_000),
            "(if (local.get 0) (then nop)) ".repeat(blocks),
            "local.set 0 ".repeat(5_000),
        )
    };
    let translate = |blocks| TestModule::new(&text(blocks)).try_translate(0, &Tunables::default());
    translate(1_000).unwrap();
    let error = translate(2_000).unwrap_err();
    assert!(error.to_string().contains("live through"), "{error}");
}

#[test]
fn the_same_body_becomes_the_same_code() {
    let text = "(module (memory 1) (table 1 funcref) (func (param i32) (result i32 i32)
        (block (result i32 i32) (block (result i32 i32) (block (result i32 i32)
            (br_table 2 1 0 1 2 0 (i32.const 1) (i32.const 2) (local.get 0)))))
        (i32.load (local.get 0)) (call_indirect (param i32 i32 i32) (result i32 i32)
            (local.get 0))))";
    let clif = || TestModule::new(text).translate(0, &Tunables::default()).display().to_string();
    assert_eq!(clif(), clif());
}

#[test]
fn operators_of_later_versions_are_named() {
    let text = "(module (global i32 (i32.const 0))
        (func (result i32) (global.atomic.get seqcst 0)))";
    let bytes = wat::parse_str(text).unwrap();
    let features = super::FEATURES | wasmparser::WasmFeatures::SHARED_EVERYTHING_THREADS;
    let info = crate::module::parse(&bytes, features).unwrap().info;
    let offsets = crate::vm::VMOffsets::new(&info);
    let body = crate::module::function_body(&bytes, info.bodies[0].clone(), features);
    let isa = super::isa();
    let input = crate::translate::FunctionInput {
        module: &info,
        offsets: &offsets,
        tunables: &Tunables::default(),
        isa: &*isa,
        func: 0,
        body,
    };
    let mut context = cranelift_frontend::FunctionBuilderContext::new();
    let mut function = cranelift_codegen::ir::Function::new();
    let error = crate::translate::translate(input, &mut context, &mut function).unwrap_err();
    assert!(error.to_string().contains("GlobalAtomicGet"), "{error}");
}
