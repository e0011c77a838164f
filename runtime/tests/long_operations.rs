//! Each single operation that may take long asks, between pieces, whether the guest is to be interrupted.
//!
//! Every case runs three times. Once it is not disturbed, which gives the result that is expected. Once the embedder is asked
//! for every piece, and collects, allocates and runs the guest each time, which must change nothing. Once the guest is
//! interrupted when the embedder is asked for the first time during the operation, which must end it.

use seqfault::{
    AddressSpace, Config, Engine, Extern, ExternRef, Feature, Global, GlobalType, Instance, Module,
    Mutability, Result, Store, Table, TrapCode, UpdateDeadline, Val, ValType,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Some pieces and a little more.
const BYTES: usize = (8 << 20) + 4_096;

/// Elements of a table that are as many.
const ELEMENTS: usize = BYTES / 8;

/// One operation.
struct Case {
    name: String,
    /// The parts of a module: `prepare` is called first, `run` is the operation, `check` gives a number for its result.
    text: String,
    /// How often the embedder is asked before the operation, and how often in it at least.
    before: usize,
    asked: usize,
    /// Whether the operation is the instantiation.
    at_start: bool,
}

const TYPES: &str = r#"
    (import "" "at" (global $at i32))
    (type $box (struct (field $value (mut i32))))
    (type $i8 (array (mut i8))) (type $i16 (array (mut i16))) (type $i32 (array (mut i32)))
    (type $i64 (array (mut i64))) (type $f32 (array (mut f32))) (type $f64 (array (mut f64)))
    (type $v128 (array (mut v128))) (type $ref (array (mut (ref null $box))))
    (type $any (array (mut anyref))) (type $func (array (mut funcref)))
    (func $f) (elem declare func $f)
    (global $one (ref $box) (struct.new $box (i32.const 3)))
    (global $held (export "held") (mut (ref null $box)) (ref.null $box))
    (func (export "other") (param i32) (global.set $held (struct.new $box (local.get 0))))
    (func $value (param (ref null $box)) (result i32)
      (if (result i32) (ref.is_null (local.get 0)) (then (i32.const -1))
        (else (struct.get $box $value (local.get 0)))))"#;

/// A kind of arrays: the name of the type, bytes of an element, an element, and how one becomes an `i32`.
const KINDS: &[(&str, usize, &str, &str)] = &[
    ("i8", 1, "(i32.const 0x1ab)", "(array.get_u $i8 AT)"),
    ("i16", 2, "(i32.const 0x51234)", "(array.get_u $i16 AT)"),
    ("i32", 4, "(i32.const 0x12345678)", "(array.get $i32 AT)"),
    ("i64", 8, "(i64.const -77)", "(i32.wrap_i64 (array.get $i64 AT))"),
    ("f32", 4, "(f32.const 1.5)", "(i32.reinterpret_f32 (array.get $f32 AT))"),
    ("f64", 8, "(f64.const 2.5)", "(i32.trunc_f64_s (array.get $f64 AT))"),
    (
        "v128",
        16,
        "(v128.const i32x4 1 2 3 4)",
        "(i32.sub (i32x4.extract_lane 0 (array.get $v128 AT)) (i32x4.extract_lane 3 (array.get $v128 AT)))",
    ),
    ("ref", 4, "(struct.new $box (i32.const 9))", "(call $value (array.get $ref AT))"),
    ("any", 4, "(ref.i31 (i32.const 5))", "(i31.get_s (ref.cast i31ref (array.get $any AT)))"),
    ("func", 8, "(ref.func $f)", "(ref.is_null (array.get $func AT))"),
];

/// An object for some of the indices `$i`.
const SOME: &str = "(if (result (ref null $box)) (i32.and (local.get $i) (i32.const 63))
    (then (ref.null $box)) (else (struct.new $box (local.get $i))))";

/// A function that combines `element` of all indices `$i` below `len`.
fn check(len: usize, element: &str) -> String {
    format!(
        r#"(func (export "check") (result i32) (local $i i32) (local $sum i32)
            (loop $next
              (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) {element}))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $i) (i32.const {len}))))
            (local.get $sum))"#
    )
}

