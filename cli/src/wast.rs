//! `seqfault wast`: test scripts, from files and folders.

use crate::args::EngineArgs;
use clap::Args;
use seqfault::{Error, Result};
use seqfault_wast::{Features, WastRunner};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args, Clone, Debug)]
pub(crate) struct WastCommand {
    /// What the scripts are written for: wasm1, wasm2, wasm3 or all
    #[arg(long, default_value_t = Features::All)]
    features: Features,

    /// Scripts, and folders of scripts
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    engine: EngineArgs,
}

impl WastCommand {
    /// Runs the scripts; the exit code tells whether all of their directives held.
    pub(crate) fn execute(self) -> Result<ExitCode> {
        let mut config = self.engine.config();
        self.features.apply(&mut config);
        let runner = WastRunner::new(&config)?;
        let mut scripts = Vec::new();
        for path in &self.paths {
            collect(path, &mut scripts)?;
        }
        let mut out = std::io::stdout().lock();
        let failed = run_all(&runner, &scripts, &mut out)
            .map_err(|error| Error::from(error).context("cannot write to standard output"))?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Runs `scripts`, writes each failure and the sums, and returns how many directives failed.
fn run_all(
    runner: &WastRunner,
    scripts: &[PathBuf],
    out: &mut impl Write,
) -> std::io::Result<usize> {
    let (mut passed, mut failed) = (0, 0);
    for script in scripts {
        let report = runner.run_file(script);
        passed += report.passed;
        failed += report.failures.len();
        for failure in &report.failures {
            writeln!(out, "{failure}")?;
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed)
}

/// Adds the scripts at `path` to `scripts`: the file itself, or everything in the folder and below
/// that ends in `.wast`, in the order of the names.
fn collect(path: &Path, scripts: &mut Vec<PathBuf>) -> Result<()> {
    let cannot_read = |error: std::io::Error| {
        let path = path.display();
        Error::msg(format!("cannot read `{path}`: {error}: give a .wast file or a folder of them"))
    };
    if !fs::metadata(path).map_err(cannot_read)?.is_dir() {
        scripts.push(path.to_owned());
        return Ok(());
    }
    let before = scripts.len();
    walk(path, scripts).map_err(cannot_read)?;
    scripts[before..].sort();
    match scripts.len() == before {
        true => Err(Error::msg(format!("there is no .wast file in `{}`", path.display()))),
        false => Ok(()),
    }
}

fn walk(folder: &Path, scripts: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Links to folders are not followed: they can lead in circles.
        if entry.file_type()?.is_dir() {
            walk(&path, scripts)?;
        } else if path.extension().is_some_and(|extension| extension == "wast") {
            scripts.push(path);
        }
    }
    Ok(())
}
