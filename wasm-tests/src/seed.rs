//! Drawing by a seed: which of many cases a run takes, so that runs differ and each can be repeated.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What cases are drawn by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The number in the environment variable `name`; by the clock if there is none.
    pub fn from_environment(name: &str) -> Seed {
        let told = std::env::var(name).ok().and_then(|text| text.parse().ok());
        Seed(told.unwrap_or_else(|| {
            let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        }))
    }

    /// Whether the case is drawn, as one of `among` is.
    pub fn draws(self, case: impl Hash, among: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.0, case).hash(&mut hasher);
        hasher.finish().is_multiple_of(among)
    }
}
