//! Running whole scripts, each in a context of its own.

use crate::context::WastContext;
use crate::directive;
use crate::mismatch::Verdict;
use crate::report::{Failure, Report};
use crate::script;
use seqfault::{Config, Engine, Error, Result};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Runs scripts on one engine.
pub struct WastRunner {
    engine: Engine,
}

impl WastRunner {
    /// A runner on an engine with the configuration `config`, for scripts that are written for its
    /// features: see [`Features::apply`](crate::Features::apply).
    ///
    /// # Errors
    ///
    /// When the engine cannot be made with that configuration.
    pub fn new(config: &Config) -> Result<WastRunner> {
        Ok(WastRunner { engine: Engine::new(config)? })
    }

    /// The engine that runs the scripts.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs the script in the file at `path`. A file that cannot be read is reported as a failure.
    pub fn run_file(&self, path: &Path) -> Report {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => self.run_script(&name, &text),
            Err(error) => {
                let source = Source::new(&name, "");
                let mut log = Log::new(&source);
                log.failed(0, "script", format!("cannot be read: {error}"));
                log.report
            }
        }
    }

    /// Runs the script `text`; `name` is its name in failures.
    pub fn run_script(&self, name: &str, text: &str) -> Report {
        match WastContext::new(&self.engine) {
            Ok(mut context) => context.run_script(name, text),
            Err(error) => Source::new(name, text).broken(0, &error),
        }
    }
}

impl WastContext {
    /// Runs the script `text` in this context; `name` is its name in failures.
    pub fn run_script(&mut self, name: &str, text: &str) -> Report {
        let source = Arc::new(Source::new(name, text));
        self.run_source(&source, 0..text.len())
    }

    /// Runs the directives in `range` of a script, and waits for the threads that they start.
    pub(crate) fn run_source(&mut self, source: &Arc<Source>, range: Range<usize>) -> Report {
        let mut log = Log::new(source);
        let base = range.start;
        for piece in script::split(&source.text[range]) {
            match piece {
                Ok(piece) => self.run_piece(&mut log, source, base + piece.start..base + piece.end),
                Err(error) => log.failed(base + error.span().offset(), "script", error.message()),
            }
            log.report.add(std::mem::take(&mut self.finished));
        }
        self.wait_for_all_threads();
        log.report.add(std::mem::take(&mut self.finished));
        log.report
    }

    fn run_piece(&mut self, log: &mut Log<'_>, source: &Arc<Source>, range: Range<usize>) {
        let text = &source.text[range.clone()];
        if let Some(head) = script::thread_head(text) {
            let body = range.start + head.body.start..range.start + head.body.end;
            let started = self.start_thread(head.name, head.shared, source, body);
            return log.outcome(range.start + head.keyword, "thread", started);
        }
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
        let verdict = directive::run(self, directive);
        log.outcome(offset, keyword, verdict);
    }
}

/// A script: its name and its text. Its threads share it.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
}

impl Source {
    fn new(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    /// The report of a script that cannot begin, or of the thread at `offset` that cannot.
    pub(crate) fn broken(&self, offset: usize, error: &Error) -> Report {
        let mut log = Log::new(self);
        log.failed(offset, "script", format!("the module `spectest` cannot be made: {error}"));
        log.report
    }
}

/// A report that is being written.
struct Log<'a> {
    source: &'a Source,
    report: Report,
}

impl<'a> Log<'a> {
    fn new(source: &'a Source) -> Log<'a> {
        Log { source, report: Report::default() }
    }

    fn outcome(&mut self, offset: usize, directive: &'static str, verdict: Verdict) {
        match verdict {
            Ok(()) => self.report.passed += 1,
            Err(mismatch) => self.failed(offset, directive, mismatch.to_string()),
        }
    }

    fn failed(&mut self, offset: usize, directive: &'static str, message: String) {
        let (line, column) = position(&self.source.text, offset);
        let file = self.source.name.clone();
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
