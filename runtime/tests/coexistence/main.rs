//! Sharing a process with others that handle signals, block them, or filter system calls: one child process a case.
//!
//! The child is this program, started again with the name of the case in `SEQFAULT_CASE`.

#[path = "guest.rs"]
mod guest;

mod calls;
mod copies;
mod filters;
mod foreign;
mod newcomers;
mod threads;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

const MARK: &str = "SEQFAULT_CASE";

/// A hang is a failure; nothing here takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a child ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It exits.
    Code(i32),
    /// It dies of a signal.
    Signal(i32),
}

/// What happens in a process of its own; it exits with 0 when `body` returns, and with 101 when it panics.
struct Case {
    name: String,
    end: End,
    body: Box<dyn Fn() + Send + Sync>,
}

impl Case {
    fn new(name: impl Into<String>, body: impl Fn() + Send + Sync + 'static) -> Case {
        Case { name: name.into(), end: End::Code(0), body: Box::new(body) }
    }

    fn ends(self, end: End) -> Case {
        Case { end, ..self }
    }

    fn run_in_child(self) -> Result<(), Failed> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        let errors = tempfile::tempfile()?;
        command.env(MARK, &self.name).stdout(Stdio::null()).stderr(errors.try_clone()?);
        let mut child = command.spawn()?;
        let start = Instant::now();
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                None if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(2)),
                None => {
                    child.kill()?;
                    child.wait()?;
                    return Err("it hangs".into());
                }
            }
        };
        match end_of(status) == Some(self.end) {
            true => Ok(()),
            false => Err(format!("{status} and not {:?}\n{}", self.end, text(errors)?).into()),
        }
    }
}

fn end_of(status: ExitStatus) -> Option<End> {
    status.code().map(End::Code).or(status.signal().map(End::Signal))
}

fn text(mut file: std::fs::File) -> std::io::Result<String> {
    use std::io::{Read, Seek};
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Nobody else is there.
fn plain() -> Vec<Case> {
    let host = || guest::Host::new(&seqfault::Config::new()).unwrap();
    vec![
        Case::new("plain::touches", move || host().guest().unwrap().touch()),
        Case::new("plain::traps", move || drop(host().use_all())),
    ]
}

fn cases() -> Vec<Case> {
    let families = [
        plain(),
        newcomers::cases(),
        threads::cases(),
        filters::cases(),
        calls::cases(),
        copies::cases(),
    ];
    families.into_iter().flatten().collect()
}

fn main() {
    if let Some(wanted) = std::env::var_os(MARK) {
        let case = cases().into_iter().find(|case| wanted == *case.name).expect("a case");
        (case.body)();
        std::process::exit(0);
    }
    let arguments = Arguments::from_args();
    let trial = |case: Case| Trial::test(case.name.clone(), move || case.run_in_child());
    let mut trials: Vec<Trial> = cases().into_iter().map(trial).collect();
    trials.extend(foreign::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
