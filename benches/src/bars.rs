//! [`Bars`]: how much longer than the peer we may take, by the kind of work. The only place that says so.

use crate::HugePages;
use std::time::Duration;

/// A kind of work with bars of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All pages of 256 MiB, one after the other.
    Dense,
    /// First touches in any other order.
    Touch,
    /// `memory.grow` by a page, and stores in it.
    GrowAndTouch,
    /// `memory.grow` by a page.
    Grow,
    /// An instance is made, touches 64 KiB, and is dropped, on one thread.
    Live,
    /// The same on each of several threads.
    LiveBeside,
    /// The same on one thread, with 192 KiB of initial data.
    LiveWithData,
    /// The same with a table of 10,000 functions.
    LiveWithTable,
    /// An instance of an empty module is made and dropped.
    Empty,
    /// A memory with 256 MiB touched is dropped.
    Drop,
    /// `memory.copy` or `memory.fill` of so many bytes. The only peer is Wasmtime as it comes.
    Bulk(u32),
}

/// The highest ratios of our time to the peer's that are good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bars {
    /// To Wasmtime's pool as it comes.
    pub to_default: f64,
    /// To its pool tuned for reuse.
    pub to_tuned: f64,
    /// A difference in all to the pool as it comes that is good enough whatever the ratio.
    pub slack: Duration,
}

impl Bars {
    /// The bars for `kind`, where huge pages are set to `huge`.
    pub fn of(kind: Kind, huge: HugePages) -> Bars {
        let bars = |to_default, to_tuned| Bars { to_default, to_tuned, slack: Duration::ZERO };
        match (kind, huge) {
            (Kind::Dense, HugePages::Always) => bars(1.05, 1.05),
            // The peer does not ask for huge pages; we may.
            (Kind::Dense, HugePages::Madvise) => bars(0.25, 0.3),
            (Kind::Dense, HugePages::Never) => bars(0.6, 0.6),
            (Kind::Touch, _) => Bars { slack: Duration::from_micros(30), ..bars(1.05, 1.1) },
            (Kind::GrowAndTouch, _) => bars(0.8, 0.8),
            (Kind::Grow, _) => bars(0.04, 0.04),
            (Kind::Live, _) => bars(0.1, 0.8),
            (Kind::LiveBeside, _) => bars(0.06, 0.5),
            (Kind::LiveWithData | Kind::LiveWithTable, _) => bars(0.1, 0.8),
            (Kind::Empty, _) => bars(0.5, 0.6),
            (Kind::Bulk(17..=1024), _) => bars(0.9, f64::NAN),
            (Kind::Bulk(_), _) => bars(1.0, f64::NAN),
            // As with "dense".
            (Kind::Drop, HugePages::Madvise) => bars(0.5, 0.5),
            (Kind::Drop, HugePages::Always | HugePages::Never) => bars(1.05, 1.05),
        }
    }
}

/// The bars for many instances that are alive at the same time.
#[derive(Clone, Copy, Debug)]
pub struct CrowdBars {
    /// Memory of each, to the peers'.
    pub memory: f64,
    /// The same without the pages that it has touched.
    pub beyond: f64,
    /// The kernel's mappings of each.
    pub maps: f64,
    /// The time to make one of the last, to that of one of the first.
    pub last: f64,
    /// What is resident after all are gone, to before.
    pub after: f64,
}

/// The bars for crowds.
pub const CROWD_BARS: CrowdBars =
    CrowdBars { memory: 1.0, beyond: 0.5, maps: 3.0, last: 1.2, after: 1.05 };

/// How much higher the peak of the total throughput may be than that of 16 threads: it falls by at most 15%.
pub const PEAK: f64 = 1.0 / 0.85;

/// How many pages may be resident where the peer has `peers`: twice as many, or 64 KiB more. `None`: any number,
/// because the system makes more resident by itself.
pub(crate) fn most_resident(peers: u64, huge: HugePages) -> Option<u64> {
    (huge != HugePages::Always).then(|| (2 * peers).max(peers + 16))
}
