//! `seqfault wast`: runs test scripts from files and folders.

use crate::args::EngineArgs;
use crate::report;
use clap::Args;
use seqfault::message::Escaped;
use seqfault::{Config, Error, Result};
use seqfault_wast::{Features, Folder, WastRunner};
use std::collections::hash_map::{Entry, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args, Clone, Debug)]
pub(crate) struct WastCommand {
    /// What the scripts are written for: wasm1, wasm2, wasm3 or all [default: what the folder is
    /// for, if it is one of the specification's, or else all]
    #[arg(long)]
    features: Option<Features>,

    /// Scripts, and folders of scripts
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    engine: EngineArgs,
}

impl WastCommand {
    /// Runs the scripts; the exit code tells whether all of their directives passed.
    pub(crate) fn execute(self) -> Result<ExitCode> {
        let mut scripts = Vec::new();
        for path in &self.paths {
            collect(path, &mut scripts)?;
        }
        let mut out = std::io::stdout().lock();
        let failed = self.run_all(&scripts, &mut out)?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs `scripts`, writes each failure and the totals, and returns how many directives failed.
    fn run_all(&self, scripts: &[PathBuf], out: &mut impl Write) -> Result<usize> {
        let cannot_write =
            |error: std::io::Error| Error::from(error).context("cannot write to standard output");
        // One engine for each kind of script.
        let mut runners: HashMap<Option<&str>, WastRunner> = HashMap::new();
        let (mut passed, mut failed) = (0, 0);
        for script in scripts {
            let folder = self.folder(script);
            let kind = folder.map(Folder::name);
            let runner = match runners.entry(kind) {
                Entry::Occupied(made) => made.into_mut(),
                Entry::Vacant(none) => none.insert(WastRunner::new(&self.config(folder))?),
            };
            report::announce(runner.engine());
            let report = runner.run_file(script);
            passed += report.passed;
            failed += report.failures.len();
            for failure in &report.failures {
                writeln!(out, "{failure}").map_err(cannot_write)?;
            }
        }
        writeln!(out, "{passed} passed, {failed} failed").map_err(cannot_write)?;
        Ok(failed)
    }

    /// The folder that decides what `script` is written for, unless an option decides.
    fn folder(&self, script: &Path) -> Option<&'static Folder> {
        if self.features.is_some() {
            return None;
        }
        Folder::of(&std::path::absolute(script).ok()?)
    }

    fn config(&self, folder: Option<&Folder>) -> Config {
        let mut config = self.engine.config();
        match folder {
            Some(folder) => folder.apply(&mut config),
            None => self.features.unwrap_or_default().apply(&mut config),
        }
        // The options for single features apply to every script.
        self.engine.switch_features(&mut config);
        config
    }
}

/// Adds the scripts at `path` to `scripts`: the file itself, or all files in and below the folder
/// whose names end in `.wast`, in the order of their names.
fn collect(path: &Path, scripts: &mut Vec<PathBuf>) -> Result<()> {
    let cannot_read = |error: std::io::Error| {
        let path = path.to_string_lossy();
        let path = Escaped::name(&path);
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
        true => {
            let path = path.to_string_lossy();
            Err(Error::msg(format!("there is no .wast file in `{}`", Escaped::name(&path))))
        }
        false => Ok(()),
    }
}

fn walk(folder: &Path, scripts: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Links to folders are not followed, because they can form cycles.
        if entry.file_type()?.is_dir() {
            walk(&path, scripts)?;
        } else if path.extension().is_some_and(|extension| extension == "wast") {
            scripts.push(path);
        }
    }
    Ok(())
}
