//! The heap of objects: what is kept, what is let go, and how the host holds references.
//!
//! Most tests run in several ways: by default, with other pagers, without signals, and with a
//! collection at every allocation.

use seqfault::{
    AnyRef, ArrayRef, ArrayRefPre, ArrayType, AsContextMut, Caller, Config, Engine, ExnRef,
    ExternRef, FieldType, Finality, Func, HeapType, I31, Instance, Linker, Module, Mutability,
    PagerKind, Result, RootScope, Rooted, StorageType, Store, StructRef, StructRefPre, StructType,
    Tag, TagType, ThrownException, TrapCode, Val, ValType,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs a test in each of those ways.
fn both(test: impl Fn(&Engine) -> Result<()>) -> Result<()> {
    test(&Engine::default())?;
    test(&Engine::new(Config::new().pager(PagerKind::Protect))?)?;
    test(&Engine::new(Config::new().pager(PagerKind::Eager))?)?;
    test(&Engine::new(Config::new().signals_based_traps(false))?)?;
    test(&Engine::new(Config::new().gc_stress(true))?)
}

fn instantiate(store: &mut Store<()>, wat: &str, host: &[Func]) -> Instance {
    let module = Module::new(store.engine(), wat).unwrap();
    let imports: Vec<_> = host.iter().map(|&func| func.into()).collect();
    Instance::new(store, &module, &imports).unwrap()
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, argument: i32) -> Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, name)?.call(store, argument)
}

fn trap(result: Result<i32>) -> TrapCode {
    result.unwrap_err().trap().expect("a trap").code()
}

/// Lists of nodes, and pairs that refer to each other.
const NODES: &str = r#"(module
    (type $node (struct (field $value i32) (field $next (mut (ref null $node)))))
    (global $kept (mut (ref null $node)) (ref.null $node))
    (func (export "list") (param $n i32) (result i32)
      (global.set $kept (ref.null $node))
      (loop $more
        (global.set $kept (struct.new $node (local.get $n) (global.get $kept)))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.const 0))
    (func (export "sum") (param i32) (result i32) (local $at (ref null $node))
      (local.set $at (global.get $kept))
      (block $end
        (loop $more
          (br_if $end (ref.is_null (local.get $at)))
          (local.set 0 (i32.add (local.get 0) (struct.get $node $value (local.get $at))))
          (local.set $at (struct.get $node $next (local.get $at)))
          (br $more)))
      (local.get 0))
    (func (export "forget") (param i32) (result i32)
      (global.set $kept (ref.null $node)) (i32.const 0))
    (func (export "cycles") (param $n i32) (result i32) (local $a (ref null $node)) (local $b (ref null $node))
      (loop $more
        (local.set $a (struct.new $node (i32.const 1) (ref.null $node)))
        (local.set $b (struct.new $node (i32.const 2) (local.get $a)))
        (struct.set $node $next (local.get $a) (local.get $b))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.add
        (struct.get $node $value (struct.get $node $next (local.get $a)))
        (struct.get $node $value (struct.get $node $next (local.get $b))))))"#;

