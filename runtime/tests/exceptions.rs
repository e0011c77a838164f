//! Exceptions: through wasm, between instances, through the host, and what they leave as it was.

use seqfault::{
    AsContextMut, Caller, Compilation, Config, Engine, Error, ExnRef, Extern, ExternType, Feature,
    Func, FuncType, Instance, Linker, Module, Result, Rooted, Store, Tag, TagType, ThrownException,
    TrapCode, Val, ValType,
};

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_feature(Feature::Exceptions, true);
    config
}

fn engine() -> Engine {
    Engine::new(&config()).unwrap()
}

fn store() -> Store<()> {
    Store::new(&engine(), ())
}

fn instance<T: 'static>(store: &mut Store<T>, wat: &str, imports: &[Extern]) -> Instance {
    let module = Module::new(store.engine(), wat).unwrap_or_else(|error| panic!("{error}"));
    Instance::new(store, &module, imports).unwrap_or_else(|error| panic!("{error}"))
}

fn tag_of(params: &[ValType]) -> TagType {
    TagType::new(FuncType::new(params.iter().cloned(), []))
}

#[test]
fn every_type_of_value_is_carried_to_the_handler() -> Result<()> {
    let mut store = store();
    let types = "i32 i64 f32 f64 v128 funcref externref exnref";
    let wat = format!(
        r#"(module
        (tag $all (param {types}))
        (func $thrower (param {types})
          (throw $all (local.get 0) (local.get 1) (local.get 2) (local.get 3)
                      (local.get 4) (local.get 5) (local.get 6) (local.get 7)))
        (func (export "run") (param {types}) (result {types})
          (block $caught (result {types})
            (try_table (catch $all $caught)
              (call $thrower (local.get 0) (local.get 1) (local.get 2) (local.get 3)
                             (local.get 4) (local.get 5) (local.get 6) (local.get 7)))
            (unreachable))))"#
    );
    let instance = instance(&mut store, &wat, &[]);
    let run = instance.get_func(&mut store, "run").unwrap();
    let tag = Tag::new(&mut store, &tag_of(&[]))?;
    let exception = ExnRef::new(&mut store, &tag, &[])?;
    let host = seqfault::ExternRef::new(&mut store, 7u8)?;
    let values = [
        Val::I32(-1),
        Val::I64(i64::MIN),
        Val::F32(0x7fa0_0001),
        Val::F64(0x7ff4_0000_0000_0001),
        Val::V128(u128::MAX / 3),
        Val::FuncRef(Some(run)),
        Val::ExternRef(Some(host)),
        Val::ExnRef(Some(exception)),
    ];
    let mut results = [Val::I32(0); 8];
    run.call(&mut store, &values, &mut results)?;
    assert_eq!(format!("{:?}", &values[..6]), format!("{:?}", &results[..6]));
    assert!(Rooted::ref_eq(&store, &host, &results[6].unwrap_extern_ref().unwrap())?);
    assert!(Rooted::ref_eq(&store, &exception, &results[7].unwrap_exn_ref().unwrap())?);
    let nulls = [Val::FuncRef(None), Val::ExternRef(None), Val::ExnRef(None)];
    let values = [&values[..5], &nulls[..]].concat();
    run.call(&mut store, &values, &mut results)?;
    assert_eq!(format!("{values:?}"), format!("{results:?}"));
    Ok(())
}

#[test]
fn as_many_values_as_a_tag_may_have_are_carried() -> Result<()> {
    let mut store = store();
    let count = 1000;
    let types = "i64 ".repeat(count);
    let values: String = (0..count).map(|i| format!("(i64.const {}) ", i * i)).collect();
    let sum = "i64.add ".repeat(count - 1);
    let wat = format!(
        r#"(module
        (tag $many (param {types}))
        (tag $one (param i64))
        (func $thrower (param i32)
          (if (local.get 0) (then (throw $one (i64.const 5))))
          (throw $many {values}))
        (func (export "run") (param i32) (result i64)
          (block $one (result i64)
            (block $many (result {types})
              (try_table (catch $many $many) (catch $one $one) (call $thrower (local.get 0)))
              unreachable)
            {sum})))"#
    );
    let instance = instance(&mut store, &wat, &[]);
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run")?;
    let sum = (0..count as i64).map(|i| i * i).sum::<i64>();
    for _ in 0..3 {
        assert_eq!(run.call(&mut store, 0)?, sum);
        assert_eq!(run.call(&mut store, 1)?, 5);
    }
    Ok(())
}

