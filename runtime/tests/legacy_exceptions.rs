//! The legacy form of exceptions: `try`, `catch`, `catch_all`, `rethrow` and `delegate`.

use seqfault::{
    Config, Engine, Feature, Instance, Module, Result, Store, ThrownException, TrapCode,
    WasmVersion,
};

fn instance(wat: &str) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let module = Module::new(&engine, wat).unwrap_or_else(|error| panic!("{error}"));
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    (store, instance)
}

/// What the export `run` makes of each argument; -100 stands for an exception that nobody caught.
fn results(wat: &str, arguments: std::ops::Range<i32>) -> Vec<i32> {
    let (mut store, instance) = instance(wat);
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    let result = |argument| match run.call(&mut store, argument) {
        Ok(result) => result,
        Err(error) if error.is::<ThrownException>() => -100,
        Err(error) => panic!("{error}"),
    };
    arguments.map(result).collect()
}

const THROW: &str = r#"
    (tag $a (param i32)) (tag $b (param i32 i32)) (tag $c)
    (func $throw (param i32)
      (block $c (block $b (block $a (block $none
        (br_table $none $a $b $c (local.get 0))) (return))
        (throw $a (i32.const 10)))
        (throw $b (i32.const 20) (i32.const 3)))
      (throw $c))"#;

#[test]
fn it_is_on_unless_it_is_switched_off_or_a_version_is_chosen() {
    const USE: &str = "(module (func try end))";
    assert!(Feature::LegacyExceptions.is_default());
    assert!(Module::new(&Engine::default(), USE).is_ok());
    let mut off = Config::new();
    off.wasm_feature(Feature::LegacyExceptions, false);
    let mut configs = vec![off];
    for version in [WasmVersion::V1, WasmVersion::V2, WasmVersion::V3] {
        let mut config = Config::new();
        config.wasm_version(version);
        configs.push(config);
    }
    for config in configs {
        assert!(Module::new(&Engine::new(&config).unwrap(), USE).is_err(), "{config:?}");
    }
}

#[test]
fn each_catch_has_its_own_code() {
    let wat = format!(
        "(module {THROW}
        (func (export \"run\") (param i32) (result i32)
          (i32.add (i32.const 1000)
            try (result i32)
              local.get 0
              call $throw
              i32.const 1
            catch $a
            catch $b
              i32.sub
            catch_all
              i32.const 2
            end)))"
    );
    assert_eq!(results(&wat, 0..4), [1001, 1010, 1017, 1002]);
}

#[test]
fn what_no_catch_is_for_goes_on_to_the_next_try() {
    let wat = format!(
        "(module {THROW}
        (func (export \"run\") (param i32) (result i32)
          try (result i32)
            try (result i32)
              local.get 0
              call $throw
              i32.const 1
            catch $a
              i32.const 1
              i32.add
            end
          catch $b
            i32.mul
          end))"
    );
    assert_eq!(results(&wat, 0..4), [1, 11, 60, -100]);
}

#[test]
fn a_catch_throws_again_what_it_has_caught_and_what_an_outer_one_has() {
    let wat = format!(
        "(module {THROW}
        (func $again (param i32)
          try
            local.get 0
            call $throw
          catch_all
            try
              i32.const 3
              call $throw
            catch $c
              rethrow 1
            end
          end)
        (func (export \"run\") (param i32) (result i32)
          try (result i32)
            local.get 0
            call $again
            i32.const 1
          catch $a
          catch $b
            i32.add
          end))"
    );
    assert_eq!(results(&wat, 0..4), [1, 10, 23, -100]);
}

#[test]
fn exceptions_in_a_catch_are_not_for_its_own_try() {
    let wat = format!(
        "(module {THROW}
        (func (export \"run\") (param i32) (result i32)
          try (result i32)
            try (result i32)
              i32.const 1
              call $throw
              i32.const 0
            catch $a
              drop
              local.get 0
              call $throw
              i32.const 5
            catch_all
              i32.const -1
            end
          catch $a
            i32.const 6
            i32.add
          catch_all
            i32.const 7
          end))"
    );
    assert_eq!(results(&wat, 0..2), [5, 16]);
    assert_eq!(results(&wat, 3..4), [7]);
}

#[test]
fn a_delegate_passes_over_the_tries_between() {
    let wat = format!(
        "(module {THROW}
        (func (export \"run\") (param i32) (result i32)
          try $outer (result i32)
            try (result i32)
              try (result i32)
                local.get 0
                call $throw
                i32.const 1
              delegate $outer
            catch_all
              i32.const -1
            end
          catch $a
          catch $b
            i32.add
          end))"
    );
    assert_eq!(results(&wat, 0..4), [1, 10, 23, -100]);
}

#[test]
fn a_delegate_to_the_function_leaves_it() {
    let wat = format!(
        "(module {THROW}
        (func $leave (param i32) (result i32)
          try (result i32)
            try (result i32)
              local.get 0
              call $throw
              i32.const 1
            delegate 1
          catch_all
            i32.const -1
          end)
        (func (export \"run\") (param i32) (result i32)
          try (result i32)
            (call $leave (local.get 0))
          catch $a
            i32.const 1
            i32.add
          end))"
    );
    assert_eq!(results(&wat, 0..4), [1, 11, -100, -100]);
}

#[test]
fn what_nothing_leads_to_is_skipped() {
    let wat = format!(
        "(module {THROW}
        (func (export \"run\") (param i32) (result i32)
          (if (i32.eq (local.get 0) (i32.const 7)) (then
            unreachable
            try nop catch $a drop try nop delegate 0 catch_all end
            try (result i32) i32.const 0 delegate 0 drop))
          try nop catch $a drop unreachable end
          try (result i32)
            try (result i32) i32.const 1 call $throw i32.const 9 br 1 catch $c rethrow 0 end
          catch $a
            i32.const 2
            i32.add
            (if (i32.eqz (local.get 0)) (then i32.const 3 return))
          end))"
    );
    assert_eq!(results(&wat, 0..2), [3, 12]);
}

#[test]
fn traps_are_not_caught() -> Result<()> {
    let (mut store, instance) = instance(
        "(module (func $f unreachable)
            (func (export \"run\") try call $f catch_all end))",
    );
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.trap().unwrap().code(), TrapCode::Unreachable);
    Ok(())
}
