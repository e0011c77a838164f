//! What is not ours: a segfault of the host itself, and handlers that were there before.
//!
//! Each case runs in a process of its own: this test program, started again.

use seqfault::{Engine, Instance, Module, Store};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

/// Runs `case` in a new process of this program.
fn in_child(test: &str) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("SEQFAULT_SIGNAL_CHILD", "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
}

fn is_child() -> bool {
    std::env::var_os("SEQFAULT_SIGNAL_CHILD").is_some()
}

/// Touches memory and traps, so that everything is in place.
fn use_wasm() {
    let engine = Engine::default();
    let module = Module::new(
        &engine,
        r#"(module (memory 1) (func (export "run") (i32.store (i32.const 0) (i32.const 1)) unreachable))"#,
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    assert!(run.call(&mut store, ()).unwrap_err().trap().is_some());
}

fn segfault() {
    // SAFETY: none; dying of it is the point.
    unsafe { std::ptr::without_provenance_mut::<u8>(64).write_volatile(1) };
}

#[test]
fn a_segfault_of_the_host_still_kills() {
    if is_child() {
        use_wasm();
        segfault();
        std::process::exit(0);
    }
    assert_eq!(in_child("a_segfault_of_the_host_still_kills").signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_segfault_inside_a_host_function_still_kills() {
    if is_child() {
        let engine = Engine::default();
        let module = Module::new(&engine, r#"(module (import "" "" (func)) (start 0))"#).unwrap();
        let mut store = Store::new(&engine, ());
        let f = seqfault::Func::wrap(&mut store, segfault);
        let _ = Instance::new(&mut store, &module, &[f.into()]);
        std::process::exit(0);
    }
    let status = in_child("a_segfault_inside_a_host_function_still_kills");
    assert_eq!(status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_signal_sent_by_a_process_keeps_its_default() {
    if is_child() {
        // Rust's own handler, there before ours, lets a signal that was sent pass.
        // SAFETY: the default action is always sound.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        use_wasm();
        // SAFETY: raising a signal has no preconditions.
        unsafe { libc::raise(libc::SIGSEGV) };
        std::process::exit(0);
    }
    let status = in_child("a_signal_sent_by_a_process_keeps_its_default");
    assert_eq!(status.signal(), Some(libc::SIGSEGV));
}

extern "C" fn exits_with_77(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to SA_SIGINFO handlers of SIGSEGV.
    let addr = unsafe { (*info).si_addr() } as usize;
    // SAFETY: `_exit` may be called in a handler.
    unsafe { libc::_exit(if addr == 64 { 77 } else { 78 }) };
}

#[test]
fn a_handler_installed_before_still_gets_its_segfaults() {
    if is_child() {
        // SAFETY: a valid handler; the struct is fully initialised.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = exits_with_77 as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            assert_eq!(libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut()), 0);
        }
        use_wasm();
        segfault();
        std::process::exit(0);
    }
    let status = in_child("a_handler_installed_before_still_gets_its_segfaults");
    assert_eq!(status.code(), Some(77));
}
