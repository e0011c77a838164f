//! Lazy compilation: what is not called is not compiled; who meets in a function waits for it only.

use seqfault::{Compilation, Config, Engine, Instance, Module, Store};
use std::sync::Barrier;

/// `count` functions; number i adds i to what function i - 1 makes of the argument.
fn chain(count: usize) -> String {
    let mut wat =
        String::from("(module (func $f0 (export \"f0\") (param i64) (result i64) (local.get 0))");
    for i in 1..count {
        wat += &format!(
            "(func $f{i} (export \"f{i}\") (param i64) (result i64) \
             (i64.add (call $f{} (local.get 0)) (i64.const {i})))",
            i - 1
        );
    }
    wat + ")"
}

#[test]
fn lazy_and_eager_code_agree() {
    let wat = chain(300);
    let results = [Compilation::Lazy, Compilation::Eager].map(|compilation| {
        let engine = Engine::new(Config::new().compilation(compilation)).unwrap();
        let module = Module::new(&engine, &wat).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let f = instance.get_typed_func::<i64, i64>(&mut store, "f299").unwrap();
        (f.call(&mut store, 1).unwrap(), f.call(&mut store, 2).unwrap())
    });
    assert_eq!(results[0], (1 + 299 * 300 / 2, 2 + 299 * 300 / 2));
    assert_eq!(results[0], results[1]);
}

#[test]
fn threads_that_race_for_the_same_functions_agree() {
    let wat = chain(100);
    for _ in 0..5 {
        let engine = Engine::default();
        let module = Module::new(&engine, &wat).unwrap();
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, module, barrier) = (&engine, &module, &barrier);
                scope.spawn(move || {
                    let mut store = Store::new(engine, ());
                    let instance = Instance::new(&mut store, module, &[]).unwrap();
                    barrier.wait();
                    for round in 0..100 {
                        // Two threads upwards, two downwards.
                        let i = if thread % 2 == 0 { round } else { 99 - round };
                        let name = format!("f{i}");
                        let f = instance.get_typed_func::<i64, i64>(&mut store, &name).unwrap();
                        let expected = 5 + (i as i64) * (i as i64 + 1) / 2;
                        assert_eq!(f.call(&mut store, 5).unwrap(), expected);
                    }
                });
            }
        });
    }
}

#[test]
fn all_argument_registers_survive_the_first_call() {
    let wat = r#"(module
        (type $t (func (param i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 f64 f64 f64 f64 f64 f64 v128) (result f64)))
        (func $f (type $t)
          (f64.add (f64.convert_i64_s
            (i64.add (local.get 0) (i64.add (i64.mul (local.get 1) (i64.const 2))
            (i64.add (i64.mul (local.get 2) (i64.const 3)) (i64.add (i64.mul (local.get 3) (i64.const 4))
            (i64.add (i64.mul (local.get 4) (i64.const 5)) (i64.add (i64.mul (local.get 5) (i64.const 6))
            (i64.add (i64.mul (local.get 6) (i64.const 7)) (i64.mul (local.get 7) (i64.const 8))))))))))
          (f64.add (f64.add (f64.add (local.get 8) (local.get 9)) (f64.add (local.get 10) (local.get 11)))
          (f64.add (f64.add (local.get 12) (local.get 13))
          (f64.add (f64.add (local.get 14) (local.get 15))
          (f64.add (local.get 16) (f64x2.extract_lane 1 (local.get 17))))))))
        (func (export "run") (result f64)
          (call $f (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)
            (i64.const 7) (i64.const 8) (f64.const 0.5) (f64.const 1.5) (f64.const 2.5) (f64.const 3.5)
            (f64.const 4.5) (f64.const 5.5) (f64.const 6.5) (f64.const 7.5) (f64.const 8.5)
            (v128.const f64x2 100 1000))))"#;
    let engine = Engine::default();
    let module = Module::new(&engine, wat).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(), f64>(&mut store, "run").unwrap();
    let expected = (1..=8).map(|i| (i * i) as f64).sum::<f64>() + 40.5 + 1000.0;
    assert_eq!(run.call(&mut store, ()).unwrap(), expected);
    assert_eq!(run.call(&mut store, ()).unwrap(), expected);
}

#[test]
fn modules_come_and_go_without_using_up_code_space() {
    let wat = chain(40);
    for round in 0..200 {
        let engine = Engine::default();
        let module = Module::new(&engine, &wat).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let f = instance.get_typed_func::<i64, i64>(&mut store, "f3").unwrap();
        assert_eq!(f.call(&mut store, round).unwrap(), round + 6);
    }
}

#[test]
fn a_function_first_called_at_the_end_of_the_stack_compiles() {
    // `probe` is called at every depth until the stack is exhausted, each time another one: the
    // last are compiled with next to nothing left.
    let functions = 2000;
    let mut wat = String::from("(module (table funcref (elem");
    for i in 0..functions {
        wat += &format!(" $p{i}");
    }
    wat += ")) (type $t (func (param f64) (result f64)))";
    for i in 0..functions {
        wat += &format!("(func $p{i} (type $t) (f64.add (local.get 0) (f64.const {i})))");
    }
    let locals = "(local v128)".repeat(40);
    let spill: String = (0..40)
        .map(|i| format!("(local.set {} (v128.load (i32.const {}))) ", i + 1, i * 16))
        .collect();
    let reload: String = (0..40)
        .map(|i| format!("(v128.store (i32.const {}) (local.get {})) ", i * 16, i + 1))
        .collect();
    wat += &format!(
        "(memory 1) (func $deeper (export \"run\") (param i32) {locals} {spill}
           (drop (call_indirect (type $t) (f64.const 1) (i32.rem_u (local.get 0) (i32.const {functions}))))
           (call $deeper (i32.add (local.get 0) (i32.const 1))) {reload}))"
    );
    let engine = Engine::default();
    let module = Module::new(&engine, &wat).unwrap();
    for stack in [256 << 10, 1 << 20, 4 << 20] {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(stack);
            let run = || {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                let run = instance.get_typed_func::<i32, ()>(&mut store, "run").unwrap();
                let error = run.call(&mut store, 0).unwrap_err();
                assert_eq!(error.trap().unwrap().code(), seqfault::TrapCode::StackOverflow);
            };
            thread.spawn_scoped(scope, run).unwrap();
        });
    }
}
