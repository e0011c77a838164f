//! Tail calls: that they use no stack, wherever they lead, and what stays true around them.

use seqfault::{
    Caller, Config, Engine, Feature, Func, Instance, Linker, Module, Result, Store, TrapCode, Val,
};

/// Enough to use up the stack many times over, were each call to leave a byte on it.
const CALLS: i64 = 100_000_000;

fn engine() -> Engine {
    Engine::new(Config::new().wasm_feature(Feature::TailCall, true)).unwrap()
}

fn instance<T: 'static>(store: &mut Store<T>, wat: &str, imports: &[seqfault::Extern]) -> Instance {
    let module = Module::new(store.engine(), wat).unwrap();
    Instance::new(store, &module, imports).unwrap()
}

fn run(store: &mut Store<()>, instance: Instance, name: &str, count: i64) -> i64 {
    let run = instance.get_typed_func::<i64, i64>(&mut *store, name).unwrap();
    run.call(store, count).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn direct_and_indirect_calls_and_calls_by_reference_use_no_stack() {
    let mut store = Store::new(&engine(), ());
    let wat = r#"(module
        (type $step (func (param i64 i64) (result i64)))
        (table funcref (elem $even $odd))
        (func $direct (type $step)
          (if (result i64) (i64.eqz (local.get 0))
            (then (local.get 1))
            (else (return_call $direct
              (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 3))))))
        (func $even (type $step)
          (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
          (return_call_indirect (type $step)
            (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 1))
            (i32.const 1)))
        (func $odd (type $step)
          (if (i64.eqz (local.get 0)) (then (return (i64.const -1))))
          (return_call_indirect (type $step)
            (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 1))
            (i32.const 0)))
        (elem declare func $this $that)
        (func $this (type $step)
          (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
          (return_call_ref $step
            (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 2))
            (ref.func $that)))
        (func $that (type $step)
          (if (i64.eqz (local.get 0)) (then (return (i64.const -1))))
          (return_call_ref $step
            (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 1) (i64.const 2))
            (ref.func $this)))
        (func (export "by reference") (param i64) (result i64)
          (return_call_ref $step (local.get 0) (i64.const 0) (ref.func $this)))
        (func (export "direct") (param i64) (result i64)
          (return_call $direct (local.get 0) (i64.const 0)))
        (func (export "indirect") (param i64) (result i64)
          (return_call $even (local.get 0) (i64.const 0))))"#;
    let instance = instance(&mut store, wat, &[]);
    assert_eq!(run(&mut store, instance, "direct", CALLS), 3 * CALLS);
    assert_eq!(run(&mut store, instance, "indirect", CALLS), CALLS);
    assert_eq!(run(&mut store, instance, "by reference", CALLS), 2 * CALLS);
}

#[test]
fn calls_with_more_arguments_than_their_callers_use_no_stack() {
    let mut store = Store::new(&engine(), ());
    // From no argument on the stack to twenty-four, and back over seven.
    let params = "i64 ".repeat(30);
    let passed: String = (2..30).map(|i| format!("(i64.const {i}) ")).collect();
    let sum: String = (2..30).map(|i| format!("(local.get {i}) i64.add ")).collect();
    let wat = format!(
        r#"(module
        (func $few (export "run") (param i64) (result i64)
          (return_call $many (local.get 0) (i64.const 0) {passed}))
        (func $many (param {params}) (result i64)
          (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
          (return_call $some (i64.sub (local.get 0) (i64.const 1)) (local.get 1)
            (local.get 1) {sum} (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
            (f64.const 0.5) (f64.const 1.5) (v128.const i64x2 1 2)))
        (func $some (param i64 i64 i64 i64 i64 i64 i64 f64 f64 v128) (result i64)
          (return_call $many (local.get 0) (local.get 2) {passed})))"#
    );
    let instance = instance(&mut store, &wat, &[]);
    let calls = CALLS / 10;
    assert_eq!(run(&mut store, instance, "run", calls), calls * (2..30).sum::<i64>());
}

#[test]
fn results_beyond_the_registers_come_through_a_tail_call() -> Result<()> {
    let mut store = Store::new(&engine(), ());
    let results = "i64 ".repeat(20);
    let values: String =
        (0..20).map(|i| format!("(i64.add (local.get 1) (i64.const {i})) ")).collect();
    let wat = format!(
        r#"(module
        (func $count (param i32 i64) (result {results})
          (if (result {results}) (local.get 0)
            (then (return_call $count
              (i32.sub (local.get 0) (i32.const 1)) (i64.add (local.get 1) (i64.const 1))))
            (else {values})))
        (func (export "run") (param i32) (result {results})
          (return_call $count (local.get 0) (i64.const 0))))"#
    );
    let instance = instance(&mut store, &wat, &[]);
    let run = instance.get_func(&mut store, "run").unwrap();
    let mut results = vec![Val::I64(0); 20];
    run.call(&mut store, &[Val::I32(1_000_000)], &mut results)?;
    let found: Vec<i64> = results.iter().map(Val::unwrap_i64).collect();
    assert_eq!(found, (1_000_000..1_000_020).collect::<Vec<i64>>());
    Ok(())
}

