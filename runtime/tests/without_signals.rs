//! Engines without signals: the same traps at the same places, and nobody's handler is needed for them.

use seqfault::{
    Config, Engine, Feature, Instance, Memory, MemoryType, Module, PagerKind, Store, TrapCode,
};
use std::process::Command;

const CHILD: &str = "SEQFAULT_SIGNAL_CHILD";
const SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

fn engine(signals: bool) -> Engine {
    let mut config = Config::new();
    config
        .signals_based_traps(signals)
        .wasm_feature(Feature::MemoryControl, true)
        .wasm_feature(Feature::CustomPageSizes, true);
    Engine::new(&config).unwrap()
}

/// Bodies of functions, and what they trap with. The parameters are 0, so that nothing is known when compiling.
const TRAPS: &[(&str, TrapCode)] = &[
    ("unreachable", TrapCode::Unreachable),
    ("(drop (i32.load offset=65533 (local.get $z)))", TrapCode::MemoryOutOfBounds),
    ("(drop (i32.load (i32.const 65533)))", TrapCode::MemoryOutOfBounds),
    ("(drop (i32.load8_s (i32.sub (local.get $z) (i32.const 1))))", TrapCode::MemoryOutOfBounds),
    (
        "(i64.store offset=4294967295 (i32.sub (local.get $z) (i32.const 1)) (i64.const 1))",
        TrapCode::MemoryOutOfBounds,
    ),
    (
        "(v128.store offset=65521 (local.get $z) (v128.const i64x2 0 0))",
        TrapCode::MemoryOutOfBounds,
    ),
    (
        "(drop (v128.load64_lane offset=65529 1 (local.get $z) (v128.const i64x2 0 0)))",
        TrapCode::MemoryOutOfBounds,
    ),
    ("(drop (i32.atomic.load (i32.const 65536)))", TrapCode::MemoryOutOfBounds),
    ("(drop (i64.atomic.rmw.add (i32.const -8) (i64.const 1)))", TrapCode::MemoryOutOfBounds),
    ("(drop (i32.atomic.load offset=1 (local.get $z)))", TrapCode::UnalignedAtomic),
    ("(drop (i64.load $wide offset=65529 (local.get $Z)))", TrapCode::MemoryOutOfBounds),
    (
        "(drop (i64.load $wide offset=0xffffffffffffffff (local.get $Z)))",
        TrapCode::MemoryOutOfBounds,
    ),
    (
        "(drop (i64.load $wide offset=0xfffffffffffffff9 (i64.const 7)))",
        TrapCode::MemoryOutOfBounds,
    ),
    ("(drop (i64.load $wide (i64.sub (local.get $Z) (i64.const 4))))", TrapCode::MemoryOutOfBounds),
    ("(drop (i64.load $wide (i64.const 0x7fffffffffffffff)))", TrapCode::MemoryOutOfBounds),
    ("(drop (i32.load8_u $bytes offset=7 (local.get $z)))", TrapCode::MemoryOutOfBounds),
    ("(drop (i32.load $bytes offset=4 (local.get $z)))", TrapCode::MemoryOutOfBounds),
    ("(i32.store8 $shared offset=65536 (local.get $z) (i32.const 1))", TrapCode::MemoryOutOfBounds),
    ("(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))", TrapCode::MemoryOutOfBounds),
    (
        "(memory.copy $wide $wide (i64.const 65535) (i64.const 0) (i64.const 2))",
        TrapCode::MemoryOutOfBounds,
    ),
    (
        "(memory.init $data (i32.const 65535) (i32.const 0) (i32.const 2))",
        TrapCode::MemoryOutOfBounds,
    ),
    ("(memory.discard 0 (i32.const 1) (i32.const 65536))", TrapCode::UnalignedDiscard),
    ("(drop (i32.div_s (i32.const 1) (local.get $z)))", TrapCode::IntegerDivisionByZero),
    ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", TrapCode::IntegerDivisionByZero),
    ("(drop (i64.rem_s (i64.const 1) (local.get $Z)))", TrapCode::IntegerDivisionByZero),
    ("(drop (i64.rem_u (i64.const 1) (i64.const 0)))", TrapCode::IntegerDivisionByZero),
    ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", TrapCode::IntegerOverflow),
    (
        "(drop (i64.div_s (i64.const 0x8000000000000000) (i64.sub (local.get $Z) (i64.const 1))))",
        TrapCode::IntegerOverflow,
    ),
    ("(drop (i32.trunc_f32_s (f32.const nan)))", TrapCode::BadConversionToInteger),
    ("(drop (i64.trunc_f64_u (f64.const -nan)))", TrapCode::BadConversionToInteger),
    ("(drop (i32.trunc_f32_s (f32.const 2147483648)))", TrapCode::IntegerOverflow),
    ("(drop (i32.trunc_f32_s (f32.const -2147483904)))", TrapCode::IntegerOverflow),
    ("(drop (i32.trunc_f64_s (f64.const -2147483649)))", TrapCode::IntegerOverflow),
    ("(drop (i32.trunc_f64_u (f64.const -1)))", TrapCode::IntegerOverflow),
    ("(drop (i32.trunc_f64_u (f64.const 4294967296)))", TrapCode::IntegerOverflow),
    ("(drop (i64.trunc_f32_s (f32.const 9223372036854775808)))", TrapCode::IntegerOverflow),
    ("(drop (i64.trunc_f64_u (f64.const inf)))", TrapCode::IntegerOverflow),
    ("(call_indirect $t (type $void) (i32.const 4))", TrapCode::UndefinedElement),
    (
        "(call_indirect $t (type $void) (i32.sub (local.get $z) (i32.const 1)))",
        TrapCode::UndefinedElement,
    ),
    ("(call_indirect $t (type $void) (local.get $z))", TrapCode::IndirectCallToNull),
    ("(call_indirect $t (type $void) (i32.const 1))", TrapCode::BadSignature),
    ("(return_call_indirect $t (type $open) (i32.const 1))", TrapCode::BadSignature),
    ("(drop (table.get $t (i32.const 4)))", TrapCode::TableOutOfBounds),
    ("(drop (table.get $grows (i32.const 1)))", TrapCode::TableOutOfBounds),
    (
        "(table.set $t64 (i64.sub (local.get $Z) (i64.const 1)) (ref.null func))",
        TrapCode::TableOutOfBounds,
    ),
    ("(table.copy $t $t (i32.const 3) (i32.const 0) (i32.const 2))", TrapCode::TableOutOfBounds),
    ("(call_ref $void (ref.null $void))", TrapCode::NullFunctionReference),
    ("(return_call_ref $void (ref.null $void))", TrapCode::NullFunctionReference),
    ("(drop (ref.as_non_null (ref.null any)))", TrapCode::NullReference),
    ("(throw_ref (ref.null exn))", TrapCode::NullException),
    ("(drop (struct.get $s 0 (ref.null $s)))", TrapCode::NullStruct),
    ("(struct.set $s 1 (ref.null $s) (i64.const 1))", TrapCode::NullStruct),
    ("(drop (array.get $a (ref.null $a) (local.get $z)))", TrapCode::NullArray),
    ("(drop (array.len (ref.null array)))", TrapCode::NullArray),
    (
        "(drop (array.get $a (array.new_default $a (i32.const 3)) (i32.const 3)))",
        TrapCode::ArrayOutOfBounds,
    ),
    (
        "(array.set $a (array.new_default $a (local.get $z)) (local.get $z) (i32.const 1))",
        TrapCode::ArrayOutOfBounds,
    ),
    (
        "(array.fill $a (array.new_default $a (i32.const 3)) (i32.const 1) (i32.const 1) (i32.const 3))",
        TrapCode::ArrayOutOfBounds,
    ),
    ("(drop (i31.get_u (ref.null i31)))", TrapCode::NullI31),
    ("(drop (ref.cast (ref $s) (ref.i31 (i32.const 1))))", TrapCode::CastFailure),
    ("(drop (array.new_default $a (i32.const 0x7fffffff)))", TrapCode::GcHeapOutOfMemory),
    (
        "(drop (memory.atomic.wait32 0 (i32.const 0) (i32.const 0) (i64.const 0)))",
        TrapCode::WaitOnUnsharedMemory,
    ),
    ("(call $run)", TrapCode::StackOverflow),
    ("(call $large)", TrapCode::StackOverflow),
];

