//! What the folders of the specification's suites need.
//!
//! The suites have a folder for each version and each proposal. Most scripts of later versions run
//! anywhere. But earlier ones assert that later features are refused, and those of a proposal that
//! is not part of a version yet need that proposal.

use crate::Features;
use seqfault::{Config, Feature};
use std::path::Path;

/// A folder of a suite, and the features that its scripts are written for.
#[derive(Debug)]
pub struct Folder {
    name: &'static str,
    base: Features,
    beyond: &'static [Feature],
    /// Whether a module writes no segment unless all of them fit.
    checks_segments_first: bool,
}

/// Every folder whose scripts need something other than the engine's defaults.
static FOLDERS: &[Folder] = &[
    folder("wasm-v1", Features::Wasm1, &[]),
    folder("wasm-v2", Features::Wasm2, &[]),
    folder("wasm-v3", Features::Wasm3, &[]),
    folder("wasm-latest", Features::Wasm3, &[]),
    folder("annotations", Features::Wasm3, &[]),
    folder("bulk-memory", Features::Wasm3, &[]),
    folder("custom-page-sizes", Features::Wasm3, &[Feature::CustomPageSizes]),
    folder("exceptions", Features::Wasm3, &[]),
    folder("extended-const", Features::Wasm3, &[]),
    // Its scripts assert that features of other proposals are refused.
    folder(
        "function-references",
        Features::Wasm2,
        &[Feature::FunctionReferences, Feature::TailCall],
    ),
    folder("gc", Features::Wasm3, &[]),
    // Its scripts assert that several memories are refused.
    folder("memory64", Features::Wasm2, &[Feature::Memory64]),
    folder("multi-memory", Features::Wasm3, &[]),
    folder("multi-value", Features::Wasm1, &[Feature::MultiValue]),
    // These scripts are older than those of 1.0 itself, which have the rule of 2.0 for segments.
    Folder { checks_segments_first: true, ..folder("mutable-global", Features::Wasm1, &[]) },
    folder(
        "nontrapping-float-to-int-conversions",
        Features::Wasm1,
        &[Feature::SaturatingFloatToInt],
    ),
    folder("reference-types", Features::Wasm2, &[]),
    folder("relaxed-simd", Features::Wasm3, &[]),
    folder("sign-extension-ops", Features::Wasm1, &[Feature::SignExtension]),
    // One of its scripts also uses several memories.
    folder("simd", Features::Wasm2, &[Feature::MultiMemory]),
    folder("tail-call", Features::Wasm3, &[]),
    // Older than reference types and several memories: it asserts that a second table or memory is
    // refused.
    folder(
        "threads",
        Features::Wasm1,
        &[
            Feature::Threads,
            Feature::BulkMemory,
            Feature::MultiValue,
            Feature::SignExtension,
            Feature::SaturatingFloatToInt,
        ],
    ),
    folder("wide-arithmetic", Features::Wasm3, &[Feature::WideArithmetic]),
];

const fn folder(name: &'static str, base: Features, beyond: &'static [Feature]) -> Folder {
    Folder { name, base, beyond, checks_segments_first: false }
}

impl Folder {
    /// The folder of a suite that has this name.
    pub fn named(name: &str) -> Option<&'static Folder> {
        FOLDERS.iter().find(|folder| folder.name == name)
    }

    /// The folder of a suite that contains the script at `path`, by the folder's name.
    pub fn of(path: &Path) -> Option<&'static Folder> {
        Folder::named(path.parent()?.file_name()?.to_str()?)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sets up `config` as the folder's scripts need it.
    pub fn apply(&self, config: &mut Config) {
        self.base.apply(config);
        for &feature in self.beyond {
            config.wasm_feature(feature, true);
        }
        config.check_segments_first(self.checks_segments_first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_belongs_to_the_folder_that_it_lies_in() {
        let of = |path: &str| Folder::of(Path::new(path)).map(Folder::name);
        assert_eq!(of("a/proposals/simd/b.wast"), Some("simd"));
        assert_eq!(of("wasm-v1/b.wast"), Some("wasm-v1"));
        assert_eq!(of("simd/mine/b.wast"), None);
        assert_eq!(of("simd"), None);
    }

    #[test]
    fn no_folder_is_there_twice() {
        for folder in FOLDERS {
            assert!(std::ptr::eq(Folder::named(folder.name).unwrap(), folder), "{}", folder.name);
        }
    }
}