#[test]
fn the_innermost_clause_that_fits_comes_first() -> Result<()> {
    let mut store = store();
    let wat = r#"(module
        (tag $a) (tag $b) (tag $c) (tag $d)
        (func $throw (param i32)
          (block $d (block $c (block $b (block $a
            (br_table $a $b $c $d (local.get 0)))
            (throw $a)) (throw $b)) (throw $c)) (throw $d))
        (func (export "run") (param i32) (result i32)
          (block $outer_all
            (block $outer_a
              (try_table (catch $a $outer_a) (catch_all $outer_all)
                (block $inner_a
                  (block $inner_b
                    (block $second_a
                      (try_table (catch $a $inner_a) (catch $b $inner_b) (catch $a $second_a)
                        (try_table (catch $c $inner_b) (call $throw (local.get 0)))
                        (return (i32.const 0))))
                    (return (i32.const 1)))
                  (return (i32.const 2)))
                (return (i32.const 3)))
              (return (i32.const 4)))
            (return (i32.const 5)))
          (i32.const 6)))"#;
    let instance = instance(&mut store, wat, &[]);
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    let found: Vec<i32> = (0..4).map(|which| run.call(&mut store, which).unwrap()).collect();
    assert_eq!(found, [3, 2, 2, 6]);
    Ok(())
}

#[test]
fn locals_are_as_they_were_at_the_call() -> Result<()> {
    // More than there are registers, of both kinds, changed around the calls.
    let mut store = store();
    let locals: String = (0..40).map(|i| format!("(local $i{i} i64) (local $f{i} f64)")).collect();
    let set = |add: i64| -> String {
        (0..40)
            .map(|i| {
                format!(
                    "(local.set $i{i} (i64.add (local.get $i{i}) (i64.const {})))
                     (local.set $f{i} (f64.add (local.get $f{i}) (f64.const {})))",
                    i + add,
                    2 * i + add
                )
            })
            .collect()
    };
    let sum: String = (0..40)
        .map(|i| format!("local.get $i{i} i64.add local.get $f{i} i64.trunc_f64_s i64.add "))
        .collect();
    let wat = format!(
        r#"(module
        (tag $e (param i64))
        (func $f (param i64) (result i64)
          (if (i64.eqz (local.get 0)) (then (throw $e (i64.const 1000000))))
          (i64.sub (local.get 0) (i64.const 1)))
        (func (export "run") (param i64) (result i64) {locals}
          (block $caught (result i64)
            (try_table (catch $e $caught)
              (loop $again
                {}
                (local.set 0 (call $f (local.get 0)))
                {}
                (br $again)))
            (unreachable))
          {sum}))"#,
        set(1),
        set(2),
    );
    let instance = instance(&mut store, &wat, &[]);
    let run = instance.get_typed_func::<i64, i64>(&mut store, "run")?;
    let each = |add: i64| (0..40).map(|i| (i + add) + (2 * i + add)).sum::<i64>();
    for turns in [0, 1, 2, 50] {
        let expected = 1_000_000 + (turns + 1) * each(1) + turns * each(2);
        assert_eq!(run.call(&mut store, turns)?, expected);
    }
    Ok(())
}

#[test]
fn traps_are_not_caught() -> Result<()> {
    let mut store = Store::new(&Engine::new(config().epoch_interruption(true))?, ());
    let wat = r#"(module
        (memory 1)
        (func $divide (drop (i32.div_s (i32.const 1) (i32.const 0))))
        (func $load (drop (i32.load (i32.const -1))))
        (func $recurse (call $recurse))
        (func $loop (loop (br 0)))
        (func $null (throw_ref (ref.null exn)))
        (table funcref (elem $divide $load $recurse $loop $null))
        (func (export "run") (param i32) (result i32)
          (block $caught
            (block $caught_ref (result exnref)
              (try_table (catch_all_ref $caught_ref)
                (try_table (catch_all $caught)
                  (call_indirect (local.get 0))))
              (return (i32.const 0)))
            (drop))
          (i32.const 1)))"#;
    let instance = instance(&mut store, wat, &[]);
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    let codes = [
        TrapCode::IntegerDivisionByZero,
        TrapCode::MemoryOutOfBounds,
        TrapCode::StackOverflow,
        TrapCode::Interrupt,
        TrapCode::NullException,
    ];
    for (which, code) in codes.into_iter().enumerate() {
        store.set_epoch_deadline(if code == TrapCode::Interrupt { 0 } else { 1 });
        let error = run.call(&mut store, which as i32).unwrap_err();
        assert_eq!(error.trap().expect("a trap").code(), code);
    }
    Ok(())
}