/// A function whose vectors all live across what `call` does.
fn with_vectors(count: usize, head: &str, call: &str) -> String {
    let each = |text: &dyn Fn(usize) -> String| (0..count).map(text).collect::<String>();
    let locals = each(&|n| format!("(local $v{n} v128)"));
    let loads =
        each(&|n| format!("(local.set $v{n} (v128.load offset={} (i32.const 0)))", n % 4000 * 16));
    let stores =
        each(&|n| format!("(v128.store offset={} (i32.const 0) (local.get $v{n}))", n % 4000 * 16));
    format!("(func {head} {locals} {loads} {call} {stores}")
}

fn module(body: &str) -> String {
    let large = with_vectors(500, "$large", "(call $large)");
    format!(
        r#"(module
            (type $void (func)) (type $open (sub (func)))
            (type $s (struct (field (mut i32)) (field (mut i64)))) (type $a (array (mut i32)))
            (memory 1) (memory $wide i64 1) (memory $bytes 7 (pagesize 1)) (memory $shared 1 1 shared)
            (table $t 4 4 funcref) (table $grows 1 funcref) (table $t64 i64 2 funcref)
            (elem (table $t) (i32.const 1) func $other) (data $data "1234")
            (func $other (param i32))
            {large})
            (func $run (export "run") (call $inner (i32.const 0) (i64.const 0)))
            (func $inner (param $z i32) (param $Z i64) {body}))"#
    )
}

