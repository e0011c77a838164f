//! `--timeout`: a program that runs for too long is interrupted, and what cannot be interrupted ends
//! with the process.

use crate::report;
use seqfault::{Engine, Error, Result};
use seqfault_wasi::InterruptHandle;
use std::thread;
use std::time::{Duration, Instant};

/// How long after its limit a program has to come to its end.
const GRACE: Duration = Duration::from_millis(500);

/// A limit that runs already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit {
    timeout: Duration,
    /// None when that is beyond what clocks show.
    end: Option<Instant>,
}

/// What is said of a program that was stopped.
pub(crate) fn exceeded(timeout: Duration) -> String {
    format!("the program ran longer than its --timeout of {timeout:?}")
}

impl TimeLimit {
    /// Starts the clock. Wherever the process then is, it ends [`GRACE`] after the limit at the
    /// latest: not every piece of work asks whether it is over, such as the compilation of a single
    /// function, or a read from a pipe that nobody writes to.
    pub(crate) fn start(timeout: Duration) -> Result<TimeLimit> {
        let limit = TimeLimit { timeout, end: Instant::now().checked_add(timeout) };
        spawn(move || {
            limit.wait();
            thread::sleep(GRACE);
            report::stop(&exceeded(timeout));
        })?;
        Ok(limit)
    }

    /// Interrupts at the limit what the engine does: compilations, its guest, or a call of it that
    /// waits.
    ///
    /// The epoch goes on after that: a store that is made just then has the next tick as its deadline.
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
