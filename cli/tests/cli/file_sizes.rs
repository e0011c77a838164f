//! The program where files may have a certain size only.

use crate::support::{Bench, Outcome};
use std::process::{Command, Stdio};

#[test]
fn a_file_that_may_not_grow_is_an_error_of_the_call() {
    // The first write ends at the limit. All later calls would exceed it.
    let program = r#"(module
        (import "wasi_snapshot_preview1" "path_open" (func $open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_pwrite"
            (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_filestat_set_size"
            (func $resize (param i32 i64) (result i32)))
        (import "wasi_snapshot_preview1" "fd_allocate"
            (func $allocate (param i32 i64 i64) (result i32)))
        (memory (export "memory") 2)
        (data (i32.const 0) "\00\00\00\00\00\00\01\00")
        (data (i32.const 64) "file")
        (func $too_big (param i32)
            (if (i32.ne (local.get 0) (i32.const 22)) (then unreachable)))
        (func (export "_start") (local $file i32)
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4)
                    (i32.const 1) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 32))
                (then unreachable))
            (local.set $file (i32.load (i32.const 32)))
            (if (call $write (local.get $file) (i32.const 0) (i32.const 1) (i32.const 8))
                (then unreachable))
            (call $too_big
                (call $write (local.get $file) (i32.const 0) (i32.const 1) (i32.const 8)))
            (call $too_big
                (call $pwrite (local.get $file) (i32.const 0) (i32.const 1)
                    (i64.const 0x100000) (i32.const 8)))
            (call $too_big (call $resize (local.get $file) (i64.const 0x100000)))
            (call $too_big
                (call $allocate (local.get $file) (i64.const 0) (i64.const 0x100000)))
            (call $too_big
                (call $allocate (local.get $file) (i64.const 0) (i64.const 0x10000000)))))"#;
    let bench = Bench::with("p.wat", program);
    bench.write("data/x", "");
    let mut command = Command::new("sh");
    command.arg("-c").arg("ulimit -f 16; exec \"$0\" run --dir data::/ p.wat");
    command.arg(env!("CARGO_BIN_EXE_seqfault"));
    let output = command.current_dir(bench.path()).stdin(Stdio::null()).output();
    Outcome::of(output.expect("the shell starts")).succeeds_with("");
    let written = std::fs::metadata(bench.path().join("data/file")).unwrap().len();
    // The shell counts in blocks of 512 or 1024 bytes.
    assert!([8 << 10, 16 << 10].contains(&written), "{written}");
}
