//! Host functions: values, errors, panics, nesting, and who calls.

use seqfault::{
    AsContextMut, Caller, Engine, Error, ExternRef, Func, FuncType, Instance, Linker, Module,
    Result, Rooted, Store, TrapCode, Val, ValType,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn linked<T: 'static>(
    data: T,
    wat: &str,
    define: impl FnOnce(&mut Linker<T>),
) -> (Store<T>, Instance) {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    define(&mut linker);
    let module = Module::new(&engine, wat).unwrap();
    let mut store = Store::new(&engine, data);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

#[test]
fn values_of_every_type_go_both_ways() -> Result<()> {
    let wat = r#"(module
        (import "" "f" (func $f (param i32 i64 f32 f64 v128 funcref externref)
                                (result externref funcref v128 f64 f32 i64 i32)))
        (func (export "run") (param i32 i64 f32 f64 v128 funcref externref)
                             (result externref funcref v128 f64 f32 i64 i32)
          (call $f (local.get 0) (local.get 1) (local.get 2) (local.get 3)
                   (local.get 4) (local.get 5) (local.get 6))))"#;
    type All = (i32, i64, f32, f64, u128, Option<Func>, Option<Rooted<ExternRef>>);
    type Reversed = (Option<Rooted<ExternRef>>, Option<Func>, u128, f64, f32, i64, i32);
    let (mut store, instance) = linked((), wat, |linker| {
        linker
            .func_wrap(
                "",
                "f",
                |a: i32,
                 b: i64,
                 c: f32,
                 d: f64,
                 e: u128,
                 f: Option<Func>,
                 g: Option<Rooted<ExternRef>>| {
                    (g, f, e.swap_bytes(), -d, -c, b + 1, a + 1)
                },
            )
            .unwrap();
    });
    let run = instance.get_typed_func::<All, Reversed>(&mut store, "run")?;
    let host = ExternRef::new(&mut store, String::from("hello"))?;
    let func = instance.get_func(&mut store, "run");
    let (g, f, e, d, c, b, a) = run.call(&mut store, (1, 2, 3.0, 4.0, 5, func, Some(host)))?;
    assert_eq!((a, b, c, d, e), (2, 3, -3.0, -4.0, 5u128.swap_bytes()));
    assert_eq!(g.unwrap().data(&store)?.unwrap().downcast_ref::<String>().unwrap(), "hello");
    assert!(f.is_some());
    let (g, f, ..) = run.call(&mut store, (1, 2, 3.0, 4.0, 5, None, None))?;
    assert!(g.is_none() && f.is_none());
    Ok(())
}

#[test]
fn more_results_than_registers_come_back() -> Result<()> {
    let count = 40;
    let types = "i64 ".repeat(count);
    let wat = format!(
        r#"(module (import "" "f" (func $f (param i64) (result {types})))
             (func $g (param i64) (result {types}) (call $f (local.get 0)))
             (func (export "run") (param i64) (result {types}) (call $g (local.get 0))))"#
    );
    let (mut store, instance) = linked((), &wat, |linker| {
        let ty = FuncType::new([ValType::I64], vec![ValType::I64; count]);
        linker
            .func_new("", "f", ty, |_, params, results| {
                for (i, result) in results.iter_mut().enumerate() {
                    *result = Val::I64(params[0].unwrap_i64() + i as i64);
                }
                Ok(())
            })
            .unwrap();
    });
    let run = instance.get_func(&mut store, "run").unwrap();
    let mut results = vec![Val::I32(0); count];
    run.call(&mut store, &[Val::I64(100)], &mut results)?;
    let found: Vec<i64> = results.iter().map(Val::unwrap_i64).collect();
    assert_eq!(found, (100..140).collect::<Vec<_>>());
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Exit(i32);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}", self.0)
    }
}

impl std::error::Error for Exit {}

const CALLS_F: &str = r#"(module (import "" "f" (func $f))
    (func $inner (call $f)) (func (export "run") (call $inner)))"#;

