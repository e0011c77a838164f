//! The directives that may fail, and the verdict over a script in their light.
//!
//! The list has one directive a line: the script, a colon, the line in it, a space, the reason.
//! Lines that begin with `#` are comments. The list is exact: a directive on it that holds is as
//! wrong as one that fails without being on it, so that the list can only shrink by being edited.

use seqfault_wast::Report;
use std::collections::HashMap;
use std::fmt::Write;

/// The directives that are expected to fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedFailures(HashMap<String, Vec<usize>>);

impl ExpectedFailures {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// The first line that is neither an entry with a reason nor a comment.
    pub fn parse(list: &str) -> Result<ExpectedFailures, String> {
        let mut expected = ExpectedFailures::default();
        for line in list.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (script, number) = entry(line)
                .ok_or_else(|| format!("`{line}` is not `folder/script.wast:LINE REASON`"))?;
            expected.0.entry(script.to_owned()).or_default().push(number);
        }
        Ok(expected)
    }

    /// The scripts that the list names.
    pub fn scripts(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Judges the `report` of a script.
    ///
    /// # Errors
    ///
    /// Every failure that is not on the list, and every entry that did not fail.
    pub fn judge(&self, script: &str, report: &Report) -> Result<(), String> {
        let listed = self.0.get(script).map_or(&[][..], Vec::as_slice);
        let mut verdict = String::new();
        for failure in &report.failures {
            if !listed.contains(&failure.line) {
                // Writing to a string cannot fail.
                let _ = writeln!(verdict, "{failure}");
            }
        }
        for line in listed {
            if !report.failures.iter().any(|failure| failure.line == *line) {
                let _ = writeln!(
                    verdict,
                    "{script}:{line}: holds, but is on the list of expected failures: remove it"
                );
            }
        }
        if report.passed + report.failures.len() == 0 {
            verdict.push_str("the script has no directives\n");
        }
        if verdict.is_empty() { Ok(()) } else { Err(verdict) }
    }
}

fn entry(line: &str) -> Option<(&str, usize)> {
    let (place, reason) = line.split_once(char::is_whitespace)?;
    let (script, number) = place.rsplit_once(':')?;
    let number = number.parse().ok()?;
    (!reason.trim().is_empty() && script.ends_with(".wast")).then_some((script, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqfault_wast::Failure;

    fn report(passed: usize, failed_lines: &[usize]) -> Report {
        let failure = |&line| Failure {
            file: "g/s.wast".into(),
            line,
            column: 1,
            directive: "assert_return",
            message: "expected 1, found 2".into(),
        };
        Report { passed, failures: failed_lines.iter().map(failure).collect() }
    }

    #[test]
    fn only_what_is_listed_may_fail() {
        let list = ExpectedFailures::parse("# comment\n\ng/s.wast:7 the reason\n").unwrap();
        assert_eq!(list.judge("g/s.wast", &report(3, &[7])), Ok(()));
        assert!(list.judge("g/s.wast", &report(3, &[7, 8])).unwrap_err().contains(":8:1"));
        assert!(list.judge("g/other.wast", &report(3, &[7])).is_err());
    }

    #[test]
    fn what_is_listed_must_fail() {
        let list = ExpectedFailures::parse("g/s.wast:7 the reason").unwrap();
        assert!(list.judge("g/s.wast", &report(3, &[])).unwrap_err().contains("remove it"));
    }

    #[test]
    fn a_script_without_directives_proves_nothing() {
        assert!(ExpectedFailures::default().judge("g/s.wast", &report(0, &[])).is_err());
        assert_eq!(ExpectedFailures::default().judge("g/s.wast", &report(1, &[])), Ok(()));
    }

    #[test]
    fn entries_need_a_line_and_a_reason() {
        for bad in ["g/s.wast:7", "g/s.wast because", "g/s.wast:x because", "g/s:7 because"] {
            assert!(ExpectedFailures::parse(bad).is_err(), "{bad}");
        }
    }
}
