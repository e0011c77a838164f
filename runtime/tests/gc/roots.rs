//! What is kept: frames, tables, globals, segments, exceptions, and what a failed instantiation leaves.

use super::{both, call, instantiate};
use seqfault::{
    AnyRef, AsContextMut, Caller, Config, Engine, ExnRef, Func, Instance, Linker, Module, Result,
    Rooted, Store, Tag, TagType, ThrownException, TrapCode, ValType,
};

#[test]
fn frames_keep_their_references_while_the_host_collects() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let collect = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| -> Result<()> {
            caller.as_context_mut().gc()
        });
        // Locals, operands, arguments beyond the registers, and frames of functions further out.
        let wat = r#"(module
            (import "" "gc" (func $gc))
            (type $box (struct (field i32)))
            (type $many (func (param (ref $box) (ref $box) (ref $box) (ref $box) (ref $box)
                                     (ref $box) (ref $box) (ref $box) (ref $box)) (result i32)))
            (func $get (param (ref $box)) (result i32) (struct.get $box 0 (local.get 0)))
            (func $box (param i32) (result (ref $box))
              (struct.new $box (local.get 0)) (call $gc))
            (func $sum (type $many)
              (call $gc)
              (i32.add (call $get (local.get 0)) (i32.add (call $get (local.get 4))
                (i32.add (call $get (local.get 7)) (call $get (local.get 8))))))
            (func $deep (param i32) (result i32) (local $mine (ref $box))
              (local.set $mine (call $box (local.get 0)))
              (if (result i32) (local.get 0)
                (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1)))
                               (call $get (local.get $mine))))
                (else (call $gc) (call $get (local.get $mine)))))
            (func (export "many") (param i32) (result i32)
              (call $sum (call $box (i32.const 1)) (call $box (i32.const 2))
                (call $box (i32.const 4)) (call $box (i32.const 8)) (call $box (i32.const 16))
                (call $box (i32.const 32)) (call $box (i32.const 64)) (call $box (i32.const 128))
                (call $box (local.get 0))))
            (func (export "deep") (param i32) (result i32) (call $deep (local.get 0))))"#;
        let instance = instantiate(&mut store, wat, &[collect]);
        assert_eq!(call(&mut store, instance, "many", 1000)?, 1 + 16 + 128 + 1000);
        assert_eq!(call(&mut store, instance, "deep", 100)?, 5050);
        Ok(())
    })
}

#[test]
fn all_activations_of_a_store_are_looked_through() -> Result<()> {
    both(|engine| {
        let mut linker: Linker<()> = Linker::new(engine);
        linker.func_wrap("", "again", |mut caller: Caller<'_, ()>, n: i32| -> Result<i32> {
            if n == 0 {
                caller.as_context_mut().gc()?;
                return Ok(0);
            }
            let run = caller.get_export("run").and_then(|e| e.into_func()).expect("exported");
            run.typed::<i32, i32>(&caller)?.call(&mut caller, n - 1)
        })?;
        let wat = r#"(module (import "" "again" (func $again (param i32) (result i32)))
            (type $box (struct (field i32)))
            (func (export "run") (param i32) (result i32) (local $box (ref $box))
              (local.set $box (struct.new $box (local.get 0)))
              (i32.add (call $again (local.get 0)) (struct.get $box 0 (local.get $box)))))"#;
        let mut store = Store::new(engine, ());
        let instance = linker.instantiate(&mut store, &Module::new(engine, wat)?)?;
        assert_eq!(call(&mut store, instance, "run", 20)?, 210);
        Ok(())
    })
}

#[test]
fn tables_globals_and_segments_follow_what_moves() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let wat = r#"(module
            (type $box (struct (field i32)))
            (type $boxes (array (mut (ref null $box))))
            (global $g (ref $box) (struct.new $box (i32.const 1)))
            (global $boxes (export "boxes") (ref $boxes)
              (array.new_fixed $boxes 2 (struct.new $box (i32.const 2)) (global.get $g)))
            (table $t 3 (ref null $box) (struct.new $box (i32.const 4)))
            (elem $e (ref null $box) (struct.new $box (i32.const 8)) (struct.new $box (i32.const 16)))
            (func $get (param (ref null $box)) (result i32) (struct.get $box 0 (local.get 0)))
            (func (export "sum") (param i32) (result i32)
              (table.init $t $e (i32.const 1) (i32.const 0) (i32.const 2))
              (i32.add (call $get (global.get $g))
              (i32.add (call $get (array.get $boxes (global.get $boxes) (i32.const 0)))
              (i32.add (call $get (table.get $t (i32.const 0)))
              (i32.add (call $get (table.get $t (i32.const 1)))
                       (call $get (array.get $boxes
                         (array.new_elem $boxes $e (i32.const 0) (i32.const 2))
                         (i32.const 1)))))))))"#;
        let instance = instantiate(&mut store, wat, &[]);
        for _ in 0..3 {
            store.gc()?;
            assert_eq!(call(&mut store, instance, "sum", 0)?, 31);
        }
        let boxes = instance.get_export(&mut store, "boxes").unwrap().into_global().unwrap();
        let boxes = boxes.get(&mut store).unwrap_any_ref().unwrap().as_array(&store)?.unwrap();
        store.gc()?;
        let second = boxes.get(&mut store, 1)?.unwrap_any_ref().unwrap();
        let second = second.as_struct(&store)?.unwrap();
        assert_eq!(second.field(&mut store, 0)?.unwrap_i32(), 1);
        Ok(())
    })
}

