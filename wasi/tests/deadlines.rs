//! No call holds up who wants to end its guest.
//!
//! Each function is called over and over, with the arguments that make it work or wait longest. Then the guest
//! is interrupted, as a time limit does it: its calls through the handle, its code through the epoch. It
//! must end soon after. All functions of the interface are in the table.

mod common;

use std::any::Any;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{FUNCTIONS, imports};
use rustix::fs::{CWD, FileType, Mode};
use rustix::pty::OpenptFlags;
use seqfault::{Config, Engine, Linker, Module, Store, TrapCode};
use seqfault_wasi::{DirAccess, Interrupted, WasiCtxBuilder, add_to_linker};

/// How long a guest may go on once it is interrupted.
const SOON: Duration = Duration::from_secs(1);

/// What keeps the other ends of a guest's descriptors open, and silent.
type Others = Vec<Box<dyn Any + Send>>;

/// Descriptors and names of the guest that the calls use: 3 is the directory, 4 the socket, 5 is opened.
struct Case {
    function: &'static str,
    /// The call, a `result i32`.
    call: &'static str,
    /// What is called before, once.
    before: &'static str,
    /// What the guest gets besides its directory.
    gets: fn(WasiCtxBuilder, &mut Others) -> WasiCtxBuilder,
}

const fn case(function: &'static str, call: &'static str) -> Case {
    Case { function, call, before: "", gets: |builder, _| builder }
}

impl Case {
    const fn before(mut self, before: &'static str) -> Case {
        self.before = before;
        self
    }

    const fn gets(mut self, gets: fn(WasiCtxBuilder, &mut Others) -> WasiCtxBuilder) -> Case {
        self.gets = gets;
        self
    }
}

/// A socket that nobody connects to, reads from or writes to, as descriptor 4.
fn listener(builder: WasiCtxBuilder, _: &mut Others) -> WasiCtxBuilder {
    builder.preopened_socket(TcpListener::bind("127.0.0.1:0").unwrap())
}

fn stream(builder: WasiCtxBuilder, others: &mut Others) -> WasiCtxBuilder {
    let (ours, theirs) = UnixStream::pair().unwrap();
    others.push(Box::new(ours));
    builder.preopened_socket(theirs)
}

/// Pipes whose other ends do nothing, as standard input and output.
fn pipes(builder: WasiCtxBuilder, others: &mut Others) -> WasiCtxBuilder {
    let (reader, writer) = std::io::pipe().unwrap();
    let (other_reader, other_writer) = std::io::pipe().unwrap();
    others.extend([Box::new(writer) as Box<dyn Any + Send>, Box::new(other_reader)]);
    builder.stdin_fd(reader).stdout_fd(other_writer)
}

/// A terminal that nobody types on and nobody looks at, likewise.
fn terminal(builder: WasiCtxBuilder, others: &mut Others) -> WasiCtxBuilder {
    let theirs = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::unlockpt(&theirs).unwrap();
    let name = rustix::pty::ptsname(&theirs, Vec::new()).unwrap().into_string().unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let ours = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
    others.push(Box::new(theirs));
    builder.stdin_fd(ours.try_clone().unwrap()).stdout_fd(ours)
}

fn many_strings(builder: WasiCtxBuilder, _: &mut Others) -> WasiCtxBuilder {
    let strings = || (0..20_000).map(|number| format!("{number:050}"));
    builder.args(strings()).envs((0..2_000).map(|number| (format!("{number:050}"), "value")))
}

/// Opens `big`, `small` or the pipe, with all rights, as descriptor 4.
const OPEN_BIG: &str = "(drop (call $open (i32.const 0x400) (i32.const 3) (i32.const 0)))";
const OPEN_NEW: &str = "(drop (call $open (i32.const 0x410) (i32.const 3) (i32.const 1)))";
const OPEN_PIPE: &str = "(drop (call $open (i32.const 0x420) (i32.const 4) (i32.const 0)))";
const OPEN_MANY: &str = "(drop (call $open (i32.const 0x430) (i32.const 4) (i32.const 0)))";

