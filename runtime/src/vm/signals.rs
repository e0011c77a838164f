//! The signals that carry the runtime: whether they still reach it.

use crate::config::Config;
use crate::error::Result;
use seqfault_mm::signal;

/// Makes sure that the faults of this thread reach the runtime, or says who is in the way.
///
/// Asked for where memory is about to be used by much code or for a long time: instantiation, and
/// new memories. It takes six short system calls.
pub(crate) fn check_signals(config: &Config) -> Result<()> {
    Ok(signal::check(config.displaced_handlers)?)
}

/// The same for each entry into wasm: two loads, unless it is the thread's first, or another
/// handler had to pass a fault on to the runtime's.
pub(super) fn prepare(config: &Config) -> Result<()> {
    if signal::was_bypassed() {
        return check_signals(config);
    }
    Ok(seqfault_mm::prepare_thread()?)
}
