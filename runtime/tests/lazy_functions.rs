//! Functions in tables are made when they are first read. Nothing shows that they were not there
//! before: which function it is, of which instance, its identity, and how a wrong one traps.

use seqfault::{
    Config, Engine, Extern, Func, Global, Instance, Module, Result, Store, Table, TableType, Trap,
    TrapCode, Val,
};

fn engines() -> [Engine; 2] {
    [true, false].map(|signals| {
        let mut config = Config::new();
        config.signals_based_traps(signals);
        Engine::new(&config).unwrap()
    })
}

/// An instance that answers with its number, through a table of its own.
const ANSWERS: &str = r#"(module
    (global $number (mut i32) (i32.const 0))
    (table $table (export "table") 8 funcref)
    (elem (i32.const 1) $number $plus $void)
    (elem (i32.const 2) $plus)
    (type $number (func (result i32)))
    (func $number (result i32) (global.get $number))
    (func $plus (param i32) (result i32) (i32.add (global.get $number) (local.get 0)))
    (func $void)
    (func (export "set") (param i32) (global.set $number (local.get 0)))
    (func (export "call") (param i32) (result i32)
        (call_indirect (type $number) (local.get 0)))
    (func (export "tail") (param i32) (result i32)
        (return_call_indirect (type $number) (local.get 0)))
    (func (export "get") (param i32) (result funcref) (table.get (local.get 0)))
    (func (export "reference") (result funcref) (ref.func $number))
    (func (export "plus") (param i32) (result i32) (call $plus (local.get 0)))
    (func (export "move") (param i32 i32 i32)
        (table.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "grow") (param i32) (result i32)
        (table.grow (ref.func $void) (local.get 0))))"#;

/// Another module that has a table from elsewhere, and one of its own.
const BORROWS: &str = r#"(module
    (import "host" "table" (table $theirs 8 funcref))
    (table $mine (export "mine") 8 funcref)
    (elem (table $mine) (i32.const 0) func $own)
    (type $number (func (result i32)))
    (func $own (result i32) (i32.const -1))
    (func (export "call") (param i32) (result i32)
        (call_indirect $theirs (type $number) (local.get 0)))
    (func (export "call_mine") (param i32) (result i32)
        (call_indirect $mine (type $number) (local.get 0)))
    (func (export "get") (param i32) (result funcref) (table.get $theirs (local.get 0)))
    (func (export "take") (param i32 i32 i32)
        (table.copy $mine $theirs (local.get 0) (local.get 1) (local.get 2)))
    (func (export "put") (param i32 i32 i32)
        (table.copy $theirs $mine (local.get 0) (local.get 1) (local.get 2))))"#;

fn answering(store: &mut Store<()>, module: &Module, number: i32) -> Instance {
    let instance = Instance::new(&mut *store, module, &[]).unwrap();
    run(store, &instance, "set", &[number]).unwrap();
    instance
}

/// Calls an export with numbers; its result, if it has one, as a number.
fn run(store: &mut Store<()>, instance: &Instance, name: &str, params: &[i32]) -> Result<i32> {
    let func = instance.get_func(&mut *store, name).expect("the export");
    let params: Vec<Val> = params.iter().map(|&param| Val::I32(param)).collect();
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    func.call(&mut *store, &params, &mut results)?;
    match results.first() {
        None => Ok(0),
        Some(Val::I32(number)) => Ok(*number),
        Some(other) => panic!("{other:?} is no number"),
    }
}

/// The function that an export returns for an index.
fn function(
    store: &mut Store<()>,
    instance: &Instance,
    name: &str,
    params: &[i32],
) -> Option<Func> {
    let func = instance.get_func(&mut *store, name).expect("the export");
    let params: Vec<Val> = params.iter().map(|&param| Val::I32(param)).collect();
    let mut results = [Val::FuncRef(None)];
    func.call(&mut *store, &params, &mut results).unwrap();
    element(results[0])
}

fn element(value: Val) -> Option<Func> {
    match value {
        Val::FuncRef(func) => func,
        other => panic!("{other:?} is no function"),
    }
}

fn number(store: &mut Store<()>, func: Func) -> i32 {
    func.typed::<(), i32>(&*store).unwrap().call(&mut *store, ()).unwrap()
}

fn code(result: Result<i32>) -> TrapCode {
    result.unwrap_err().trap().map(Trap::code).expect("a trap")
}