/// The iovec at 16 is of 2 GiB, the one at 1 GiB the first of 2^28 empty ones; the subscription at 0x200
/// waits for ever, and those from 0x20000 on are 65,536 for standard input.
#[rustfmt::skip]
static CASES: &[Case] = &[
    case("args_get", "(call $args_get (i32.const 0x10000) (i32.const 0x100000))").gets(many_strings),
    case("args_sizes_get", "(call $args_sizes_get (i32.const 0) (i32.const 4))"),
    case("clock_res_get", "(call $clock_res_get (i32.const 0) (i32.const 0))"),
    case("clock_time_get", "(call $clock_time_get (i32.const 2) (i64.const 0) (i32.const 0))"),
    case("environ_get", "(call $environ_get (i32.const 0x10000) (i32.const 0x100000))").gets(many_strings),
    case("environ_sizes_get", "(call $environ_sizes_get (i32.const 0) (i32.const 4))"),
    case("fd_advise", "(call $fd_advise (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 3))").before(OPEN_BIG),
    case("fd_allocate", "(call $fd_allocate (i32.const 4) (i64.const 0) (i64.const 0x20000000))").before(OPEN_NEW),
    case("fd_allocate", "(call $fd_allocate (i32.const 4) (i64.const 1) (i64.const 0x7fffffffffffffff))").before(OPEN_NEW),
    case("fd_close", "(call $fd_close (i32.const 99))"),
    case("fd_datasync", "(call $fd_datasync (i32.const 4))").before(OPEN_NEW),
    case("fd_fdstat_get", "(call $fd_fdstat_get (i32.const 3) (i32.const 0))"),
    case("fd_fdstat_set_flags", "(call $fd_fdstat_set_flags (i32.const 4) (i32.const 1))").before(OPEN_NEW),
    case("fd_fdstat_set_rights", "(call $fd_fdstat_set_rights (i32.const 3) (i64.const -1) (i64.const -1))"),
    case("fd_filestat_get", "(call $fd_filestat_get (i32.const 3) (i32.const 0))"),
    case("fd_filestat_set_size", "(call $fd_filestat_set_size (i32.const 4) (i64.const 0xfffffffffff))").before(OPEN_NEW),
    case("fd_filestat_set_times", "(call $fd_filestat_set_times (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 10))").before(OPEN_NEW),
    case("fd_pread", "(call $fd_pread (i32.const 4) (i32.const 16) (i32.const 1) (i64.const 7) (i32.const 0))").before(OPEN_BIG),
    case("fd_prestat_dir_name", "(call $fd_prestat_dir_name (i32.const 3) (i32.const 0) (i32.const 9))"),
    case("fd_prestat_get", "(call $fd_prestat_get (i32.const 3) (i32.const 0))"),
    case("fd_pwrite", "(call $fd_pwrite (i32.const 4) (i32.const 16) (i32.const 1) (i64.const 7) (i32.const 0))").before(OPEN_NEW),
    case("fd_read", "(call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 0))").gets(pipes),
    case("fd_read", "(call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 0))").gets(terminal),
    case("fd_read", "(call $fd_read (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 0))").gets(stream),
    case("fd_read", "(call $fd_read (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 0))").before(OPEN_BIG),
    case("fd_read", "(call $fd_read (i32.const 0) (i32.const 0x40000000) (i32.const 0x10000000) (i32.const 0))").gets(pipes),
    case("fd_readdir", "(call $fd_readdir (i32.const 4) (i32.const 0x10000) (i32.const 0x7fffffff) (i64.const 0) (i32.const 0))").before(OPEN_MANY),
    case("fd_readdir", "(call $fd_readdir (i32.const 4) (i32.const 0x10000) (i32.const 9) (i64.const -1) (i32.const 0))").before(OPEN_MANY),
    case("fd_renumber", "(call $fd_renumber (i32.const 3) (i32.const 3))"),
    case("fd_seek", "(call $fd_seek (i32.const 4) (i64.const 0) (i32.const 2) (i32.const 0))").before(OPEN_BIG),
    case("fd_sync", "(call $fd_sync (i32.const 4))").before(OPEN_NEW),
    case("fd_tell", "(call $fd_tell (i32.const 4) (i32.const 0))").before(OPEN_BIG),
    case("fd_write", "(call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 0))").gets(pipes),
    case("fd_write", "(call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 0))").gets(terminal),
    case("fd_write", "(call $fd_write (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 0))").gets(stream),
    case("fd_write", "(call $fd_write (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 0))").before(OPEN_NEW),
    case("fd_write", "(call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 0))")
        .gets(|builder, _| builder.stdout(std::io::sink())),
    case("path_create_directory", "(call $path_create_directory (i32.const 3) (i32.const 0x1000) (i32.const 4090))"),
    case("path_filestat_get", "(call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const 0x1000) (i32.const 4090) (i32.const 0))"),
    case("path_filestat_set_times", "(call $path_filestat_set_times (i32.const 3) (i32.const 1) (i32.const 0x420) (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 10))"),
    case("path_link", "(call $path_link (i32.const 3) (i32.const 0) (i32.const 0x1000) (i32.const 4090) (i32.const 3) (i32.const 0x1000) (i32.const 4090))"),
    case("path_open", "(call $open (i32.const 0x400) (i32.const 3) (i32.const 0))"),
    case("path_open", "(call $path_open (i32.const 3) (i32.const 0) (i32.const 0x420) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0))"),
    case("path_open", "(call $path_open (i32.const 3) (i32.const 0) (i32.const 0x420) (i32.const 4) (i32.const 0) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0))"),
    case("fd_read", "(call $fd_read (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 0))").before(OPEN_PIPE),
    case("fd_write", "(call $fd_write (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 0))").before(OPEN_PIPE),
    case("path_readlink", "(call $path_readlink (i32.const 3) (i32.const 0x440) (i32.const 4) (i32.const 0x10000) (i32.const 0x7fffffff) (i32.const 0))"),
    case("path_remove_directory", "(call $path_remove_directory (i32.const 3) (i32.const 0x1000) (i32.const 4090))"),
    case("path_rename", "(call $path_rename (i32.const 3) (i32.const 0x1000) (i32.const 4090) (i32.const 3) (i32.const 0x1000) (i32.const 4090))"),
    case("path_symlink", "(call $path_symlink (i32.const 0x440) (i32.const 4) (i32.const 3) (i32.const 0x1000) (i32.const 4090))"),
    case("path_unlink_file", "(call $path_unlink_file (i32.const 3) (i32.const 0x1000) (i32.const 4090))"),
    case("poll_oneoff", "(call $poll_oneoff (i32.const 0x200) (i32.const 0x300) (i32.const 1) (i32.const 0))"),
    case("poll_oneoff", "(call $poll_oneoff (i32.const 0x20000) (i32.const 0x1000000) (i32.const 900) (i32.const 0))").gets(pipes),
    case("poll_oneoff", "(call $poll_oneoff (i32.const 0x20000) (i32.const 0x1000000) (i32.const 0x10000) (i32.const 0))"),
    case("poll_oneoff", "(call $poll_oneoff (i32.const 0x20000) (i32.const 0x1000000) (i32.const 10000000) (i32.const 0))"),
    case("proc_exit", "(call $forever)"),
    case("proc_raise", "(call $proc_raise (i32.const 9))"),
    case("random_get", "(call $random_get (i32.const 0) (i32.const -65536))"),
    case("sched_yield", "(call $sched_yield)"),
    case("sock_accept", "(call $sock_accept (i32.const 4) (i32.const 0) (i32.const 0))").gets(listener),
    case("sock_recv", "(call $sock_recv (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 2) (i32.const 0) (i32.const 4))").gets(stream),
    case("sock_send", "(call $sock_send (i32.const 4) (i32.const 16) (i32.const 1) (i32.const 0) (i32.const 0))").gets(stream),
    case("sock_shutdown", "(call $sock_shutdown (i32.const 4) (i32.const 0))").gets(stream),
];