#[test]
fn a_store_without_objects_has_no_heap() -> Result<()> {
    let mut store = Store::new(&Engine::default(), ());
    let instance = instantiate(&mut store, r#"(module (func (export "f")))"#, &[]);
    instance.get_typed_func::<(), ()>(&mut store, "f")?.call(&mut store, ())?;
    store.gc()?;
    assert_eq!((store.gc_heap_resident(), store.gc_collections()), (0, 0));
    Ok(())
}

#[test]
fn cycles_of_garbage_are_reclaimed_and_their_memory_is_given_back() -> Result<()> {
    const LIMIT: usize = 1 << 20;
    let mut store = Store::new(&Engine::new(Config::new().gc_heap_limit(Some(LIMIT)))?, ());
    let instance = instantiate(&mut store, NODES, &[]);
    // 32 MB of objects.
    assert_eq!(call(&mut store, instance, "cycles", 1_000_000)?, 3);
    assert!(store.gc_collections() > 16, "{}", store.gc_collections());
    assert!(store.gc_heap_resident() > 0 && store.gc_heap_resident() <= 2 * LIMIT);
    store.gc()?;
    assert_eq!(store.gc_heap_resident(), 0);
    Ok(())
}

#[test]
fn lists_of_any_length_are_copied_without_recursion() -> Result<()> {
    let mut store = Store::new(&Engine::default(), ());
    let instance = instantiate(&mut store, NODES, &[]);
    let count = 2_000_000;
    call(&mut store, instance, "list", count)?;
    let sum = (1..=count).fold(0i32, i32::wrapping_add);
    assert_eq!(call(&mut store, instance, "sum", 0)?, sum);
    for _ in 0..3 {
        store.gc()?;
        assert_eq!(call(&mut store, instance, "sum", 0)?, sum);
    }
    let live = store.gc_heap_resident();
    assert!((16 * count as usize..17 * count as usize).contains(&live), "{live}");
    call(&mut store, instance, "forget", 0)?;
    store.gc()?;
    assert_eq!(store.gc_heap_resident(), 0);
    Ok(())
}

#[test]
fn a_full_heap_traps_and_works_again_when_there_is_room() -> Result<()> {
    for stress in [false, true] {
        let mut config = Config::new();
        config.gc_heap_limit(Some(64 << 10)).gc_stress(stress);
        let mut store = Store::new(&Engine::new(&config)?, ());
        let instance = instantiate(&mut store, NODES, &[]);
        assert_eq!(trap(call(&mut store, instance, "list", 10_000)), TrapCode::GcHeapOutOfMemory);
        call(&mut store, instance, "forget", 0)?;
        call(&mut store, instance, "list", 4_000)?;
        assert_eq!(call(&mut store, instance, "sum", 0)?, 4_000 * 4_001 / 2);
    }
    Ok(())
}

#[test]
fn a_heap_can_be_used_to_its_last_byte() -> Result<()> {
    const LIMIT: usize = 64 << 10;
    for stress in [false, true] {
        let mut config = Config::new();
        config.gc_heap_limit(Some(LIMIT)).gc_stress(stress);
        let mut store = Store::new(&Engine::new(&config)?, ());
        let wat = r#"(module (type $a (array i8))
            (func (export "new") (param i32) (result i32)
              (array.len (array.new_default $a (local.get 0)))))"#;
        let instance = instantiate(&mut store, wat, &[]);
        // An object begins with eight bytes of its own.
        let most = LIMIT as i32 - 8;
        assert_eq!(call(&mut store, instance, "new", most)?, most);
        assert_eq!(trap(call(&mut store, instance, "new", most + 1)), TrapCode::GcHeapOutOfMemory);
        assert_eq!(call(&mut store, instance, "new", most)?, most);
    }
    Ok(())
}

#[test]
fn arrays_that_no_heap_can_hold_trap() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let wat = r#"(module
            (type $a (array (mut v128))) (type $r (array (mut anyref)))
            (data $d "abc") (type $b (array i8))
            (func (export "wide") (param i32) (result i32)
              (array.len (array.new_default $a (local.get 0))))
            (func (export "refs") (param i32) (result i32)
              (array.len (array.new $r (ref.i31 (i32.const 7)) (local.get 0))))
            (func (export "data") (param i32) (result i32)
              (array.len (array.new_data $b $d (i32.const 0) (local.get 0)))))"#;
        let instance = instantiate(&mut store, wat, &[]);
        for len in [-1, i32::MAX, 1 << 28] {
            let code = trap(call(&mut store, instance, "wide", len));
            assert_eq!(code, TrapCode::GcHeapOutOfMemory);
        }
        assert_eq!(trap(call(&mut store, instance, "refs", -1)), TrapCode::GcHeapOutOfMemory);
        assert_eq!(trap(call(&mut store, instance, "data", -1)), TrapCode::MemoryOutOfBounds);
        assert_eq!(call(&mut store, instance, "wide", 1000)?, 1000);
        assert_eq!(call(&mut store, instance, "refs", 300_000)?, 300_000);
        assert_eq!(call(&mut store, instance, "data", 3)?, 3);
        Ok(())
    })
}