/// A loop that does `what` for each `$i` below `len`.
fn each(len: usize, what: &str) -> String {
    format!(
        r#"(func (export "prepare") (local $i i32)
            (loop $next {what}
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $i) (i32.const {len})))))"#
    )
}

fn case(name: impl Into<String>, parts: &[String]) -> Case {
    let text = format!("(module {TYPES} {})", parts.concat());
    // Before: when the function is entered.
    Case { name: name.into(), text, before: 1, asked: 2, at_start: false }
}

fn run(operation: &str) -> String {
    format!(r#"(func (export "run") {operation})"#)
}

/// Cases with one array of each kind.
fn arrays_of_one_value() -> Vec<Case> {
    let mut cases = Vec::new();
    for &(kind, size, value, get) in KINDS {
        let len = BYTES / size;
        let get = get.replace("AT", "(global.get $a) (local.get $i)");
        let array = format!("(global $a (mut (ref null ${kind})) (ref.null ${kind}))");
        let common = [array, check(len, &get)].concat();
        let new = format!("(global.set $a (array.new ${kind} {value} (i32.const {len})))");
        // An allocation that collects asks as well.
        let made = case(format!("array.new of {kind}"), &[common.clone(), run(&new)]);
        cases.push(Case { asked: 3, ..made });
        // An `i31` is not null.
        if kind != "any" {
            let new = format!("(global.set $a (array.new_default ${kind} (i32.const {len})))");
            let made = case(format!("array.new_default of {kind}"), &[common.clone(), run(&new)]);
            cases.push(Case { asked: 3, ..made });
        }
        let prepare = match kind {
            "any" => {
                format!("(array.new $any (ref.i31 (i32.const 0)) (i32.const {len}))")
            }
            kind => format!("(array.new_default ${kind} (i32.const {len}))"),
        };
        let prepare = format!(r#"(func (export "prepare") (global.set $a {prepare}))"#);
        let rest = len - 5;
        let fill = format!(
            "(array.fill ${kind} (global.get $a) (i32.const 3) {value} (i32.const {rest}))"
        );
        cases.push(case(format!("array.fill of {kind}"), &[common.clone(), prepare, run(&fill)]));
        let global = format!(
            "(global $a (mut (ref null ${kind})) (array.new ${kind} {value} (i32.const {len})))"
        );
        let nothing = run("");
        let name = format!("a global with an array of {kind}");
        let parts = [global, check(len, &get), nothing];
        // Before: for each global that is no constant. Afterwards: when `run` is entered.
        cases.push(Case { at_start: true, before: 2, asked: 4, ..case(name, &parts) });
    }
    cases
}

fn copies_of_arrays() -> Vec<Case> {
    let mut cases = Vec::new();
    let kinds = [
        ("i16", 2, "(local.get $i)", "(array.get_u $i16 AT)"),
        ("ref", 4, SOME, "(call $value (array.get $ref AT))"),
    ];
    for (kind, size, value, get) in kinds {
        let len = BYTES / size;
        let get = get.replace("AT", "(global.get $a) (local.get $i)");
        let arrays = format!(
            "(global $a (ref ${kind}) (array.new_default ${kind} (i32.const {len})))
             (global $b (ref ${kind}) (array.new_default ${kind} (i32.const {len})))"
        );
        let common = [arrays, check(len, &get)].concat();
        let rest = len - 13;
        for (name, to, to_index, from, from_index) in [
            ("to itself, upwards", "$a", 13, "$a", 0),
            ("to itself, downwards", "$a", 0, "$a", 13),
            ("to another", "$a", 5, "$b", 2),
        ] {
            let prepare = each(
                len,
                &format!("(array.set ${kind} (global.get {from}) (local.get $i) {value})"),
            );
            let copy = format!(
                "(array.copy ${kind} ${kind} (global.get {to}) (i32.const {to_index})
                    (global.get {from}) (i32.const {from_index}) (i32.const {rest}))"
            );
            let name = format!("array.copy of {kind} {name}");
            cases.push(case(name, &[common.clone(), prepare, run(&copy)]));
        }
    }
    cases
}

fn segments() -> Vec<Case> {
    let len = BYTES - 40;
    let mut cases = Vec::new();
    let bytes: String = (0..BYTES).map(|at| char::from(b'a' + (at * 7 / 3 % 23) as u8)).collect();
    let data = format!("(data $d \"{bytes}\")");
    let get = "(array.get_u $i8 (global.get $a) (local.get $i))";
    let new = format!("(global.set $a (array.new_data $i8 $d (i32.const 11) (i32.const {len})))");
    let array = "(global $a (mut (ref null $i8)) (ref.null $i8))".to_owned();
    cases.push(Case {
        asked: 3,
        ..case("array.new_data", &[array.clone(), data.clone(), run(&new), check(len, get)])
    });
    let prepare = format!(
        r#"(func (export "prepare") (global.set $a (array.new_default $i8 (i32.const {BYTES}))))"#
    );
    let init = format!(
        "(array.init_data $i8 $d (global.get $a) (i32.const 7) (i32.const 11) (i32.const {len}))"
    );
    let get_all = check(BYTES, get);
    cases.push(case("array.init_data", &[array, data.clone(), prepare, run(&init), get_all]));
    let memory = "(memory 300)".to_owned();
    let init = format!("(memory.init $d (i32.const 77) (i32.const 11) (i32.const {len}))");
    let get = check(BYTES, "(i32.load8_u (local.get $i))");
    cases.push(case("memory.init", &[memory, data, run(&init), get.clone()]));
    // Where it goes is not known before there is an instance, so it is not a part of an image.
    let active = format!("(memory 300) (data (global.get $at) \"{bytes}\")");
    let get = check(BYTES + 3, "(i32.load8_u (local.get $i))");
    // Before: for one global, the memory and the segment.
    let active = case("an active data segment", &[active, run(""), get]);
    cases.push(Case { at_start: true, before: 3, ..active });

    let items = |item: &str, count: usize| item.repeat(count);
    // An element of an array of functions, or of a table, has 8 bytes.
    let functions = format!("(elem $e func {})", items("$f ", ELEMENTS));
    let objects = format!(
        "(elem $e (ref null $box) {})",
        ["(global.get 1)", "(ref.null 0)"].concat().repeat(ELEMENTS / 2)
    );
    for (kind, segment, asked, get) in [
        ("func", &functions, 2, "(ref.is_null (array.get $func AT))"),
        ("ref", &objects, 1, "(call $value (array.get $ref AT))"),
    ] {
        let (all, len) = (ELEMENTS, ELEMENTS - 9);
        let get = get.replace("AT", "(global.get $a) (local.get $i)");
        let array = format!("(global $a (mut (ref null ${kind})) (ref.null ${kind}))");
        let new =
            format!("(global.set $a (array.new_elem ${kind} $e (i32.const 4) (i32.const {len})))");
        let parts = [array.clone(), segment.clone(), run(&new), check(len, &get)];
        // It is null first, and the allocation collects.
        let made = case(format!("array.new_elem of {kind}"), &parts);
        cases.push(Case { asked: 2 * asked + 1, ..made });
        let prepare = format!(
            r#"(func (export "prepare") (global.set $a (array.new_default ${kind} (i32.const {all}))))"#
        );
        let init = format!(
            "(array.init_elem ${kind} $e (global.get $a) (i32.const 5) (i32.const 4) (i32.const {len}))"
        );
        let parts = [array, segment.clone(), prepare, run(&init), check(all, &get)];
        cases.push(Case { asked, ..case(format!("array.init_elem of {kind}"), &parts) });
    }
    let active = format!(
        "(table $t {} funcref) (elem (global.get $at) func {})",
        ELEMENTS + 3,
        items("$f ", ELEMENTS)
    );
    let get = check(ELEMENTS + 3, "(ref.is_null (table.get $t (local.get $i)))");
    // Before: for one global, the table and the segment.
    let active = case("an active segment of functions", &[active, run(""), get]);
    cases.push(Case { at_start: true, before: 3, ..active });
    for (kind, element, segment, get) in [
        ("functions", "funcref", &functions, "(ref.is_null (table.get $t (local.get $i)))"),
        ("objects", "(ref null $box)", &objects, "(call $value (table.get $t (local.get $i)))"),
    ] {
        let table = format!("(table $t {ELEMENTS} {element})");
        let len = ELEMENTS - 3;
        let init = format!("(table.init $t $e (i32.const 2) (i32.const 1) (i32.const {len}))");
        let parts = [table, segment.clone(), run(&init), check(ELEMENTS, get)];
        cases.push(case(format!("table.init with {kind}"), &parts));
    }
    cases
}

fn tables() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, element, value, get) in [
        ("functions", "funcref", "(ref.func $f)", "(ref.is_null (table.get $t (local.get $i)))"),
        (
            "objects",
            "(ref null $box)",
            "(struct.new $box (i32.const 3))",
            "(call $value (table.get $t (local.get $i)))",
        ),
    ] {
        let table = format!("(table $t {ELEMENTS} {element})");
        let (len, all) = (ELEMENTS - 3, check(ELEMENTS, get));
        let fill = format!("(table.fill $t (i32.const 2) {value} (i32.const {len}))");
        cases.push(case(format!("table.fill with {kind}"), &[table.clone(), run(&fill), all]));

        let grow = format!("(drop (table.grow $t {value} (i32.const {len})))");
        let get = get.replace("(local.get $i)", "(i32.rem_u (local.get $i) (table.size $t))");
        let sized = check(ELEMENTS, &format!("(i32.add (table.size $t) {get})"));
        let table = format!("(table $t 3 {element})");
        cases.push(case(format!("table.grow with {kind}"), &[table, run(&grow), sized]));

        let first = format!("(table $t {ELEMENTS} {element}) (table $u {ELEMENTS} {element})");
        let get = get.replace("(i32.rem_u (local.get $i) (table.size $t))", "(local.get $i)");
        for (name, to, to_index, from, from_index) in [
            ("to itself, upwards", "$t", 3, "$t", 0),
            ("to itself, downwards", "$t", 0, "$t", 3),
            ("to another", "$t", 2, "$u", 1),
        ] {
            let value = match kind {
                "functions" => {
                    "(select (result funcref) (ref.func $f) (ref.null func)
                        (i32.rem_u (i32.mul (local.get $i) (i32.const 40503)) (i32.const 3)))"
                }
                _ => SOME,
            };
            let prepare = each(ELEMENTS, &format!("(table.set {from} (local.get $i) {value})"));
            let copy = format!(
                "(table.copy {to} {from} (i32.const {to_index}) (i32.const {from_index}) (i32.const {len}))"
            );
            let parts = [first.clone(), prepare, run(&copy), check(ELEMENTS, &get)];
            cases.push(case(format!("table.copy of {kind} {name}"), &parts));
        }
    }
    // Of functions that are not made yet.
    let table = format!(
        "(table $t {ELEMENTS} funcref) (table $u {ELEMENTS} funcref)
         (elem (table $u) (i32.const {}) func {})",
        ELEMENTS - 1_000,
        "$f ".repeat(1_000)
    );
    let copy = format!("(table.copy $t $u (i32.const 0) (i32.const 0) (i32.const {ELEMENTS}))");
    let get = "(ref.is_null (table.get $t (local.get $i)))";
    let parts = [table, run(&copy), check(ELEMENTS, get)];
    cases.push(case("table.copy of functions that are not made", &parts));
    cases
}

