//! The interface as a module sees it: what it can import, and how the functions treat its memory.

mod common;

use common::{FUNCTIONS, imports};
use seqfault::{Engine, Linker, Module, Store, StoreLimits, StoreLimitsBuilder};
use seqfault_wasi::{
    I32Exit, Interrupted, MemoryOutputPipe, PointerError, WasiCtx, WasiCtxBuilder, add_to_linker,
};

/// Runs the export `run` of a module that imports `names`. Returns its result and what it printed.
fn run(names: &[&str], rest: &str, ctx: WasiCtxBuilder) -> (seqfault::Result<i32>, Vec<u8>) {
    let stdout = MemoryOutputPipe::new(1 << 20);
    let ctx = ctx.stdout(stdout.clone()).build().unwrap();
    let result = run_in(names, rest, ctx, StoreLimits::default());
    (result, stdout.contents())
}

fn run_in(names: &[&str], rest: &str, ctx: WasiCtx, limits: StoreLimits) -> seqfault::Result<i32> {
    let engine = Engine::default();
    let module = Module::new(&engine, format!("(module {} {rest})", imports(names)))?;
    let mut linker: Linker<(WasiCtx, StoreLimits)> = Linker::new(&engine);
    add_to_linker(&mut linker, |data| &mut data.0)?;
    let mut store = Store::new(&engine, (ctx, limits));
    store.limiter(|data| &mut data.1);
    let instance = linker.instantiate(&mut store, &module)?;
    instance.get_typed_func::<(), i32>(&mut store, "run")?.call(&mut store, ())
}

#[test]
fn all_46_functions_can_be_imported_with_their_types() {
    let names = FUNCTIONS.map(|(name, _)| name);
    let rest = r#"(func (export "run") (result i32) (i32.const 46))"#;
    assert_eq!(run(&names, rest, WasiCtxBuilder::new()).0.unwrap(), 46);
}

#[test]
fn exit_is_an_error_that_carries_the_status() {
    let rest =
        r#"(func (export "run") (result i32) (call $proc_exit (i32.const 300)) unreachable)"#;
    let error = run(&["proc_exit"], rest, WasiCtxBuilder::new()).0.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&I32Exit(300)));
    assert!(error.trap().is_none());
}

#[test]
fn an_errno_is_a_result() {
    let rest = r#"(func (export "run") (result i32) (call $fd_close (i32.const 99)))"#;
    assert_eq!(run(&["fd_close"], rest, WasiCtxBuilder::new()).0.unwrap(), 8);
}

#[test]
fn pointers_that_are_not_allowed_end_the_guest() {
    let out_of_bounds = |at| PointerError::OutOfBounds { at, len: 4 };
    let cases = [
        (65536, out_of_bounds(65536), "4 bytes at 0x10000, beyond the end of the memory"),
        (-4, out_of_bounds(u32::MAX - 3), "4 bytes at 0xfffffffc, beyond the end of the memory"),
        (2, PointerError::Misaligned { at: 2, align: 4 }, "0x2, which must be a multiple of 4"),
    ];
    for (at, want, words) in cases {
        let rest = format!(
            r#"(memory (export "memory") 1)
               (func (export "run") (result i32)
                 (call $args_sizes_get (i32.const {at}) (i32.const 0)))"#
        );
        let error = run(&["args_sizes_get"], &rest, WasiCtxBuilder::new()).0.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&want));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_caller_without_a_memory_is_told_so() {
    let rest = r#"(memory 1) (func (export "run") (result i32)
        (drop (call $sched_yield))
        (call $random_get (i32.const 0) (i32.const 1)))"#;
    let error = run(&["sched_yield", "random_get"], rest, WasiCtxBuilder::new()).0.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&PointerError::NoMemory));
    assert!(error.to_string().contains("\"memory\""), "{error}");
}

#[test]
fn buffers_nobody_has_touched_yet_can_be_read_into() {
    // The kernel returns EFAULT where a program's own access would be faulted in: 24 MiB of a memory
    // that is otherwise untouched, over many windows, with the last bytes in the last page.
    let size = 24 << 20;
    let path = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..size).map(|at: usize| (at / 4096 % 251) as u8).collect();
    std::fs::write(path.path(), &bytes).unwrap();
    let rest = format!(
        r#"(memory (export "memory") 400)
           (func (export "run") (result i32)
             (i32.store (i32.const 0) (i32.const 65530))
             (i32.store (i32.const 4) (i32.const {size}))
             (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
               (then unreachable))
             (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12))
               (then unreachable))
             (i32.load (i32.const 8)))"#
    );
    let out = tempfile::NamedTempFile::new().unwrap();
    let ctx = WasiCtxBuilder::new()
        .stdin_fd(path.reopen().unwrap())
        .stdout_fd(out.reopen().unwrap())
        .build()
        .unwrap();
    let read = run_in(&["fd_read", "fd_write"], &rest, ctx, StoreLimits::default()).unwrap();
    assert_eq!(read, size as i32);
    assert!(std::fs::read(out.path()).unwrap() == bytes, "what was written is what was read");
}

#[test]
fn offering_a_large_buffer_costs_only_what_is_read() {
    let engine = Engine::default();
    let module = Module::new(
        &engine,
        format!(
            r#"(module {}
                 (memory (export "memory") 8192)
                 (func (export "run") (result i32)
                   (i32.store (i32.const 4) (i32.const 0x1fff0000))
                   (i32.store (i32.const 0) (i32.const 65536))
                   (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                   (i32.load (i32.const 8))))"#,
            imports(&["fd_read"])
        ),
    )
    .unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"ten bytes.").unwrap();
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let ctx = WasiCtxBuilder::new().stdin_fd(reader).build().unwrap();
    let mut store = Store::new(&engine, ctx);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 10);
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    assert!(memory.resident(&store) <= 4 << 20, "{} bytes resident", memory.resident(&store));
}

#[test]
fn a_guest_that_sleeps_can_be_interrupted() {
    let rest = r#"(memory (export "memory") 1)
        (func (export "run") (result i32)
          (i32.store (i32.const 16) (i32.const 1))
          (i64.store (i32.const 24) (i64.const -1))
          (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"#;
    let ctx = WasiCtxBuilder::new().build().unwrap();
    let handle = ctx.interrupt_handle().unwrap();
    let interrupter = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        handle.interrupt();
    });
    let error = run_in(&["poll_oneoff"], rest, ctx, StoreLimitsBuilder::new().build()).unwrap_err();
    assert!(error.is::<Interrupted>(), "{error}");
    interrupter.join().unwrap();
}

#[test]
fn two_stores_share_one_context() {
    let rest = r#"(memory (export "memory") 1)
        (data (i32.const 0) "\08\00\00\00\01\00\00\00x")
        (func (export "run") (result i32)
          (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))"#;
    let stdout = MemoryOutputPipe::new(100);
    let ctx = WasiCtxBuilder::new().stdout(stdout.clone()).build().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let ctx = ctx.clone();
            std::thread::spawn(move || run_in(&["fd_write"], rest, ctx, StoreLimits::default()))
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().unwrap(), 0);
    }
    assert_eq!(stdout.contents(), b"xxxx");
}