#[test]
fn null_references_trap_at_any_offset() -> Result<()> {
    let fields = "(field (mut i64))".repeat(9_999);
    let wat = format!(
        r#"(module (type $wide (struct {fields} (field $last (mut i32))))
          (type $a (array (mut i64)))
          (func (export "near") (param i32) (result i32)
            (drop (struct.get $wide 0 (ref.null $wide))) (i32.const 0))
          (func (export "far") (param i32) (result i32)
            (struct.get $wide $last (ref.null $wide)))
          (func (export "set") (param i32) (result i32)
            (struct.set $wide $last (ref.null $wide) (i32.const 1)) (i32.const 0))
          (func (export "element") (param i32) (result i32)
            (array.set $a (ref.null $a) (local.get 0) (i64.const 1)) (i32.const 0))
          (func (export "length") (param i32) (result i32) (array.len (ref.null $a)))
          (func (export "outside") (param i32) (result i32)
            (i32.wrap_i64 (array.get $a (array.new_default $a (i32.const 10)) (local.get 0))))
          (func (export "ok") (param i32) (result i32)
            (local $s (ref $wide))
            (local.set $s (struct.new_default $wide))
            (struct.set $wide $last (local.get $s) (local.get 0))
            (struct.get $wide $last (local.get $s))))"#
    );
    both(|engine| {
        let mut store = Store::new(engine, ());
        let instance = instantiate(&mut store, &wat, &[]);
        let mut code = |name, argument| trap(call(&mut store, instance, name, argument));
        for name in ["near", "far", "set"] {
            assert_eq!(code(name, 0), TrapCode::NullStruct, "{name}");
        }
        for index in [0, 1_000_000, -1] {
            assert_eq!(code("element", index), TrapCode::NullArray);
        }
        assert_eq!(code("length", 0), TrapCode::NullArray);
        for index in [10, 1_000_000, i32::MAX, -1] {
            assert_eq!(code("outside", index), TrapCode::ArrayOutOfBounds);
        }
        assert_eq!(call(&mut store, instance, "outside", 9)?, 0);
        assert_eq!(call(&mut store, instance, "ok", 7)?, 7);
        Ok(())
    })
}

/// Only a module that declares objects makes a heap; null is null without one.
#[test]
fn null_references_trap_where_there_is_no_heap() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let wat = r#"(module (func (export "len") (param i32) (result i32)
            (array.len (ref.null array))))"#;
        let instance = instantiate(&mut store, wat, &[]);
        assert_eq!(trap(call(&mut store, instance, "len", 0)), TrapCode::NullArray);
        Ok(())
    })
}

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
fn host_values_are_dropped_with_their_last_reference() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let wat = r#"(module (global $kept (mut externref) (ref.null extern))
            (func (export "keep") (param externref) (global.set $kept (local.get 0)))
            (func (export "kept") (result externref) (global.get $kept)))"#;
        let instance = instantiate(&mut store, wat, &[]);
        let value = Arc::new(7u8);
        {
            let mut scope = RootScope::new(&mut store);
            let reference = ExternRef::new(&mut scope, Arc::clone(&value))?;
            let keep =
                instance.get_typed_func::<Option<Rooted<ExternRef>>, ()>(&mut scope, "keep")?;
            keep.call(&mut scope, Some(reference))?;
            for _ in 0..10 {
                ExternRef::new(&mut scope, Arc::clone(&value))?;
            }
        }
        store.gc()?;
        assert_eq!(Arc::strong_count(&value), 2);
        {
            let mut scope = RootScope::new(&mut store);
            let kept =
                instance.get_typed_func::<(), Option<Rooted<ExternRef>>>(&mut scope, "kept")?;
            let kept = kept.call(&mut scope, ())?.unwrap();
            let data = kept.data(&scope)?.unwrap().downcast_ref::<Arc<u8>>().unwrap();
            assert!(Arc::ptr_eq(data, &value));
            let keep =
                instance.get_typed_func::<Option<Rooted<ExternRef>>, ()>(&mut scope, "keep")?;
            keep.call(&mut scope, None)?;
        }
        store.gc()?;
        assert_eq!(Arc::strong_count(&value), 1);
        let _ = ExternRef::new(&mut store, Arc::clone(&value))?;
        drop(store);
        assert_eq!(Arc::strong_count(&value), 1);
        Ok(())
    })
}

