//! What is written down of a plan on which engines disagree, or at which one died.

use crate::plan::Plan;
use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

/// A plan's seed, `what` was found, and what is needed to understand it but for modules and script.
pub fn describe(plan: &Plan, what: &str) -> String {
    let features: Vec<_> = plan.features.iter().map(|feature| feature.name()).collect();
    let Plan { seed, nans, settings, .. } = plan;
    format!("seed {seed}\n{what}\nfeatures: {}\n{nans:?}\n{settings:?}\n", features.join(" "))
}

/// Writes all of it into a folder.
///
/// # Errors
///
/// When that cannot be done.
pub fn write(folder: &Path, plan: &Plan, what: &str) -> io::Result<()> {
    let mut text = describe(plan, what);
    for (number, step) in plan.script.iter().enumerate() {
        let _ = writeln!(text, "{number:>4} {step:?}");
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("finding.txt"), text)?;
    for module in &plan.modules {
        fs::write(folder.join(format!("{}.wasm", module.name)), &module.wasm)?;
        if let Ok(wat) = wasmprinter::print_bytes(&module.wasm) {
            fs::write(folder.join(format!("{}.wat", module.name)), wat)?;
        }
    }
    Ok(())
}
