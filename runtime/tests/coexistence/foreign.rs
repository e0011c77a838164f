//! Hosts that are no Rust programs, and programs that look on: what of them is installed here.

use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::{Failed, Trial};

use crate::copies::library;

/// Whether the program is there; says so if not.
fn is_there(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

fn expect(output: &Output, is_right: bool) -> Result<(), Failed> {
    match is_right {
        true => Ok(()),
        false => Err(format!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
        .into()),
    }
}

fn passed(output: &Output) -> Result<(), Failed> {
    expect(output, output.status.success())
}

/// Compiles a host in C and runs it with the shared library as its argument.
fn run_c(directory: &Path, name: &str, flags: &[&str]) -> Result<Output, Failed> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/coexistence/host.c");
    let program = directory.join(name);
    let compiled =
        Command::new("cc").args(flags).arg(source).arg("-o").arg(&program).arg("-ldl").output()?;
    passed(&compiled)?;
    Ok(Command::new(program).arg(library()).output()?)
}

/// A host in C, with a sanitizer's handlers and shadow memory around us.
fn sanitized(sanitizer: &'static str) -> Trial {
    Trial::test(format!("foreign::{sanitizer}_sanitizer"), move || {
        if !is_there("cc") {
            return Ok(());
        }
        let directory = tempfile::tempdir()?;
        passed(&run_c(directory.path(), "host", &[&format!("-fsanitize={sanitizer}"), "-g"])?)
    })
}

/// CPython's own crash reporter, switched on after us, and a crash at the end.
fn python() -> Trial {
    Trial::test("foreign::python_with_faulthandler", || {
        if !is_there("python3") {
            return Ok(());
        }
        let source = r#"
import ctypes, faulthandler, sys, threading
library = ctypes.CDLL(sys.argv[1])
assert library.seqfault_copy_use_all() == 0
faulthandler.enable()
assert library.seqfault_copy_use_all() == 0
assert library.seqfault_copy_use_old() == 0
thread = threading.Thread(target=lambda: print(library.seqfault_copy_use_all()))
thread.start()
thread.join()
faulthandler.disable()
assert library.seqfault_copy_use_all() == 0
faulthandler.enable()
assert library.seqfault_copy_use_all() == 0
print("right", flush=True)
ctypes.string_at(64)
"#;
        let output = Command::new("python3").args(["-c", source]).arg(library()).output()?;
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let reported = err.matches("Fatal Python error: Segmentation fault").count();
        expect(&output, out == "0\nright\n" && reported == 1 && !output.status.success())
    })
}

/// What docs/coexistence.md tells users of gdb: a program runs to its end.
fn gdb(case: &'static str, signals: &'static str) -> Trial {
    Trial::test(format!("foreign::gdb::{case}"), move || {
        if !is_there("gdb") {
            return Ok(());
        }
        let program = std::env::current_exe()?;
        let output = Command::new("gdb")
            .args(["-batch", "-nx", "-ex", signals])
            .args(["-ex", "run", "--args"])
            .arg(program)
            .env(crate::MARK, case)
            .output()?;
        expect(&output, String::from_utf8_lossy(&output.stdout).contains("exited normally"))
    })
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        sanitized("address"),
        sanitized("thread"),
        python(),
        gdb("plain::touches", "handle SIGBUS SIGSEGV nostop noprint pass"),
        gdb("plain::traps", "handle SIGBUS SIGSEGV SIGILL SIGFPE nostop noprint pass"),
    ]
}
