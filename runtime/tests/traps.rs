//! Traps: each with its code, its frames, and a store that goes on working.

use seqfault::{Config, Engine, FrameInfo, Instance, Module, Result, Store, TrapCode};

fn instantiate(wat: &str) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let module = Module::new(&engine, wat).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    (store, instance)
}

fn trap_of(wat: &str) -> TrapCode {
    let (mut store, instance) = instantiate(wat);
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let first = run.call(&mut store, ()).unwrap_err().trap().expect("a trap").code();
    let again = run.call(&mut store, ()).unwrap_err().trap().expect("a trap").code();
    assert_eq!(first, again);
    first
}

/// A module whose function `run` has `body`, with a memory of one page and a table.
fn module(body: &str) -> String {
    format!(
        r#"(module (memory 1) (table 4 funcref) (elem (i32.const 1) $other)
             (type $void (func)) (func $other (param i32))
             (func (export "run") {body}))"#
    )
}

#[test]
fn each_trap_has_its_code() {
    let cases = [
        ("unreachable", TrapCode::Unreachable),
        ("(drop (i32.load (i32.const 65536)))", TrapCode::MemoryOutOfBounds),
        ("(i32.store offset=4294967295 (i32.const -1) (i32.const 0))", TrapCode::MemoryOutOfBounds),
        (
            "(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))",
            TrapCode::MemoryOutOfBounds,
        ),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", TrapCode::IntegerDivisionByZero),
        ("(drop (i64.rem_u (i64.const 1) (i64.const 0)))", TrapCode::IntegerDivisionByZero),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", TrapCode::IntegerOverflow),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", TrapCode::BadConversionToInteger),
        ("(drop (i32.trunc_f64_u (f64.const 1e10)))", TrapCode::IntegerOverflow),
        ("(call_indirect (type $void) (i32.const 4))", TrapCode::UndefinedElement),
        ("(call_indirect (type $void) (i32.const 0))", TrapCode::IndirectCallToNull),
        ("(call_indirect (type $void) (i32.const 1))", TrapCode::BadSignature),
        ("(drop (table.get 0 (i32.const 4)))", TrapCode::TableOutOfBounds),
        ("(table.copy (i32.const 3) (i32.const 0) (i32.const 2))", TrapCode::TableOutOfBounds),
    ];
    for (body, expected) in cases {
        assert_eq!(trap_of(&module(body)), expected, "{body}");
    }
}

#[test]
fn stack_exhaustion_is_a_trap_on_any_thread() {
    const WAT: &str = r#"(module (func $run (export "run") (call $run)))"#;
    assert_eq!(trap_of(WAT), TrapCode::StackOverflow);
    for stack in [300 << 10, 1 << 20, 8 << 20] {
        let thread = std::thread::Builder::new().stack_size(stack);
        let code = thread.spawn(|| trap_of(WAT)).unwrap().join().unwrap();
        assert_eq!(code, TrapCode::StackOverflow, "with {stack} bytes of stack");
    }
}

#[test]
fn stack_exhaustion_with_large_frames_is_a_trap() {
    // Each frame holds 200 live vectors across the call.
    let mut body = String::new();
    for i in 0..200 {
        body += &format!("(v128.load offset={} (i32.const 0))", i * 16);
    }
    body += "(call $run)";
    for i in 0..200 {
        body +=
            &format!("(local.set 0) (v128.store offset={} (i32.const 0) (local.get 0))", i * 16);
    }
    let wat = format!(r#"(module (memory 1) (func $run (export "run") (local v128) {body}))"#);
    assert_eq!(trap_of(&wat), TrapCode::StackOverflow);
}

#[test]
fn frames_have_names_and_offsets_innermost_first() {
    let (mut store, instance) = instantiate(
        r#"(module $shop
             (func $inner unreachable)
             (func $middle (call $inner))
             (func $outer (export "run") (call $middle)))"#,
    );
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    let trap = error.trap().unwrap();
    let names: Vec<_> = trap.frames().iter().map(|frame| frame.func_name().unwrap()).collect();
    assert_eq!(names, ["inner", "middle", "outer"]);
    assert!(trap.frames().iter().all(|frame| frame.module_name() == Some("shop")));
    let offsets: Vec<_> = trap.frames().iter().map(|f| f.module_offset().unwrap()).collect();
    assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "{offsets:x?}");
    let text = trap.to_string();
    assert!(text.starts_with("unreachable\nwasm backtrace:\n    0: "), "{text}");
    assert!(text.contains("shop!middle"), "{text}");
}

#[test]
fn a_deep_backtrace_is_cut_and_says_so() {
    let mut config = Config::new();
    config.max_backtrace_frames(10);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(
        &engine,
        r#"(module (func $run (export "run") (param i32)
             (if (i32.eqz (local.get 0)) (then unreachable))
             (call $run (i32.sub (local.get 0) (i32.const 1)))))"#,
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<i32, ()>(&mut store, "run").unwrap();
    let error = run.call(&mut store, 99).unwrap_err();
    assert_eq!(error.trap().unwrap().frames().len(), 10);
    assert!(error.to_string().contains("and 90 more frames"), "{error}");
}

#[test]
fn frames_share_the_names_of_their_module() {
    let long = "x".repeat(90_000);
    let (mut store, instance) = instantiate(&format!(
        r#"(module (@name "{long}") (func $f (@name "{long}") (export "run") (call $f) (nop)))"#
    ));
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    let [first, second, ..] = error.trap().unwrap().frames() else { panic!("{error}") };
    for name in [FrameInfo::module_name, FrameInfo::func_name] {
        let [first, second] = [first, second].map(|frame| name(frame).unwrap());
        assert_eq!(first, long);
        assert!(std::ptr::eq(first, second), "a name was copied");
    }
}

#[test]
fn a_trap_leaves_what_was_done_before_it() -> Result<()> {
    let (mut store, instance) = instantiate(
        r#"(module (memory (export "memory") 1) (global (export "g") (mut i32) (i32.const 0))
             (func (export "run")
               (i32.store (i32.const 8) (i32.const 7))
               (global.set 0 (i32.const 9))
               unreachable))"#,
    );
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    run.call(&mut store, ()).unwrap_err();
    let mut bytes = [0; 4];
    instance.get_memory(&mut store, "memory").unwrap().read(&store, 8, &mut bytes)?;
    assert_eq!(bytes, [7, 0, 0, 0]);
    let global = instance.get_export(&mut store, "g").unwrap().into_global().unwrap();
    assert_eq!(global.get(&mut store).unwrap_i32(), 9);
    Ok(())
}

#[test]
fn many_threads_trap_at_once() {
    let engine = Engine::default();
    let module = Module::new(&engine, module("(drop (i32.load (i32.const -4)))")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let mut store = Store::new(&engine, ());
                    let instance = Instance::new(&mut store, &module, &[]).unwrap();
                    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
                    let error = run.call(&mut store, ()).unwrap_err();
                    assert_eq!(error.trap().unwrap().code(), TrapCode::MemoryOutOfBounds);
                }
            });
        }
    });
}
