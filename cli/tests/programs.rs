//! Real programs: CPython, Yosys, what makes bitstreams of its designs, a C program that reads and
//! writes files, and C programs with threads.
//!
//! `examples/programs.sh` fetches them. Without them the tests say so and prove nothing. They run
//! one after the other: two of them compare times.

#![deny(unsafe_code)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A program that was fetched, and the right to run it alone.
struct Program {
    path: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// The program with this file name; none, with a message, when it was not fetched.
fn fetched(name: &str) -> Option<Program> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let places = [target, &workspace].map(|folder| folder.join("programs").join(name));
    let Some(path) = places.into_iter().find(|path| path.exists()) else {
        // Past the test harness, which keeps what passing tests print to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {name} is not there, examples/programs.sh fetches it"
        );
        return None;
    };
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Some(Program { path, _alone: alone })
}

impl Program {
    /// `seqfault run OPTIONS PROGRAM ARGUMENTS`.
    fn command(&self, options: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seqfault"));
        command.arg("run").args(options).arg(&self.path).args(arguments).stdin(Stdio::null());
        command
    }

    /// What it prints, when it succeeds.
    #[track_caller]
    fn prints(&self, options: &[&str], arguments: &[&str]) -> String {
        let output = self.command(options, arguments).output().expect("seqfault starts");
        assert!(output.status.success(), "{}", all_of(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// How much processor time it takes, on all of its threads together.
    fn takes(&self, options: &[&str], arguments: &[&str]) -> Duration {
        let begun = time_of_children();
        self.prints(options, arguments);
        time_of_children() - begun
    }
}

/// Processor time of the children that have ended: what other processes do at the same time is not in it.
fn time_of_children() -> Duration {
    // proc_pid_stat(5): the fields behind the name in brackets start with the third; cutime and cstime are the 16th and
    // 17th, in hundredths of a second.
    let stat = fs::read_to_string("/proc/self/stat").expect("the proc file system");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks: u64 =
        fields.split(' ').skip(13).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

fn all_of(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn data_option() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data::.").to_owned()
}

#[test]
fn cpython_computes_and_prints_json() {
    let Some(python) = fetched("python.wasm") else { return };
    let program = "import json; print(json.dumps({'a': sum(range(10**6))}))";
    assert_eq!(python.prints(&[], &["-c", program]), "{\"a\": 499999500000}\n");
}

#[test]
fn cpython_has_enough_stack_without_signals_too() {
    let Some(python) = fetched("python.wasm") else { return };
    let printed = python.prints(&["--no-signals-based-traps"], &["-c", "print(1)"]);
    assert_eq!(printed, "1\n");
}

#[test]
fn cpython_works_with_files_and_the_environment() {
    let Some(python) = fetched("python.wasm") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("in.txt"), "b\na\nc\n").expect("a file");
    let program = "\
import os, sys
lines = sorted(open('/work/in.txt').read().split())
os.mkdir('/work/out')
with open('/work/out/draft', 'w') as f: f.write(' '.join(lines) + os.environ['END'])
os.rename('/work/out/draft', '/work/out/done')
print(os.listdir('/work/out'), sys.argv[1:])
sys.exit(3)";
    let dir = format!("{}::/work", folder.path().display());
    let options = ["--dir", &dir, "--env", "END=!"];
    let output = python.command(&options, &["-c", program, "-x", "y"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(3), "{}", all_of(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "['done'] ['-x', 'y']\n");
    let written = fs::read_to_string(folder.path().join("out/done")).expect("what it wrote");
    assert_eq!(written, "a b c!");
}

#[test]
fn cpython_cannot_leave_its_directory() {
    let Some(python) = fetched("python.wasm") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("inside")).expect("a folder");
    fs::write(folder.path().join("secret"), "secret").expect("a file");
    std::os::unix::fs::symlink("../secret", folder.path().join("inside/link")).expect("a link");
    let program = "\
import os
for path in ['/work/../secret', '/work/link', '/etc/passwd', '../secret']:
    try: print(open(path).read())
    except OSError as e: print('no')";
    let dir = format!("{}::/work", folder.path().join("inside").display());
    assert_eq!(python.prints(&["--dir", &dir], &["-c", program]), "no\n".repeat(4));
}

#[test]
fn a_python_error_is_pythons_own_and_not_a_trap() {
    let Some(python) = fetched("python.wasm") else { return };
    let output = python.command(&[], &["-c", "1/0"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", all_of(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("ZeroDivisionError"), "{stderr}");
    assert!(!stderr.contains("wasm trap"), "{stderr}");
}

#[test]
fn yosys_synthesizes_a_clocked_design() {
    let Some(yosys) = fetched("yosys.wasm") else { return };
    let printed = yosys.prints(&["--dir", &data_option()], &["-s", "counter.ys"]);
    let statistics = printed.split("=== counter ===").nth(1).expect("the statistics");
    let count_of = |cell: &str| {
        let line = statistics.lines().find(|line| line.trim_start().starts_with(cell));
        let number = line.and_then(|line| line.split_whitespace().last());
        number.and_then(|number| number.parse::<u32>().ok())
    };
    // Eight bits of counter, each a flip-flop with reset and enable behind a multiplexer, and the
    // registered comparison.
    assert_eq!(count_of("$_SDFFE_PP0P_"), Some(8), "{statistics}");
    assert_eq!(count_of("$_DFF_P_"), Some(1), "{statistics}");
    assert_eq!(count_of("$_MUX_"), Some(8), "{statistics}");
    assert_eq!(count_of("Number of processes:"), Some(0), "{statistics}");
    assert!(printed.contains("End of script."), "{printed}");
}

#[test]
fn yosys_goes_on_after_the_errors_of_its_commands() {
    let Some(yosys) = fetched("yosys-eh.wasm") else { return };
    // Each error is thrown where it is found, and caught where commands are read.
    let commands = "nosuchcommand\ncd nowhere\nread_verilog counter.v\nls\n";
    let mut child = yosys
        .command(&["--dir", &data_option()], &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(commands.as_bytes()).expect("commands");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", all_of(&output));
    let all = all_of(&output);
    for expected in ["No such command: nosuchcommand", "No such module `nowhere'", "  counter\n"] {
        assert!(all.contains(expected), "{expected}: {all}");
    }

    // Without anybody to go on, the error is the program's.
    let output = yosys.command(&[], &["-p", "nosuchcommand"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", all_of(&output));
    assert!(all_of(&output).contains("No such command"), "{}", all_of(&output));
}

/// What bitstreams for this family of FPGAs begin with, behind a comment.
const PREAMBLE: [u8; 4] = [0x7e, 0xaa, 0x99, 0x7e];

#[test]
fn icepack_packs_what_it_has_unpacked() {
    let Some(icepack) = fetched("icepack.wasm") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let bits = "0".repeat(17);
    let text = format!(".comment test\n.device 384\n.io_tile 1 0\n{bits}1\n");
    fs::write(file("in.asc"), text).expect("a file");
    let dir = format!("{}::.", folder.path().display());
    icepack.prints(&["--dir", &dir], &["in.asc", "one.bin"]);
    icepack.prints(&["--dir", &dir], &["-u", "one.bin", "all.asc"]);
    icepack.prints(&["--dir", &dir], &["all.asc", "two.bin"]);
    let one = fs::read(file("one.bin")).expect("a bitstream");
    assert!(one.windows(4).any(|bytes| bytes == PREAMBLE), "{one:x?}");
    assert_eq!(one, fs::read(file("two.bin")).expect("a bitstream"));
    let all = fs::read_to_string(file("all.asc")).expect("text");
    assert!(all.contains(&format!(".io_tile 1 0\n{bits}1\n")), "{all}");
}

#[test]
fn nextpnr_places_and_routes_what_icepack_packs() {
    if fetched("icepack.wasm").is_none() {
        return;
    }
    let Some(nextpnr) = fetched("nextpnr.wasm") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let design = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/blink.json");
    fs::copy(design, folder.path().join("blink.json")).expect("a copy");
    let dir = format!("{}::.", folder.path().display());
    let share = format!("{}::/share", nextpnr.path.parent().expect("a folder").display());
    let options = ["--dir", &dir, "--dir", &share];
    let run = |package: &str| {
        let arguments =
            ["--lp384", "--package", package, "--json", "blink.json", "--asc", "blink.asc"];
        nextpnr.command(&options, &arguments).output().expect("it starts")
    };
    // An error is thrown, and caught at the top.
    let failed = run("nosuch");
    assert_eq!(failed.status.code(), Some(125), "{}", all_of(&failed));
    assert!(all_of(&failed).contains("ERROR: Unsupported package"), "{}", all_of(&failed));

    let output = run("qn32");
    assert!(output.status.success(), "{}", all_of(&output));
    assert!(all_of(&output).contains("Program finished normally"), "{}", all_of(&output));
    drop(nextpnr);
    let icepack = fetched("icepack.wasm").expect("there a moment ago");
    icepack.prints(&["--dir", &dir], &["blink.asc", "blink.bin"]);
    let bitstream = fs::read(folder.path().join("blink.bin")).expect("a bitstream");
    assert!(bitstream.windows(4).any(|bytes| bytes == PREAMBLE));
}

#[test]
fn a_c_program_reads_and_writes_files() {
    let Some(words) = fetched("words.wasm") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "the cat and the dog and THE bird's ".repeat(10_000);
    fs::write(folder.path().join("in.txt"), text).expect("a file");
    let dir = format!("{}::.", folder.path().display());
    let printed = words.prints(&["--dir", &dir], &["in.txt", "report.txt"]);
    assert_eq!(printed, "80000 words, 5 of them different\n");
    let report = fs::read_to_string(folder.path().join("report.txt")).expect("the report");
    assert_eq!(report, "30000 the\n20000 and\n10000 bird's\n10000 cat\n10000 dog\n");
    assert!(!folder.path().join("report.txt.draft").exists());

    let output = words.command(&["--dir", &dir], &["nowhere", "x"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", all_of(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "words: cannot open nowhere: No such file or directory\n");
    let output = words.command(&["--dir", &dir], &[]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{}", all_of(&output));
}

#[test]
fn a_parallel_mandelbrot_does_not_depend_on_its_threads() {
    let Some(mandelbrot) = fetched("mandelbrot.wasm") else { return };
    const SIZE: u32 = 300;
    let is_inside = |row: u32, column: u32| {
        let x = -2.2 + 3.2 * f64::from(column) / f64::from(SIZE);
        let y = -1.2 + 2.4 * f64::from(row) / f64::from(SIZE);
        let (mut re, mut im) = (0.0_f64, 0.0_f64);
        (0..200).all(|_| {
            let bounded = re * re + im * im < 4.0;
            (re, im) = (re * re - im * im + x, 2.0 * re * im + y);
            bounded
        })
    };
    let points = (0..SIZE).flat_map(|row| (0..SIZE).map(move |column| (row, column)));
    let inside = points.filter(|&(row, column)| is_inside(row, column)).count();
    let last = format!("{inside} of 90000 points are inside\n");
    for threads in ["1", "2", "7"] {
        for options in [&[] as &[&str], &["--pager", "protect"], &["--no-speculation"]] {
            let printed = mandelbrot.prints(options, &[threads, "300"]);
            assert!(printed.ends_with(&last), "{printed}");
            assert_eq!(printed.lines().count(), 25);
        }
    }
    let output = mandelbrot.command(&[], &["0"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", all_of(&output));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
}

#[test]
fn a_parallel_hash_map_loses_nothing_while_its_memory_grows() {
    let Some(hashmap) = fetched("hashmap.wasm") else { return };
    for options in [&[] as &[&str], &["--pager", "protect"], &["--no-speculation"]] {
        let printed = hashmap.prints(options, &["4", "20000"]);
        assert_eq!(printed, "50000 keys, 80000 insertions\n");
    }
    // The memory's limit is each thread's, and what they share.
    let output = hashmap.command(&["--memory-limit", "4M"], &["4", "100000"]).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", all_of(&output));
    // More than one thread may find out.
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("out of memory"), "{output:?}");
}

#[test]
fn cpython_starts_with_a_third_of_the_work_of_compiling_all_of_it() {
    let Some(python) = fetched("python.wasm") else { return };
    let arguments = ["-c", "print(1)"];
    let lazy = python.takes(&[], &arguments);
    let eager = python.takes(&["--eager"], &arguments);
    assert!(lazy * 3 <= eager, "lazy {lazy:?}, eager {eager:?}");
}

#[test]
fn yosys_starts_with_an_eighth_of_the_work_of_compiling_all_of_it() {
    let Some(yosys) = fetched("yosys.wasm") else { return };
    let lazy = yosys.takes(&[], &["-V"]);
    let eager = yosys.takes(&["--eager"], &["-V"]);
    assert!(lazy * 8 <= eager, "lazy {lazy:?}, eager {eager:?}");
}
