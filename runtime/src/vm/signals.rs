//! The signals that carry the runtime: whether they still reach it.

use crate::config::Config;
use crate::error::Result;
use seqfault_mm::signal;

/// Makes sure that the faults of this thread reach the runtime, or says who is in the way.
///
/// Asked for where memory is about to be used by much code or for a long time: instantiation, and
/// new memories. It takes six short system calls. Nothing is asked for an engine that does without signals.
pub(crate) fn check_signals(config: &Config) -> Result<()> {
    match config.tunables.signals_based_traps {
        true => Ok(signal::check(config.displaced_handlers)?),
        false => Ok(()),
    }
}

/// The same for each entry into wasm: two loads, unless it is the thread's first, or another
/// handler had to pass a fault on to the runtime's.
pub(super) fn prepare(config: &Config) -> Result<()> {
    if !config.tunables.signals_based_traps {
        return Ok(());
    }
    if signal::was_bypassed() {
        return check_signals(config);
    }
    Ok(seqfault_mm::prepare_thread()?)
}