/// Where functions of the module were when it trapped.
type Frames = Vec<(u32, Option<usize>)>;

fn run(engine: &Engine, body: &str) -> (TrapCode, Frames) {
    let module =
        Module::new(engine, module(body)).unwrap_or_else(|error| panic!("{body}: {error}"));
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let first = run.call(&mut store, ()).unwrap_err();
    let again = run.call(&mut store, ()).unwrap_err();
    let trap = first.trap().unwrap_or_else(|| panic!("{body}: {first}"));
    assert_eq!(Some(trap.code()), again.trap().map(|trap| trap.code()), "{body}");
    let frame = |frame: &seqfault::FrameInfo| (frame.func_index(), frame.module_offset());
    (trap.code(), trap.frames().iter().map(frame).collect())
}

/// Runs the test of this name in a process whose signals have their default action, which would end it.
fn without_handlers(test: &str, body: impl FnOnce()) {
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{test}: {}\n{text}", output.status);
        return;
    }
    for signo in SIGNALS {
        // SAFETY: the default action is always allowed. (The standard library has handlers of its own.)
        unsafe { libc::signal(signo, libc::SIG_DFL) };
    }
    body();
    for signo in SIGNALS {
        // SAFETY: all fields may be zero, a null action only asks, and the other is writable.
        let handler = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signo, std::ptr::null(), &raw mut action);
            action.sa_sigaction
        };
        assert_eq!(handler, libc::SIG_DFL, "somebody handles signal {signo}");
    }
}

#[test]
fn every_trap_is_raised_without_a_signal() {
    without_handlers("every_trap_is_raised_without_a_signal", || {
        let engine = engine(false);
        for &(body, expected) in TRAPS {
            assert_eq!(run(&engine, body).0, expected, "{body}");
        }
        // On threads as well, which get no alternate stack.
        std::thread::spawn(move || {
            assert_eq!(run(&engine, "(call $large)").0, TrapCode::StackOverflow)
        })
        .join()
        .unwrap();
    });
}