/// Types with subtypes are looked up in the object's own type, which a host value has none of.
#[test]
fn a_host_value_among_objects_is_of_no_type_of_a_module() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let wat = r#"(module
            (type $open (sub (struct (field i32))))
            (type $below (sub $open (struct (field i32) (field i32))))
            (func (export "test") (param externref) (result i32)
              (local $value anyref)
              (local.set $value (any.convert_extern (local.get 0)))
              (i32.or (ref.test (ref $open) (local.get $value))
                (i32.or (ref.test (ref null $below) (local.get $value))
                  (i32.or (ref.test (ref struct) (local.get $value))
                    (ref.test (ref array) (local.get $value))))))
            (func (export "cast") (param externref)
              (drop (ref.cast (ref $open) (any.convert_extern (local.get 0))))))"#;
        let instance = instantiate(&mut store, wat, &[]);
        let value = ExternRef::new(&mut store, 5u32)?;
        let test = instance.get_typed_func::<Option<Rooted<ExternRef>>, i32>(&mut store, "test")?;
        assert_eq!(test.call(&mut store, Some(value))?, 0);
        let cast = instance.get_typed_func::<Option<Rooted<ExternRef>>, ()>(&mut store, "cast")?;
        let error = cast.call(&mut store, Some(value)).unwrap_err();
        assert_eq!(error.trap().map(|trap| trap.code()), Some(TrapCode::CastFailure));
        Ok(())
    })
}

#[test]
fn a_host_function_lets_go_of_what_it_roots() -> Result<()> {
    let mut store = Store::new(&Engine::default(), ());
    let value = Arc::new(());
    let data = Arc::clone(&value);
    let make = Func::wrap(&mut store, move |mut caller: Caller<'_, ()>| -> Result<()> {
        ExternRef::new(&mut caller, Arc::clone(&data))?;
        Ok(())
    });
    let wat = r#"(module (import "" "make" (func $make))
        (func (export "run") (param i32) (result i32)
          (loop $more (call $make)
            (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
          (i32.const 0)))"#;
    let instance = instantiate(&mut store, wat, &[make]);
    call(&mut store, instance, "run", 1000)?;
    store.gc()?;
    // The host function has one, and this.
    assert_eq!(Arc::strong_count(&value), 2);
    Ok(())
}

#[test]
fn handles_do_not_outlive_their_scope_nor_work_elsewhere() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let (stale, owned) = {
            let mut scope = RootScope::new(&mut store);
            let value = ExternRef::new(&mut scope, 5u32)?;
            (value, value.to_owned_rooted(&mut scope)?)
        };
        assert!(stale.data(&store).is_err());
        // The same place of the stack, another scope.
        let other = ExternRef::new(&mut store, 6u32)?;
        assert!(stale.data(&store).is_err());
        assert!(Val::from(stale).ty(&store).is_err());
        store.gc()?;
        let number = |store: &Store<()>, value: Rooted<ExternRef>| {
            *value.data(store).unwrap().unwrap().downcast_ref::<u32>().unwrap()
        };
        let back = owned.to_rooted(&mut store)?;
        assert_eq!((number(&store, back), number(&store, other)), (5, 6));
        assert!(Rooted::ref_eq(&store, &back, &back)? && !Rooted::ref_eq(&store, &back, &other)?);

        let mut elsewhere = Store::new(engine, ());
        ExternRef::new(&mut elsewhere, 7u32)?;
        assert!(back.data(&elsewhere).is_err());
        assert!(owned.to_rooted(&mut elsewhere).is_err());
        assert!(back.to_owned_rooted(&mut elsewhere).is_err());
        let wat = r#"(module (func (export "f") (param externref)))"#;
        let instance = instantiate(&mut elsewhere, wat, &[]);
        let typed =
            instance.get_typed_func::<Option<Rooted<ExternRef>>, ()>(&mut elsewhere, "f")?;
        assert!(typed.call(&mut elsewhere, Some(back)).is_err());
        let func = instance.get_func(&mut elsewhere, "f").unwrap();
        assert!(func.call(&mut elsewhere, &[back.into()], &mut []).is_err());
        Ok(())
    })
}

