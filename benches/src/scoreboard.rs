//! [`Scoreboard`]: what was measured against the bars, the losses first.

use crate::HugePages;
use std::fmt;

/// One piece of work, done by one of ours.
#[derive(Clone, Debug)]
pub struct Row {
    name: String,
    who: &'static str,
    judged: Vec<Judged>,
    cells: Vec<String>,
}

/// A ratio and the highest that is good enough. NaN where one of them is not known.
#[derive(Clone, Copy, Debug)]
struct Judged {
    ratio: f64,
    bar: f64,
    /// Good enough for another reason.
    excused: bool,
}

impl Row {
    /// The row for the work `name` done by `who`.
    pub fn new(name: impl Into<String>, who: &'static str) -> Row {
        Row { name: name.into(), who, judged: Vec::new(), cells: Vec::new() }
    }

    /// The next of the columns that have bars.
    #[must_use]
    pub fn judge(self, ratio: Option<f64>, bar: f64) -> Row {
        self.judge_unless(false, ratio, bar)
    }

    /// The same; a ratio above the bar is no loss if it is `excused`.
    #[must_use]
    pub fn judge_unless(mut self, excused: bool, ratio: Option<f64>, bar: f64) -> Row {
        self.judged.push(Judged { ratio: ratio.unwrap_or(f64::NAN), bar, excused });
        self
    }

    /// The next of the other columns.
    #[must_use]
    pub fn cell(mut self, cell: impl ToString) -> Row {
        self.cells.push(cell.to_string());
        self
    }

    /// The next of the columns that have bars is empty.
    #[must_use]
    pub fn no_judgement(self) -> Row {
        self.judge(None, f64::NAN)
    }

    /// How far it is from the bar that it misses most: above 1 it is a loss.
    fn loss(&self) -> f64 {
        let judged = self.judged.iter().filter(|judged| !judged.excused);
        // `max` leaves out what is not known.
        judged.map(|judged| judged.ratio / judged.bar).fold(0.0, f64::max)
    }

    /// Its cells, if the table has so many columns with bars. Those that it has not filled are empty.
    fn line(&self, judged: usize) -> Vec<String> {
        let mut line = vec![self.name.clone(), self.who.to_owned()];
        line.extend(self.judged.iter().map(ToString::to_string));
        line.resize(2 + judged, String::new());
        line.extend(self.cells.iter().cloned());
        line
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judged { ratio, bar, excused } = *self;
        let bar = (bar * 1e3).round() / 1e3;
        match ratio.is_nan() || bar.is_nan() {
            true => Ok(()),
            false if ratio > bar && !excused => write!(f, "**{ratio:.3}** ({bar})"),
            false => write!(f, "{ratio:.3} ({bar})"),
        }
    }
}

/// What a run has measured.
#[derive(Clone, Debug)]
pub struct Scoreboard {
    title: &'static str,
    huge: HugePages,
    columns: Vec<String>,
    judged: usize,
    rows: Vec<Row>,
}

impl Scoreboard {
    /// An empty one. Its rows have the columns `judged` and `cells`.
    pub fn new(title: &'static str, judged: Vec<String>, cells: Vec<String>) -> Self {
        let columns = [vec!["work".to_owned(), "ours".to_owned()], judged.clone(), cells].concat();
        let huge = HugePages::now();
        Scoreboard { title, huge, columns, judged: judged.len(), rows: Vec::new() }
    }

    /// What the run is about.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Adds rows.
    pub fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
    }

    fn table(&self, f: &mut fmt::Formatter<'_>, rows: &[&Row]) -> fmt::Result {
        let mut lines = vec![self.columns.clone()];
        lines.extend(rows.iter().map(|row| row.line(self.judged)));
        let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
        let widths: Vec<usize> = (0..self.columns.len()).filter_map(width).collect();
        for (number, line) in lines.iter().enumerate() {
            let padded = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
            writeln!(f, "| {} |", padded.collect::<Vec<_>>().join(" | "))?;
            if number == 0 {
                let rules = widths.iter().map(|&width| "-".repeat(width));
                writeln!(f, "| {} |", rules.collect::<Vec<_>>().join(" | "))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut losses, others): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| row.loss() > 1.0);
        losses.sort_by(|a, b| b.loss().total_cmp(&a.loss()));
        let (title, huge, all) = (self.title, self.huge.name(), self.rows.len());
        writeln!(
            f,
            "{title}, transparent huge pages: {huge}; {} of {all} rows miss a bar, the farthest first:\n",
            losses.len()
        )?;
        self.table(f, &losses)?;
        writeln!(f, "\nThe others:\n")?;
        self.table(f, &others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Row {
        Row::new(name, "ours")
    }

    #[test]
    fn a_bar_is_missed_unless_there_is_an_excuse_or_no_figure() {
        assert!(row("one of two").judge(Some(2.1), 1.05).judge(Some(1.0), 1.1).loss() > 1.9);
        assert!(row("at the bar").judge(Some(1.05), 1.05).loss() <= 1.0);
        assert!(row("excused").judge_unless(true, Some(2.1), 1.05).loss() <= 1.0);
        assert!(row("unknown").judge(None, 1.05).judge(Some(1.0), 1.05).loss() <= 1.0);
        assert!(row("unknown").judge(None, 1.05).judge(Some(1.1), 1.05).loss() > 1.0);
    }

    #[test]
    fn losses_come_first_the_farthest_at_the_top() {
        let mut board = Scoreboard::new("title", vec!["ratio".into()], vec!["more".into()]);
        board.extend([
            row("fine").judge(Some(0.5), 1.0).cell(1),
            row("bad").judge(Some(2.0), 1.0).cell(2),
            row("worse").judge(Some(3.0), 1.0).cell(3),
        ]);
        let text = board.to_string();
        let at = |name: &str| text.find(name).expect("a row");
        assert!(at("worse ") < at("bad ") && at("bad ") < at("fine "), "{text}");
        assert!(text.contains("2 of 3 rows"), "{text}");
        assert!(text.contains("| **3.000** (1) | 3    |"), "{text}");
    }
}
