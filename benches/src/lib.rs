//! What the benches share: contests, clocks, the closing report, and the kernels.
//!
//! Engines are compared in one process and in turns: each sample of one contender is taken together
//! with a sample of each of the others ([`Contest`]), so that a slow moment of the machine slows all
//! of them. Criterion does the statistics of each contender; the [`Report`] at the end of a run prints
//! medians and, first of all, ratios.

mod against;
mod bars;
mod census;
mod clock;
mod contest;
pub mod engines;
mod huge_pages;
mod kernel;
pub mod patterns;
mod probe;
mod random;
mod report;
mod resident;
mod samples;
mod scoreboard;
mod selection;
mod settings;
mod shuffle;
mod threads;

pub use against::POOLS;
pub use bars::{Bars, CROWD_BARS, CrowdBars, Kind, PEAK};
pub use census::{Census, Plan};
pub use clock::Clock;
pub use contest::Contest;
pub use huge_pages::HugePages;
pub use kernel::{KERNELS, Kernel};
pub use probe::{Figures, Probe};
pub use random::Random;
pub use report::Report;
pub use resident::{resident, wait_until_resident};
pub use samples::percentile;
pub use scoreboard::{Row, Scoreboard};
pub use selection::Selection;
pub use settings::in_each_setting;
pub use shuffle::shuffled;
pub use threads::{Sustained, in_parallel, sustained};