#[test]
fn traps_are_where_they_are_with_signals() {
    let [with, without] = [true, false].map(engine);
    for &(body, expected) in TRAPS {
        let [with, without] = [run(&with, body), run(&without, body)];
        assert_eq!((with.0, without.0), (expected, expected), "{body}");
        assert!(without.1.len() > 1, "{body}");
        if expected == TrapCode::StackOverflow {
            // Where it ends depends on the sizes of frames.
            assert!(without.1.iter().all(|frame| frame.1.is_some()), "{body}: {without:?}");
        } else {
            assert_eq!(with.1, without.1, "{body}");
        }
    }
}

#[test]
fn a_function_with_a_huge_frame_runs_while_there_is_stack() {
    without_handlers("a_function_with_a_huge_frame_runs_while_there_is_stack", || {
        // More than what is kept for the host below every limit.
        let huge = with_vectors(
            9000,
            r#"$huge (export "huge") (param $n i32) (param $x f64) (result f64)"#,
            "(if (local.get $n) (then (local.set $x
                (call $huge (i32.sub (local.get $n) (i32.const 1)) (f64.add (local.get $x) (f64.const 1))))))",
        );
        let mut config = Config::new();
        config.signals_based_traps(false).cranelift_verifier(false);
        let engine = Engine::new(&config).unwrap();
        let text = format!("(module (memory 1) {huge} (local.get $x)))");
        let module = Module::new(&engine, text).unwrap();
        let work = move || {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let huge = instance.get_typed_func::<(i32, f64), f64>(&mut store, "huge").unwrap();
            for _ in 0..2 {
                assert_eq!(huge.call(&mut store, (1, 0.5)).unwrap(), 1.5);
                let error = huge.call(&mut store, (100_000, 0.0)).unwrap_err();
                assert_eq!(error.trap().map(|trap| trap.code()), Some(TrapCode::StackOverflow));
            }
        };
        // Where the stack ends before what wasm may use does, too.
        for stack in [600 << 10, 1 << 20, 8 << 20] {
            let thread = std::thread::Builder::new().stack_size(stack);
            thread.spawn(work.clone()).unwrap().join().unwrap();
        }
    });
}

#[test]
fn there_is_more_stack_by_default() {
    const RECURSION: &str = r#"(module
        (global $depth (mut i32) (i32.const 0))
        (func $down (export "down")
            (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
            (call $down)
            (global.set $depth (global.get $depth)))
        (func (export "depth") (result i32) (global.get $depth)))"#;
    let depth = |config: &Config| {
        let engine = Engine::new(config).unwrap();
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, RECURSION).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let down = instance.get_typed_func::<(), ()>(&mut store, "down").unwrap();
        let error = down.call(&mut store, ()).unwrap_err();
        assert_eq!(error.trap().unwrap().code(), TrapCode::StackOverflow);
        let depth = instance.get_typed_func::<(), i32>(&mut store, "depth").unwrap();
        depth.call(&mut store, ()).unwrap()
    };
    let deep = move || {
        let mut config = Config::new();
        config.signals_based_traps(false);
        let default = depth(&config);
        let chosen = depth(config.max_wasm_stack(1 << 20));
        assert!((chosen * 39 / 10..chosen * 41 / 10).contains(&default), "{default}, {chosen}");
        let with_signals = depth(config.signals_based_traps(true));
        assert_eq!(depth(&Config::new()), with_signals);
    };
    // On a thread that has as much.
    std::thread::Builder::new().stack_size(16 << 20).spawn(deep).unwrap().join().unwrap();
}

