//! Exceptions and the collector: what they carry is alive as long as they are, and no longer.

use seqfault::{
    Caller, Config, Engine, Error, ExternRef, FuncType, Global, GlobalType, Instance, Linker,
    Module, Mutability, RefType, Result, RootScope, Rooted, Store, Table, TableType, Tag, TagType,
    ThrownException, TrapCode, Val, ValType,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Throws objects around; every throw allocates, and so does every catch.
const OBJECTS: &str = r#"(module
    (type $box (struct (field i32)))
    (tag $e (param (ref $box) i64 externref (ref null $box)))
    (func $throw (param $n i32) (param $host externref)
      (throw $e
        (struct.new $box (local.get $n)) (i64.const 7) (local.get $host)
        (struct.new $box (i32.add (local.get $n) (i32.const 1)))))
    (func $again (param $n i32) (param $host externref)
      (local $live (ref $box)) (local $exception exnref)
      (local.set $live (struct.new $box (i32.const 1000)))
      (block $caught (result exnref)
        (try_table (catch_all_ref $caught)
          (call $throw (local.get $n) (local.get $host)))
        (unreachable))
      (local.set $exception)
      ;; Garbage, between catching and throwing again.
      (drop (struct.new $box (i32.const 5)))
      (if (i32.ne (i32.const 1000) (struct.get $box 0 (local.get $live))) (then unreachable))
      (throw_ref (local.get $exception)))
    (func (export "run") (param $n i32) (param $host externref) (result i32 externref)
      (local $sum i32) (local $found externref) (local $one (ref null $box))
      (block $caught (result (ref $box) i64 externref (ref null $box))
        (try_table (catch $e $caught) (call $again (local.get $n) (local.get $host)))
        (unreachable))
      (local.set $one)
      (local.set $found)
      (drop)
      (struct.get $box 0)
      (i32.add (struct.get $box 0 (local.get $one)))
      (local.get $found)))"#;

#[test]
fn what_an_exception_carries_survives_a_collection_at_every_allocation() -> Result<()> {
    let engine = Engine::new(Config::new().gc_stress(true))?;
    let module = Module::new(&engine, OBJECTS)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let run = instance.get_func(&mut store, "run").unwrap();
    for n in 0..100 {
        let host = ExternRef::new(&mut store, n * 3)?;
        let mut results = [seqfault::Val::I32(0), seqfault::Val::I32(0)];
        run.call(&mut store, &[n.into(), host.into()], &mut results)?;
        assert_eq!(results[0].unwrap_i32(), 2 * n + 1);
        let found: Rooted<ExternRef> = results[1].unwrap_extern_ref().expect("not null");
        assert_eq!(found.data(&store)?.unwrap().downcast_ref::<i32>(), Some(&(n * 3)));
    }
    assert!(store.gc_collections() >= 300);
    Ok(())
}

#[test]
fn what_an_exception_carries_survives_the_host() -> Result<()> {
    let engine = Engine::new(Config::new().gc_stress(true))?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("", "through", |mut caller: Caller<'_, ()>, n: i32| -> Result<()> {
        let throw = caller.get_export("throw").unwrap().into_func().unwrap();
        let error = throw.call(&mut caller, &[n.into()], &mut []).unwrap_err();
        if !error.is::<ThrownException>() {
            return Err(Error::msg("an exception was expected"));
        }
        // What it carries may move meanwhile.
        for _ in 0..3 {
            ExternRef::new(&mut caller, 0u8)?;
        }
        Err(error)
    })?;
    let wat = r#"(module
        (import "" "through" (func $through (param i32)))
        (type $box (struct (field i32)))
        (tag $e (param (ref $box)))
        (func (export "throw") (param i32) (throw $e (struct.new $box (local.get 0))))
        (func (export "run") (param i32) (result i32)
          (block $caught (result (ref $box))
            (try_table (catch $e $caught) (call $through (local.get 0)))
            (unreachable))
          (struct.get $box 0)))"#;
    let module = Module::new(&engine, wat)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    for n in 0..100 {
        assert_eq!(run.call(&mut store, n)?, n);
    }
    Ok(())
}

#[test]
fn exceptions_that_nobody_holds_are_given_back() -> Result<()> {
    const LIMIT: usize = 1 << 20;
    let engine = Engine::new(Config::new().gc_heap_limit(Some(LIMIT)))?;
    // Each throw makes an object of at least 16 bytes.
    let throws: i64 = match std::env::var("SEQFAULT_THROWS") {
        Ok(count) => count.parse().expect("a number"),
        Err(_) => 1_000_000,
    };
    let wat = r#"(module
        (tag $e (param i64))
        (func $throw (param i64) (throw $e (local.get 0)))
        (func (export "run") (param i64) (result i64) (local $sum i64)
          (loop $again
            (block $caught (result i64 exnref)
              (try_table (catch_ref $e $caught) (call $throw (local.get 0)))
              (unreachable))
            (drop)
            (local.set $sum (i64.add (local.get $sum)))
            (br_if $again (i64.ne (i64.const 0)
              (local.tee 0 (i64.sub (local.get 0) (i64.const 1))))))
          (local.get $sum)))"#;
    let module = Module::new(&engine, wat)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let run = instance.get_typed_func::<i64, i64>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, throws)?, throws * (throws + 1) / 2);
    assert!(store.gc_collections() > 0);
    assert!(store.gc_heap_resident() <= 2 * LIMIT, "{}", store.gc_heap_resident());
    Ok(())
}

