//! Without signals no operator becomes an instruction that may raise one.

use super::TestModule;
use super::operators::{compile, module_of_all_operators};
use crate::compile::CompiledFunction;
use crate::tunables::{OptLevel, Tunables};
use cranelift_codegen::ir::{Function, Opcode};
use std::collections::BTreeSet;

/// The operators of the other proposals: `(parameters, result, operators)`.
const NEWER: &[(&str, &str, &str)] = &[
    ("(ref null $f)", "i32", "ref.is_null, ref.as_non_null ref.is_null, call_ref $f"),
    ("(ref null $f)", "i32", "return_call_ref $f"),
    (
        "i32",
        "i32",
        "return_call_indirect $t (type $f), return_call $g drop, call_indirect $t (type $f)",
    ),
    ("(ref null $f)", "i32", "br_on_null 0 drop i32.const 1, br_on_non_null $r i32.const 1"),
    ("i32", "(ref $s)", "drop struct.new_default $s, struct.new $s"),
    ("(ref null $s)", "i32", "struct.get $s 0, drop i32.const 1"),
    (
        "(ref null $p)",
        "i32",
        "struct.get_s $p 0, struct.get_u $p 0, struct.get_s $p 1, struct.get_u $p 1",
    ),
    ("(ref null $v)", "v128", "struct.get $v 1"),
    ("(ref null $s) i32", "", "struct.set $s 0"),
    ("(ref null $p) i32", "", "struct.set $p 0, struct.set $p 1"),
    ("i32 i32", "(ref $a)", "array.new $a, drop array.new_default $a, array.new_fixed $a 2"),
    ("i32 i32", "(ref $b)", "array.new_data $b $data"),
    ("i32 i32", "(ref $e)", "array.new_elem $e $elem"),
    ("(ref null $a) i32", "i32", "array.get $a"),
    ("(ref null $b) i32", "i32", "array.get_s $b, array.get_u $b"),
    ("(ref null $a) i32 i32", "", "array.set $a"),
    ("(ref null array)", "i32", "array.len"),
    ("(ref null $a) i32 i32 i32", "", "array.fill $a"),
    ("(ref null $a) i32 (ref null $a) i32 i32", "", "array.copy $a $a"),
    ("(ref null $b) i32 i32 i32", "", "array.init_data $b $data"),
    ("(ref null $e) i32 i32 i32", "", "array.init_elem $e $elem"),
    ("i32", "i31ref", "ref.i31"),
    ("i31ref", "i32", "i31.get_s, i31.get_u"),
    (
        "anyref",
        "i32",
        "ref.test (ref $s), ref.test (ref null $s), ref.test (ref i31), ref.test (ref array)",
    ),
    ("anyref", "(ref $s)", "ref.cast (ref $s)"),
    ("anyref", "(ref null $s)", "ref.cast (ref null $s)"),
    ("anyref", "(ref i31)", "ref.cast (ref i31)"),
    ("anyref", "(ref null eq)", "ref.cast (ref null eq)"),
    (
        "anyref",
        "i32",
        "br_on_cast $x anyref (ref $s) drop i32.const 1, br_on_cast_fail $y anyref (ref $s) drop i32.const 1",
    ),
    ("eqref eqref", "i32", "ref.eq"),
    ("externref", "anyref", "any.convert_extern"),
    ("anyref", "externref", "extern.convert_any"),
    ("i32", "", "throw $tag"),
    ("exnref", "", "throw_ref"),
    (
        "i32",
        "i32",
        "(block $h (result i32) (try_table (result i32) (catch $tag $h) call $g)) i32.add",
    ),
    ("(ref null $f) (ref null $f) i32", "(ref null $f)", "select (result (ref null $f))"),
    (
        "i64",
        "i32",
        "i32.load $wide offset=4294967296, i32.load $wide, i32.load8_s $wide, i32.atomic.load $wide",
    ),
    ("i64", "i32", "i32.load $wide offset=0xffffffffffffffff, i32.load $wide offset=0x7fffffff"),
    ("i64 i64", "", "i64.store $wide, i64.store32 $wide, i64.atomic.store $wide"),
    ("i64 v128", "v128", "v128.load32_lane $wide 1"),
    ("i64 i64", "i64", "i64.atomic.rmw.add $wide, i64.atomic.rmw8.xchg_u $wide"),
    ("i64", "i64", "memory.grow $wide"),
    ("i32", "i32", "i32.load $bytes, i32.load $bytes offset=0xffffffff, i32.load16_u $bytes"),
    ("i32 i32", "", "i32.store $bytes, i32.store8 $bytes"),
    ("i32", "v128", "v128.load $bytes, v128.load8_splat $bytes, v128.load64_zero $bytes"),
    ("i32", "i32", "i32.load $shared, i32.atomic.load $shared, i32.load $shared offset=0xffffffff"),
    ("i32 i64", "i64", "i64.atomic.rmw.xor $shared, i64.atomic.rmw32.add_u $shared"),
    ("i32 i64 i64", "i64", "i64.atomic.rmw.cmpxchg $shared"),
    ("i64", "(ref null $f)", "table.get $table64"),
    ("i64 (ref null $f)", "", "table.set $table64"),
    ("i64 i64 i64 i64", "i64 i64", "i64.add128, i64.sub128"),
    ("i64 i64", "i64 i64", "i64.mul_wide_s, i64.mul_wide_u"),
    ("v128 v128", "v128", "i8x16.relaxed_swizzle, i16x8.relaxed_q15mulr_s, f32x4.relaxed_min"),
    ("v128", "v128", "i32x4.relaxed_trunc_f32x4_s, i32x4.relaxed_trunc_f64x2_u_zero"),
    (
        "v128 v128 v128",
        "v128",
        "f32x4.relaxed_madd, f64x2.relaxed_nmadd, i32x4.relaxed_dot_i8x16_i7x16_add_s",
    ),
];

