//! [`Plan`]: everything that a seed decides.

mod exports;
mod features;
mod imports;
mod modules;
mod rephrase;
mod rewrite;
mod script;
mod settings;

pub use exports::{Export, Kind};
pub(crate) use features::suit_wasmi;
pub use features::{FeatureRow, TABLE};
pub use modules::Barren;
pub use script::{Argument, Place, Step};
pub use settings::Settings;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seqfault::Feature;

/// How results that are NaN get bits that all engines agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanBits {
    /// The modules see to it themselves.
    InModules,
    /// The engines do. Interpreters cannot.
    InEngines,
}

/// A module and what it exports.
#[derive(Clone, Debug)]
pub struct Module {
    /// The name under which others import from it.
    pub name: &'static str,
    /// The binary.
    pub wasm: Vec<u8>,
    /// The same without compact imports, for engines that do not know them.
    pub plain: Vec<u8>,
    /// The same in words that wasmi gets right, if there are any.
    pub rephrased: Option<Vec<u8>>,
    /// Its exports, in order.
    pub exports: Vec<Export>,
}

/// What to do, and with which modules, features and settings.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that all of it comes from.
    pub seed: u64,
    /// The features that are on, in seqfault; the peers have all of theirs on.
    pub features: Vec<Feature>,
    /// Who gives NaNs their bits.
    pub nans: NanBits,
    /// How seqfault is set.
    pub settings: Settings,
    /// The modules, in the order in which they are instantiated, each importing from those before.
    pub modules: Vec<Module>,
    /// What is done, instantiations included.
    pub script: Vec<Step>,
}

impl Plan {
    /// The plan of a seed.
    ///
    /// # Errors
    ///
    /// When no module comes of it, which is rare.
    pub fn from_seed(seed: u64) -> Result<Plan, Barren> {
        let mut rng = StdRng::seed_from_u64(seed);
        let features = features::draw(&mut rng);
        let nans = if rng.random_bool(0.7) { NanBits::InModules } else { NanBits::InEngines };
        let settings = Settings::draw(&mut rng);
        let modules = modules::generate(&mut rng, &features, nans)?;
        let script = script::write(&mut rng, &modules);
        Ok(Plan { seed, features, nans, settings, modules, script })
    }

    /// Whether wasmi can take part.
    pub fn suits_wasmi(&self) -> bool {
        self.nans == NanBits::InModules
            && features::suit_wasmi(&self.features)
            && self.modules.iter().all(|module| module.rephrased.is_some())
    }
}
