//! How seqfault is set: nothing of it may change what a guest sees.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use seqfault::{Compilation, Config, OptLevel, PagerKind};

/// The settings of one plan.
#[derive(Clone, Debug)]
pub struct Settings {
    compilation: Compilation,
    pager: PagerKind,
    signals: bool,
    speculation: bool,
    epochs: bool,
    opt_level: OptLevel,
    verifier: bool,
    gc_stress: bool,
    memory64_reservation: u64,
    backtrace_frames: usize,
    /// Whether pages that the script zeroes are given back, rather than overwritten.
    pub discards: bool,
}

impl Settings {
    pub(super) fn draw(rng: &mut StdRng) -> Settings {
        // No memory has a maximum above the first.
        let reservations = [5 << 16, 1 << 30, 64 << 30];
        let pagers = [PagerKind::Auto, PagerKind::Protect, PagerKind::Eager, PagerKind::Demand];
        let signals = rng.random_bool(0.75);
        Settings {
            compilation: if rng.random() { Compilation::Lazy } else { Compilation::Eager },
            pager: match signals {
                true => *pagers.choose(rng).expect("there are some"),
                // The only one that does without.
                false => PagerKind::Demand,
            },
            signals,
            speculation: rng.random_bool(0.8),
            epochs: rng.random_bool(0.3),
            opt_level: if rng.random_bool(0.7) { OptLevel::Speed } else { OptLevel::None },
            verifier: rng.random_bool(0.3),
            gc_stress: rng.random_bool(0.4),
            memory64_reservation: *reservations.choose(rng).expect("there are some"),
            backtrace_frames: if rng.random() { 64 } else { 0 },
            discards: rng.random_bool(0.8),
        }
    }

    /// Applies them.
    pub(crate) fn apply(&self, config: &mut Config) {
        config
            .compilation(self.compilation)
            .pager(self.pager)
            .signals_based_traps(self.signals)
            .speculation(self.speculation)
            .epoch_interruption(self.epochs)
            .cranelift_opt_level(self.opt_level)
            .cranelift_verifier(self.verifier)
            .gc_stress(self.gc_stress)
            .memory64_reservation(self.memory64_reservation)
            .max_backtrace_frames(self.backtrace_frames);
    }
}