#[test]
fn tags_are_told_apart_by_instance_and_not_by_name_or_type() -> Result<()> {
    let mut store = store();
    let thrower = r#"(module
        (tag $e (export "tag") (param i32))
        (func (export "throw") (param i32) (throw $e (local.get 0))))"#;
    let one = instance(&mut store, thrower, &[]);
    let two = instance(&mut store, thrower, &[]);
    let export = |store: &mut Store<()>, instance: Instance, name: &str| {
        instance.get_export(store, name).unwrap()
    };
    let catcher = r#"(module
        (import "" "own" (tag $own (param i32)))
        (import "" "again" (tag $again (param i32)))
        (import "" "throw" (func $throw (param i32)))
        (tag $other (param i32))
        (func (export "run") (param i32) (result i32)
          (block $again (result i32)
            (block $other (result i32)
              (block $own (result i32)
                (try_table (catch $other $other) (catch $own $own) (catch $again $again)
                  (call $throw (local.get 0)))
                (unreachable))
              (return (i32.add (i32.const 1)))))
          (drop) (i32.const -1)))"#;
    let own = export(&mut store, one, "tag").into_tag().unwrap();
    let throw_one = export(&mut store, one, "throw");
    let throw_two = export(&mut store, two, "throw");
    let catches = instance(&mut store, catcher, &[own.into(), own.into(), throw_one]);
    let run = catches.get_typed_func::<i32, i32>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, 41)?, 42);

    // The other instance's tag is another tag.
    let misses = instance(&mut store, catcher, &[own.into(), own.into(), throw_two]);
    let run = misses.get_typed_func::<i32, i32>(&mut store, "run")?;
    let error = run.call(&mut store, 7).unwrap_err();
    let thrown = error.downcast_ref::<ThrownException>().expect("an exception");
    let theirs = export(&mut store, two, "tag").into_tag().unwrap();
    assert!(Tag::eq(&thrown.tag(), &theirs, &store));
    assert!(!Tag::eq(&thrown.tag(), &own, &store));
    assert_eq!(thrown.fields()[0].unwrap_i32(), 7);
    Ok(())
}

#[test]
fn what_nobody_catches_is_the_error_of_the_call() -> Result<()> {
    let mut store = store();
    let wat = r#"(module $m
        (tag $e (export "e") (param i32 f64))
        (func $inner (throw $e (i32.const 3) (f64.const 0.5)))
        (func $outer (export "run") (call $inner)))"#;
    let instance = instance(&mut store, wat, &[]);
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    for _ in 0..2 {
        let error = run.call(&mut store, ()).unwrap_err();
        assert!(error.trap().is_none());
        let thrown = error.downcast_ref::<ThrownException>().unwrap();
        let tag = instance.get_export(&mut store, "e").unwrap().into_tag().unwrap();
        assert!(Tag::eq(&thrown.tag(), &tag, &store));
        assert_eq!(thrown.fields()[0].unwrap_i32(), 3);
        assert_eq!(thrown.fields()[1].unwrap_f64(), 0.5);
        assert_eq!(thrown.to_string(), "uncaught exception (tag (param i32 f64))");
        let frames: Vec<&str> =
            error.backtrace().unwrap().iter().map(|frame| frame.func_name().unwrap()).collect();
        assert_eq!(frames, ["inner", "outer"]);
        // As a value it can be given back to a guest.
        let value = thrown.to_exn_ref(&mut store)?;
        assert!(Tag::eq(&value.tag(&store)?, &tag, &store));
        assert_eq!(value.field(&mut store, 1)?.unwrap_f64(), 0.5);
        assert!(value.field(&mut store, 2).is_err());
    }
    Ok(())
}

