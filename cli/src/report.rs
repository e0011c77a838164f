//! Messages for the user, and exit codes.
//!
//! One line, `error: ...`, says what is wrong and what to do about it. If a program was running,
//! its wasm frames follow. A program that trapped, or that the host had to stop, ends with 134,
//! which shells also report for SIGABRT. If a program could not run, the exit code is 1, and after
//! a wrong command line it is 2 (clap's choice).

use seqfault::{CompileError, Engine, Error, LinkError, Scarcity};
use seqfault_wasi::I32Exit;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Once, mpsc};
use std::thread;
use std::time::Duration;

/// The exit code of a program that trapped.
const TRAPPED: u8 = 134;

/// Prints `error`, unless the program has asked to exit, and returns the exit code.
pub(crate) fn report(error: &Error) -> ExitCode {
    if let Some(&I32Exit(status)) = error.downcast_ref() {
        return exit_code(status);
    }
    let (text, code) = describe(error);
    // If standard error is closed, the message is lost.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

/// Tells, once, that the limits of this process have made the engine choose slower code.
pub(crate) fn announce(engine: &Engine) {
    static ANNOUNCED: Once = Once::new();
    match engine.scarcity() {
        None | Some(Scarcity::Asked) => {}
        Some(scarcity) => ANNOUNCED.call_once(|| {
            let _ = writeln!(std::io::stderr(), "note: {scarcity}");
        }),
    }
}

/// Prints why the program is stopped, and ends the process, whatever its threads do.
pub(crate) fn stop(reason: &str) -> ! {
    /// How long to wait: standard error may be full, or held by a thread that waits for it.
    const PATIENCE: Duration = Duration::from_millis(200);
    let text = format!("error: {reason}\n");
    let (said, hears) = mpsc::channel();
    let says = thread::Builder::new().spawn(move || {
        let _ = std::io::stderr().write_all(text.as_bytes());
        let _ = said.send(());
    });
    if says.is_ok() {
        let _ = hears.recv_timeout(PATIENCE);
    }
    std::process::exit(TRAPPED.into())
}

/// The exit code for a program's `status`. The system keeps only 8 bits of it, which must not turn
/// a failure into a success.
pub(crate) fn exit_code(status: i32) -> ExitCode {
    match status as u8 {
        0 if status != 0 => ExitCode::FAILURE,
        code => ExitCode::from(code),
    }
}

fn describe(error: &Error) -> (String, u8) {
    if let Some(trap) = error.trap() {
        let context = error.to_string();
        // A description of the failed operation, if there is one, is before the trap's own text.
        let context = context.strip_suffix(&trap.to_string()).unwrap_or_default();
        return (format!("error: {context}wasm trap: {trap}"), TRAPPED);
    }
    if let Some(link) = error.downcast_ref::<LinkError>() {
        return (format!("error: {error}{}", remedy(link)), 1);
    }
    if let Some(CompileError::Interrupted) = error.downcast_ref() {
        return (format!("error: {error}"), TRAPPED);
    }
    match error.backtrace() {
        None => (format!("error: {error}"), 1),
        Some(frames) => {
            let mut text = format!("error: {error}\nwasm backtrace:");
            for (number, frame) in frames.iter().enumerate() {
                text.push_str(&format!("\n  {number:>3}: {frame}"));
            }
            (text, TRAPPED)
        }
    }
}

/// What to do about missing imports.
fn remedy(error: &LinkError) -> &'static str {
    match error {
        LinkError::UnknownImport { module, .. } if module == "wasi_unstable" => {
            ": that is WASI before its first preview, rebuild the program for wasm32-wasip1"
        }
        LinkError::UnknownImport { module, .. } if module.starts_with("wasi:") => {
            ": that is a later WASI, rebuild the program for wasm32-wasip1"
        }
        LinkError::UnknownImport { .. } => {
            ": `seqfault run` provides `wasi_snapshot_preview1`, build the program for \
             wasm32-wasip1 or embed the library and define the import"
        }
        _ => ": rebuild the program for wasm32-wasip1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_failure_becomes_a_success() {
        let code = |status| format!("{:?}", exit_code(status));
        assert_eq!(code(0), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(7), format!("{:?}", ExitCode::from(7)));
        assert_eq!(code(256), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(code(-1), format!("{:?}", ExitCode::from(255)));
    }

    #[test]
    fn an_error_of_ours_is_one_line() {
        assert_eq!(describe(&Error::msg("no such thing")), ("error: no such thing".into(), 1));
    }
}
