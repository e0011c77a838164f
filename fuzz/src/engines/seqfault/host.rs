//! The host functions on seqfault.

use crate::host::{self, Answer, Failure, Nesting};
use crate::observe::Value;
use seqfault::{
    AnyRef, AsContextMut, Caller, ExnRef, FuncType, I31, Linker, RefType, Result, Store, Tag,
    TagType, Val, ValType,
};
use std::sync::Arc;

/// A linker with the host functions, and with a tag if there are to be exceptions.
pub(super) fn define_host(store: &mut Store<()>, exceptions: bool) -> Result<Linker<()>> {
    let mut linker = Linker::new(store.engine());
    let mut tag = None;
    if exceptions {
        let (name, fields) = host::TAG;
        let ty = TagType::new(FuncType::new(val_types(fields), []));
        let made = Tag::new(&mut *store, &ty)?;
        linker.define(&*store, host::MODULE, name, made)?;
        tag = Some(made);
    }
    let nesting = Arc::new(Nesting::default());
    for function in host::FUNCTIONS {
        let ty = FuncType::new(val_types(function.params), val_types(function.results));
        let nesting = Arc::clone(&nesting);
        linker.func_new(
            host::MODULE,
            function.name,
            ty,
            move |mut caller, arguments, results| {
                let values: Vec<_> =
                    arguments.iter().map(|val| super::value(&mut caller, &[], val)).collect();
                let answer = function.answer(&values);
                give(answer, caller, tag.as_ref(), &nesting, arguments, results)
            },
        )?;
    }
    Ok(linker)
}

/// Does what a host function answers.
fn give(
    answer: Answer,
    mut caller: Caller<'_, ()>,
    tag: Option<&Tag>,
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
            caller.as_context_mut().gc()?;
            reverse(arguments, results);
        }
        Answer::Reversed => reverse(arguments, results),
        Answer::Called(argument) => {
            results[0] = Val::I32(0);
            let Some(Val::FuncRef(Some(func))) = arguments.first() else { return Ok(()) };
            let ty = func.ty(&caller);
            let (params, returned) = host::CALLED;
            if ty.params().iter().eq(&val_types(params))
                && ty.results().iter().eq(&val_types(returned))
            {
                let call = || func.call(&mut caller, &[Val::I32(argument)], results);
                return nesting.within(call)?;
            }
        }
        Answer::Thrown(fields) => {
            let fields = fields.map(|value| val_of(&mut caller, value));
            let tag = tag.expect("there is one if exceptions are on");
            let exception = ExnRef::new(&mut caller, tag, &fields)?;
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

fn val_type(ty: host::Type) -> ValType {
    match ty {
        host::Type::I32 => ValType::I32,
        host::Type::I64 => ValType::I64,
        host::Type::F32 => ValType::F32,
        host::Type::F64 => ValType::F64,
        host::Type::V128 => ValType::V128,
        host::Type::Func => ValType::Ref(RefType::FUNCREF),
        host::Type::Extern => ValType::Ref(RefType::EXTERNREF),
        host::Type::Any => ValType::Ref(RefType::ANYREF),
    }
}

/// A value that the host has made.
pub(super) fn val_of(store: impl AsContextMut, value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::V128(bits) => Val::V128(bits),
        Value::I31(value) => AnyRef::from_i31(store, I31::wrapping_i32(value)).into(),
        _ => Val::ExternRef(None),
    }
}
