//! References and objects in the host's hands.

use super::{both, call, instantiate};
use seqfault::{
    AnyRef, ArrayRef, ArrayRefPre, ArrayType, Caller, Engine, ExternRef, FieldType, Finality, Func,
    HeapType, I31, Mutability, Result, RootScope, Rooted, StorageType, Store, StructRef,
    StructRefPre, StructType, TrapCode, Val, ValType,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