/// The module of a case: what it calls is called until the guest is ended.
fn module(case: &Case) -> String {
    let names = FUNCTIONS.map(|(name, _)| name);
    let Case { call, before, .. } = case;
    format!(
        r#"(module {}
          (memory (export "memory") 65535)
          (data (i32.const 16) "\00\00\01\00\00\00\ff\7f")
          (data (i32.const 0x210) "\01\00\00\00\00\00\00\00\ff\ff\ff\ff\ff\ff\ff\ff")
          (data (i32.const 0x400) "big")
          (data (i32.const 0x410) "new")
          (data (i32.const 0x420) "pipe")
          (data (i32.const 0x430) "many")
          (data (i32.const 0x440) "link")
          (data (i32.const 0x1000) "{}x")
          (func $open (param $path i32) (param $len i32) (param $flags i32) (result i32)
            (call $path_open (i32.const 3) (i32.const 1) (local.get $path) (local.get $len) (local.get $flags)
              (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 0)))
          (func $forever (result i32) (loop (br 0)) unreachable)
          (func (export "run") (local $at i32)
            (local.set $at (i32.const 0x20008))
            (loop
              (i32.store (local.get $at) (i32.const 1))
              (local.set $at (i32.add (local.get $at) (i32.const 48)))
              (br_if 0 (i32.lt_u (local.get $at) (i32.const 0x320008))))
            {before}
            (loop (drop {call}) (br 0))))"#,
        imports(&names),
        "./".repeat(2044),
    )
}

