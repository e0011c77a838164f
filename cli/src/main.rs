//! The `seqfault` program: WebAssembly from the command line.
//!
//! `seqfault run` runs a program under WASI (`run`), `seqfault wast` runs test scripts (`wast`). `args` and `features`
//! define the options, `load` turns a file into a module, `entry` decides which of its functions is called, and
//! `invoke` calls one by name. All errors arrive in `report`, which prints them and chooses the exit code. Nothing here
//! prints with `println!`, because a closed pipe must not cause a panic.

#![deny(unsafe_code)]

mod args;
mod entry;
mod features;
mod invoke;
mod load;
mod report;
mod run;
mod time_limit;
mod wast;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Runs WebAssembly.
#[derive(Debug, Parser)]
#[command(name = "seqfault", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a program, or call a function of a module
    Run(run::RunCommand),
    /// Run .wast test scripts
    Wast(wast::WastCommand),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(command) => command.execute(),
        Command::Wast(command) => command.execute(),
    };
    outcome.unwrap_or_else(|error| report::report(&error))
}
