//! The borders between the crates, as they are in the workspace.

#![deny(unsafe_code)]

use cargo_metadata::MetadataCommand;
use seqfault_wasm_tests::rules::{Dependencies, violations};
use std::fs;
use std::path::Path;

fn workspace() -> Dependencies {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps();
    let metadata = command.exec().expect("cargo knows the workspace");
    let package = |package: &cargo_metadata::Package| {
        let uses = package.dependencies.iter().map(|dependency| dependency.name.clone()).collect();
        (package.name.to_string(), uses)
    };
    metadata.workspace_packages().into_iter().map(package).collect()
}

#[test]
fn no_crate_knows_more_than_it_should() {
    let workspace = workspace();
    assert!(workspace["seqfault"].contains("seqfault-mm"), "{workspace:?}");
    let found = violations(&workspace);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn crates_above_the_runtime_deny_unsafe_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in ["wasi/src/lib.rs", "wast/src/lib.rs", "cli/src/main.rs", "wasm-tests/src/lib.rs"] {
        let text = fs::read_to_string(root.join(file)).expect(file);
        assert!(
            text.contains("#![deny(unsafe_code)]") || text.contains("#![forbid(unsafe_code)]"),
            "{file}"
        );
    }
}
