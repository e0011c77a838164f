//! Running whole scripts, each in a context of its own.

use crate::context::WastContext;
use crate::directive;
use crate::report::{Failure, Report};
use crate::script;
use seqfault::{Config, Engine, Result};
use std::ops::Range;
use std::path::Path;

/// Runs scripts on one engine.
pub struct WastRunner {
    engine: Engine,
}

impl WastRunner {
    /// A runner on an engine that is set up as in `config`, for scripts that are written for the
    /// features that it has: see [`Features::apply`](crate::Features::apply).
    ///
    /// # Errors
    ///
    /// When the engine cannot be made with that configuration.
    pub fn new(config: &Config) -> Result<WastRunner> {
        Ok(WastRunner { engine: Engine::new(config)? })
    }

    /// Runs the script in the file at `path`. A file that cannot be read is a failure, too.
    pub fn run_file(&self, path: &Path) -> Report {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => self.run_script(&name, &text),
            Err(error) => {
                let mut log = Log::new(&name, "");
                log.failed(0, "script", format!("cannot be read: {error}"));
                log.report
            }
        }
    }

    /// Runs the script `text`; `name` is what its failures call it.
    pub fn run_script(&self, name: &str, text: &str) -> Report {
        match WastContext::new(&self.engine) {
            Ok(mut context) => context.run_script(name, text),
            Err(error) => {
                let mut log = Log::new(name, text);
                log.failed(0, "script", format!("the module `spectest` cannot be made: {error}"));
                log.report
            }
        }
    }
}

impl WastContext {
    /// Runs the script `text` in this context; `name` is what its failures call it.
    pub fn run_script(&mut self, name: &str, text: &str) -> Report {
        let mut log = Log::new(name, text);
        for piece in script::split(text) {
            match piece {
                Ok(range) => self.run_piece(&mut log, range),
                Err(error) => log.failed(error.span().offset(), "script", error.message()),
            }
        }
        log.report
    }

    fn run_piece(&mut self, log: &mut Log<'_>, range: Range<usize>) {
        let text = &log.text[range.clone()];
        let failed_to_parse = |log: &mut Log<'_>, error: wast::Error| {
            log.failed(range.start + error.span().offset(), "script", error.message());
        };
        let tokens = match script::tokens(text) {
            Ok(tokens) => tokens,
            Err(error) => return failed_to_parse(log, error),
        };
        let directive = match script::directive(&tokens) {
            Ok(Some(directive)) => directive,
            Ok(None) => return,
            Err(error) => return failed_to_parse(log, error),
        };
        let keyword = directive::keyword(&directive);
        let offset = range.start + directive.span().offset();
        match directive::run(self, directive) {
            Ok(()) => log.report.passed += 1,
            Err(mismatch) => log.failed(offset, keyword, mismatch.to_string()),
        }
    }
}

/// A report in the making.
struct Log<'a> {
    name: &'a str,
    text: &'a str,
    report: Report,
}

impl<'a> Log<'a> {
    fn new(name: &'a str, text: &'a str) -> Log<'a> {
        Log { name, text, report: Report::default() }
    }

    fn failed(&mut self, offset: usize, directive: &'static str, message: String) {
        let (line, column) = position(self.text, offset);
        let file = self.name.to_owned();
        self.report.failures.push(Failure { file, line, column, directive, message });
    }
}

/// Line and column of the byte at `offset`, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "(a)\n  é(b)\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.find("(b)").unwrap()), (2, 4));
        assert_eq!(position(text, 1000), (3, 1));
    }
}