#[test]
fn the_host_makes_reads_and_writes_structs() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let mutable = |ty: StorageType| FieldType::new(Mutability::Var, ty);
        let base = StructType::with_finality_and_supertype(
            engine,
            Finality::NonFinal,
            None,
            [mutable(StorageType::I8)],
        )?;
        let ty = StructType::with_finality_and_supertype(
            engine,
            Finality::Final,
            Some(&base),
            [
                mutable(StorageType::I8),
                mutable(ValType::V128.into()),
                FieldType::new(Mutability::Const, ValType::ANYREF.into()),
                mutable(ValType::FUNCREF.into()),
            ],
        )?;
        assert!(ty.matches(&base) && !base.matches(&ty) && ty.supertype() == Some(base));
        let func = Func::wrap(&mut store, || 3i32);
        let integer = AnyRef::from_i31(&mut store, I31::new_i32(-4).unwrap());
        let pre = StructRefPre::new(&mut store, ty.clone());
        let fields = [Val::I32(0x1ff), Val::V128(1 << 100), integer.into(), func.into()];
        let object = StructRef::new(&mut store, &pre, &fields)?;
        store.gc()?;
        let read = object.fields(&mut store)?;
        assert_eq!((read[0].unwrap_i32(), read[1].unwrap_v128()), (0xff, 1 << 100));
        assert_eq!(read[2].unwrap_any_ref().unwrap().as_i31(&store)?.unwrap().get_i32(), -4);
        assert_eq!(read[3].unwrap_func_ref(), Some(func));
        object.set_field(&mut store, 0, Val::I32(7))?;
        assert_eq!(object.field(&mut store, 0)?.unwrap_i32(), 7);
        assert_eq!(object.ty(&store)?, ty);
        let any = object.to_anyref();
        assert!(any.matches_ty(&store, &HeapType::Eq)? && any.as_array(&store)?.is_none());
        assert!(any.matches_ty(&store, &HeapType::ConcreteStruct(ty))?);

        assert!(object.set_field(&mut store, 2, integer.into()).is_err(), "immutable");
        assert!(object.set_field(&mut store, 1, Val::I32(0)).is_err(), "another type");
        assert!(object.field(&mut store, 4).is_err(), "no such field");
        assert!(StructRef::new(&mut store, &pre, &fields[1..]).is_err(), "too few");
        Ok(())
    })
}

#[test]
fn the_host_makes_reads_and_writes_arrays() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let element = FieldType::new(Mutability::Var, ValType::EXTERNREF.into());
        let ty = ArrayType::new(engine, element);
        let pre = ArrayRefPre::new(&mut store, ty.clone());
        let value = ExternRef::new(&mut store, "shared")?;
        let array = ArrayRef::new(&mut store, &pre, &value.into(), 1000)?;
        store.gc()?;
        assert_eq!(array.len(&store)?, 1000);
        array.set(&mut store, 5, Val::ExternRef(None))?;
        assert!(array.get(&mut store, 5)?.unwrap_extern_ref().is_none());
        let last = array.get(&mut store, 999)?.unwrap_extern_ref().unwrap();
        assert!(Rooted::ref_eq(&store, &last, &value)?);
        assert!(
            array.get(&mut store, 1000).is_err() && array.set(&mut store, 0, Val::I32(0)).is_err()
        );
        assert!(ArrayRef::new_fixed(&mut store, &pre, &[])?.is_empty(&store)?);
        assert_eq!(array.ty(&store)?, ty);
        Ok(())
    })
}

#[test]
fn an_array_of_the_host_that_no_heap_can_hold_is_refused_at_once() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let element = FieldType::new(Mutability::Var, ValType::V128.into());
        let pre = ArrayRefPre::new(&mut store, ArrayType::new(engine, element));
        let start = Instant::now();
        for len in [u32::MAX, (u32::MAX >> 4) + 1, u32::MAX >> 4] {
            let error = ArrayRef::new(&mut store, &pre, &Val::V128(1), len).unwrap_err();
            assert!(error.to_string().contains("GC heap out of memory"), "{error}");
            let error = ArrayRef::new(&mut store, &pre, &Val::I32(1), len).unwrap_err();
            assert!(error.to_string().contains("element 0: type mismatch"), "{error}");
        }
        // Checking each of so many elements would take longer.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        Ok(())
    })
}

#[test]
fn a_reference_is_an_eqref_unless_it_comes_from_outside() -> Result<()> {
    both(|engine| {
        let mut store = Store::new(engine, ());
        let integer = AnyRef::from_i31(&mut store, I31::new_i32(-4).unwrap());
        let pre = StructRefPre::new(&mut store, StructType::new(engine, [])?);
        let object = StructRef::new(&mut store, &pre, &[])?.to_anyref();
        for inside in [integer, object] {
            let same = inside.as_eqref(&store)?.expect("one").to_anyref();
            assert!(Rooted::ref_eq(&store, &same, &inside)?);
        }
        let outside = AnyRef::convert_extern(ExternRef::new(&mut store, 1)?);
        assert!(outside.as_eqref(&store)?.is_none());
        Ok(())
    })
}