const DECLARATIONS: &str = r#"
    (type $f (func (result i32)))
    (type $s (sub (struct (field (mut i32)))))
    (type $p (struct (field (mut i8)) (field (mut i16))))
    (type $v (struct (field i64) (field v128)))
    (type $a (array (mut i32)))
    (type $b (array (mut i8)))
    (type $e (array (mut (ref null $f))))
    (memory 0)
    (memory $wide i64 1)
    (memory $bytes 3 (pagesize 1))
    (memory $shared 1 2 shared)
    (table $t 4 (ref null $f))
    (table $table64 i64 4 (ref null $f))
    (tag $tag (param i32))
    (data $data "data")
    (elem $elem (ref null $f) (ref.func $g))
    (func $g (type $f) (i32.const 0))"#;

fn module_of_newer_operators() -> String {
    let mut text = format!("(module {DECLARATIONS}");
    for &(params, result, operators) in NEWER {
        for operator in operators.split(',') {
            let of = |types: &str, kind: &str| {
                let types = types.replace("(ref null", "(ref_null").replace("(ref ", "(ref_");
                let types =
                    types.split_whitespace().fold(Vec::<String>::new(), |mut list, word| {
                        match list.last_mut() {
                            Some(open) if open.starts_with('(') && !open.ends_with(')') => {
                                *open += " ";
                                *open += word;
                            }
                            _ => list.push(word.to_owned()),
                        }
                        list
                    });
                let back =
                    |ty: &String| ty.replace("(ref_null", "(ref null").replace("(ref_", "(ref ");
                let count = types.len();
                (
                    types.iter().map(|ty| format!("({kind} {}) ", back(ty))).collect::<String>(),
                    count,
                )
            };
            let (params, count) = of(params, "param");
            let (result, _) = of(result, "result");
            let gets: String = (0..count).map(|index| format!("local.get {index} ")).collect();
            let body = match operator {
                op if op.contains("$r ") => {
                    format!("(block $r (result (ref $f)) {gets} {op} return) ref.is_null")
                }
                op if op.contains("$x ") => {
                    format!("(block $x (result (ref $s)) {gets} {op} return) struct.get $s 0")
                }
                op if op.contains("$y ") => {
                    format!("(block $y (result anyref) {gets} {op} return) ref.is_null")
                }
                op if op.contains("br_on_null 0") => {
                    format!("(block {gets} {op} return) i32.const 2")
                }
                op => format!("{gets} {op}"),
            };
            text += &format!("\n(func {params} {result} {body})");
        }
    }
    text + ")"
}

fn without_signals() -> Tunables {
    Tunables { signals_based_traps: false, ..Tunables::default() }
}

#[test]
fn no_operator_may_raise_a_signal() {
    for text in [module_of_all_operators(), module_of_newer_operators()] {
        let module = TestModule::new(&text);
        for opt_level in [OptLevel::None, OptLevel::Speed] {
            // Compiling refuses what is left in the code generator's own table.
            for (func, compiled) in
                compile(&module, Tunables { opt_level, ..without_signals() }).iter().enumerate()
            {
                assert!(compiled.traps.is_empty(), "function {func}: {:?}", compiled.traps);
            }
        }
    }
}

/// Instructions of CLIF that trap by themselves.
fn traps(function: &Function) -> Vec<String> {
    let dfg = &function.dfg;
    let insts = function.layout.blocks().flat_map(|block| function.layout.block_insts(block));
    insts
        .filter(|&inst| {
            let flags = dfg.insts[inst].memflags().map(|flags| dfg.mem_flags[flags]);
            let converts =
                matches!(dfg.insts[inst].opcode(), Opcode::FcvtToSint | Opcode::FcvtToUint);
            let opcode = dfg.insts[inst].opcode();
            let accesses = opcode.can_load() || opcode.can_store();
            let code = flags.filter(|_| accesses).and_then(|flags| flags.trap_code());
            dfg.insts[inst].trap_code().is_some() || code.is_some() || converts
        })
        .map(|inst| dfg.display_inst(inst).to_string())
        .collect()
}

