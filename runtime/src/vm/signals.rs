//! The signals that the runtime relies on: whether they still reach it.

use crate::config::Config;
use crate::error::Result;
use seqfault_mm::signal;

/// Makes sure that the faults of this thread reach the runtime; otherwise the error says whose handler is in the way.
///
/// Called before memory is used by much code or for a long time: for instantiations and new memories. It takes six
/// short system calls, and none for an engine that does without signals.
pub(crate) fn check_signals(config: &Config) -> Result<()> {
    match config.tunables.signals_based_traps {
        true => Ok(signal::check(config.displaced_handlers)?),
        false => Ok(()),
    }
}

/// The same for each entry into wasm: two loads, unless it is the thread's first entry, or another handler had to pass
/// a fault on to the runtime's.
pub(super) fn prepare(config: &Config) -> Result<()> {
    if !config.tunables.signals_based_traps {
        return Ok(());
    }
    if signal::was_bypassed() {
        return check_signals(config);
    }
    Ok(seqfault_mm::prepare_thread()?)
}
