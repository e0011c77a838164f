//! Running out of stack: in every way there is to use it, again and again, on small threads too.

use crate::Check;
use crate::guest::Guest;
use seqfault::{Caller, Config, Engine, Extern, Linker, Module, Store, TrapCode, Val};
use std::fmt::Write;

pub(crate) const CHECKS: &[Check] = &[
    ("endless_recursion_of_every_kind_is_a_trap", recursion),
    ("the_stack_is_whole_again_after_each_overflow", repeated),
    ("a_frame_larger_than_the_stack_is_a_trap", huge_frames),
    ("recursion_through_the_host_is_a_trap", through_the_host),
    ("small_threads_overflow_in_good_order", small_threads),
    ("the_limit_is_what_was_asked_for", the_limit),
];

const OVERFLOW: Option<TrapCode> = Some(TrapCode::StackOverflow);

const RECURSIONS: &str = r#"(module
    (table 1 funcref) (elem (i32.const 0) $indirect)
    (func $direct (export "direct") (call $direct))
    (func $ping (export "ping") (call $pong)) (func $pong (call $ping))
    (func $indirect (export "indirect") (call_indirect (i32.const 0)))
    (func $values (export "values") (result i32 i64 f64)
        (call $values))
    (func $arguments (export "arguments") (result i32)
        (call $wide (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
            (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9) (i64.const 10)))
    (func $wide (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i32)
        (i32.add (i32.const 1) (call $wide
            (local.get 9) (local.get 0) (local.get 1) (local.get 2) (local.get 3)
            (local.get 4) (local.get 5) (local.get 6) (local.get 7) (local.get 8))))
    (func (export "depth") (param i32) (result i32) (call $deep (local.get 0)))
    (func $deep (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0)))))"#;

const ENDLESS: &[&str] = &["direct", "ping", "indirect", "values", "arguments"];

fn recursion() {
    let mut guest = Guest::new(RECURSIONS);
    for name in ENDLESS {
        guest.expect(name, &[], OVERFLOW);
    }
}

fn repeated() {
    let mut guest = Guest::new(RECURSIONS);
    let depth =
        |guest: &mut Guest, n| guest.call("depth", &[Val::I32(n)]).map(|v| v[0].unwrap_i32());
    for round in 0..200 {
        guest.expect(ENDLESS[round % ENDLESS.len()], &[], OVERFLOW);
        assert_eq!(depth(&mut guest, 1000), Ok(1000));
    }
}

/// Frames of about 256 KiB, of vectors that are all alive at once.
fn huge_frames() {
    let mut text = "(module (memory 1) (func $f (export \"f\") (param i32) (local ".to_owned();
    const LOCALS: u32 = 4_000;
    text.push_str(&"v128 ".repeat(LOCALS as usize));
    text.push_str(")\n");
    for local in 1..=LOCALS {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "(local.set {local} (i32x4.splat (i32.add (local.get 0) (i32.const {local}))))"
        );
    }
    text.push_str("(call $f (local.get 0))\n");
    for local in 1..=LOCALS {
        let _ = writeln!(text, "(v128.store (i32.const 0) (local.get {local}))");
    }
    text.push_str("))");
    Guest::new(&text).expect("f", &[1], OVERFLOW);
}

fn through_the_host() {
    let engine = Engine::default();
    let text =
        r#"(module (import "host" "again" (func $again)) (func (export "f") (call $again)))"#;
    let module = Module::new(&engine, text).expect("a module");
    let mut linker = Linker::new(&engine);
    let again = |mut caller: Caller<'_, ()>| -> seqfault::Result<()> {
        let Some(Extern::Func(func)) = caller.get_export("f") else { panic!("f is exported") };
        func.call(&mut caller, &[], &mut [])
    };
    linker.func_wrap("host", "again", again).expect("a definition");
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).expect("an instance");
    let mut guest = Guest { store, instance };
    for _ in 0..20 {
        guest.expect("f", &[], OVERFLOW);
    }
}

fn small_threads() {
    for kib in [256, 512, 2048] {
        let thread = std::thread::Builder::new().stack_size(kib << 10);
        let running = thread.spawn(|| {
            recursion();
            let mut guest = Guest::new(RECURSIONS);
            for _ in 0..20 {
                guest.expect("arguments", &[], OVERFLOW);
            }
        });
        running.expect("a thread").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

/// More stack makes deeper recursion possible, in proportion.
fn the_limit() {
    let depth_with = |bytes: usize| {
        let mut config = Config::new();
        config.max_wasm_stack(bytes);
        let mut guest = Guest::with_config(RECURSIONS, &config);
        let (mut fits, mut overflows) = (0, 1 << 24);
        while overflows - fits > 1 {
            let middle = (fits + overflows) / 2;
            match guest.call("depth", &[Val::I32(middle)]) {
                Ok(_) => fits = middle,
                Err(code) => {
                    assert_eq!(code, TrapCode::StackOverflow);
                    overflows = middle;
                }
            }
        }
        fits
    };
    let (small, large) = (depth_with(128 << 10), depth_with(512 << 10));
    assert!(small > 100, "{small}");
    let ratio = f64::from(large) / f64::from(small);
    assert!((3.5..4.5).contains(&ratio), "{small} frames in 128 KiB, {large} in 512 KiB");
}