#[test]
fn memories_grow_and_are_used_by_all_means() {
    without_handlers("memories_grow_and_are_used_by_all_means", || {
        let engine = engine(false);
        let module = Module::new(
            &engine,
            r#"(module (memory (export "memory") 1 100)
                (func (export "touch") (param i32) (result i32)
                    (i32.store (local.get 0) (i32.const 7))
                    (i32.load (local.get 0)))
                (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
                (func (export "discard") (memory.discard 0 (i32.const 0) (i32.const 65536))))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let touch = instance.get_typed_func::<i32, i32>(&mut store, "touch").unwrap();
        let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
        let discard = instance.get_typed_func::<(), ()>(&mut store, "discard").unwrap();
        assert_eq!(touch.call(&mut store, 65532).unwrap(), 7);
        assert!(touch.call(&mut store, 65533).is_err());
        assert_eq!(grow.call(&mut store, 99).unwrap(), 1);
        assert_eq!(grow.call(&mut store, 1).unwrap(), -1);
        assert_eq!(touch.call(&mut store, 6_553_596).unwrap(), 7);
        discard.call(&mut store, ()).unwrap();
        assert_eq!(touch.call(&mut store, 0).unwrap(), 7);
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let mut bytes = [1; 4];
        memory.read(&store, 65532, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4]);
        memory.write(&mut store, 6_553_596, &bytes).unwrap();
        assert!(memory.write(&mut store, 6_553_597, &bytes).is_err());
        let own = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        own.write(&mut store, 65535, &[1]).unwrap();
    });
}

#[test]
fn objects_are_made_and_collected() {
    without_handlers("objects_are_made_and_collected", || {
        let mut config = Config::new();
        config.signals_based_traps(false).gc_heap_limit(Some(4 << 20));
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(
            &engine,
            r#"(module (type $list (struct (field (ref null $list)) (field i32)))
                (func (export "run") (param i32) (result i32) (local $list (ref null $list)) (local $sum i32)
                    (loop $again
                        (drop (struct.new $list (ref.null $list) (i32.const 5)))
                        (local.set $list (struct.new $list
                            (if (result (ref null $list)) (i32.and (local.get 0) (i32.const 1023))
                                (then (local.get $list)) (else (ref.null $list)))
                            (local.get 0)))
                        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                        (br_if $again (local.get 0)))
                    (loop $count
                        (local.set $sum (i32.add (local.get $sum) (i32.const 1)))
                        (local.set $list (struct.get $list 0 (local.get $list)))
                        (br_if $count (i32.eqz (ref.is_null (local.get $list)))))
                    (local.get $sum)))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, 1_000_000).unwrap(), 1024);
    });
}

#[test]
fn choices_that_contradict_each_other_are_refused() {
    let refused = |choose: fn(&mut Config) -> &mut Config| {
        let mut config = Config::new();
        config.signals_based_traps(false);
        Engine::new(choose(&mut config)).map(drop).unwrap_err().to_string()
    };
    for pager in [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager] {
        let mut config = Config::new();
        let error = Engine::new(config.signals_based_traps(false).pager(pager)).map(drop);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("PagerKind::Demand") && error.contains(&format!("{pager:?}")),
            "{error}"
        );
    }
    let error = refused(|config| config.memory_resident_limit(Some(1 << 20)));
    assert!(error.contains("limit the sizes"), "{error}");
    let mut config = Config::new();
    config.signals_based_traps(false);
    for pager in [PagerKind::Auto, PagerKind::Demand] {
        Engine::new(config.clone().pager(pager)).unwrap();
    }
    // Paging on demand by itself needs nothing else.
    let mut config = Config::new();
    let engine = Engine::new(config.pager(PagerKind::Demand)).unwrap();
    assert_eq!(run_in(&engine), TrapCode::MemoryOutOfBounds);
}

fn run_in(engine: &Engine) -> TrapCode {
    let module = Module::new(
        engine,
        "(module (memory 1) (func (export \"run\") (i32.store (i32.const -4) (i32.const 1))))",
    )
    .unwrap();
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    run.call(&mut store, ()).unwrap_err().trap().expect("a trap").code()
}