/// Operations whose pieces are larger.
fn memory_and_heap() -> Vec<Case> {
    let discard = "(memory.discard (i32.const 0) (i32.const 0x10000000))";
    let parts = ["(memory 4096)".to_owned(), run(discard), check(1, "(i32.const 0)")];
    // What is not resident costs nothing, but the embedder is asked nevertheless.
    let discard = case("memory.discard", &parts);
    let garbage = r#"
        (global $a (mut (ref null $i8)) (ref.null $i8))
        (func (export "prepare")
          (global.set $a (array.new $i8 (i32.const 1) (i32.const 100000000))))"#;
    // Without a loop, which would ask as well. There is no room for all of them at once.
    let allocate = "(drop (array.new_default $i8 (i32.const 4000000)))".repeat(80);
    let parts = [garbage.to_owned(), run(&allocate), check(1, "(array.len (global.get $a))")];
    let collection = Case { asked: 7, ..case("a collection", &parts) };
    vec![discard, collection]
}

fn engine(space: AddressSpace) -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true).wasm_feature(Feature::MemoryControl, true).address_space(space);
    Engine::new(&config).unwrap()
}

/// Calls a function without parameters, if there is one.
fn call(store: &mut Store<Counts>, instance: Instance, name: &str) -> Result<()> {
    match instance.get_func(&mut *store, name) {
        Some(func) => func.typed::<(), ()>(&*store)?.call(&mut *store, ()),
        None => Ok(()),
    }
}