#[test]
fn no_access_is_left_to_a_fault_and_no_prologue_traps() {
    for text in [module_of_all_operators(), module_of_newer_operators()] {
        let mut module = TestModule::new(&text);
        let mut with = 0;
        for func in module.funcs() {
            let function = module.translate(func, &without_signals());
            assert_eq!(traps(&function), [""; 0], "{}", function.display());
            assert_eq!(function.stack_limit, None);
            with += traps(&module.translate(func, &Tunables::default())).len();
        }
        assert!(with > 50, "only {with} instructions trap with signals");
    }
}

#[test]
fn where_functions_are_compiled_plainly_no_check_ends_a_block_and_none_is_cold() {
    let plain = Tunables { plain: true, ..without_signals() };
    let loads =
        "(drop (i32.load (i32.const 70000))) (drop (i32.div_u (i32.const 1) (local.get 0)))";
    let text = format!("(module (memory 1) (func (param i32) {}))", loads.repeat(100));
    let mut module = TestModule::new(&text);
    // What is before the first check of the stack, and what is behind.
    assert!(module.translate(0, &plain).layout.blocks().count() <= 3);
    assert!(module.translate(0, &without_signals()).layout.blocks().count() > 400);
    for text in [module_of_all_operators(), module_of_newer_operators()] {
        let mut module = TestModule::new(&text);
        for func in module.funcs() {
            let function = module.translate(func, &plain);
            assert!(function.layout.blocks().all(|block| !function.layout.is_cold(block)));
        }
    }
}

#[test]
fn where_functions_are_compiled_plainly_no_pointer_is_kept() {
    let text = "(module (import \"\" \"\" (func)) (import \"\" \"g\" (global i32)) (memory 1)
        (func (param i32) (if (local.get 0) (then (call 0) (drop (global.get 0))
            (drop (i32.load (local.get 0)))))))";
    let plain = Tunables { plain: true, ..Tunables::default() };
    let function = TestModule::new(text).translate(1, &plain);
    let entry = function.layout.entry_block().unwrap();
    let loads = function.layout.block_insts(entry);
    let loads = loads.filter(|&inst| function.dfg.insts[inst].opcode() == Opcode::Load);
    // The parameter, for the condition.
    assert_eq!(loads.count(), 1, "{}", function.display());
}

#[test]
fn every_proposal_has_its_operators_here() {
    let mut seen = BTreeSet::new();
    for text in [module_of_all_operators(), module_of_newer_operators()] {
        let module = TestModule::new(&text);
        for func in module.funcs() {
            let mut reader = module.body(func).get_operators_reader().unwrap();
            while !reader.eof() {
                let operator = format!("{:?}", reader.read().unwrap());
                seen.insert(operator.split(' ').next().unwrap().to_owned());
            }
        }
    }
    macro_rules! names {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            [$((stringify!($proposal), stringify!($op))),*]
        };
    }
    let trapping = ["gc", "function_references", "exceptions", "tail_call", "wide_arithmetic"];
    let missing: Vec<_> = wasmparser::for_each_operator!(names)
        .into_iter()
        .filter(|(proposal, name)| trapping.contains(proposal) && !seen.contains(*name))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(missing, [""; 0], "operators without a test");
}

#[test]
fn a_large_frame_is_compared_with_the_limit_before_it_is_made() {
    let each = |text: &dyn Fn(usize) -> String| (0..5000).map(text).collect::<String>();
    let locals = "v128 ".repeat(5000);
    let loads = each(&|n| format!("(local.set {n} (v128.load offset={} (i32.const 0)))", n * 13));
    let stores = each(&|n| format!("(v128.store offset={} (i32.const 0) (local.get {n}))", n * 13));
    let text = format!("(module (memory 1) (func (local {locals}) {loads} {stores}))");
    let module = TestModule::new(&text);
    let [without, with] = [false, true].map(|signals_based_traps| {
        let tunables = Tunables { signals_based_traps, verifier: false, ..Tunables::default() };
        compile(&module, tunables).remove(0)
    });
    assert!(without.traps.is_empty());
    // What goes ahead has no position in the module, and then all is as it was.
    assert_eq!(without.addresses[0], (0, None));
    let start = without.addresses[1].0;
    assert!((1..500).contains(&start), "{start}");
    assert!(without.addresses.is_sorted_by_key(|address| address.0));
    let end = |function: &CompiledFunction| function.addresses.last().unwrap().0 as usize;
    // Constants and what aligns them may follow.
    assert!((end(&without)..end(&without) + 32).contains(&without.code.len()));
    assert!(without.code.len() - start as usize >= with.code.len() / 2);
}