#[test]
fn an_error_comes_out_as_it_went_in() {
    let (mut store, instance) = linked((), CALLS_F, |linker| {
        linker.func_wrap("", "f", || -> Result<()> { Err(Exit(3).into()) }).unwrap();
    });
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Exit>(), Some(&Exit(3)));
    let names: Vec<_> = error.backtrace().unwrap().iter().map(|f| f.func_name()).collect();
    assert_eq!(names, [Some("inner"), Some("run")]);
}

#[test]
fn a_panic_goes_on_in_the_caller_and_the_store_survives() {
    let (mut store, instance) = linked(0, CALLS_F, |linker| {
        let f = |mut caller: Caller<'_, i32>| {
            *caller.data_mut() += 1;
            if *caller.data() == 1 {
                panic!("the host has a bug");
            }
        };
        linker.func_wrap("", "f", f).unwrap();
    });
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| run.call(&mut store, ()))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the host has a bug"));
    run.call(&mut store, ()).unwrap();
    assert_eq!(*store.data(), 2);
}

#[test]
fn traps_and_frames_cross_nested_calls() {
    let wat = r#"(module (import "" "f" (func $f (param i32)))
        (func $run (export "run") (param i32)
          (if (i32.eqz (local.get 0)) (then unreachable))
          (call $f (i32.sub (local.get 0) (i32.const 1)))))"#;
    let (mut store, instance) = linked((), wat, |linker| {
        let f = |mut caller: Caller<'_, ()>, n: i32| -> Result<()> {
            let run = caller.get_export("run").unwrap().into_func().unwrap();
            run.typed::<i32, ()>(&caller)?.call(&mut caller, n)
        };
        linker.func_wrap("", "f", f).unwrap();
    });
    let run = instance.get_typed_func::<i32, ()>(&mut store, "run").unwrap();
    let error = run.call(&mut store, 5).unwrap_err();
    let trap = error.trap().unwrap();
    assert_eq!(trap.code(), TrapCode::Unreachable);
    assert_eq!(trap.frames().len(), 6, "{trap}");
}

#[test]
fn nesting_without_end_exhausts_the_stack_and_not_the_process() {
    let wat = r#"(module (import "" "f" (func $f)) (func (export "run") (call $f)))"#;
    let (mut store, instance) = linked((), wat, |linker| {
        let f = |mut caller: Caller<'_, ()>| -> Result<()> {
            let run = caller.get_export("run").unwrap().into_func().unwrap();
            run.call(&mut caller, &[], &mut [])
        };
        linker.func_wrap("", "f", f).unwrap();
    });
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.trap().unwrap().code(), TrapCode::StackOverflow);
}

#[test]
fn the_caller_is_the_instance_that_called() -> Result<()> {
    let engine = Engine::default();
    let mut linker: Linker<Vec<i32>> = Linker::new(&engine);
    let f = |mut caller: Caller<'_, Vec<i32>>| {
        let id = caller.get_export("id").and_then(|e| e.into_global());
        let id = id.map_or(-1, |id| id.get(&mut caller).unwrap_i32());
        caller.data_mut().push(id);
    };
    linker.func_wrap("host", "f", f)?;
    let mut store = Store::new(&engine, Vec::new());
    let a = Module::new(
        &engine,
        r#"(module (import "host" "f" (func $f))
             (global (export "id") i32 (i32.const 1))
             (table (export "table") 1 funcref) (elem (i32.const 0) $f)
             (func (export "run") (call $f)))"#,
    )?;
    let a = linker.instantiate(&mut store, &a)?;
    linker.instance(&mut store, "a", a)?;
    let b = Module::new(
        &engine,
        r#"(module (import "a" "run" (func $a)) (import "a" "table" (table 1 funcref))
             (global (export "id") i32 (i32.const 2))
             (func (export "run") (call_indirect (i32.const 0)) (call $a) (call_indirect (i32.const 0))))"#,
    )?;
    let b = linker.instantiate(&mut store, &b)?;
    b.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
    // Straight from the host nobody calls.
    let f = linker.get(&mut store, "host", "f").unwrap().into_func().unwrap();
    f.call(&mut store, &[], &mut [])?;
    assert_eq!(store.data(), &[2, 1, 2, -1]);
    Ok(())
}