#[derive(Default)]
struct Counts {
    asked: Arc<AtomicUsize>,
    /// The guest, for the embedder to run it.
    instance: Option<Instance>,
}

impl Case {
    /// The result of the operation in a store whose embedder is asked for every piece, and does what `answer` does. The
    /// operation may be the instantiation.
    fn outcome(
        &self,
        module: &Module,
        mut answer: impl FnMut(&mut seqfault::StoreContextMut<'_, Counts>, usize) -> Result<()>
        + Send
        + Sync
        + 'static,
    ) -> (Result<i32>, usize) {
        let asked = Arc::new(AtomicUsize::new(0));
        let mut store =
            Store::new(module.engine(), Counts { asked: Arc::clone(&asked), instance: None });
        store.epoch_deadline_callback(move |mut store| {
            let asked = store.data().asked.fetch_add(1, Ordering::Relaxed) + 1;
            answer(&mut store, asked)?;
            Ok(UpdateDeadline::Continue(0))
        });
        store.set_epoch_deadline(0);
        let result = self.run(&mut store, module);
        // What is left is fit for a collection.
        store.gc().unwrap();
        (result, asked.load(Ordering::Relaxed))
    }

    fn run(&self, store: &mut Store<Counts>, module: &Module) -> Result<i32> {
        if !self.at_start {
            store.set_epoch_deadline(u64::MAX / 2);
        }
        let ty = GlobalType::new(ValType::I32, Mutability::Const);
        let at = Global::new(&mut *store, ty, 3.into())?;
        let instance = Instance::new(&mut *store, module, &[at.into()])?;
        call(store, instance, "prepare")?;
        store.data_mut().instance = Some(instance);
        if !self.at_start {
            store.set_epoch_deadline(0);
        }
        let outcome = call(store, instance, "run");
        store.data_mut().instance = None;
        store.set_epoch_deadline(u64::MAX / 2);
        outcome?;
        instance.get_typed_func::<(), i32>(&mut *store, "check")?.call(&mut *store, ())
    }

    fn prove(&self, engine: &Engine) {
        let name = &self.name;
        let module = Module::new(engine, &self.text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut undisturbed = Store::new(engine, Counts::default());
        undisturbed.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(u64::MAX / 2)));
        let expected = self.run(&mut undisturbed, &module).unwrap();
        drop(undisturbed);

        let (result, asked) = self.outcome(&module, |store, asked| {
            ExternRef::new(&mut *store, asked)?;
            if let Some(instance) = store.data().instance {
                let other = instance.get_typed_func::<i32, ()>(&mut *store, "other")?;
                other.call(&mut *store, asked as i32)?;
            }
            store.gc()
        });
        assert_eq!(result.unwrap_or_else(|e| panic!("{name}: {e}")), expected, "{name}");
        assert!(asked >= self.before + self.asked, "{name} asked {asked} times");

        let first = self.before + 1;
        let (result, asked) = self.outcome(&module, move |store, asked| {
            if asked == first {
                store.interrupt_handle().interrupt();
            }
            Ok(())
        });
        let error = result.expect_err(name);
        let code = error.trap().map(|trap| trap.code());
        assert_eq!(code, Some(TrapCode::Interrupt), "{name}: {error}");
        assert_eq!(asked, first, "{name}");
    }
}

