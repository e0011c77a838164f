//! A guest writes to what nobody reads, in a process that SIGPIPE ends. A test program of its own, since it changes what
//! SIGPIPE does.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use seqfault::{Engine, Linker, Module, Store};
use seqfault_wasi::{WasiCtx, WasiCtxBuilder, add_to_linker};

const GUEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_send"
        (func $send (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\40\00\00\00\04\00\00\00")
    (func (export "send") (param i32) (result i32)
        (call $send (local.get 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8)))
    (func (export "write") (param i32) (result i32)
        (call $write (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8))))"#;

/// A connection whose other end is closed, so that no more can be sent.
fn closed_connection() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap());
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    ours
}

#[test]
fn a_write_that_nobody_reads_is_an_error_of_the_call() {
    // SAFETY: the default action, in a process of its own.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (one, _) = UnixStream::pair().unwrap();
    let engine = Engine::default();
    let module = Module::new(&engine, GUEST).unwrap();
    let (_, pipe) = std::io::pipe().unwrap();
    let mut context = WasiCtxBuilder::new().preopened_socket(one);
    context = context.preopened_socket(closed_connection());
    let context = context.stdout_fd(pipe).build().unwrap();
    let mut store = Store::new(&engine, context);
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker, |context: &mut WasiCtx| context).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    for (function, descriptor) in [("write", 1), ("write", 3), ("send", 3), ("write", 4)] {
        let function = instance.get_typed_func::<i32, i32>(&mut store, function).unwrap();
        // EPIPE.
        assert_eq!(function.call(&mut store, descriptor).unwrap(), 64, "{descriptor}");
    }
}
