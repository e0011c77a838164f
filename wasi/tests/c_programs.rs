//! C programs, compiled for wasi-libc, that do what programs do.
//!
//! They are built with the C compiler that `python3 -m pip install ziglang` brings. Without it these
//! tests say so and check nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use seqfault::{Engine, Linker, Module, Store};
use seqfault_wasi::{DirAccess, I32Exit, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, add_to_linker};

/// Whether the compiler is there.
fn compiler() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let mut version = Command::new("python3");
        version.args(["-m", "ziglang", "version"]).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    })
}

/// Compiles `tests/c/<name>.c`, or says why not.
fn compile(name: &str) -> Option<PathBuf> {
    if !compiler() {
        eprintln!("skipped: no C compiler for WASI; `python3 -m pip install ziglang` brings one");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/c/{name}.c"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.wasm"));
    let built = Command::new("python3")
        .args(["-m", "ziglang", "cc", "-target", "wasm32-wasi", "-O1", "-s"])
        .args([source.as_os_str(), "-o".as_ref(), program.as_os_str()])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// Runs a program to its end. Returns its exit status.
fn run(program: &Path, ctx: WasiCtx) -> i32 {
    let engine = Engine::default();
    let module = Module::from_file(&engine, program).unwrap();
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let mut store = Store::new(&engine, ctx);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").unwrap();
    match start.call(&mut store, ()) {
        Ok(()) => 0,
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => exit.0,
            None => panic!("{error:?}"),
        },
    }
}

#[test]
fn a_program_sees_the_world_it_was_given() {
    let Some(program) = compile("world") else {
        return;
    };
    let (out, err) = (MemoryOutputPipe::new(1 << 16), MemoryOutputPipe::new(1 << 16));
    let ctx = WasiCtxBuilder::new()
        .args(["world.wasm", "one", "two words"])
        .env("NAME", "value")
        .stdin(std::io::Cursor::new("first\nsecond\n"))
        .stdout(out.clone())
        .stderr(err.clone())
        .build()
        .unwrap();
    let status = run(&program, ctx);
    assert_eq!(String::from_utf8(err.contents()).unwrap(), "to the error stream\n");
    assert_eq!(
        String::from_utf8(out.contents()).unwrap(),
        "argv[0]=world.wasm\nargv[1]=one\nargv[2]=two words\n\
         NAME=value NONE=unset\nline: first\nline: second\n"
    );
    assert_eq!(status, 42);
}

#[test]
fn a_program_works_on_files_and_directories() {
    let Some(program) = compile("files") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(temp.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(temp.path().join("secret"), root.join("host-link")).unwrap();
    let out = MemoryOutputPipe::new(1 << 16);
    let ctx = WasiCtxBuilder::new()
        .arg("files.wasm")
        .stdout(out.clone())
        .preopened_dir(&root, "/", DirAccess::ReadWrite)
        .build()
        .unwrap();
    let status = run(&program, ctx);
    assert_eq!((status, String::from_utf8(out.contents()).unwrap().as_str()), (0, "all well\n"));
    let text = std::fs::read_to_string(root.join("text")).unwrap();
    assert!(text.ends_with("line 9999\nlast\n"));
}
