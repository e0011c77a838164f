//! Who may depend on whom.
//!
//! The crates of the workspace are layers: `mm` (address space) and `jit` (code) know nothing of
//! each other, the runtime joins them, and everything above the runtime uses its public API only.
//! Each crate also has libraries that would tell it more than it should know.

use std::collections::{BTreeMap, BTreeSet};

/// The direct dependencies of each package, tests' included.
pub type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// What a package of the workspace may do.
struct Rule {
    package: &'static str,
    /// The other packages of the workspace that it may use.
    may_use: &'static [&'static str],
    /// How the names of libraries begin that it must not use.
    must_not_use: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        package: "seqfault-mm",
        may_use: &[],
        must_not_use: &["wasm", "wat", "wast", "cranelift", "clap", "cap-"],
    },
    Rule { package: "seqfault-jit", may_use: &[], must_not_use: &["clap", "cap-"] },
    Rule {
        package: "seqfault",
        may_use: &["seqfault-mm", "seqfault-jit"],
        must_not_use: &["clap", "cap-"],
    },
    Rule {
        package: "seqfault-wasi",
        may_use: &["seqfault"],
        must_not_use: &["cranelift", "wasmparser", "clap"],
    },
    Rule {
        package: "seqfault-wast",
        may_use: &["seqfault"],
        must_not_use: &["cranelift", "wasmparser", "clap", "cap-"],
    },
    Rule {
        package: "seqfault-cli",
        may_use: &["seqfault", "seqfault-wasi", "seqfault-wast"],
        must_not_use: &["cranelift", "wasmparser", "libc", "rustix"],
    },
    Rule {
        package: "seqfault-wasm-tests",
        may_use: &["seqfault", "seqfault-fuzz", "seqfault-wasi", "seqfault-wast"],
        // It asks for processor time.
        must_not_use: &["cranelift", "libc"],
    },
    Rule {
        package: "seqfault-fuzz",
        may_use: &["seqfault"],
        must_not_use: &["cranelift", "libc", "rustix"],
    },
    Rule {
        package: "seqfault-benches",
        // `mm` is a library of its own, and measured as one.
        may_use: &["seqfault", "seqfault-wasi", "seqfault-mm"],
        must_not_use: &["cranelift"],
    },
];

/// Everything in the workspace that breaks a rule, a sentence each.
pub fn violations(workspace: &Dependencies) -> Vec<String> {
    let mut found = Vec::new();
    for (package, dependencies) in workspace {
        let Some(rule) = RULES.iter().find(|rule| rule.package == package) else {
            found.push(format!("{package} is in no rule: add one"));
            continue;
        };
        for dependency in dependencies {
            let ours = workspace.contains_key(dependency);
            if ours && !rule.may_use.contains(&dependency.as_str()) {
                found.push(format!("{package} must not know {dependency}"));
            }
            if !ours && rule.must_not_use.iter().any(|prefix| dependency.starts_with(prefix)) {
                found.push(format!("{package} must not use {dependency}"));
            }
        }
    }
    for rule in RULES {
        if !workspace.contains_key(rule.package) {
            found.push(format!("there is a rule for {}, which is gone", rule.package));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(uses: &[(&str, &str)]) -> Dependencies {
        let mut workspace: Dependencies =
            RULES.iter().map(|rule| (rule.package.to_owned(), BTreeSet::new())).collect();
        for (package, dependency) in uses {
            workspace.entry((*package).to_owned()).or_default().insert((*dependency).to_owned());
        }
        workspace
    }

    #[test]
    fn layers_may_use_what_is_below_them() {
        let uses = [("seqfault", "seqfault-mm"), ("seqfault", "seqfault-jit")];
        assert_eq!(violations(&workspace(&uses)), [""; 0]);
    }

    #[test]
    fn each_way_around_the_runtime_is_a_violation() {
        for (package, dependency) in [
            ("seqfault-mm", "seqfault-jit"),
            ("seqfault-jit", "seqfault-mm"),
            ("seqfault-wasi", "seqfault-mm"),
            ("seqfault-cli", "seqfault-jit"),
            ("seqfault-wasm-tests", "seqfault-mm"),
            ("seqfault", "seqfault-wasi"),
            ("seqfault-mm", "wasmparser"),
            ("seqfault-jit", "clap"),
            ("seqfault", "clap"),
        ] {
            let found = violations(&workspace(&[(package, dependency)]));
            assert_eq!(found.len(), 1, "{package} -> {dependency}: {found:?}");
            assert!(found[0].contains(package) && found[0].contains(dependency), "{found:?}");
        }
    }

    #[test]
    fn a_package_without_a_rule_and_a_rule_without_a_package_are_violations() {
        let mut workspace = workspace(&[("seqfault-new", "libc")]);
        workspace.remove("seqfault-wast");
        assert_eq!(violations(&workspace).len(), 2);
    }
}
