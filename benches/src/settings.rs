//! [`in_each_setting`]: a bench is run once for each setting of transparent huge pages, and the system's own is restored
//! in the end, also if the run is interrupted.

use crate::HugePages;
use crate::random::{SEED, seed};
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};

/// The variable with the settings, separated by commas.
const SETTINGS: &str = "SEQFAULT_BENCH_HUGE_PAGES";

/// The process that does the work now; 0 between two, [`STOPPED`] after an interruption.
static WORKER: AtomicI32 = AtomicI32::new(0);
const STOPPED: i32 = -1;

/// If the variable `SEQFAULT_BENCH_HUGE_PAGES` asks for it, runs this program once for each of the settings in it
/// (`always,madvise,never`), in processes of their own, and returns true: nothing is left to do.
///
/// Changing the setting takes the rights of the superuser and affects the whole system. Without them, this says so
/// and returns false. Only SIGKILL keeps this from restoring the setting.
///
/// # Panics
///
/// When the variable names no setting, or the program does not start.
pub fn in_each_setting() -> bool {
    let Ok(names) = std::env::var(SETTINGS) else { return false };
    let named = |name: &str| HugePages::named(name).unwrap_or_else(|| panic!("{SETTINGS}: {name}"));
    let settings: Vec<HugePages> = names.split(',').map(named).collect();
    let restore = Restore(HugePages::now());
    if let Err(error) = restore.0.set() {
        println!("transparent huge pages stay as they are: {error}");
        return false;
    }
    forward_signals();
    // The same patterns are drawn in all of them.
    let seed = seed().to_string();
    for setting in settings {
        if WORKER.load(Ordering::SeqCst) == STOPPED {
            break;
        }
        setting.set().expect("set before");
        run(&seed);
    }
    true
}

/// Restores the setting when it goes.
struct Restore(HugePages);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Err(error) = self.0.set() {
            println!("transparent huge pages are not {} any more: {error}", self.0.name());
        }
    }
}

/// Runs this program without the variable.
fn run(seed: &str) {
    let program = std::env::current_exe().expect("a program");
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env_remove(SETTINGS).env(SEED, seed);
    let mut worker = command.spawn().expect("started");
    let before = WORKER.compare_exchange(0, worker.id() as i32, Ordering::SeqCst, Ordering::SeqCst);
    if before.is_err() {
        // Interrupted meanwhile: nobody has told the worker.
        let _ = worker.kill();
    }
    wait_for_end(worker.id());
    // From here on nobody sends it a signal: its number may become another's.
    let stopped = WORKER.swap(0, Ordering::SeqCst) == STOPPED;
    let status = worker.wait().expect("it was started");
    if stopped {
        WORKER.store(STOPPED, Ordering::SeqCst);
        println!("interrupted: {status}");
    }
    assert!(stopped || status.success(), "{status}");
}

/// Waits for the end of a process of ours, which keeps its number.
fn wait_for_end(worker: u32) {
    // SAFETY: all zeros is a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let how = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: the pointer is to a valid `siginfo_t`.
    while unsafe { libc::waitid(libc::P_PID, worker, &raw mut info, how) } != 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{error}");
    }
}

/// From now on, what asks this process to end asks the worker instead.
fn forward_signals() {
    let handler: extern "C" fn(libc::c_int) = on_signal;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only swaps an atomic and calls `kill`, which handlers may.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    let worker = WORKER.swap(STOPPED, Ordering::SeqCst);
    if worker > 0 {
        // SAFETY: no memory is involved. The worker keeps its number while it is there.
        unsafe { libc::kill(worker, signal) };
    }
}
