//! The host functions on Wasmtime.

use crate::host::{self, Answer, Failure, Nesting};
use crate::observe::Value;
use std::sync::Arc;
use wasmtime::{
    AnyRef, AsContextMut, Caller, ExnRef, ExnRefPre, ExnType, FuncType, I31, Linker, Result, Store,
    Tag, TagType, V128, Val, ValType,
};

/// A linker with the host functions, and the tag.
pub(super) fn define_host(store: &mut Store<()>) -> Result<Linker<()>> {
    let engine = store.engine().clone();
    let mut linker = Linker::new(&engine);
    let (name, fields) = host::TAG;
    let tag = TagType::new(FuncType::new(&engine, val_types(fields), []));
    let exceptions = ExnRefPre::new(&mut *store, ExnType::from_tag_type(&tag)?);
    let tag = Tag::new(&mut *store, &tag)?;
    linker.define(&*store, host::MODULE, name, tag)?;
    let thrower = Arc::new((tag, exceptions));
    let nesting = Arc::new(Nesting::default());
    for function in host::FUNCTIONS {
        let ty = FuncType::new(&engine, val_types(function.params), val_types(function.results));
        let (thrower, nesting) = (Arc::clone(&thrower), Arc::clone(&nesting));
        linker.func_new(
            host::MODULE,
            function.name,
            ty,
            move |mut caller, arguments, results| {
                let values: Vec<_> =
                    arguments.iter().map(|val| super::value(&mut caller, &[], val)).collect();
                give(function.answer(&values), caller, &thrower, &nesting, arguments, results)
            },
        )?;
    }
    Ok(linker)
}

/// Does what a host function answers.
fn give(
    answer: Answer,
    mut caller: Caller<'_, ()>,
    (tag, exceptions): &(Tag, ExnRefPre),
    nesting: &Nesting,
    arguments: &[Val],
    results: &mut [Val],
) -> Result<()> {
    match answer {
        Answer::Values(values) => {
            for (result, value) in results.iter_mut().zip(values) {
                *result = val_of(&mut caller, value);
            }
        }
        Answer::Collected => {
            caller.gc(None)?;
            reverse(arguments, results);
        }
        Answer::Reversed => reverse(arguments, results),
        Answer::Called(argument) => {
            results[0] = Val::I32(0);
            let Some(Val::FuncRef(Some(func))) = arguments.first() else { return Ok(()) };
            let ty = func.ty(&caller);
            let (params, returned) = host::CALLED;
            if same(ty.params(), params) && same(ty.results(), returned) {
                let call = || func.call(&mut caller, &[Val::I32(argument)], results);
                return nesting.within(call)?;
            }
        }
        Answer::Thrown(fields) => {
            let fields = fields.map(|value| val_of(&mut caller, value));
            let exception = ExnRef::new(&mut caller, exceptions, tag, &fields)?;
            return caller.as_context_mut().throw(exception);
        }
        Answer::Failure => return Err(Failure.into()),
    }
    Ok(())
}

fn reverse(arguments: &[Val], results: &mut [Val]) {
    for (result, argument) in results.iter_mut().zip(arguments.iter().rev()) {
        *result = *argument;
    }
}

fn val_types(types: &[host::Type]) -> Vec<ValType> {
    types.iter().map(|&ty| val_type(ty)).collect()
}

fn same(theirs: impl Iterator<Item = ValType>, ours: &[host::Type]) -> bool {
    let theirs: Vec<_> = theirs.collect();
    let same = theirs.iter().zip(ours).all(|(a, &b)| ValType::eq(a, &val_type(b)));
    same && theirs.len() == ours.len()
}

fn val_type(ty: host::Type) -> ValType {
    match ty {
        host::Type::I32 => ValType::I32,
        host::Type::I64 => ValType::I64,
        host::Type::F32 => ValType::F32,
        host::Type::F64 => ValType::F64,
        host::Type::V128 => ValType::V128,
        host::Type::Func => ValType::FUNCREF,
        host::Type::Extern => ValType::EXTERNREF,
        host::Type::Any => ValType::ANYREF,
    }
}

/// A value that the host has made.
pub(super) fn val_of(store: impl AsContextMut, value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::V128(bits) => Val::V128(V128::from(bits)),
        Value::I31(value) => Val::AnyRef(Some(AnyRef::from_i31(store, I31::wrapping_i32(value)))),
        _ => Val::ExternRef(None),
    }
}