fn table(store: &mut Store<()>, instance: &Instance, name: &str) -> Table {
    instance.get_export(&mut *store, name).and_then(Extern::into_table).expect("the export")
}

#[test]
fn each_instance_calls_its_own_functions() {
    for engine in engines() {
        let module = Module::new(&engine, ANSWERS).unwrap();
        let mut store = Store::new(&engine, ());
        let instances: Vec<_> = (10..13).map(|n| answering(&mut store, &module, n)).collect();
        for round in 0..2 {
            for (instance, expected) in instances.iter().zip(10..) {
                for name in ["call", "tail"] {
                    let found = run(&mut store, instance, name, &[1]).unwrap();
                    assert_eq!(found, expected, "{name}, round {round}");
                }
            }
        }
    }
}

#[test]
fn what_is_wrong_traps_as_ever() {
    for engine in engines() {
        let module = Module::new(&engine, ANSWERS).unwrap();
        for name in ["call", "tail"] {
            let mut store = Store::new(&engine, ());
            let instance = answering(&mut store, &module, 1);
            for _ in 0..2 {
                let mut call = |index: i32| code(run(&mut store, &instance, name, &[index]));
                assert_eq!(call(0), TrapCode::IndirectCallToNull);
                assert_eq!(call(2), TrapCode::BadSignature);
                assert_eq!(call(3), TrapCode::BadSignature);
                assert_eq!(call(7), TrapCode::IndirectCallToNull);
                assert_eq!(call(8), TrapCode::UndefinedElement);
                assert_eq!(call(-1), TrapCode::UndefinedElement);
            }
        }
    }
}

#[test]
fn a_function_is_the_same_by_every_way_to_it() {
    for engine in engines() {
        let module = Module::new(&engine, ANSWERS).unwrap();
        // Each way is the first in one of the rounds.
        for first in 0..4 {
            let mut store = Store::new(&engine, ());
            let one = answering(&mut store, &module, 1);
            let other = answering(&mut store, &module, 2);
            let mut ways = [0, 1, 2, 3];
            ways.rotate_left(first);
            let found = ways.map(|way| match way {
                0 => function(&mut store, &one, "get", &[1]).unwrap(),
                1 => function(&mut store, &one, "reference", &[]).unwrap(),
                2 => {
                    let table = table(&mut store, &one, "table");
                    element(table.get(&mut store, 1).unwrap()).unwrap()
                }
                _ => {
                    assert_eq!(run(&mut store, &one, "call", &[1]).unwrap(), 1);
                    function(&mut store, &one, "get", &[1]).unwrap()
                }
            });
            assert!(found.iter().all(|&func| func == found[0]), "{first}");
            assert_eq!(number(&mut store, found[0]), 1);
            assert_ne!(function(&mut store, &other, "get", &[1]), Some(found[0]));
            assert_eq!(function(&mut store, &one, "get", &[0]), None);
        }
    }
}

