//! Work that the host does for a guest, and that would take long, ends soon after it is interrupted.

use seqfault::{
    Compilation, CompileError, Config, Engine, Error, Instance, Module, Result, Store, TrapCode,
    UpdateDeadline,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// When guests are interrupted.
const LIMIT: Duration = Duration::from_millis(100);

/// How much processor time they may take. Each case would take several times that to its end.
const BOUND: Duration = Duration::from_secs(1);

/// How long they may take on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(10);

/// The processor time of the calling thread.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is writable.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn engine() -> Engine {
    Engine::new(Config::new().epoch_interruption(true)).unwrap()
}

/// A module that works for long when it is instantiated, or when `run` is called.
const CASES: &[(&str, &str)] = &[
    (
        "memory.fill",
        r#"(memory 65535) (func (export "run")
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 0xffff0000)))"#,
    ),
    (
        "memory.fill of a 64-bit memory",
        r#"(memory i64 900000) (func (export "run")
            (memory.fill (i64.const 0) (i32.const 1) (i64.const 0xdbba00000)))"#,
    ),
    (
        "memory.copy forward",
        r#"(memory 65535) (func (export "run")
            (memory.copy (i32.const 0) (i32.const 64) (i32.const 0xfffeff00)))"#,
    ),
    (
        "memory.copy backward",
        r#"(memory 65535) (func (export "run")
            (memory.copy (i32.const 64) (i32.const 0) (i32.const 0xfffeff00)))"#,
    ),
    (
        "memory.copy between memories",
        r#"(memory 65535) (memory 65535) (func (export "run")
            (memory.copy 0 1 (i32.const 0) (i32.const 0) (i32.const 0xffff0000)))"#,
    ),
    (
        "array.new",
        r#"(type $a (array (mut i8))) (func (export "run")
            (drop (array.new $a (i32.const 1) (i32.const 2100000000))))"#,
    ),
    (
        "array.fill with vectors",
        r#"(type $a (array (mut v128))) (func (export "run")
            (array.fill $a (array.new_default $a (i32.const 130000000)) (i32.const 0)
              (v128.const i64x2 1 2) (i32.const 130000000)))"#,
    ),
    ("tables that are filled", "TABLES"),
    ("globals with large arrays", "ARRAYS"),
    ("segments with large arrays", "SEGMENT"),
    ("a start function", r#"(func $start (loop $l (br $l))) (start $start)"#),
];

fn module_of(text: &str) -> String {
    let text = match text {
        "TABLES" => format!("(func $f) {}", "(table 10000000 (ref func) (ref.func $f))".repeat(90)),
        "ARRAYS" => format!(
            "(type $a (array i8)) {}",
            "(global (ref $a) (array.new $a (i32.const 1) (i32.const 30000000)))".repeat(900)
        ),
        "SEGMENT" => format!(
            "(type $a (array i8)) (elem (ref $a) {})",
            "(array.new $a (i32.const 1) (i32.const 30000000))".repeat(60)
        ),
        text => text.to_owned(),
    };
    format!("(module {text})")
}

/// Instantiates `module`, calls its function `run`, and gives the error that stops it in time.
fn interrupted(
    name: &str,
    store: &mut Store<()>,
    module: &Module,
    interrupt: impl FnOnce() + Send,
) -> Error {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(LIMIT);
            interrupt();
        });
        let worked = thread_time();
        let outcome = Instance::new(&mut *store, module, &[]).and_then(|instance| {
            instance.get_typed_func::<(), ()>(&mut *store, "run")?.call(&mut *store, ())
        });
        let (took, worked) = (begun.elapsed(), thread_time() - worked);
        let error = outcome.expect_err(name);
        assert!(took >= LIMIT && took < PATIENCE, "{name}: {took:?}, {error}");
        assert!(worked < BOUND, "{name}: {worked:?} of {took:?}, {error}");
        error
    })
}

#[test]
fn an_interruption_ends_whatever_the_host_does_for_a_guest() {
    let engine = engine();
    for (name, text) in CASES {
        let module = Module::new(&engine, module_of(text)).unwrap();
        let mut store = Store::new(&engine, ());
        let handle = store.interrupt_handle();
        let error = interrupted(name, &mut store, &module, || handle.interrupt());
        assert_eq!(error.trap().map(|trap| trap.code()), Some(TrapCode::Interrupt), "{name}");
    }
}

