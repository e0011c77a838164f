//! Calls an exported function by its name, with arguments as text.
//!
//! Numbers are decimal or, with `0x`, hexadecimal. An integer may be given signed or unsigned, and
//! is printed signed. Floats have Rust's syntax, with `inf` and `nan`. A vector is one 128-bit
//! integer, with its first lane in the lowest bits. The only reference that can be given is `null`.

use seqfault::message::{Escaped, dozen};
use seqfault::{AsContextMut, Error, Func, FuncType, RefType, Result, Val, ValType};
use std::io::Write;

/// Calls `func`, exported as `name`, and writes its results to `out`, one a line.
pub(crate) fn call(
    mut store: impl AsContextMut,
    name: &str,
    func: Func,
    arguments: &[String],
    out: &mut impl Write,
) -> Result<()> {
    let ty = func.ty(&store);
    let arguments = parse_all(name, &ty, arguments)?;
    let mut results: Vec<Val> = vec![Val::I32(0); ty.results().len()];
    func.call(&mut store, &arguments, &mut results)?;
    for result in &results {
        writeln!(out, "{}", to_text(result))
            .map_err(|error| Error::from(error).context("cannot write to standard output"))?;
    }
    Ok(())
}

/// Calls the entry of a program, `func`, and drops its results.
pub(crate) fn call_entry(mut store: impl AsContextMut, func: Func) -> Result<()> {
    let mut results = vec![Val::I32(0); func.ty(&store).results().len()];
    func.call(&mut store, &[], &mut results)
}

fn parse_all(name: &str, ty: &FuncType, arguments: &[String]) -> Result<Vec<Val>> {
    let (params, name) = (ty.params(), Escaped::name(name));
    if params.len() != arguments.len() {
        let types = dozen(params);
        return Err(Error::msg(format!(
            "`{name}` takes {} ({types}), {} given: write them after the file",
            counted(params.len(), "argument"),
            arguments.len(),
        )));
    }
    let parsed = params.iter().zip(arguments).enumerate().map(|(index, (ty, text))| {
        parse(ty, text).ok_or_else(|| {
            let number = index + 1;
            Error::msg(format!(
                "argument {number} of `{name}`: `{}` is no {ty}",
                Escaped::name(text)
            ))
        })
    });
    parsed.collect()
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn parse(ty: &ValType, text: &str) -> Option<Val> {
    match ty {
        ValType::I32 => integer(text, 32).map(|bits| Val::I32(bits as u32 as i32)),
        ValType::I64 => integer(text, 64).map(|bits| Val::I64(bits as u64 as i64)),
        ValType::F32 => text.parse::<f32>().ok().map(|value| Val::F32(value.to_bits())),
        ValType::F64 => text.parse::<f64>().ok().map(|value| Val::F64(value.to_bits())),
        ValType::V128 => integer(text, 128).map(Val::V128),
        ValType::Ref(ty) => (text == "null").then(|| Val::null_ref(ty.heap_type())),
    }
}

/// The low `bits` bits of an integer that fits into them, signed or unsigned.
fn integer(text: &str, bits: u32) -> Option<u128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // Rust's parser would accept a second sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    let limit = match negative {
        true => 1 << (bits - 1),
        false => u128::MAX >> (128 - bits),
    };
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    (magnitude <= limit).then_some(value)
}

fn to_text(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => f32::from_bits(*bits).to_string(),
        Val::F64(bits) => f64::from_bits(*bits).to_string(),
        Val::V128(bits) => format!("{bits:#034x}"),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => {
            "null".to_owned()
        }
        Val::AnyRef(Some(_)) => RefType::ANYREF.to_string(),
        Val::FuncRef(Some(_)) => RefType::FUNCREF.to_string(),
        Val::ExternRef(Some(_)) => RefType::EXTERNREF.to_string(),
        Val::ExnRef(Some(_)) => RefType::EXNREF.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_taken_signed_or_unsigned_decimal_or_hexadecimal() {
        let i32_of = |text| parse(&ValType::I32, text).map(|value| value.unwrap_i32());
        assert_eq!(i32_of("42"), Some(42));
        assert_eq!(i32_of("-1"), Some(-1));
        assert_eq!(i32_of("4294967295"), Some(-1));
        assert_eq!(i32_of("0xffff_fff0"), Some(-16));
        assert_eq!(i32_of("-0x80000000"), Some(i32::MIN));
        for bad in ["", "-", "0x", "--1", "+-1", "4294967296", "-2147483649", "1.0", "x", "_1"] {
            assert_eq!(i32_of(bad), None, "{bad}");
        }
        let i64_of = |text| parse(&ValType::I64, text).map(|value| value.unwrap_i64());
        assert_eq!(i64_of("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(i64_of("18446744073709551615"), Some(-1));
        assert_eq!(i64_of("18446744073709551616"), None);
    }

    #[test]
    fn floats_may_be_infinite_or_no_number() {
        let f64_of = |text| parse(&ValType::F64, text).map(|value| value.unwrap_f64());
        assert_eq!(f64_of("-1.5e3"), Some(-1500.0));
        assert_eq!(f64_of("inf"), Some(f64::INFINITY));
        assert_eq!(f64_of("-inf"), Some(f64::NEG_INFINITY));
        assert!(f64_of("nan").is_some_and(f64::is_nan));
        assert_eq!(f64_of("one"), None);
        assert_eq!(parse(&ValType::F32, "0.1").map(|v| to_text(&v)).as_deref(), Some("0.1"));
    }

    #[test]
    fn vectors_are_one_integer_and_references_are_null() {
        let text = |ty: ValType, text| parse(&ty, text).map(|value| to_text(&value));
        let vector = "0x000102030405060708090a0b0c0d0e0f";
        assert_eq!(text(ValType::V128, vector).as_deref(), Some(vector));
        let funcref = ValType::Ref(RefType::FUNCREF);
        assert_eq!(text(funcref.clone(), "null").as_deref(), Some("null"));
        assert_eq!(text(funcref, "0"), None);
    }
}