#[test]
fn functions_stay_those_of_their_instance_in_other_tables() {
    for engine in engines() {
        let answers = Module::new(&engine, ANSWERS).unwrap();
        let borrows = Module::new(&engine, BORROWS).unwrap();
        let mut store = Store::new(&engine, ());
        let one = answering(&mut store, &answers, 1);
        let other = answering(&mut store, &answers, 2);
        let theirs = table(&mut store, &one, "table");
        let borrower = Instance::new(&mut store, &borrows, &[theirs.into()]).unwrap();
        // The table of an instance, read by another module: by a call, by a copy, and by `table.get`.
        assert_eq!(run(&mut store, &borrower, "call", &[1]).unwrap(), 1);
        assert_eq!(code(run(&mut store, &borrower, "call", &[2])), TrapCode::BadSignature);
        run(&mut store, &borrower, "take", &[1, 0, 4]).unwrap();
        assert_eq!(run(&mut store, &borrower, "call_mine", &[2]).unwrap(), 1);
        assert_eq!(run(&mut store, &borrower, "call_mine", &[0]).unwrap(), -1);
        assert_eq!(
            code(run(&mut store, &borrower, "call_mine", &[1])),
            TrapCode::IndirectCallToNull
        );
        let plus = function(&mut store, &borrower, "get", &[2]).unwrap();
        assert_eq!(plus.typed::<i32, i32>(&store).unwrap().call(&mut store, 40).unwrap(), 41);
        // What was never read moves within its table, and to the front of it.
        run(&mut store, &other, "move", &[4, 0, 4]).unwrap();
        run(&mut store, &other, "move", &[0, 1, 3]).unwrap();
        assert_eq!(run(&mut store, &other, "call", &[5]).unwrap(), 2);
        assert_eq!(run(&mut store, &other, "call", &[0]).unwrap(), 2);
        // And out to the table of another instance of the same module.
        let second = table(&mut store, &other, "table");
        let fresh = answering(&mut store, &answers, 3);
        let third = table(&mut store, &fresh, "table");
        let borrower = Instance::new(&mut store, &borrows, &[third.into()]).unwrap();
        run(&mut store, &borrower, "take", &[0, 0, 8]).unwrap();
        let last = Instance::new(&mut store, &borrows, &[second.into()]).unwrap();
        let mine = table(&mut store, &borrower, "mine");
        let value = mine.get(&mut store, 1).unwrap();
        second.set(&mut store, 6, value).unwrap();
        assert_eq!(run(&mut store, &last, "call", &[6]).unwrap(), 3);
        assert_eq!(run(&mut store, &other, "call", &[6]).unwrap(), 3);
        // Its own, unread until now, into the table of the first.
        run(&mut store, &last, "put", &[7, 0, 1]).unwrap();
        assert_eq!(run(&mut store, &other, "call", &[7]).unwrap(), -1);
    }
}

#[test]
fn a_table_that_grows_keeps_what_was_not_read() {
    for engine in engines() {
        let module = Module::new(&engine, ANSWERS).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = answering(&mut store, &module, 5);
        assert_eq!(run(&mut store, &instance, "grow", &[10_000]).unwrap(), 8);
        assert_eq!(run(&mut store, &instance, "call", &[1]).unwrap(), 5);
        assert_eq!(code(run(&mut store, &instance, "call", &[10_007])), TrapCode::BadSignature);
        let table = table(&mut store, &instance, "table");
        table.grow(&mut store, 1, Val::FuncRef(None)).unwrap();
        assert_eq!(
            code(run(&mut store, &instance, "call", &[10_008])),
            TrapCode::IndirectCallToNull
        );
        assert!(element(table.get(&mut store, 2).unwrap()).is_some());
        assert!(table.get(&mut store, 10_009).is_none());
    }
}

#[test]
fn subtypes_are_told_from_functions_that_are_not_made() {
    let text = r#"(module
        (type $base (sub (func (result i32))))
        (type $below (sub $base (func (result i32))))
        (type $other (sub (func (result i32) (result i32))))
        (table 4 funcref) (elem (i32.const 0) $b $c $o)
        (func $b (type $base) (i32.const 1))
        (func $c (type $below) (i32.const 2))
        (func $o (type $other) (i32.const 3) (i32.const 4))
        (func (export "base") (param i32) (result i32) (call_indirect (type $base) (local.get 0)))
        (func (export "below") (param i32) (result i32) (call_indirect (type $below) (local.get 0)))
        (func (export "test") (param i32) (result i32)
            (ref.test (ref $base) (table.get (local.get 0))))
        (func (export "cast") (param i32) (result i32)
            (call_ref $base (ref.cast (ref $base) (table.get (local.get 0))))))"#;
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        for order in [["base", "test", "cast"], ["test", "cast", "base"], ["cast", "base", "test"]]
        {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            for name in order {
                let mut run = |index| run(&mut store, &instance, name, &[index]);
                let answers = if name == "test" { [1, 1] } else { [1, 2] };
                assert_eq!([run(0).unwrap(), run(1).unwrap()], answers, "{name}");
                match name {
                    "base" => assert_eq!(code(run(2)), TrapCode::BadSignature),
                    "test" => assert_eq!(run(2).unwrap(), 0),
                    _ => assert_eq!(code(run(2)), TrapCode::CastFailure),
                }
            }
            assert_eq!(code(run(&mut store, &instance, "below", &[0])), TrapCode::BadSignature);
            assert_eq!(run(&mut store, &instance, "below", &[1]).unwrap(), 2);
        }
    }
}

