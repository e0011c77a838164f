//! Random bytes: the host's, or an embedder's generator.

use std::sync::Mutex;

use rand::RngCore;
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::abi::Errno;
use crate::sync::lock;

/// The source of a guest's random bytes.
pub(crate) enum Random {
    /// The kernel's generator.
    Host,
    /// An embedder's generator, for reproducible runs.
    Given(Mutex<Box<dyn RngCore + Send>>),
}

impl Random {
    pub(crate) fn fill(&self, bytes: &mut [u8]) -> Result<(), Errno> {
        match self {
            Random::Host => OsRng.try_fill_bytes(bytes).map_err(|_| Errno::Io),
            Random::Given(rng) => {
                lock(rng).fill_bytes(bytes);
                Ok(())
            }
        }
    }
}
