//! The command: fuzz for some time, or repeat a seed.

#![deny(unsafe_code)]

use clap::Parser;
use seqfault_fuzz::Plan;
use seqfault_fuzz::campaign::{Campaign, Limit, Peers, finding};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Runs random modules on seqfault, Wasmtime and wasmi, and reports where they differ.
#[derive(Parser)]
struct Arguments {
    /// The first seed; that of a finding repeats it, together with `--modules 1`.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// For how long.
    #[arg(long, env = "SEQFAULT_FUZZ_SECS", default_value_t = 60)]
    seconds: u64,
    /// How many generated modules, however long it takes.
    #[arg(long)]
    modules: Option<u64>,
    /// Writes the plan of the seed to the findings and runs nothing: for a seed at which the
    /// process died.
    #[arg(long)]
    write: bool,
    /// Where findings are written.
    #[arg(long, default_value = "target/fuzz")]
    findings: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.write {
        return write(arguments.seed, &arguments.findings);
    }
    let limit = match arguments.modules {
        Some(modules) => Limit::Modules(modules),
        None => Limit::Time(Duration::from_secs(arguments.seconds)),
    };
    let campaign = Campaign {
        first_seed: arguments.seed,
        limit,
        findings: Some(arguments.findings),
        peers: Peers::All,
    };
    let figures = campaign.run();
    println!("{figures}");
    match figures.differences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn write(seed: u64, findings: &Path) -> ExitCode {
    let Ok(plan) = Plan::from_seed(seed) else {
        println!("seed {seed} makes no module");
        return ExitCode::FAILURE;
    };
    let folder = findings.join(seed.to_string());
    match finding::write(&folder, &plan, "") {
        Ok(()) => {
            println!("{}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{} cannot be written: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