#[test]
fn every_kind_of_element_segment_starts_its_table() {
    let text = r#"(module
        (import "host" "at" (global $at i32))
        (import "host" "func" (func $host (result i32)))
        (global $two i32 (i32.const 2))
        (global $func funcref (ref.func $late))
        (type $number (func (result i32)))
        (table $a (export "a") 6 funcref)
        (table $b (export "b") 4 10 funcref (ref.func $c))
        (table $large (export "large") 100000 funcref)
        (table $typed (export "typed") 3 (ref null $number))
        (table $i31 (export "i31") 3 i31ref)
        (elem (table $a) (global.get $two) funcref (ref.func $a) (ref.null func) (ref.func $host))
        (elem declare func $declared)
        (elem $passive func $passive)
        (elem (table $b) (i32.const 1) func $b)
        (elem (table $large) (i32.const 99999) func $a)
        (elem (table $typed) (i32.const 1) (ref null $number) (ref.func $b))
        (elem (table $i31) (i32.const 0) i31ref (ref.i31 (i32.const 7)) (ref.null i31))
        (elem (table $a) (global.get $at) func $late)
        (elem (table $a) (i32.const 0) funcref (global.get $func))
        (func $a (result i32) (i32.const 1))
        (func $b (result i32) (i32.const 2))
        (func $c (result i32) (i32.const 3))
        (func $late (result i32) (i32.const 4))
        (func $passive (result i32) (i32.const 5))
        (func $declared (result i32) (i32.const 6))
        (func (export "init") (table.init $a $passive (i32.const 5) (i32.const 0) (i32.const 1)))
        (func (export "again") (table.init $a 0 (i32.const 0) (i32.const 0) (i32.const 1)))
        (func (export "seven") (result i32) (i31.get_s (table.get $i31 (i32.const 0))))
        (func (export "declared") (result i32) (call_ref $number (ref.func $declared))))"#;
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let ty = seqfault::GlobalType::new(seqfault::ValType::I32, seqfault::Mutability::Const);
        let at = Global::new(&mut store, ty, Val::I32(4)).unwrap();
        let host = Func::wrap(&mut store, || 9);
        for _ in 0..2 {
            let instance = Instance::new(&mut store, &module, &[at.into(), host.into()]).unwrap();
            run(&mut store, &instance, "init", &[]).unwrap();
            assert_eq!(code(run(&mut store, &instance, "again", &[])), TrapCode::TableOutOfBounds);
            assert_eq!(run(&mut store, &instance, "seven", &[]).unwrap(), 7);
            assert_eq!(run(&mut store, &instance, "declared", &[]).unwrap(), 6);
            let mut numbers = |name: &str, indices: &[u64]| -> Vec<Option<i32>> {
                let table = table(&mut store, &instance, name);
                let read = |&index: &u64| {
                    let func = element(table.get(&mut store, index).expect("inside"))?;
                    Some(number(&mut store, func))
                };
                indices.iter().map(read).collect()
            };
            let a = [Some(4), None, Some(1), None, Some(4), Some(5)];
            assert_eq!(numbers("a", &[0, 1, 2, 3, 4, 5]), a);
            assert_eq!(numbers("b", &[0, 1, 2, 3]), [Some(3), Some(2), Some(3), Some(3)]);
            assert_eq!(numbers("large", &[0, 99_998, 99_999]), [None, None, Some(1)]);
            assert_eq!(numbers("typed", &[0, 1, 2]), [None, Some(2), None]);
        }
    }
}

#[test]
fn tables_of_an_instance_that_failed_work_on() {
    // The instance of a module that traps when its data is applied has put itself into a table.
    let text = r#"(module
        (import "host" "table" (table 4 funcref))
        (table $own 4 funcref)
        (elem (table $own) (i32.const 0) func $seven)
        (elem (table 0) (i32.const 1) func $through)
        (memory 1) (data (i32.const 65536) "x")
        (type $number (func (result i32)))
        (func $seven (result i32) (i32.const 7))
        (func $through (result i32) (call_indirect $own (type $number) (i32.const 0))))"#;
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let ty = TableType::new(seqfault::RefType::FUNCREF, 4, None);
        let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
        for _ in 0..3 {
            let error = Instance::new(&mut store, &module, &[table.into()]).unwrap_err();
            assert_eq!(error.trap().map(Trap::code), Some(TrapCode::MemoryOutOfBounds));
        }
        drop(module);
        let func = element(table.get(&mut store, 1).unwrap()).unwrap();
        assert_eq!(number(&mut store, func), 7);
    }
}
