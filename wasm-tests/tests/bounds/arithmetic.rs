//! Divisions and conversions at the edges of their types, against Rust's own arithmetic.

use crate::Check;
use crate::guest::Guest;
use seqfault::{TrapCode, Val};

pub(crate) const CHECKS: &[Check] = &[
    ("division_traps_on_zero_and_on_overflow_only", division),
    ("truncation_traps_on_nan_and_out_of_range_only", truncation),
    ("unreachable_traps", unreachable),
];

const DIVISION: &str = r#"(module
    (func (export "i32.div_s") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func (export "i32.div_u") (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1)))
    (func (export "i32.rem_s") (param i32 i32) (result i32) (i32.rem_s (local.get 0) (local.get 1)))
    (func (export "i32.rem_u") (param i32 i32) (result i32) (i32.rem_u (local.get 0) (local.get 1)))
    (func (export "i64.div_s") (param i64 i64) (result i64) (i64.div_s (local.get 0) (local.get 1)))
    (func (export "i64.div_u") (param i64 i64) (result i64) (i64.div_u (local.get 0) (local.get 1)))
    (func (export "i64.rem_s") (param i64 i64) (result i64) (i64.rem_s (local.get 0) (local.get 1)))
    (func (export "i64.rem_u") (param i64 i64) (result i64) (i64.rem_u (local.get 0) (local.get 1)))
    (func (export "dropped") (param i32) (drop (i32.div_u (i32.const 1) (local.get 0)))))"#;

/// What a division gives: nothing for a divisor of zero is a trap of one kind, nothing for any
/// other divisor is an overflow.
fn outcome<T>(quotient: Option<T>, divisor_is_zero: bool) -> Result<T, TrapCode> {
    quotient.ok_or(match divisor_is_zero {
        true => TrapCode::IntegerDivisionByZero,
        false => TrapCode::IntegerOverflow,
    })
}

fn division() {
    let mut guest = Guest::new(DIVISION);
    let numbers = [0, 1, -1, 2, -2, 7, i32::MAX, i32::MIN, i32::MIN + 1];
    for a in numbers {
        for b in numbers {
            let mut found = |name| {
                let values = guest.call(name, &[Val::I32(a), Val::I32(b)]);
                values.map(|values| values[0].unwrap_i32())
            };
            let unsigned = |q: Option<u32>| outcome(q.map(|q| q as i32), b == 0);
            let (ua, ub) = (a as u32, b as u32);
            assert_eq!(found("i32.div_s"), outcome(a.checked_div(b), b == 0), "{a} / {b}");
            assert_eq!(found("i32.div_u"), unsigned(ua.checked_div(ub)), "{a} / {b}");
            let remainder = (b != 0).then(|| a.wrapping_rem(b));
            assert_eq!(found("i32.rem_s"), outcome(remainder, b == 0), "{a} % {b}");
            assert_eq!(found("i32.rem_u"), unsigned(ua.checked_rem(ub)), "{a} % {b}");
        }
    }
    let numbers = [0, 1, -1, 2, -2, 7, i64::MAX, i64::MIN, i64::MIN + 1];
    for a in numbers {
        for b in numbers {
            let mut found = |name| {
                let values = guest.call(name, &[Val::I64(a), Val::I64(b)]);
                values.map(|values| values[0].unwrap_i64())
            };
            let unsigned = |q: Option<u64>| outcome(q.map(|q| q as i64), b == 0);
            let (ua, ub) = (a as u64, b as u64);
            assert_eq!(found("i64.div_s"), outcome(a.checked_div(b), b == 0), "{a} / {b}");
            assert_eq!(found("i64.div_u"), unsigned(ua.checked_div(ub)), "{a} / {b}");
            let remainder = (b != 0).then(|| a.wrapping_rem(b));
            assert_eq!(found("i64.rem_s"), outcome(remainder, b == 0), "{a} % {b}");
            assert_eq!(found("i64.rem_u"), unsigned(ua.checked_rem(ub)), "{a} % {b}");
        }
    }
    guest.expect("dropped", &[1], None);
    guest.expect("dropped", &[0], Some(TrapCode::IntegerDivisionByZero));
}

/// The conversions with the smallest and the largest integers of their types.
const TRUNCATIONS: &[(&str, f64, f64)] = &[
    ("i32.trunc_f32_s", i32::MIN as f64, i32::MAX as f64),
    ("i32.trunc_f32_u", 0.0, u32::MAX as f64),
    ("i32.trunc_f64_s", i32::MIN as f64, i32::MAX as f64),
    ("i32.trunc_f64_u", 0.0, u32::MAX as f64),
    ("i64.trunc_f32_s", i64::MIN as f64, i64::MAX as f64),
    ("i64.trunc_f32_u", 0.0, u64::MAX as f64),
    ("i64.trunc_f64_s", i64::MIN as f64, i64::MAX as f64),
    ("i64.trunc_f64_u", 0.0, u64::MAX as f64),
];

/// Floats around both ends of every integer type, next neighbours included.
fn candidates() -> Vec<f64> {
    let ends = [0.0, 31.0, 32.0, 63.0, 64.0].map(|exponent: f64| exponent.exp2());
    let mut floats = vec![0.0, -0.0, 0.5, -0.5, f64::MIN_POSITIVE, -f64::MIN_POSITIVE];
    for end in ends {
        for x in [end, -end] {
            floats.extend([x, x - 1.0, x + 1.0, x.next_up(), x.next_down(), x - 0.5, x + 0.5]);
            let narrow = x as f32;
            floats.extend([narrow.next_up(), narrow.next_down()].map(f64::from));
        }
    }
    floats.extend([f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::NAN, -f64::NAN]);
    floats
}

fn truncation() {
    for &(name, smallest, largest) in TRUNCATIONS {
        let (result, float) = (&name[..3], &name[10..13]);
        let text = format!(
            "(module (func (export \"f\") (param {float}) (result {result}) ({name} (local.get 0))))"
        );
        let mut guest = Guest::new(&text);
        for candidate in candidates() {
            let (argument, given) = match float {
                "f32" => (Val::F32((candidate as f32).to_bits()), f64::from(candidate as f32)),
                _ => (Val::F64(candidate.to_bits()), candidate),
            };
            let whole = given.trunc();
            // The largest 64-bit integers are rounded up to a power of two as floats.
            let in_range =
                whole >= smallest && whole <= largest && !(largest > 1e18 && whole == largest);
            let expected = match (given.is_nan(), in_range) {
                (true, _) => Err(TrapCode::BadConversionToInteger),
                (false, true) => Ok(whole as i128),
                (false, false) => Err(TrapCode::IntegerOverflow),
            };
            let found = guest.call("f", &[argument]).map(|values| {
                match (&values[0], name.ends_with('u')) {
                    (Val::I32(value), false) => i128::from(*value),
                    (Val::I32(value), true) => i128::from(*value as u32),
                    (Val::I64(value), false) => i128::from(*value),
                    (Val::I64(value), true) => i128::from(*value as u64),
                    (other, _) => panic!("{other:?}"),
                }
            });
            assert_eq!(found, expected, "{name} {given:?}");
        }
    }
}

fn unreachable() {
    let mut guest = Guest::new(
        "(module (func (export \"f\") (param i32) (if (local.get 0) (then unreachable))))",
    );
    for _ in 0..100 {
        guest.expect("f", &[1], Some(TrapCode::Unreachable));
        guest.expect("f", &[0], None);
    }
}
