//! The system has no memory: every allocation whose size or number a guest chooses may fail, and what
//! comes of it is an error, a trap or -1, and nothing that leaks.
//!
//! A global allocator refuses the k-th allocation of some size and above, for every k until none is
//! refused any more. Smaller ones are those that the library says may end the process: they have a
//! size of their own. Modules are compiled before.

use seqfault::{
    Config, Engine, Error, ExternRef, Func, Instance, Linker, Module, Result, Rooted, Store,
    TrapCode,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Allocations of fewer bytes are not refused.
const SMALLEST: usize = 512;

thread_local! {
    /// How many allocations pass before one is refused; `usize::MAX` for all.
    static PASS: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Allocations of this thread that are not freed yet.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Failing;

/// Whether an allocation of this size is refused.
fn refuses(size: usize) -> bool {
    let pass = PASS.get();
    if size < SMALLEST || pass == usize::MAX {
        return false;
    }
    PASS.set(pass.wrapping_sub(1));
    if pass == 0 && shows_refused() {
        eprintln!("refused {size} bytes: {}", std::backtrace::Backtrace::force_capture());
    }
    pass == 0
}

/// Whether each refused allocation is shown, for who looks for those that end the process. That
/// allocates by itself, for good.
fn shows_refused() -> bool {
    std::env::var_os("SEQFAULT_SHOW_REFUSED").is_some()
}

// SAFETY: the system's allocator, which may fail at any time.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        LIVE.set(LIVE.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        LIVE.set(LIVE.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && refuses(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - 1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Keeps the other tests of this process waiting: what the process has in common keeps allocations
/// of one thread for the next.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Refused,
}

/// Runs `work` in a store of its own, with the k-th allocation refused, for every k; how many there
/// were. The work says itself whether what it got is right.
fn sweep(engine: &Engine, mut work: impl FnMut(&mut Store<()>) -> Outcome) -> usize {
    let mut run = |pass: usize| {
        let mut store = Store::new(engine, ());
        PASS.set(pass);
        let outcome = work(&mut store);
        let was_refused = PASS.replace(usize::MAX) == usize::MAX;
        drop(store);
        (outcome, was_refused)
    };
    // What the engine keeps from the first time on.
    assert_eq!(run(usize::MAX).0, Outcome::Done);
    for pass in 0.. {
        let before = LIVE.get();
        let (outcome, was_refused) = run(pass);
        if !shows_refused() {
            assert_eq!(LIVE.get(), before, "allocation {pass} was refused, and something leaks");
        }
        if !was_refused {
            assert_eq!(outcome, Outcome::Done);
            return pass;
        }
    }
    unreachable!()
}

/// An error is one that says that there is no memory.
fn judge(result: Result<()>) -> Outcome {
    let Err(error) = result else { return Outcome::Done };
    let no_memory = |error: &Error| match error.trap() {
        Some(trap) => matches!(trap.code(), TrapCode::OutOfMemory | TrapCode::GcHeapOutOfMemory),
        None => error.to_string().contains("memory"),
    };
    assert!(no_memory(&error), "{error}");
    Outcome::Refused
}

fn linker(engine: &Engine) -> Linker<()> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "nothing", || ()).unwrap();
    linker
}

#[test]
fn instantiation() {
    let _alone = alone();
    let engine = Engine::default();
    let repeat = |count: usize, text: &str| text.repeat(count);
    let text = format!(
        r#"(module {imports}
            (type $s (struct (field i32))) (type $a (array (ref $s)))
            {tags} {memories} {tables} {globals}
            (global (ref $a) (array.new_fixed $a 300 {structs}))
            (global (ref $a) (array.new $a (struct.new $s (i32.const 1)) (i32.const 1000)))
            (func $f)
            {elements} {data}
            (elem $large (ref $s) {items})
            (func (export "run")))"#,
        imports = repeat(300, r#"(import "host" "nothing" (func))"#),
        tags = repeat(200, "(tag (param i32))"),
        memories = repeat(10, "(memory 1)"),
        tables = repeat(40, "(table 500 funcref) (table 500 (ref func) (ref.func $f))"),
        globals = repeat(200, "(global i64 (i64.const 1))"),
        structs = repeat(300, "(struct.new $s (i32.const 1))"),
        elements = repeat(600, "(elem (table 0) (i32.const 0) func $f)"),
        data = repeat(600, r#"(data (i32.const 0) "x")"#),
        items = repeat(300, "(item (struct.new $s (i32.const 1)))"),
    );
    let module = Module::new(&engine, text).unwrap();
    let linker = linker(&engine);
    let count = sweep(&engine, |store| judge(linker.instantiate(store, &module).map(drop)));
    assert!(count >= 10, "only {count} allocations were refused");
}

#[test]
fn tables() {
    let _alone = alone();
    let engine = Engine::default();
    let module = Module::new(
        &engine,
        r#"(module (func $f) (elem declare func $f)
            (table $nulls 1000 funcref) (table $full 1000 (ref func) (ref.func $f))
            (func (export "run") (result i32)
                (i32.add (table.grow $nulls (ref.null func) (i32.const 100000))
                    (table.grow $full (ref.func $f) (i32.const 100000)))))"#,
    )
    .unwrap();
    let count = sweep(&engine, |store| {
        let grown = Instance::new(&mut *store, &module, &[]).and_then(|instance| {
            instance.get_typed_func::<(), i32>(&mut *store, "run")?.call(store, ())
        });
        match grown {
            Ok(2000) => Outcome::Done,
            // One of them, or both.
            Ok(999 | -2) => Outcome::Refused,
            Ok(other) => panic!("{other}"),
            Err(error) => judge(Err(error)),
        }
    });
    assert!(count >= 4, "only {count} allocations were refused");
}