#[test]
fn a_host_function_throws_what_wasm_catches() -> Result<()> {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let tag = Tag::new(&mut store, &tag_of(&[ValType::I32, ValType::I64]))?;
    let throws = Func::wrap(&mut store, move |mut caller: Caller<'_, ()>, x: i32| -> Result<()> {
        let fields = [Val::I32(x), Val::I64(i64::from(x) * 10)];
        match x % 3 {
            0 => Err(ThrownException::new(&mut caller, &tag, &fields)?.into()),
            1 => {
                let exception = ExnRef::new(&mut caller, &tag, &fields)?;
                Ok(caller.as_context_mut().throw(exception)?)
            }
            _ => Err(Error::msg("no exception").context("at all")),
        }
    });
    let instance = instance(
        &mut store,
        r#"(module
            (import "" "tag" (tag $e (param i32 i64)))
            (import "" "f" (func $f (param i32)))
            (func $between (param i32) (call $f (local.get 0)))
            (func (export "run") (param i32) (result i64)
              (local $ref exnref) (local $second i64)
              (block $all
                (block $caught (result i32 i64 exnref)
                  (try_table (catch_ref $e $caught) (catch_all $all)
                    (call $between (local.get 0)))
                  (return (i64.const -1)))
                (local.set $ref)
                (local.set $second)
                (return (i64.add (i64.extend_i32_s) (local.get $second))))
              (i64.const -2)))"#,
        &[tag.into(), throws.into()],
    );
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run")?;
    for x in [0, 1, 3, 4] {
        assert_eq!(run.call(&mut store, x)?, i64::from(x) * 11);
    }
    // Other errors of the host are nothing that wasm could catch.
    assert_eq!(run.call(&mut store, 2).unwrap_err().to_string(), "at all: no exception");
    Ok(())
}

#[test]
fn an_exception_goes_through_the_host_when_the_host_lets_it() -> Result<()> {
    let mut linker: Linker<Vec<String>> = Linker::new(&engine());
    // Calls the guest's export: passes on what it throws, or turns it into something else.
    linker.func_wrap(
        "",
        "host",
        |mut caller: Caller<'_, Vec<String>>, how: i32| -> Result<()> {
            let inner = caller.get_export("inner").unwrap().into_func().unwrap();
            let error = inner.call(&mut caller, &[Val::I32(how)], &mut []).unwrap_err();
            let thrown = error.downcast_ref::<ThrownException>().expect("an exception");
            caller.data_mut().push(format!("{:?}", thrown.fields()));
            match how {
                0 => Err(error),
                1 => Err(error.context("seen by the host")),
                2 => Ok(()),
                _ => Err(Error::msg("instead")),
            }
        },
    )?;
    let wat = r#"(module
        (import "" "host" (func $host (param i32)))
        (tag $e (param i32))
        (func (export "inner") (param i32) (throw $e (i32.add (local.get 0) (i32.const 100))))
        (func (export "run") (param i32) (result i32)
          (block $caught (result i32)
            (try_table (catch $e $caught) (call $host (local.get 0)))
            (i32.const -1)))
        (func (export "uncaught") (param i32) (call $host (local.get 0))))"#;
    let module = Module::new(linker.engine(), wat)?;
    let mut store = Store::new(linker.engine(), Vec::new());
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, 0)?, 100);
    assert_eq!(run.call(&mut store, 1)?, 101);
    assert_eq!(run.call(&mut store, 2)?, -1);
    assert_eq!(run.call(&mut store, 3).unwrap_err().to_string(), "instead");
    assert_eq!(store.data().len(), 4);
    assert_eq!(store.data()[1], "[I32(101)]");

    // The frames are those from the throw to the host, and from there on.
    let uncaught = instance.get_typed_func::<i32, ()>(&mut store, "uncaught")?;
    let error = uncaught.call(&mut store, 0).unwrap_err();
    let frames: Vec<u32> = error.backtrace().unwrap().iter().map(|f| f.func_index()).collect();
    assert_eq!(frames, [1, 3]);
    Ok(())
}

