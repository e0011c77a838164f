//! The heap itself: its limit, its last byte, what is reclaimed, and null references.

use super::{NODES, both, call, instantiate, trap};
use seqfault::{
    ArrayRef, ArrayRefPre, ArrayType, Config, Engine, FieldType, Mutability, Result, RootScope,
    StorageType, Store, TrapCode, Val,
};

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