/// What the guest's directory holds.
fn furnish(dir: &Path) {
    File::create(dir.join("big")).unwrap().set_len(8 << 30).unwrap();
    rustix::fs::mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::create_dir(dir.join("many")).unwrap();
    std::os::unix::fs::symlink("contents", dir.join("link")).unwrap();
    for number in 0..2_000 {
        rustix::fs::symlinkat("x", CWD, dir.join(format!("many/{number}"))).unwrap();
    }
}

/// Runs a case. Returns how long it went on after it was interrupted, and how it ended.
fn interrupt(engine: &Engine, dir: &Path, case: &Case) -> (Duration, seqfault::Error) {
    let mut others = Others::new();
    let builder = WasiCtxBuilder::new().preopened_dir(dir, "/", DirAccess::ReadWrite);
    let ctx = (case.gets)(builder, &mut others).build().unwrap();
    let handle = ctx.interrupt_handle().unwrap();

    let module = Module::new(engine, module(case)).unwrap();
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let mut store = Store::new(engine, ctx);
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();

    let interrupter = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            handle.interrupt();
            engine.increment_epoch();
            Instant::now()
        })
    };
    let error = run.call(&mut store, ()).unwrap_err();
    let ended = Instant::now();
    (ended.saturating_duration_since(interrupter.join().unwrap()), error)
}

#[test]
fn every_call_ends_soon_after_its_guest_is_interrupted() {
    let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    let temp = tempfile::tempdir().unwrap();
    furnish(temp.path());
    for case in CASES {
        let (took, error) = interrupt(&engine, temp.path(), case);
        let _ = fs::remove_file(temp.path().join("new"));
        let interrupted = error.is::<Interrupted>()
            || error.trap().is_some_and(|trap| trap.code() == TrapCode::Interrupt);
        assert!(interrupted, "{}: {error}", case.call);
        assert!(took < SOON, "{} went on for {took:?}", case.call);
    }
}

#[test]
fn the_table_has_every_function() {
    let tried: BTreeSet<_> = CASES.iter().map(|case| case.function).collect();
    assert_eq!(tried, FUNCTIONS.map(|(name, _)| name).into());
}
