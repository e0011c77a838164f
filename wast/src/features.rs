//! Which version of WebAssembly a script is written for.

use seqfault::{Config, WasmVersion};
use std::fmt;
use std::str::FromStr;

/// Which version of WebAssembly a script is written for.
///
/// It matters in both directions: a script for 1.0 asserts that later features are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Features {
    /// WebAssembly 1.0.
    Wasm1,
    /// WebAssembly 2.0.
    Wasm2,
    /// WebAssembly 3.0.
    Wasm3,
    /// All features that the engine accepts by default.
    #[default]
    All,
}

impl Features {
    /// All choices.
    pub const ALL: &[Features] =
        &[Features::Wasm1, Features::Wasm2, Features::Wasm3, Features::All];

    /// The name of the choice, as [`Features::from_str`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Features::Wasm1 => "wasm1",
            Features::Wasm2 => "wasm2",
            Features::Wasm3 => "wasm3",
            Features::All => "all",
        }
    }

    /// Switches the features of `config` on and off accordingly.
    pub fn apply(self, config: &mut Config) {
        match self {
            Features::Wasm1 => {
                config.wasm_version(WasmVersion::V1);
            }
            Features::Wasm2 => {
                config.wasm_version(WasmVersion::V2);
            }
            Features::Wasm3 => {
                config.wasm_version(WasmVersion::V3);
            }
            Features::All => {}
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Features {
    type Err = UnknownFeatures;

    fn from_str(name: &str) -> Result<Features, UnknownFeatures> {
        let known = Features::ALL.iter().find(|features| features.name() == name);
        known.copied().ok_or_else(|| UnknownFeatures(name.to_owned()))
    }
}

/// A name that no [`Features`] has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown features `{0}`: choose one of wasm1, wasm2, wasm3, all")]
pub struct UnknownFeatures(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_features() {
        for &features in Features::ALL {
            assert_eq!(features.name().parse(), Ok(features));
        }
        assert_eq!("wasm9".parse::<Features>(), Err(UnknownFeatures("wasm9".into())));
    }
}
