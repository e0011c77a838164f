//! [`Scoreboard`]: what was measured against the bars, the losses first.

use crate::Bars;
use crate::report::Time;
use std::fmt;

/// One piece of work, done by one of ours and by the peers.
#[derive(Clone, Debug)]
pub struct Row {
    /// The work.
    pub name: String,
    /// Which of ours.
    pub who: &'static str,
    /// What is good enough.
    pub bars: Bars,
    /// Our time to that of the pool as it comes.
    pub to_default: f64,
    /// Our time to that of the tuned pool.
    pub to_tuned: f64,
    /// What we take more than the pool as it comes, in nanoseconds.
    pub more: f64,
    /// Nanoseconds: ours, the pool's, the tuned pool's.
    pub times: [f64; 3],
    /// What is resident, to the most that may be.
    pub surplus: Option<f64>,
    /// The other columns.
    pub cells: Vec<String>,
}

impl Row {
    /// How far it is from its bars: above 1 it is a loss.
    pub fn loss(&self) -> f64 {
        let slack = self.bars.slack.as_nanos() as f64;
        let to_default =
            if self.more <= slack { 0.0 } else { self.to_default / self.bars.to_default };
        let to_tuned = self.to_tuned / self.bars.to_tuned;
        [to_default, to_tuned, self.surplus.unwrap_or(0.0)].into_iter().fold(0.0, f64::max)
    }
}

/// What a run has measured.
#[derive(Clone, Debug)]
pub struct Scoreboard {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

impl Scoreboard {
    /// An empty one; rows have `columns` beside those that all have.
    pub fn new(title: impl Into<String>, columns: &[&'static str]) -> Scoreboard {
        Scoreboard { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds rows.
    pub fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
    }

    fn table(&self, f: &mut fmt::Formatter<'_>, rows: &[&Row]) -> fmt::Result {
        let mut lines = vec![self.heads()];
        lines.extend(rows.iter().map(|row| cells(row)));
        let widths: Vec<usize> = (0..lines[0].len())
            .map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
            .collect();
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

    fn heads(&self) -> Vec<String> {
        let fixed =
            ["work", "ours", "to pool (bar)", "to tuned (bar)", "more", "ours, pool, tuned"];
        fixed.iter().chain(&self.columns).map(|&head| head.to_owned()).collect()
    }
}

fn cells(row: &Row) -> Vec<String> {
    let Row { bars, times, .. } = row;
    let mut cells = vec![
        row.name.clone(),
        row.who.to_owned(),
        format!("{:.3} ({})", row.to_default, bars.to_default),
        format!("{:.3} ({})", row.to_tuned, bars.to_tuned),
        format!("{:+.0} µs", row.more / 1e3),
        times.map(|time| Time(time).to_string()).join(", "),
    ];
    cells.extend(row.cells.iter().cloned());
    cells
}

impl fmt::Display for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut losses, others): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| row.loss() > 1.0);
        losses.sort_by(|a, b| b.loss().total_cmp(&a.loss()));
        let (title, count, all) = (&self.title, losses.len(), self.rows.len());
        writeln!(f, "{title}: {count} of {all} rows above a bar, the farthest first\n")?;
        self.table(f, &losses)?;
        writeln!(f, "\nThe others\n")?;
        self.table(f, &others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn row(name: &str, to_default: f64, to_tuned: f64, more: f64, surplus: Option<f64>) -> Row {
        Row {
            name: name.into(),
            who: "ours",
            bars: Bars { to_default: 1.05, to_tuned: 1.1, slack: Duration::from_micros(30) },
            to_default,
            to_tuned,
            more,
            times: [1.0; 3],
            surplus,
            cells: Vec::new(),
        }
    }

    #[test]
    fn a_bar_is_missed_by_ratio_or_by_pages_and_not_by_a_short_time() {
        assert!(row("slow", 2.1, 1.0, 1e6, None).loss() > 1.9);
        assert!(row("hardly slow", 2.1, 1.0, 3e4, None).loss() < 1.0);
        assert!(row("slower than reuse", 1.0, 1.2, 0.0, None).loss() > 1.0);
        assert!(row("large", 1.0, 1.0, 0.0, Some(1.5)).loss() > 1.4);
        assert!(row("good", 1.05, 1.1, 1e6, Some(1.0)).loss() <= 1.0);
    }

    #[test]
    fn losses_come_first_the_farthest_at_the_top() {
        let mut board = Scoreboard::new("title", &[]);
        board.extend([
            row("fine", 0.5, 0.5, -1e6, None),
            row("bad", 2.0, 1.0, 1e6, None),
            row("worse", 3.0, 1.0, 1e6, None),
        ]);
        let text = board.to_string();
        let at = |name: &str| text.find(name).expect("a row");
        assert!(at("worse ") < at("bad ") && at("bad ") < at("fine "), "{text}");
        assert!(text.contains("2 of 3 rows"), "{text}");
    }
}
