//! Patterns for results: exact bits, a class of NaN, or one of several values.
//!
//! The classes of NaN are those of the specification's scripts: `nan:canonical` has only the top
//! bit of the payload set, `nan:arithmetic` has the top bit and any others set. Either sign is
//! accepted.

use crate::mismatch::{Mismatch, Verdict};
use crate::value::{self, f32_to_text, f64_to_text, v128_to_text};
use seqfault::{AnyRef, AsContext, ExternRef, HeapType, Rooted, Val};
use std::fmt::Display;
use wast::WastRet;
use wast::core::{AbstractHeapType, NanPattern, V128Pattern, WastRetCore};
use wast::token::{F32, F64};

/// Compares all returned values with the expected ones.
pub(crate) fn check_all(
    store: &impl AsContext,
    expected: &[WastRet<'_>],
    found: &[Val],
) -> Verdict {
    if expected.len() != found.len() {
        let count = format!("{} result(s)", expected.len());
        return Err(Mismatch::expected(count, value::list_to_text(store, found)));
    }
    for (index, (pattern, value)) in expected.iter().zip(found).enumerate() {
        let WastRet::Core(pattern) = pattern else {
            return Err(Mismatch::new("the values of components are not provided by this engine"));
        };
        check(store, pattern, value).map_err(|mismatch| match found.len() {
            1 => mismatch,
            _ => Mismatch::new(format!("result {index}: {mismatch}")),
        })?;
    }
    Ok(())
}

fn check(store: &impl AsContext, expected: &WastRetCore<'_>, found: &Val) -> Verdict {
    if matches(store, expected, found)? {
        return Ok(());
    }
    Err(Mismatch::expected(to_text(expected), value::to_text(store, found)))
}

fn matches(store: &impl AsContext, expected: &WastRetCore<'_>, found: &Val) -> Verdict<bool> {
    Ok(match (expected, found) {
        (WastRetCore::I32(expected), Val::I32(found)) => expected == found,
        (WastRetCore::I64(expected), Val::I64(found)) => expected == found,
        (WastRetCore::F32(expected), Val::F32(found)) => f32_matches(expected, *found),
        (WastRetCore::F64(expected), Val::F64(found)) => f64_matches(expected, *found),
        (WastRetCore::V128(expected), Val::V128(found)) => v128_matches(expected, *found),
        (WastRetCore::RefNull(heap), found) => null_matches(heap.as_ref(), found),
        (WastRetCore::RefExtern(None), Val::ExternRef(Some(_))) => true,
        (WastRetCore::RefExtern(Some(expected)), Val::ExternRef(Some(found))) => {
            value::host_number(store, found) == Some(*expected)
        }
        (WastRetCore::RefHost(expected), Val::AnyRef(Some(found))) => {
            value::host_number(store, &ExternRef::convert_any(*found)) == Some(*expected)
        }
        (WastRetCore::RefAny, Val::AnyRef(Some(_))) => true,
        (WastRetCore::RefEq, Val::AnyRef(Some(found))) => is(found, store, &HeapType::Eq),
        (WastRetCore::RefI31, Val::AnyRef(Some(found))) => is(found, store, &HeapType::I31),
        (WastRetCore::RefStruct, Val::AnyRef(Some(found))) => is(found, store, &HeapType::Struct),
        (WastRetCore::RefArray, Val::AnyRef(Some(found))) => is(found, store, &HeapType::Array),
        (WastRetCore::RefFunc(None), Val::FuncRef(Some(_))) => true,
        (WastRetCore::RefFunc(Some(_)), Val::FuncRef(Some(_))) => {
            return Err(Mismatch::new("which function a reference is cannot be compared"));
        }
        (WastRetCore::Either(choices), found) => {
            for choice in choices {
                if matches(store, choice, found)? {
                    return Ok(true);
                }
            }
            false
        }
        _ => false,
    })
}

fn is(found: &Rooted<AnyRef>, store: &impl AsContext, ty: &HeapType) -> bool {
    found.matches_ty(store, ty).unwrap_or(false)
}

fn null_matches(heap: Option<&wast::core::HeapType<'_>>, found: &Val) -> bool {
    use AbstractHeapType::{Exn, Extern, Func, NoExn, NoExtern, NoFunc};
    let top = match found {
        Val::FuncRef(None) => Func,
        Val::ExternRef(None) => Extern,
        Val::AnyRef(None) => AbstractHeapType::Any,
        Val::ExnRef(None) => Exn,
        _ => return false,
    };
    let asked = match heap {
        None => return true,
        Some(wast::core::HeapType::Abstract { shared: false, ty }) => ty,
        Some(_) => return false,
    };
    top == match asked {
        Func | NoFunc => Func,
        Extern | NoExtern => Extern,
        Exn | NoExn => Exn,
        _ => AbstractHeapType::Any,
    }
}

fn f32_matches(expected: &NanPattern<F32>, found: u32) -> bool {
    const CANONICAL: u32 = 0x7fc0_0000;
    match expected {
        NanPattern::Value(value) => value.bits == found,
        NanPattern::CanonicalNan => found & 0x7fff_ffff == CANONICAL,
        NanPattern::ArithmeticNan => found & CANONICAL == CANONICAL,
    }
}

fn f64_matches(expected: &NanPattern<F64>, found: u64) -> bool {
    const CANONICAL: u64 = 0x7ff8_0000_0000_0000;
    match expected {
        NanPattern::Value(value) => value.bits == found,
        NanPattern::CanonicalNan => found & 0x7fff_ffff_ffff_ffff == CANONICAL,
        NanPattern::ArithmeticNan => found & CANONICAL == CANONICAL,
    }
}

fn v128_matches(expected: &V128Pattern, found: u128) -> bool {
    let lane = |index: usize, bits: u32| (found >> (index as u32 * bits)) as u64;
    match expected {
        V128Pattern::I8x16(lanes) => {
            lanes.iter().enumerate().all(|(i, &want)| want == lane(i, 8) as i8)
        }
        V128Pattern::I16x8(lanes) => {
            lanes.iter().enumerate().all(|(i, &want)| want == lane(i, 16) as i16)
        }
        V128Pattern::I32x4(lanes) => {
            lanes.iter().enumerate().all(|(i, &want)| want == lane(i, 32) as i32)
        }
        V128Pattern::I64x2(lanes) => {
            lanes.iter().enumerate().all(|(i, &want)| want == lane(i, 64) as i64)
        }
        V128Pattern::F32x4(lanes) => {
            lanes.iter().enumerate().all(|(i, want)| f32_matches(want, lane(i, 32) as u32))
        }
        V128Pattern::F64x2(lanes) => {
            lanes.iter().enumerate().all(|(i, want)| f64_matches(want, lane(i, 64)))
        }
    }
}

/// The pattern as a script would write it.
fn to_text(expected: &WastRetCore<'_>) -> String {
    match expected {
        WastRetCore::I32(value) => format!("(i32.const {value})"),
        WastRetCore::I64(value) => format!("(i64.const {value})"),
        WastRetCore::F32(pattern) => format!("(f32.const {})", f32_pattern(pattern)),
        WastRetCore::F64(pattern) => format!("(f64.const {})", f64_pattern(pattern)),
        WastRetCore::V128(pattern) => format!("(v128.const {})", v128_pattern(pattern)),
        WastRetCore::RefNull(_) => "a null reference".to_owned(),
        WastRetCore::RefExtern(Some(number)) => format!("(ref.extern {number})"),
        WastRetCore::RefExtern(None) => "(ref.extern)".to_owned(),
        WastRetCore::RefFunc(_) => "(ref.func)".to_owned(),
        WastRetCore::RefHost(number) => format!("(ref.host {number})"),
        WastRetCore::RefAny => "(ref.any)".to_owned(),
        WastRetCore::RefEq => "(ref.eq)".to_owned(),
        WastRetCore::RefI31 => "(ref.i31)".to_owned(),
        WastRetCore::RefStruct => "(ref.struct)".to_owned(),
        WastRetCore::RefArray => "(ref.array)".to_owned(),
        WastRetCore::Either(choices) => {
            format!("(either {})", choices.iter().map(to_text).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}, a kind of reference that this engine does not provide"),
    }
}

fn f32_pattern(pattern: &NanPattern<F32>) -> String {
    nan_pattern(pattern, |value| f32_to_text(value.bits))
}

fn f64_pattern(pattern: &NanPattern<F64>) -> String {
    nan_pattern(pattern, |value| f64_to_text(value.bits))
}

fn nan_pattern<T>(pattern: &NanPattern<T>, exact: impl Fn(&T) -> String) -> String {
    match pattern {
        NanPattern::CanonicalNan => "nan:canonical".to_owned(),
        NanPattern::ArithmeticNan => "nan:arithmetic".to_owned(),
        NanPattern::Value(value) => exact(value),
    }
}

fn v128_pattern(pattern: &V128Pattern) -> String {
    fn lanes<T>(shape: &str, lanes: &[T], text: impl Fn(&T) -> String) -> String {
        format!("{shape} {}", lanes.iter().map(text).collect::<Vec<_>>().join(" "))
    }
    fn exact<T: Display, const N: usize, const B: usize>(
        values: &[T; N],
        bytes: impl Fn(&T) -> [u8; B],
    ) -> String {
        let mut all = [0; 16];
        for (slot, byte) in all.iter_mut().zip(values.iter().flat_map(bytes)) {
            *slot = byte;
        }
        v128_to_text(u128::from_le_bytes(all))
    }
    match pattern {
        V128Pattern::I8x16(values) => exact(values, |value| value.to_le_bytes()),
        V128Pattern::I16x8(values) => exact(values, |value| value.to_le_bytes()),
        V128Pattern::I32x4(values) => exact(values, |value| value.to_le_bytes()),
        V128Pattern::I64x2(values) => exact(values, |value| value.to_le_bytes()),
        V128Pattern::F32x4(values) => lanes("f32x4", values, f32_pattern),
        V128Pattern::F64x2(values) => lanes("f64x2", values, f64_pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_nan_has_one_payload_and_either_sign() {
        let pattern = NanPattern::CanonicalNan;
        assert!(f32_matches(&pattern, 0x7fc0_0000) && f32_matches(&pattern, 0xffc0_0000));
        assert!(!f32_matches(&pattern, 0x7fc0_0001) && !f32_matches(&pattern, 0x7f80_0000));
        let pattern = NanPattern::CanonicalNan;
        assert!(f64_matches(&pattern, 0xfff8_0000_0000_0000));
        assert!(!f64_matches(&pattern, 0x7ff8_0000_0000_0001));
        assert!(!f64_matches(&pattern, 0x7ff0_0000_0000_0000));
    }

    #[test]
    fn an_arithmetic_nan_is_any_quiet_one() {
        let pattern = NanPattern::ArithmeticNan;
        assert!(f32_matches(&pattern, 0x7fc0_0001) && f32_matches(&pattern, 0xffff_ffff));
        assert!(!f32_matches(&pattern, 0x7fa0_0000) && !f32_matches(&pattern, 0x3f80_0000));
        let pattern = NanPattern::ArithmeticNan;
        assert!(f64_matches(&pattern, 0x7ff8_0000_0000_0001));
        assert!(!f64_matches(&pattern, 0x7ff4_0000_0000_0000));
    }

    #[test]
    fn lanes_are_compared_from_the_least_significant_one() {
        let bits = 0x0000_0003_0000_0002_0000_0001_ffff_ffff_u128;
        assert!(v128_matches(&V128Pattern::I32x4([-1, 1, 2, 3]), bits));
        assert!(!v128_matches(&V128Pattern::I32x4([3, 2, 1, -1]), bits));
        assert!(v128_matches(&V128Pattern::I64x2([0x1_ffff_ffff, 0x3_0000_0002]), bits));
        assert!(v128_matches(&V128Pattern::I16x8([-1, -1, 1, 0, 2, 0, 3, 0]), bits));
        let mut lanes = [0; 16];
        (lanes[0], lanes[1], lanes[2], lanes[3]) = (-1, -1, -1, -1);
        (lanes[4], lanes[8], lanes[12]) = (1, 2, 3);
        assert!(v128_matches(&V128Pattern::I8x16(lanes), bits));
        let nan = NanPattern::ArithmeticNan;
        let [one, two, three] = [1, 2, 3].map(|bits| NanPattern::Value(F32 { bits }));
        assert!(v128_matches(&V128Pattern::F32x4([nan, one, two, three]), bits));
        let low = NanPattern::Value(F64 { bits: 0x1_ffff_ffff });
        assert!(!v128_matches(&V128Pattern::F64x2([low, NanPattern::ArithmeticNan]), bits));
    }
}