#[test]
fn a_constant_array_of_zeroes_is_one_where_other_objects_were() -> Result<()> {
    let mut store = Store::new(&Engine::new(Config::new().gc_heap_limit(Some(64 << 10)))?, ());
    let element = FieldType::new(Mutability::Const, StorageType::I8);
    let ty = ArrayType::new(store.engine(), element);
    let pre = ArrayRefPre::new(&mut store, ty);
    // Four times the heap: both halves of its memory have been used.
    for _ in 0..256 {
        let mut scope = RootScope::new(&mut store);
        ArrayRef::new(&mut scope, &pre, &Val::I32(0x77), 1000)?;
    }
    let wat = r#"(module (type $a (array i64))
        (global $a (ref $a) (array.new_default $a (i32.const 1000)))
        (func (export "bits") (param i32) (result i32)
          (local $all i64)
          (loop $more
            (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
            (local.set $all (i64.or (local.get $all) (array.get $a (global.get $a) (local.get 0))))
            (br_if $more (local.get 0)))
          (i32.wrap_i64 (local.get $all))))"#;
    let instance = instantiate(&mut store, wat, &[]);
    assert_eq!(call(&mut store, instance, "bits", 1000)?, 0);
    Ok(())
}

#[test]
fn a_collection_by_itself_keeps_more_than_the_idle_half_may_retain() -> Result<()> {
    let mut store = Store::new(&Engine::default(), ());
    let instance = instantiate(&mut store, NODES, &[]);
    // 48 MB are alive.
    let count = 3_000_000;
    call(&mut store, instance, "list", count)?;
    let before = store.gc_collections();
    while store.gc_collections() < before + 2 {
        call(&mut store, instance, "cycles", 200_000)?;
    }
    let sum = (1..=count).fold(0i32, i32::wrapping_add);
    assert_eq!(call(&mut store, instance, "sum", 0)?, sum);
    Ok(())
}

#[test]
fn the_host_reads_and_writes_an_element_and_not_its_neighbours() -> Result<()> {
    both(|engine| {
        let value = |number: u8| -> [Val; 5] {
            let bytes = [number; 16];
            let word = u64::from_le_bytes([number; 8]);
            [
                Val::I32(number.into()),
                Val::I32(u16::from_le_bytes([number; 2]).into()),
                Val::I32(word as i32),
                Val::I64(word as i64),
                Val::V128(u128::from_le_bytes(bytes)),
            ]
        };
        let types: [StorageType; 5] = [
            StorageType::I8,
            StorageType::I16,
            ValType::I32.into(),
            ValType::I64.into(),
            ValType::V128.into(),
        ];
        let mut store = Store::new(engine, ());
        for (which, ty) in types.into_iter().enumerate() {
            let element = FieldType::new(Mutability::Var, ty);
            let pre = ArrayRefPre::new(&mut store, ArrayType::new(engine, element));
            let numbers: Vec<u8> = (0x71..0x7f).collect();
            let elements: Vec<Val> = numbers.iter().map(|&number| value(number)[which]).collect();
            let array = ArrayRef::new_fixed(&mut store, &pre, &elements)?;
            // One in the middle is written last.
            array.set(&mut store, 5, value(9)[which])?;
            for (index, &number) in (0..).zip(&numbers) {
                let expected = &value(if index == 5 { 9 } else { number })[which];
                let found = array.get(&mut store, index)?;
                assert_eq!(
                    format!("{found:?}"),
                    format!("{expected:?}"),
                    "type {which}, element {index}"
                );
            }
        }
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

#[test]
fn the_memory_of_a_heap_that_has_shrunk_is_given_back_by_itself() -> Result<()> {
    let mut store = Store::new(&Engine::default(), ());
    let instance = instantiate(&mut store, NODES, &[]);
    call(&mut store, instance, "list", 3_000_000)?;
    let large = store.gc_heap_resident();
    assert!(large > 48 << 20, "{large}");
    call(&mut store, instance, "forget", 0)?;
    call(&mut store, instance, "cycles", 20_000_000)?;
    let small = store.gc_heap_resident();
    assert!(small < 16 << 20, "{small} of {large}");
    Ok(())
}
