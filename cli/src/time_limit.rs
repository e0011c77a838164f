//! `--timeout`: a program that runs for too long is interrupted. If it cannot be interrupted, the
//! process ends.

use crate::report;
use seqfault::{Engine, Error, Result};
use seqfault_wasi::InterruptHandle;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to end after its limit.
const GRACE: Duration = Duration::from_millis(500);

/// A running time limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit {
    timeout: Duration,
    /// `None` if that is beyond what the clock can express.
    end: Option<Instant>,
}

/// The message for a program that was stopped.
pub(crate) fn exceeded(timeout: Duration) -> String {
    format!("the program ran longer than its --timeout of {timeout:?}")
}

impl TimeLimit {
    /// Starts the clock. The process ends at most [`GRACE`] after the limit, whatever it is doing:
    /// some work does not check the limit, such as the compilation of a single function, or a read
    /// from a pipe without a writer.
    pub(crate) fn start(timeout: Duration) -> Result<TimeLimit> {
        let limit = TimeLimit { timeout, end: Instant::now().checked_add(timeout) };
        spawn(move || {
            limit.wait();
            thread::sleep(GRACE);
            report::stop(&exceeded(timeout));
        })?;
        Ok(limit)
    }

    /// At the limit, interrupts the engine: compilations, the guest, or a call of the guest that
    /// waits.
    ///
    /// The epoch continues to advance after that, because a store that is made at that moment has
    /// the next tick as its deadline.
    pub(crate) fn interrupt(self, engine: Engine, waiting: InterruptHandle) -> Result<()> {
        const TICK: Duration = Duration::from_millis(10);
        spawn(move || {
            self.wait();
            engine.interrupt_compilations();
            waiting.interrupt();
            loop {
                engine.increment_epoch();
                thread::sleep(TICK);
            }
        })
    }

    fn wait(self) {
        match self.end {
            Some(end) => thread::sleep(end.saturating_duration_since(Instant::now())),
            None => thread::sleep(self.timeout),
        }
    }
}

/// Runs `clock` on a thread that ends with the process.
fn spawn(clock: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name("timeout".to_owned()).spawn(clock);
    thread.map(drop).map_err(|error| Error::from(error).context("cannot watch the --timeout"))
}
