//! Modes: other ways for an engine to run the same scripts, with the same outcome.
//!
//! A run of the tests takes a tenth of the scripts in each mode, drawn by a seed that is printed.
//! `SEQFAULT_SPEC_SEED` draws the same again, and `SEQFAULT_SPEC_MODES` has all scripts run in the modes that it
//! names, with commas between them, or in `all`.

use crate::seed::Seed;
use crate::suite::Script;
use seqfault::{AddressSpace, Config};

/// What a mode does to the configuration of a script.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// What stands before the names of its scripts.
    pub name: &'static str,
    apply: fn(&mut Config),
}

/// All modes. Another one is another line.
pub const MODES: &[Mode] = &[
    Mode {
        name: "without-signals",
        apply: |config| {
            config.signals_based_traps(false);
        },
    },
    Mode {
        name: "plain-without-signals",
        apply: |config| {
            config.signals_based_traps(false).compile_plainly(true);
        },
    },
    Mode {
        name: "scarce",
        apply: |config| {
            config.address_space(AddressSpace::Scarce);
        },
    },
    Mode {
        name: "gc-stress",
        apply: |config| {
            config.gc_stress(true);
        },
    },
    Mode {
        name: "baseline-cpu",
        apply: |config| {
            config.native_cpu(false);
        },
    },
];

/// One script in this many is drawn.
const DRAWN: u64 = 10;

impl Mode {
    /// The script in this mode.
    fn of(self, script: &Script) -> Script {
        let mut script = script.clone();
        (self.apply)(&mut script.config);
        script.name = format!("{}/{}", self.name, script.name);
        script
    }
}

/// Which scripts run in which modes.
#[derive(Clone, Debug)]
pub struct Draw {
    /// What the others are drawn by.
    pub seed: Seed,
    /// The modes that all scripts run in.
    whole: Vec<String>,
}

impl Draw {
    /// As the environment asks for; by the clock if it does not.
    pub fn from_environment() -> Draw {
        let seed = Seed::from_environment("SEQFAULT_SPEC_SEED");
        let whole = std::env::var("SEQFAULT_SPEC_MODES").unwrap_or_default();
        let whole: Vec<String> = whole.split(',').map(|name| name.trim().to_owned()).collect();
        for name in whole.iter().filter(|name| !name.is_empty() && *name != "all") {
            let known = MODES.iter().any(|mode| mode.name == name);
            assert!(known, "SEQFAULT_SPEC_MODES names `{name}`, which is no mode");
        }
        Draw { seed, whole }
    }

    /// The scripts that run in modes, of all that there are.
    pub fn scripts(&self, all: &[Script]) -> Vec<Script> {
        let in_mode = |mode: &Mode| {
            let mode = *mode;
            let scripts = all.iter().filter(move |script| self.draws(mode, script));
            scripts.map(move |script| mode.of(script)).collect::<Vec<_>>()
        };
        MODES.iter().flat_map(in_mode).collect()
    }

    fn draws(&self, mode: Mode, script: &Script) -> bool {
        if self.whole.iter().any(|name| name == "all" || name == mode.name) {
            return true;
        }
        self.seed.draws((mode.name, &script.name), DRAWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::GROUPS;

    #[test]
    fn a_tenth_is_drawn_by_the_seed_or_all() {
        let all: Vec<Script> = GROUPS.iter().flat_map(|group| group.scripts()).collect();
        let names = |draw: &Draw| -> Vec<String> {
            draw.scripts(&all).into_iter().map(|script| script.name).collect()
        };
        let draw = |seed| Draw { seed: Seed(seed), whole: Vec::new() };
        let drawn = names(&draw(1));
        assert_eq!(drawn, names(&draw(1)));
        assert_ne!(drawn, names(&draw(2)));
        let expected = all.len() * MODES.len() / 10;
        assert!(
            (expected / 2..expected * 2).contains(&drawn.len()),
            "{} of {}",
            drawn.len(),
            all.len()
        );
        let whole = Draw { seed: Seed(1), whole: vec![MODES[0].name.to_owned()] };
        let of_first = names(&whole).into_iter().filter(|name| name.starts_with(MODES[0].name));
        assert_eq!(of_first.count(), all.len());
    }
}