#[test]
fn calls_between_instances_use_no_stack() {
    let mut store = Store::new(&engine(), ());
    let ping = instance(
        &mut store,
        r#"(module
            (type $step (func (param i64) (result i64)))
            (table (export "table") 1 funcref)
            (global $own i64 (i64.const 7))
            (func (export "ping") (type $step)
              (if (i64.eqz (local.get 0)) (then (return (global.get $own))))
              (return_call_indirect (type $step)
                (i64.sub (local.get 0) (i64.const 1)) (i32.const 0))))"#,
        &[],
    );
    let imports = ["table", "ping"].map(|name| ping.get_export(&mut store, name).unwrap());
    let pong = instance(
        &mut store,
        r#"(module
            (type $step (func (param i64) (result i64)))
            (import "" "table" (table 1 funcref))
            (import "" "ping" (func $ping (type $step)))
            (global $own i64 (i64.const 8))
            (elem (i32.const 0) $pong)
            (func $pong (export "pong") (type $step)
              (if (i64.eqz (local.get 0)) (then (return (global.get $own))))
              (return_call $ping (i64.sub (local.get 0) (i64.const 1)))))"#,
        &imports,
    );
    // The context of whoever ends the game is its own.
    assert_eq!(run(&mut store, pong, "pong", CALLS), 8);
    assert_eq!(run(&mut store, pong, "pong", CALLS + 1), 7);
}

#[test]
fn the_stack_of_a_host_function_is_where_it_was() -> Result<()> {
    let mut linker: Linker<Vec<usize>> = Linker::new(&engine());
    linker.func_wrap("", "here", |mut caller: Caller<'_, Vec<usize>>| {
        let marker = 0u8;
        let here = std::ptr::from_ref(std::hint::black_box(&marker)) as usize;
        caller.data_mut().push(here);
    })?;
    let wat = r#"(module
        (import "" "here" (func $here))
        (func $step (export "run") (param i32)
          (if (local.get 0) (then
            (if (i32.eqz (i32.rem_u (local.get 0) (i32.const 1000))) (then (call $here)))
            (return_call $step (i32.sub (local.get 0) (i32.const 1)))))
          (return_call $here)))"#;
    let module = Module::new(linker.engine(), wat)?;
    let mut store = Store::new(linker.engine(), Vec::new());
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<i32, ()>(&mut store, "run")?;
    run.call(&mut store, 1_000_000)?;
    let (&last, all) = store.data().split_last().unwrap();
    assert_eq!(all.len(), 1000);
    assert!(all.iter().all(|&here| here == all[0]));
    // The last call had no frame of wasm above it.
    assert!(last >= all[0]);
    Ok(())
}

