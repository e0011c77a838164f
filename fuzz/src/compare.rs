//! Looks for the first step where two engines disagree.

use crate::engines::Record;
use crate::observe::Verdict;
use crate::plan::Plan;
use std::fmt;

/// The first step at which two engines disagree.
#[derive(Debug)]
pub struct Difference {
    /// Which step of the script.
    pub step: usize,
    /// The engines' names with what they saw.
    pub answers: [(&'static str, String); 2],
    /// The step.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "step {}: {}", self.step, self.what)?;
        for (name, answer) in &self.answers {
            writeln!(f, "  {name:>9}: {answer}")?;
        }
        Ok(())
    }
}

/// What became of a comparison.
#[derive(Debug)]
pub enum Outcome {
    /// All steps were compared.
    Agreed,
    /// The steps up to this one were: there an engine came to its limits.
    CutShort(usize),
    /// They disagree.
    Differ(Difference),
}

/// Compares what two engines saw of one plan.
pub fn compare(plan: &Plan, ours: &Record, theirs: &Record) -> Outcome {
    for (step, (a, b)) in ours.seen.iter().zip(&theirs.seen).enumerate() {
        match a.agrees(b) {
            Verdict::Agree => {}
            Verdict::Incomparable => return Outcome::CutShort(step),
            Verdict::Differ => {
                let mut what = format!("{:?}", plan.script[step]);
                if let Some(at) = a.first_difference(b) {
                    what += &format!(", first difference at byte {at:#x}");
                }
                let answers = [(ours.engine, format!("{a:?}")), (theirs.engine, format!("{b:?}"))];
                return Outcome::Differ(Difference { step, answers, what });
            }
        }
    }
    Outcome::Agreed
}