#[test]
fn an_exception_of_another_store_is_an_error_like_any_other() -> Result<()> {
    let engine = engine();
    let mut other = Store::new(&engine, ());
    let tag = Tag::new(&mut other, &tag_of(&[]))?;
    let foreign = ThrownException::new(&mut other, &tag, &[])?;
    let mut store = Store::new(&engine, ());
    let throws = Func::wrap(&mut store, move || -> Result<()> { Err(foreign.clone().into()) });
    let instance = instance(
        &mut store,
        r#"(module (import "" "f" (func $f))
            (func (export "run")
              (block $all (try_table (catch_all $all) (call $f)))))"#,
        &[throws.into()],
    );
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    assert!(run.call(&mut store, ()).unwrap_err().is::<ThrownException>());
    Ok(())
}

#[test]
fn references_to_exceptions_are_thrown_again_with_what_they_carry() -> Result<()> {
    let mut store = store();
    let wat = r#"(module
        (tag $e (param i32))
        (global $kept (mut exnref) (ref.null exn))
        (table $table 1 exnref)
        (func $throw (param i32) (throw $e (local.get 0)))
        (func (export "keep") (param i32)
          (block $caught (result exnref)
            (try_table (catch_all_ref $caught) (call $throw (local.get 0)))
            (unreachable))
          (global.set $kept)
          (table.set $table (i32.const 0) (global.get $kept)))
        (func (export "again") (result i32)
          (block $caught (result i32)
            (try_table (catch $e $caught) (throw_ref (global.get $kept)))
            (unreachable)))
        (func (export "from_table") (result i32)
          (block $caught (result i32 exnref)
            (try_table (catch_ref $e $caught)
              (throw_ref (table.get $table (i32.const 0))))
            (unreachable))
          (global.set $kept))
        (func (export "give") (result exnref) (global.get $kept))
        (func (export "take") (param exnref) (result i32)
          (block $caught (result i32)
            (try_table (catch $e $caught) (throw_ref (local.get 0)))
            (unreachable))))"#;
    let instance = instance(&mut store, wat, &[]);
    let keep = instance.get_typed_func::<i32, ()>(&mut store, "keep")?;
    let again = instance.get_typed_func::<(), i32>(&mut store, "again")?;
    let from_table = instance.get_typed_func::<(), i32>(&mut store, "from_table")?;
    let give = instance.get_typed_func::<(), Option<Rooted<ExnRef>>>(&mut store, "give")?;
    let take = instance.get_typed_func::<Option<Rooted<ExnRef>>, i32>(&mut store, "take")?;
    keep.call(&mut store, 5)?;
    assert_eq!(again.call(&mut store, ())?, 5);
    assert_eq!(from_table.call(&mut store, ())?, 5);
    let value = give.call(&mut store, ())?.expect("an exception");
    keep.call(&mut store, 6)?;
    assert_eq!(again.call(&mut store, ())?, 6);
    assert_eq!(value.fields(&mut store)?[0].unwrap_i32(), 5);
    assert_eq!(take.call(&mut store, Some(value))?, 5);
    let error = take.call(&mut store, None).unwrap_err();
    assert_eq!(error.trap().unwrap().code(), TrapCode::NullException);
    Ok(())
}

#[test]
fn exceptions_pass_any_number_of_frames() -> Result<()> {
    let mut config = config();
    config.max_wasm_stack(512 << 10);
    let mut store = Store::new(&Engine::new(&config)?, ());
    let wat = r#"(module
        (tag $e (param i32))
        (tag $other)
        (func $deep (param i32) (result i32)
          (if (i32.eqz (local.get 0)) (then (throw $e (i32.const 9))))
          (block $other
            (try_table (catch $other $other)
              (return (i32.add (i32.const 1)
                (call $deep (i32.sub (local.get 0) (i32.const 1)))))))
          (i32.const -1))
        (func (export "run") (param i32) (result i32)
          (block $caught (result i32)
            (try_table (catch $e $caught) (return (call $deep (local.get 0))))
            (unreachable))))"#;
    let instance = instance(&mut store, wat, &[]);
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    for depth in [0, 1, 10, 1000, 3000] {
        assert_eq!(run.call(&mut store, depth)?, 9);
    }
    Ok(())
}