fn prove(cases: impl IntoIterator<Item = Case>) {
    prove_in(AddressSpace::Auto, cases);
}

fn prove_in(space: AddressSpace, cases: impl IntoIterator<Item = Case>) {
    let engine = engine(space);
    for case in cases {
        case.prove(&engine);
    }
}

#[test]
fn arrays_that_are_made_and_filled() {
    prove(arrays_of_one_value());
}

#[test]
fn arrays_in_a_heap_that_moves() {
    let cases = arrays_of_one_value().into_iter();
    prove_in(AddressSpace::Scarce, cases.filter(|case| case.name.starts_with("array.new of")));
}

#[test]
fn arrays_that_are_copied() {
    prove(copies_of_arrays());
}

#[test]
fn segments_that_are_copied() {
    prove(segments());
}

#[test]
fn tables_that_are_filled_copied_and_grown() {
    prove(tables());
}

#[test]
fn memory_that_is_given_back() {
    prove(memory_and_heap());
}

/// A table of three, an operation that adds two million to it, and what `between` does when the embedder is asked for the
/// second time.
fn grown(
    mut between: impl FnMut(&mut seqfault::StoreContextMut<'_, Option<Table>>, Table)
    + Send
    + Sync
    + 'static,
) -> Result<(Store<Option<Table>>, Table, Result<i32>)> {
    let engine = engine(AddressSpace::Auto);
    let module = Module::new(
        &engine,
        r#"(module (type $box (struct (field i32)))
            (table (export "table") 3 anyref)
            (func (export "run") (result i32)
              (table.grow (struct.new $box (i32.const 7)) (i32.const 2000000))))"#,
    )?;
    let mut store = Store::new(&engine, None);
    let mut asked = 0;
    store.epoch_deadline_callback(move |mut store| {
        asked += 1;
        if asked == 2 {
            let table: Table = store.data().expect("set before the call");
            assert_eq!(table.size(&store), 3, "no part of the growth is seen");
            assert!(table.get(&mut store, 3).is_none());
            between(&mut store, table);
        }
        Ok(UpdateDeadline::Continue(0))
    });
    let instance = Instance::new(&mut store, &module, &[])?;
    let export = instance.get_export(&mut store, "table");
    let table = export.and_then(Extern::into_table).expect("exported");
    *store.data_mut() = Some(table);
    store.set_epoch_deadline(0);
    let result = instance.get_typed_func::<(), i32>(&mut store, "run")?.call(&mut store, ());
    Ok((store, table, result))
}

