//! Code that uses only what every processor of the architecture has gives the same results: roundings,
//! conversions and moves of lanes, for which newer processors have instructions.

use seqfault::{Config, Engine, Instance, Module, Store};
use std::fmt::Write as _;

const ROUNDINGS: [&str; 4] = ["ceil", "floor", "trunc", "nearest"];

/// Functions that take two operands of 64 bits and give one.
fn text() -> String {
    let mut text = String::from("(module");
    let mut function = |name: String, body: String| {
        write!(
            text,
            "(func (export \"{name}\") (param i64 i64) (result i64) (local $v v128)
               (local.set $v (i64x2.replace_lane 1 (i64x2.splat (local.get 0)) (local.get 1)))
               {body})"
        )
        .unwrap();
    };
    for rounding in ROUNDINGS {
        function(
            format!("f32.{rounding}"),
            format!(
                "(i64.extend_i32_u (i32.reinterpret_f32
                   (f32.{rounding} (f32.reinterpret_i32 (i32.wrap_i64 (local.get 0))))))"
            ),
        );
        function(
            format!("f64.{rounding}"),
            format!("(i64.reinterpret_f64 (f64.{rounding} (f64.reinterpret_i64 (local.get 0))))"),
        );
    }
    let vectors = ROUNDINGS
        .iter()
        .flat_map(|rounding| [format!("f32x4.{rounding}"), format!("f64x2.{rounding}")])
        .chain(["i32x4.trunc_sat_f64x2_u_zero", "i32x4.trunc_sat_f64x2_s_zero"].map(String::from))
        .chain(["i32x4.trunc_sat_f32x4_u", "i32x4.trunc_sat_f32x4_s"].map(String::from))
        .map(|operator| (operator.clone(), format!("({operator} (local.get $v))")))
        .chain([
            ("swizzle".into(), "(i8x16.swizzle (local.get $v) (local.get $v))".into()),
            (
                "shuffle".into(),
                "(i8x16.shuffle 0 31 2 29 4 27 6 25 8 23 10 21 12 19 14 17
                   (local.get $v) (i8x16.neg (local.get $v)))"
                    .into(),
            ),
        ]);
    let vectors: Vec<(String, String)> = vectors.collect();
    for (name, value) in vectors {
        for lane in 0..2 {
            function(format!("{name} {lane}"), format!("(i64x2.extract_lane {lane} {value})"));
        }
    }
    text.push(')');
    text
}

/// Bits that are worth trying, and some drawn ones.
fn operands() -> Vec<i64> {
    let mut operands = Vec::new();
    let doubles = [
        0.0,
        0.3,
        0.5,
        0.7,
        1.0,
        1.5,
        2.5,
        3.5,
        255.7,
        2147483647.5,
        4294967295.9,
        4294967296.0,
        4503599627370495.5,
        4503599627370496.0,
        4503599627370497.0,
        9007199254740993.0,
        1e300,
        5e-324,
        f64::INFINITY,
        f64::NAN,
        0.49999999999999994,
    ];
    for double in doubles {
        operands.extend([double, -double].map(|double: f64| double.to_bits() as i64));
    }
    let singles = [
        0.0f32,
        0.3,
        0.5,
        0.7,
        1.5,
        2.5,
        8388607.5,
        8388608.0,
        8388609.0,
        16777217.0,
        1e30,
        1e-45,
        f32::INFINITY,
        f32::NAN,
        0.49999997,
    ];
    for single in singles {
        let (plus, minus) = (u64::from(single.to_bits()), u64::from((-single).to_bits()));
        operands.extend([plus | minus << 32, minus | plus << 32].map(|bits| bits as i64));
    }
    // Signalling NaNs.
    operands.extend([0x7ff0_0000_0000_0001, 0x7f80_0001_ff80_0001]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for shift in 0..3_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        operands.push(state as i64);
        // Numbers of the sizes at which fractions end.
        let exponent = 1023 - 2 + shift % 60;
        operands.push((state >> 12 | exponent << 52) as i64);
    }
    operands
}

/// The same but for which NaN it is.
fn same(name: &str, a: i64, b: i64) -> bool {
    let double = |bits: i64| f64::from_bits(bits as u64);
    let singles = |bits: i64| [bits as u32, (bits >> 32) as u32].map(f32::from_bits);
    a == b
        || name.starts_with("f64") && double(a).is_nan() && double(b).is_nan()
        || name.starts_with("f32")
            && singles(a)
                .iter()
                .zip(singles(b))
                .all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

#[test]
fn results_do_not_depend_on_what_the_processor_has() {
    let binary = wat::parse_str(text()).unwrap();
    let operands = operands();
    let mut runs = [true, false].map(|native| {
        let engine = Engine::new(Config::new().native_cpu(native)).unwrap();
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, &binary).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        (store, module, instance)
    });
    let names: Vec<String> = runs[0].1.exports().map(|export| export.name().to_owned()).collect();
    assert_eq!(names.len(), 8 + 2 * (8 + 4 + 2));
    for name in names {
        let results = runs.each_mut().map(|(store, _, instance)| {
            let f = instance.get_typed_func::<(i64, i64), i64>(&mut *store, &name).unwrap();
            let second = operands.iter().cycle().skip(7);
            let call = |(&x, &y): (&i64, &i64)| f.call(&mut *store, (x, y)).unwrap();
            operands.iter().zip(second).map(call).collect::<Vec<i64>>()
        });
        for (at, (&a, &b)) in results[0].iter().zip(&results[1]).enumerate() {
            let operands = (operands[at], operands[(at + 7) % operands.len()]);
            assert!(same(&name, a, b), "{name} of {operands:x?}: {a:x} and {b:x}");
        }
    }
}
