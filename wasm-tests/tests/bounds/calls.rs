//! Indirect calls: to nothing, beyond the table, to functions of other types, across instances.

use crate::Check;
use crate::guest::Guest;
use seqfault::{Engine, Extern, Instance, Module, Store, TrapCode, Val};

pub(crate) const CHECKS: &[Check] = &[
    ("an_indirect_call_traps_on_null_and_beyond_the_table", entries),
    ("an_indirect_call_traps_on_every_other_type_and_on_none_of_its_own", types),
    ("types_are_compared_across_instances_by_what_they_are", instances),
];

fn entries() {
    let mut guest = Guest::new(
        r#"(module (table 10 funcref) (elem (i32.const 3) $f) (func $f)
            (func (export "call") (param i32) (call_indirect (local.get 0))))"#,
    );
    guest.expect("call", &[3], None);
    for null in [0, 2, 4, 9] {
        guest.expect("call", &[null], Some(TrapCode::IndirectCallToNull));
    }
    for beyond in [10, 11, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        guest.expect("call", &[beyond], Some(TrapCode::UndefinedElement));
    }
    guest.expect("call", &[3], None);
}

/// Types that differ in one parameter, one result, their number or their order.
const TYPES: &[(&str, &str)] = &[
    ("", ""),
    ("i32", ""),
    ("i64", ""),
    ("f32", ""),
    ("f64", ""),
    ("v128", ""),
    ("funcref", ""),
    ("externref", ""),
    ("", "i32"),
    ("", "i64"),
    ("", "f64"),
    ("", "i32 i32"),
    ("i32 i32", ""),
    ("i32 i64", ""),
    ("i64 i32", ""),
    ("i32", "i32"),
    ("i32", "i64"),
];

fn value_of(ty: &str) -> String {
    match ty {
        "funcref" => "(ref.null func)".to_owned(),
        "externref" => "(ref.null extern)".to_owned(),
        "v128" => "(v128.const i64x2 0 0)".to_owned(),
        number => format!("({number}.const 0)"),
    }
}

fn values_of(types: &str) -> String {
    types.split_whitespace().map(value_of).collect()
}

/// A function of each type in a table, and a caller of each type that takes an index.
fn callers_and_callees() -> String {
    let mut text = format!("(module (table {} funcref)", TYPES.len());
    for (index, (params, results)) in TYPES.iter().enumerate() {
        let ty = format!("(param {params}) (result {results})");
        let drops = "drop ".repeat(results.split_whitespace().count());
        text.push_str(&format!(
            "(elem (i32.const {index}) $f{index})
            (func $f{index} {ty} {})
            (func (export \"{index}\") (param i32)
                {} (local.get 0) (call_indirect {ty}) {drops})",
            values_of(results),
            values_of(params),
        ));
    }
    text.push(')');
    text
}

fn types() {
    let mut guest = Guest::new(&callers_and_callees());
    for caller in 0..TYPES.len() {
        for callee in 0..TYPES.len() {
            let expected = (caller != callee).then_some(TrapCode::BadSignature);
            guest.expect(&caller.to_string(), &[callee as u32], expected);
        }
    }
}

fn instances() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let owner = r#"(module (type (func)) (type (func (param i64) (result i32)))
        (table (export "t") 4 funcref) (elem (i32.const 0) $f $g)
        (func $f (type 1) (i32.wrap_i64 (local.get 0))) (func $g))"#;
    let owner = Module::new(&engine, owner).expect("a module");
    let owner = Instance::new(&mut store, &owner, &[]).expect("an instance");
    let table = owner.get_export(&mut store, "t").expect("the table");
    // The type has another index here.
    let user = r#"(module (import "" "t" (table 4 funcref)) (type $t (func (param i64) (result i32)))
        (func (export "call") (param i32) (result i32)
            (call_indirect (type $t) (i64.const 42) (local.get 0))))"#;
    let user = Module::new(&engine, user).expect("a module");
    let imports: [Extern; 1] = [table];
    let instance = Instance::new(&mut store, &user, &imports).expect("an instance");
    let mut guest = Guest { store, instance };
    assert_eq!(guest.call("call", &[Val::I32(0)]).map(|v| v[0].unwrap_i32()), Ok(42));
    guest.expect("call", &[1], Some(TrapCode::BadSignature));
    guest.expect("call", &[2], Some(TrapCode::IndirectCallToNull));
    guest.expect("call", &[4], Some(TrapCode::UndefinedElement));
}