#[test]
fn host_functions_are_called_in_place_of_their_callers() -> Result<()> {
    let mut linker: Linker<i64> = Linker::new(&engine());
    linker.func_wrap("", "add", |mut caller: Caller<'_, i64>, x: i64| {
        let Some(base) = caller.get_export("base").and_then(|base| base.into_global()) else {
            panic!("the caller is the instance that made the tail call");
        };
        let base = base.get(&mut caller).unwrap_i64();
        *caller.data_mut() += base + x;
        *caller.data()
    })?;
    let wat = r#"(module
        (import "" "add" (func $add (param i64) (result i64)))
        (global (export "base") i64 (i64.const 5))
        (func $one (param i64) (result i64) (return_call $add (local.get 0)))
        (func (export "run") (param i64) (result i64)
          (local $last i64)
          (loop $again
            (local.set $last (call $one (i64.const 1)))
            (br_if $again (i64.ne (i64.const 0)
              (local.tee 0 (i64.sub (local.get 0) (i64.const 1))))))
          (local.get $last)))"#;
    let module = Module::new(linker.engine(), wat)?;
    let mut store = Store::new(linker.engine(), 0);
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<i64, i64>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, 1_000_000)?, 6_000_000);
    Ok(())
}

#[test]
fn the_host_can_be_all_that_a_call_of_wasm_leads_to() -> Result<()> {
    let mut store = Store::new(&engine(), ());
    let fails = Func::wrap(&mut store, |x: i32| -> Result<i32> {
        if x < 0 { Err(seqfault::Error::msg("negative")) } else { Ok(x * 2) }
    });
    let instance = instance(
        &mut store,
        r#"(module (import "" "f" (func $f (param i32) (result i32)))
            (func (export "run") (param i32) (result i32) (return_call $f (local.get 0))))"#,
        &[fails.into()],
    );
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, 21)?, 42);
    let error = run.call(&mut store, -1).unwrap_err();
    assert_eq!(error.to_string(), "negative");
    // No frame of wasm was left to be seen.
    assert_eq!(error.backtrace().unwrap().len(), 0);
    Ok(())
}

#[test]
fn a_backtrace_shows_who_is_still_there() -> Result<()> {
    let mut store = Store::new(&engine(), ());
    let instance = instance(
        &mut store,
        r#"(module
            (func $trap unreachable)
            (func $gone (return_call $trap))
            (func $stays (call $gone))
            (func (export "run") (call $stays)))"#,
        &[],
    );
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    for _ in 0..2 {
        // The first time the functions are compiled on the way.
        let error = run.call(&mut store, ()).unwrap_err();
        let trap = error.trap().unwrap();
        assert_eq!(trap.code(), TrapCode::Unreachable);
        let functions: Vec<u32> = trap.frames().iter().map(|frame| frame.func_index()).collect();
        assert_eq!(functions, [0, 2, 3]);
    }
    Ok(())
}

#[test]
fn tail_calls_for_ever_are_interrupted() -> Result<()> {
    let mut config = Config::new();
    config.wasm_feature(Feature::TailCall, true).epoch_interruption(true);
    let engine = Engine::new(&config)?;
    let mut store = Store::new(&engine, ());
    let instance =
        instance(&mut store, r#"(module (func $run (export "run") (return_call $run)))"#, &[]);
    store.set_epoch_deadline(1);
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    let clock = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        engine.increment_epoch();
    });
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.trap().unwrap().code(), TrapCode::Interrupt);
    clock.join().unwrap();
    Ok(())
}

#[test]
fn a_call_of_the_wrong_type_traps_before_the_frame_is_gone() -> Result<()> {
    let mut store = Store::new(&engine(), ());
    let instance = instance(
        &mut store,
        r#"(module
            (type $none (func))
            (table funcref (elem $other))
            (table $empty 1 funcref)
            (func $other (param i32))
            (func (export "type") (return_call_indirect (type $none) (i32.const 0)))
            (func (export "null") (return_call_indirect $empty (type $none) (i32.const 0)))
            (func (export "outside") (return_call_indirect (type $none) (i32.const 1))))"#,
        &[],
    );
    let codes = [
        ("type", TrapCode::BadSignature, 1),
        ("null", TrapCode::IndirectCallToNull, 2),
        ("outside", TrapCode::UndefinedElement, 3),
    ];
    for (name, code, func) in codes {
        let run = instance.get_typed_func::<(), ()>(&mut store, name)?;
        let error = run.call(&mut store, ()).unwrap_err();
        let trap = error.trap().unwrap();
        assert_eq!(trap.code(), code);
        assert_eq!(trap.frames()[0].func_index(), func);
    }
    Ok(())
}