#[test]
fn memories() {
    let _alone = alone();
    let engine = Engine::default();
    let module = Module::new(
        &engine,
        r#"(module (memory 1) (func (export "run") (result i32)
            (drop (memory.grow (i32.const 1000)))
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x200000))
            (i32.load8_u (i32.const 65535))))"#,
    )
    .unwrap();
    sweep(&engine, |store| {
        let run = Instance::new(&mut *store, &module, &[]).and_then(|instance| {
            instance.get_typed_func::<(), i32>(&mut *store, "run")?.call(store, ())
        });
        match run {
            Ok(byte) => {
                assert_eq!(byte, 7);
                Outcome::Done
            }
            // The memory has not grown.
            Err(error) if error.trap().is_some_and(|t| t.code() == TrapCode::MemoryOutOfBounds) => {
                Outcome::Refused
            }
            Err(error) => judge(Err(error)),
        }
    });
}

#[test]
fn objects_and_collections() {
    let _alone = alone();
    for stress in [false, true] {
        let engine = Engine::new(Config::new().gc_stress(stress)).unwrap();
        let module = Module::new(
            &engine,
            r#"(module (import "host" "new" (func $new (result externref)))
                (type $node (struct (field externref) (field (ref null $node))))
                (global $list (mut (ref null $node)) (ref.null $node))
                (func (export "run") (param $n i32)
                  (loop $more
                    (global.set $list (struct.new $node (call $new) (global.get $list)))
                    (drop (call $new))
                    (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#,
        )
        .unwrap();
        let count = sweep(&engine, |store| {
            let new = Func::wrap(&mut *store, |mut caller: seqfault::Caller<'_, ()>| {
                ExternRef::new(&mut caller, [7u8; 3]).map(Some)
            });
            let run = (|| {
                let instance = Instance::new(&mut *store, &module, &[new.into()])?;
                let run = instance.get_typed_func::<i32, ()>(&mut *store, "run")?;
                run.call(&mut *store, 200)?;
                store.gc()
            })();
            // What is there is whole.
            store.gc().unwrap();
            judge(run)
        });
        assert!(count >= 4, "only {count} allocations were refused");
    }
}

#[test]
fn calls_traps_and_exceptions() {
    let _alone = alone();
    let engine = Engine::new(Config::new().max_backtrace_frames(1_000)).unwrap();
    let params = "i64 ".repeat(900);
    let values = "(i64.const 5)".repeat(900);
    let drops = "drop ".repeat(900);
    let text = format!(
        r#"(module $with_names (tag $t (param {params}))
            (func $wide (param {params}) (result {params}) {values})
            (func $throw (throw $t {values}))
            (func $dive (param i32)
              (if (local.get 0) (then (call $dive (i32.sub (local.get 0) (i32.const 1)))) (else unreachable)))
            (func (export "call") (call $wide {values}) {drops})
            (func (export "caught")
              (block $h (result {params}) (try_table (catch $t $h) (call $throw)) (return)) {drops})
            (func (export "thrown") (call $throw))
            (func (export "trap") (call $dive (i32.const 500)))
            (export "wide" (func $wide)))"#
    );
    let module = Module::new(&engine, text).unwrap();
    for name in ["call", "caught", "thrown", "trap"] {
        sweep(&engine, |store| {
            let called = Instance::new(&mut *store, &module, &[]).and_then(|instance| {
                instance.get_typed_func::<(), ()>(&mut *store, name)?.call(store, ())
            });
            match (name, called) {
                ("thrown", Err(error)) if error.is::<seqfault::ThrownException>() => Outcome::Done,
                ("trap", Err(error)) if error.trap().is_some() => {
                    let code = error.trap().map(|trap| trap.code());
                    assert_eq!(code, Some(TrapCode::Unreachable));
                    Outcome::Done
                }
                (_, called) => judge(called),
            }
        });
    }
}

#[test]
fn references_that_the_host_holds() {
    let _alone = alone();
    let engine = Engine::default();
    sweep(&engine, |store| {
        let held = (|| {
            let reference: Rooted<ExternRef> = ExternRef::new(&mut *store, 7u8)?;
            let mut handles = [const { None }; 300];
            for handle in &mut handles {
                *handle = Some(reference.to_owned_rooted(&mut *store)?);
            }
            store.gc()
        })();
        store.gc().unwrap();
        judge(held)
    });
}