#[test]
fn wrong_arguments_are_errors() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let func = Func::wrap(&mut store, |x: i32| x);
    let too_few = func.call(&mut store, &[], &mut [Val::I32(0)]).unwrap_err();
    assert!(too_few.to_string().contains("expected 1 arguments, found 0"), "{too_few}");
    let wrong = func.call(&mut store, &[Val::I64(0)], &mut [Val::I32(0)]).unwrap_err();
    assert!(wrong.to_string().contains("expected i32, found i64"), "{wrong}");
    let typed = func.typed::<i64, ()>(&store).unwrap_err();
    assert!(typed.to_string().contains("(func (param i32) (result i32))"), "{typed}");
    let lies = FuncType::new([], [ValType::I32]);
    let lies = Func::new(&mut store, lies, |_, _, results| {
        results[0] = Val::I64(1);
        Ok(())
    });
    let lies: Error = lies.call(&mut store, &[], &mut [Val::I32(0)]).unwrap_err();
    assert!(lies.to_string().contains("result 0 of a host function"), "{lies}");
}

#[test]
#[should_panic(expected = "wrong store")]
fn a_handle_of_another_store_is_a_bug() {
    let engine = Engine::default();
    let mut one = Store::new(&engine, ());
    let mut other = Store::new(&engine, ());
    let func = Func::wrap(&mut one, || {});
    func.call(&mut other, &[], &mut []).unwrap();
}

#[test]
fn engines_do_not_mix() {
    let (one, other) = (Engine::default(), Engine::default());
    // Type numbers differ between the engines.
    let mut linker = Linker::new(&one);
    linker.func_wrap("", "a", |_: i64, _: i32| 0i64).unwrap();
    linker.func_wrap("", "f", |x: i32| x).unwrap();
    let module = Module::new(&other, r#"(module (import "" "f" (func (param i32) (result i32))))"#);
    let module = module.unwrap();
    let mut store = Store::new(&other, ());
    let error = linker.instantiate(&mut store, &module).unwrap_err();
    assert!(error.to_string().contains("another engine"), "{error}");
    let mut store = Store::new(&one, ());
    let func = Func::wrap(&mut store, |x: i32| x);
    for imports in [&[][..], &[func.into()]] {
        let error = Instance::new(&mut store, &module, imports).unwrap_err();
        assert!(error.to_string().contains("another engine"), "{error}");
    }
    let empty = Module::new(&other, "(module)").unwrap();
    let error = Instance::new(&mut store, &empty, &[]).unwrap_err();
    assert!(error.to_string().contains("another engine"), "{error}");
}

#[test]
fn a_nested_call_on_another_stack_has_its_own_limit() {
    let wat = r#"(module (import "" "f" (func $f))
        (func $recurse (export "recurse") (call $recurse))
        (func (export "fine"))
        (func (export "run") (call $f)))"#;
    let (mut store, instance) = linked((), wat, |linker| {
        let f = |mut caller: Caller<'_, ()>| -> Result<()> {
            let recurse = caller.get_export("recurse").unwrap().into_func().unwrap();
            let fine = caller.get_export("fine").unwrap().into_func().unwrap();
            let mut store = caller.as_context_mut();
            std::thread::scope(|scope| {
                let work = || {
                    fine.call(&mut store, &[], &mut [])?;
                    recurse.call(&mut store, &[], &mut [])
                };
                scope.spawn(work).join().unwrap()
            })
        };
        linker.func_wrap("", "f", f).unwrap();
    });
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    for _ in 0..3 {
        let error = run.call(&mut store, ()).unwrap_err();
        assert_eq!(error.trap().unwrap().code(), TrapCode::StackOverflow);
    }
    // On a stack that is nobody's: `stacker` maps one.
    let fine = instance.get_typed_func::<(), ()>(&mut store, "fine").unwrap();
    stacker::grow(4 << 20, || fine.call(&mut store, ()).unwrap());
    let recurse = instance.get_typed_func::<(), ()>(&mut store, "recurse").unwrap();
    let error = stacker::grow(4 << 20, || recurse.call(&mut store, ()).unwrap_err());
    assert_eq!(error.trap().unwrap().code(), TrapCode::StackOverflow);
}
