//! The values of a script: from its constants to the engine's values, and back to text for reports.

use crate::mismatch::{Mismatch, Verdict};
use seqfault::{AnyRef, AsContext, AsContextMut, ExternRef, Rooted, Val};
use std::fmt::Write;
use wast::WastArg;
use wast::core::{AbstractHeapType, HeapType, V128Const, WastArgCore};

/// The engine's value for the argument `arg`. `ref.extern N` becomes a host object that holds N.
pub(crate) fn from_arg(mut store: impl AsContextMut, arg: &WastArg<'_>) -> Verdict<Val> {
    let WastArg::Core(arg) = arg else {
        return Err(Mismatch::new("the values of components are not provided by this engine"));
    };
    Ok(match arg {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(from_v128(value)),
        WastArgCore::RefNull(heap) => null_of(heap)?,
        WastArgCore::RefExtern(number) => Val::ExternRef(Some(host_object(&mut store, *number)?)),
        WastArgCore::RefHost(number) => {
            Val::AnyRef(Some(AnyRef::convert_extern(host_object(&mut store, *number)?)))
        }
    })
}

fn host_object(store: impl AsContextMut, number: u32) -> Verdict<Rooted<ExternRef>> {
    let host = ExternRef::new(store, number);
    host.map_err(|error| Mismatch::new(format!("no host object: {error}")))
}

/// The number in a host object that [`from_arg`] made.
pub(crate) fn host_number<'a>(
    store: &'a impl AsContext<Data: 'a>,
    host: &Rooted<ExternRef>,
) -> Option<u32> {
    host.data(store).ok()??.downcast_ref::<u32>().copied()
}

/// The kind of value that `found` is, as a script would write it.
fn any_to_text(store: &impl AsContext, found: &Rooted<AnyRef>) -> String {
    if let Ok(Some(value)) = found.as_i31(store) {
        return format!("(ref.i31 {})", value.get_i32());
    }
    match host_number(store, &ExternRef::convert_any(*found)) {
        Some(number) => format!("(ref.host {number})"),
        None => match found.ty(store) {
            Ok(ty) => format!("(ref {ty})"),
            Err(error) => error.to_string(),
        },
    }
}

/// `value` as a script would write it, in parentheses.
pub(crate) fn to_text(store: &impl AsContext, value: &Val) -> String {
    match value {
        Val::I32(value) => format!("(i32.const {value})"),
        Val::I64(value) => format!("(i64.const {value})"),
        Val::F32(bits) => format!("(f32.const {})", f32_to_text(*bits)),
        Val::F64(bits) => format!("(f64.const {})", f64_to_text(*bits)),
        Val::V128(bits) => format!("(v128.const {})", v128_to_text(*bits)),
        Val::FuncRef(None) => "(ref.null func)".to_owned(),
        Val::FuncRef(Some(_)) => "(ref.func)".to_owned(),
        Val::ExternRef(None) => "(ref.null extern)".to_owned(),
        Val::AnyRef(None) => "(ref.null any)".to_owned(),
        Val::AnyRef(Some(value)) => any_to_text(store, value),
        Val::ExnRef(None) => "(ref.null exn)".to_owned(),
        Val::ExnRef(Some(_)) => "(ref.exn)".to_owned(),
        Val::ExternRef(Some(host)) => match host_number(store, host) {
            Some(number) => format!("(ref.extern {number})"),
            None => "(ref.extern)".to_owned(),
        },
    }
}

/// A list of values as a script would write it.
pub(crate) fn list_to_text(store: &impl AsContext, values: &[Val]) -> String {
    if values.is_empty() {
        return "no result".to_owned();
    }
    values.iter().map(|value| to_text(store, value)).collect::<Vec<_>>().join(" ")
}

/// A float with its bits, so that different NaNs look different.
pub(crate) fn f32_to_text(bits: u32) -> String {
    format!("{:?} (bits {bits:#010x})", f32::from_bits(bits))
}

/// A float with its bits, so that different NaNs look different.
pub(crate) fn f64_to_text(bits: u64) -> String {
    format!("{:?} (bits {bits:#018x})", f64::from_bits(bits))
}

/// A vector as four 32-bit lanes, the first one first.
pub(crate) fn v128_to_text(bits: u128) -> String {
    let mut text = "i32x4".to_owned();
    for lane in 0..4 {
        let lane = (bits >> (32 * lane)) as u32;
        // Writing to a string cannot fail.
        let _ = write!(text, " {lane:#010x}");
    }
    text
}

fn from_v128(value: &V128Const) -> u128 {
    u128::from_le_bytes(value.to_le_bytes())
}

fn null_of(heap: &HeapType<'_>) -> Verdict<Val> {
    use AbstractHeapType::*;
    match heap {
        HeapType::Abstract { shared: false, ty: Func | NoFunc } => Ok(Val::FuncRef(Option::None)),
        HeapType::Abstract { shared: false, ty: Extern | NoExtern } => {
            Ok(Val::ExternRef(Option::None))
        }
        HeapType::Abstract { shared: false, ty: Any | Eq | I31 | Struct | Array | None } => {
            Ok(Val::AnyRef(Option::None))
        }
        HeapType::Abstract { shared: false, ty: Exn | NoExn } => Ok(Val::ExnRef(Option::None)),
        other => Err(Mismatch::new(format!(
            "null references of type {other:?} are not provided by this engine"
        ))),
    }
}