#[test]
fn a_growth_that_is_interrupted_has_not_happened() -> Result<()> {
    let (mut store, table, result) = grown(|store, _| store.interrupt_handle().interrupt())?;
    assert_eq!(result.unwrap_err().trap().map(|trap| trap.code()), Some(TrapCode::Interrupt));
    assert_eq!(table.size(&store), 3);
    store.gc()?;
    // Nothing of it is left behind for the next one.
    assert_eq!(table.grow(&mut store, 2_000_000, Val::AnyRef(None))?, 3);
    for index in [0, 2, 3, 600_000, 2_000_002] {
        let element = table.get(&mut store, index).expect("inside");
        assert!(matches!(element, Val::AnyRef(None)), "{index}: {element:?}");
    }
    Ok(())
}

#[test]
fn a_growth_begins_again_if_the_embedder_grows_the_table_meanwhile() -> Result<()> {
    let (mut store, table, result) = grown(|store, table| {
        assert_eq!(table.grow(&mut *store, 5, Val::AnyRef(None)).unwrap(), 3);
        assert_eq!(table.size(&*store), 8);
    })?;
    assert_eq!(result?, 8);
    assert_eq!(table.size(&store), 2_000_008);
    for index in [3, 7, 8, 600_000, 2_000_007] {
        let is_null = matches!(table.get(&mut store, index), Some(Val::AnyRef(None)));
        assert_eq!(is_null, index < 8, "{index}");
    }
    Ok(())
}