/// Throws what is caught by reference, which makes an object for it.
const HOLDER: &str = r#"(module
    (type $node (struct (field (ref null $node)) (field i64)))
    (tag $e (param i64))
    (global $kept (mut (ref null $node)) (ref.null $node))
    (func (export "fill")
      (loop $more (global.set $kept (struct.new $node (global.get $kept) (i64.const 0))) (br $more)))
    (func (export "clear") (global.set $kept (ref.null $node)))
    (func $throw (throw $e (i64.const 1)))
    (func (export "hold")
      (block $caught (result exnref)
        (try_table (catch_all_ref $caught) (call $throw))
        (unreachable))
      (drop)))"#;

#[test]
fn an_exception_for_which_there_is_no_room_becomes_the_trap_of_a_full_heap() -> Result<()> {
    let engine = Engine::new(Config::new().gc_heap_limit(Some(64 << 10)))?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, HOLDER)?, &[])?;
    let call = |store: &mut Store<()>, name| {
        instance.get_typed_func::<(), ()>(&mut *store, name)?.call(store, ())
    };
    let full = |result: Result<()>| {
        let error = result.unwrap_err();
        let trap = error.trap().unwrap_or_else(|| panic!("no trap: {error}"));
        assert_eq!(trap.code(), TrapCode::GcHeapOutOfMemory);
        trap.frames().len()
    };
    full(call(&mut store, "fill"));
    // What is alive fills the heap but for less than an object.
    assert_eq!(full(call(&mut store, "hold")), 2, "thrown in one function, held in another");
    call(&mut store, "clear")?;
    call(&mut store, "hold")
}

#[test]
fn a_panic_of_a_host_value_that_a_throw_lets_go_of_goes_on_in_the_host() -> Result<()> {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let engine = Engine::new(Config::new().gc_stress(true))?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, HOLDER)?, &[])?;
    let hold = instance.get_typed_func::<(), ()>(&mut store, "hold")?;
    ExternRef::new(&mut RootScope::new(&mut store), Panics)?;
    let caught = catch_unwind(AssertUnwindSafe(|| hold.call(&mut store, ())));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"dropped"));
    hold.call(&mut store, ())
}

#[test]
fn an_exception_that_a_start_function_leaves_behind_outlives_its_module() -> Result<()> {
    let engine = Engine::new(Config::new().gc_stress(true))?;
    let mut store = Store::new(&engine, ());
    let ty = FuncType::new([ValType::EXTERNREF, ValType::I32], []);
    let tag = Tag::new(&mut store, &TagType::new(ty))?;
    let kept = TableType::new(RefType::EXNREF, 1, None);
    let kept = Table::new(&mut store, kept, Val::ExnRef(None))?;
    let host = ExternRef::new(&mut store, 9u8)?;
    let ty = GlobalType::new(ValType::EXTERNREF, Mutability::Const);
    let host = Global::new(&mut store, ty, host.into())?;
    let throwing = r#"(module
        (import "" "tag" (tag $tag (param externref i32)))
        (import "" "kept" (table $kept 1 exnref))
        (import "" "host" (global $host externref))
        (func $main (local $exception exnref)
          (block $caught (result exnref)
            (try_table (catch_all_ref $caught) (throw $tag (global.get $host) (i32.const 5)))
            (unreachable))
          (local.set $exception)
          (table.set $kept (i32.const 0) (local.get $exception))
          (throw $tag (global.get $host) (i32.const 6)))
        (start $main))"#;
    let module = Module::new(&engine, throwing)?;
    let error = Instance::new(&mut store, &module, &[tag.into(), kept.into(), host.into()]);
    drop(module);
    let error = error.unwrap_err();
    let thrown = error.downcast_ref::<ThrownException>().expect("the exception");
    assert_eq!(thrown.fields()[1].unwrap_i32(), 6);
    assert_eq!(error.backtrace().map(|frames| frames.len()), Some(1));
    store.gc()?;

    let again = r#"(module
        (import "" "tag" (tag $tag (param externref i32)))
        (import "" "kept" (table $kept 1 exnref))
        (func (export "again") (result externref i32)
          (block $caught (result externref i32)
            (try_table (catch $tag $caught) (throw_ref (table.get $kept (i32.const 0))))
            (unreachable))))"#;
    let module = Module::new(&engine, again)?;
    let instance = Instance::new(&mut store, &module, &[tag.into(), kept.into()])?;
    type Fields = (Option<Rooted<ExternRef>>, i32);
    let again = instance.get_typed_func::<(), Fields>(&mut store, "again")?;
    let (host, number) = again.call(&mut store, ())?;
    let host = host.expect("not null").data(&store)?.expect("the host's");
    assert_eq!((host.downcast_ref(), number), (Some(&9u8), 5));
    Ok(())
}
