//! Expected CLIF: each `tests/clif/NAME.wat` has what it becomes beside it, in `NAME.clif`.
//!
//! `BLESS=1 cargo test` writes what it finds instead of comparing. A first line `;; epoch` turns
//! epoch interruption on, `;; no signals` traps by signals off, and `;; scarce` makes address space scarce.

use super::TestModule;
use crate::tunables::Tunables;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The CLIF of all functions of a module.
fn clif(text: &str) -> String {
    let mut module = TestModule::new(text);
    let epoch_interruption = text.starts_with(";; epoch");
    let signals_based_traps = !text.starts_with(";; no signals");
    let scarce_addresses = text.starts_with(";; scarce");
    let tunables = Tunables {
        epoch_interruption,
        signals_based_traps,
        scarce_addresses,
        ..Tunables::default()
    };
    let mut clif = String::new();
    for func in module.funcs() {
        let function = module.translate(func, &tunables);
        writeln!(clif, "{}", function.display()).unwrap();
    }
    // How the host's C functions are called differs from host to host.
    let host = module.isa.default_call_conv().to_string();
    clif.replace(&format!(" {host}\n"), " host\n")
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clif");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "wat")).collect();
    cases.sort();
    cases
}

#[test]
fn clif_is_as_expected() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(!cases.is_empty());
    for case in cases {
        let found = clif(&fs::read_to_string(&case).unwrap());
        let path = case.with_extension("clif");
        if bless {
            fs::write(&path, &found).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{}: now\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nBLESS=1 accepts the changes", wrong.join("\n"));
}