#[test]
fn modules_with_equal_types_exchange_objects_and_others_do_not() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let types =
            "(rec (type $a (sub (struct (field i32)))) (type $b (struct (field (ref $a)))))";
        let make = format!(
            r#"(module {types} (func (export "make") (param i32) (result (ref $a))
                 (struct.new $a (local.get 0))))"#
        );
        let make = instantiate(&mut store, &make, &[]).get_func(&mut store, "make").unwrap();
        let take = format!(
            r#"(module {types} (import "" "make" (func $make (param i32) (result (ref $a))))
                 (func (export "run") (param i32) (result i32)
                   (struct.get $a 0 (call $make (local.get 0)))))"#
        );
        let take = instantiate(&mut store, &take, &[make]);
        assert_eq!(call(&mut store, take, "run", 42)?, 42);
        let other = r#"(module (type $a (sub (struct (field i32))))
            (import "" "make" (func (param i32) (result (ref $a)))))"#;
        let other = Module::new(engine, other)?;
        let error = Instance::new(&mut store, &other, &[make.into()]).unwrap_err();
        assert!(error.to_string().contains("incompatible import type"), "{error}");
        // They look alike, so it says what may differ.
        assert!(error.to_string().contains("recursion groups differ"), "{error}");
        Ok(())
    })
}

#[test]
fn a_thrown_exception_keeps_its_references_on_the_way_through_the_host() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let ty = TagType::new(seqfault::FuncType::new([ValType::ANYREF, ValType::EXTERNREF], []));
        let tag = Tag::new(&mut store, &ty)?;
        // Calls back, lets the exception pass, and collects on its way.
        let pass = Func::wrap(&mut store, |mut caller: Caller<'_, ()>, f: Option<Func>| {
            let result = f.unwrap().typed::<(), ()>(&caller)?.call(&mut caller, ());
            caller.as_context_mut().gc()?;
            result
        });
        let wat = r#"(module
            (import "" "e" (tag $e (param anyref externref)))
            (import "" "pass" (func $pass (param funcref)))
            (type $box (struct (field i32)))
            (func $throw
              (throw $e (struct.new $box (i32.const 5))
                        (extern.convert_any (struct.new $box (i32.const 6)))))
            (elem declare func $throw)
            (func $catch (export "catch") (param i32) (result i32)
              (local $any anyref) (local $extern externref) (local $exn exnref)
              (block $h (result anyref externref exnref)
                (try_table (catch_ref $e $h) (call $pass (ref.func $throw)))
                (unreachable))
              (local.set $exn) (local.set $extern) (local.set $any)
              (drop (struct.new $box (i32.const 0)))
              (block $again (result anyref externref)
                (try_table (catch $e $again) (throw_ref (local.get $exn)))
                (unreachable))
              (drop)
              (i32.add
                (struct.get $box 0 (ref.cast (ref $box)))
                (struct.get $box 0
                  (ref.cast (ref $box) (any.convert_extern (local.get $extern))))))
            (func (export "throw") (call $throw)))"#;
        let module = Module::new(engine, wat)?;
        let instance = Instance::new(&mut store, &module, &[tag.into(), pass.into()])?;
        for _ in 0..3 {
            assert_eq!(call(&mut store, instance, "catch", 0)?, 11);
        }
        let throw = instance.get_typed_func::<(), ()>(&mut store, "throw")?;
        let error = throw.call(&mut store, ()).unwrap_err();
        store.gc()?;
        let thrown = error.downcast_ref::<ThrownException>().unwrap();
        let object = thrown.fields()[0].unwrap_any_ref().unwrap().as_struct(&store)?.unwrap();
        assert_eq!(object.field(&mut store, 0)?.unwrap_i32(), 5);
        let exception: Rooted<ExnRef> = thrown.to_exn_ref(&mut store)?;
        store.gc()?;
        let object = exception.field(&mut store, 1)?.unwrap_extern_ref().unwrap();
        assert!(AnyRef::convert_extern(object).as_struct(&store)?.is_some());
        Ok(())
    })
}

#[test]
fn a_failed_instantiation_leaves_nothing_behind() -> Result<()> {
    let mut store = Store::new(&Engine::new(Config::new().gc_heap_limit(Some(64 << 10)))?, ());
    let wat = r#"(module (type $a (array i64))
        (global (ref $a) (array.new_default $a (i32.const 1000)))
        (global (ref $a) (array.new_default $a (i32.const 100000))))"#;
    let module = Module::new(store.engine(), wat)?;
    for _ in 0..100 {
        let error = Instance::new(&mut store, &module, &[]).unwrap_err();
        assert_eq!(error.trap().unwrap().code(), TrapCode::GcHeapOutOfMemory);
    }
    store.gc()?;
    assert_eq!(store.gc_heap_resident(), 0);
    Ok(())
}

#[test]
fn what_a_failed_instantiation_has_made_is_collected_without_its_module() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let wat = r#"(module (rec (type $a (array (mut i64))) (type $b (struct (field (ref $a)))))
            (global (ref $b) (struct.new $b (array.new_default $a (i32.const 10))))
            (table 10 (ref null $b) (struct.new $b (array.new_default $a (i32.const 10))))
            (elem (ref null $b) (item (ref.null $b))
              (item (struct.new $b (array.new_default $a (i32.const -1))))))"#;
        for _ in 0..3 {
            let module = Module::new(engine, wat)?;
            let error = Instance::new(&mut store, &module, &[]).unwrap_err();
            assert_eq!(error.trap().unwrap().code(), TrapCode::GcHeapOutOfMemory);
        }
        // Needs the types of everything that is still there.
        store.gc()?;
        store.gc()?;
        assert!(store.gc_collections() >= 2);
        Ok(())
    })
}