#[test]
fn a_deadline_and_its_callback_end_it_as_well() {
    let engine = engine();
    let (name, text) = CASES[0];
    let module = Module::new(&engine, module_of(text)).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(1);
    let error = interrupted(name, &mut store, &module, || engine.increment_epoch());
    assert_eq!(error.trap().map(|trap| trap.code()), Some(TrapCode::Interrupt));

    let (name, text) = CASES[7];
    let module = Module::new(&engine, module_of(text)).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| {
        // What the callback makes is there afterwards, though the instantiation is given up.
        let another = Module::new(store.engine(), "(module)")?;
        Instance::new(&mut store, &another, &[])?;
        Err(Error::msg("enough"))
    });
    let error = interrupted(name, &mut store, &module, || engine.increment_epoch());
    assert_eq!(error.to_string(), "enough");
    store.gc().unwrap();
}

#[test]
fn a_callback_that_lets_the_guest_go_on_changes_no_result() -> Result<()> {
    // Some pieces and a little more, from and to addresses that are not aligned.
    const LEN: usize = (9 << 20) + 12_345;
    let engine = engine();
    let module = Module::new(
        &engine,
        format!(
            r#"(module (memory (export "memory") 400)
                (func (export "forward") (memory.copy (i32.const 13) (i32.const 777) (i32.const {LEN})))
                (func (export "backward") (memory.copy (i32.const 777) (i32.const 13) (i32.const {LEN})))
                (func (export "fill") (memory.fill (i32.const 13) (i32.const 0xab) (i32.const {LEN}))))"#
        ),
    )?;
    let asked = AtomicUsize::new(0);
    let asked: &'static AtomicUsize = Box::leak(Box::new(asked));
    let mut store = Store::new(&engine, ());
    store.epoch_deadline_callback(|_| {
        asked.fetch_add(1, Ordering::Relaxed);
        // Over again at once.
        Ok(UpdateDeadline::Continue(0))
    });
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_memory(&mut store, "memory").expect("exported");
    let mut expected: Vec<u8> = (0..LEN as u32 + 2000).map(|i| ((i * 31) >> 3) as u8).collect();
    memory.write(&mut store, 0, &expected)?;
    store.set_epoch_deadline(0);
    for name in ["forward", "backward", "fill"] {
        match name {
            "forward" => expected.copy_within(777..777 + LEN, 13),
            "backward" => expected.copy_within(13..13 + LEN, 777),
            _ => expected[13..13 + LEN].fill(0xab),
        }
        let before = asked.load(Ordering::Relaxed);
        instance.get_typed_func::<(), ()>(&mut store, name)?.call(&mut store, ())?;
        let times = asked.load(Ordering::Relaxed) - before;
        assert!(times >= 3, "{name} asked {times} times");
        let mut found = vec![0; expected.len()];
        memory.read(&store, 0, &mut found)?;
        assert!(found == expected, "{name}");
    }
    Ok(())
}

#[test]
fn compilations_stop_between_functions() {
    let body = "(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (i32.const 3))))";
    let function = format!("(func (param i32) {})", body.repeat(150));
    let bytes = wat::parse_str(format!("(module {})", function.repeat(3_000))).unwrap();
    let engine = Engine::new(Config::new().compilation(Compilation::Eager)).unwrap();
    std::thread::scope(|scope| {
        let begun = Instant::now();
        scope.spawn(|| {
            std::thread::sleep(LIMIT);
            engine.interrupt_compilations();
        });
        let error = Module::new(&engine, &bytes).expect_err("it takes longer");
        let took = begun.elapsed();
        assert!(matches!(error.downcast_ref(), Some(CompileError::Interrupted)), "{error}");
        assert!(took < LIMIT + 3 * BOUND, "{took:?}");
    });
    assert!(Module::new(&engine, "(module (func))").is_err(), "and all that come later");
}

#[test]
fn a_compilation_on_the_first_call_can_be_interrupted() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, r#"(module (func (export "run")))"#)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    engine.interrupt_compilations();
    let error = run.call(&mut store, ()).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(CompileError::Interrupted)), "{error}");
    Ok(())
}