#[test]
fn a_million_exceptions_leave_the_stack_as_it_was() -> Result<()> {
    let mut store = store();
    let wat = r#"(module
        (tag $e (param i64))
        (func $throw (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (throw $e (local.get 9)))
        (func (export "run") (param i64) (result i64) (local $sum i64)
          (loop $again
            (block $caught (result i64)
              (try_table (catch $e $caught)
                ;; Arguments on the stack, which the callee would have taken off.
                (call $throw (i64.const 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
                  (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8) (local.get 0)))
              (unreachable))
            (local.set $sum (i64.add (local.get $sum)))
            (br_if $again (i64.ne (i64.const 0)
              (local.tee 0 (i64.sub (local.get 0) (i64.const 1))))))
          (local.get $sum)))"#;
    let instance = instance(&mut store, wat, &[]);
    let run = instance.get_typed_func::<i64, i64>(&mut store, "run")?;
    let count = 1_000_000;
    assert_eq!(run.call(&mut store, count)?, count * (count + 1) / 2);
    Ok(())
}

#[test]
fn functions_that_were_compiled_together_find_their_own_handlers() -> Result<()> {
    let mut config = config();
    config.compilation(Compilation::Eager);
    let mut store = Store::new(&Engine::new(&config)?, ());
    let functions: String = (0..300)
        .map(|i| {
            format!(
                r#"(func $f{i} (export "f{i}") (result i32)
                    (block $caught (result i32)
                      (try_table (catch $e $caught) (call $throw (i32.const {i})))
                      (unreachable))
                    (i32.mul (i32.const 2)))"#
            )
        })
        .collect();
    let wat = format!(
        r#"(module (tag $e (param i32))
            (func $throw (param i32) (throw $e (local.get 0))) {functions})"#
    );
    let instance = instance(&mut store, &wat, &[]);
    for i in 0..300 {
        let f = instance.get_typed_func::<(), i32>(&mut store, &format!("f{i}"))?;
        assert_eq!(f.call(&mut store, ())?, 2 * i);
    }
    Ok(())
}

#[test]
fn tags_are_checked_when_they_are_made_and_linked() -> Result<()> {
    let mut store = store();
    let with_result = TagType::new(FuncType::new([], [ValType::I32]));
    assert!(Tag::new(&mut store, &with_result).is_err());
    let tag = Tag::new(&mut store, &tag_of(&[ValType::I32]))?;
    assert_eq!(tag.ty(&store), tag_of(&[ValType::I32]));
    assert!(ThrownException::new(&mut store, &tag, &[]).is_err());
    assert!(ExnRef::new(&mut store, &tag, &[Val::I64(0)]).is_err());

    let wat = r#"(module (import "" "tag" (tag (param i32))) (export "again" (tag 0)))"#;
    let module = Module::new(store.engine(), wat)?;
    assert_eq!(module.get_export("again"), Some(ExternType::Tag(tag_of(&[ValType::I32]))));
    let instance = Instance::new(&mut store, &module, &[tag.into()])?;
    let again = instance.get_export(&mut store, "again").unwrap();
    assert_eq!(again.ty(&store), ExternType::Tag(tag_of(&[ValType::I32])));
    assert!(Tag::eq(&tag, &again.into_tag().unwrap(), &store));
    let wrong = Tag::new(&mut store, &tag_of(&[ValType::I64]))?;
    let error = Instance::new(&mut store, &module, &[wrong.into()]).unwrap_err().to_string();
    assert!(error.contains("incompatible import type"), "{error}");
    Ok(())
}

#[test]
fn handlers_are_found_while_other_code_comes_and_goes() {
    const TURNS: i32 = 60;
    let engine = engine();
    let wat = |number: i32| {
        format!(
            r#"(module (tag $t (param i32))
            (func $deep (param i32) (result i32)
              (if (i32.eqz (local.get 0)) (then (throw $t (i32.const {number}))))
              (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
            (func (export "run") (param i32) (result i32)
              (block $caught (result i32)
                (try_table (result i32) (catch $t $caught) (call $deep (local.get 0))))))"#
        )
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (engine, wat) = (&engine, &wat);
            scope.spawn(move || {
                for number in (0..TURNS).map(|turn| turn * 4 + thread) {
                    let mut store = Store::new(engine, ());
                    let run = instance(&mut store, &wat(number), &[])
                        .get_typed_func::<i32, i32>(&mut store, "run")
                        .expect("it is exported");
                    for depth in 0..20 {
                        let caught = run.call(&mut store, depth).expect("it is caught");
                        assert_eq!(caught, number);
                    }
                }
            });
        }
    });
}
