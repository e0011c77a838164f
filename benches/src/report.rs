//! [`Report`]: the ratios of a run, printed at its end.

use std::fmt;

/// The medians of a contest, in nanoseconds, ours first.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) medians: Vec<(&'static str, f64)>,
}

/// What a run has measured.
#[derive(Clone, Debug)]
pub struct Report {
    title: &'static str,
    rows: Vec<Row>,
}

impl Report {
    /// A report without rows.
    pub fn new(title: &'static str) -> Report {
        Report { title, rows: Vec::new() }
    }

    /// What the run is about: the name of its group of benchmarks.
    pub fn title(&self) -> &'static str {
        self.title
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The median of ours divided by that of `peer`, in the contest `name`.
    pub fn ratio(&self, name: &str, peer: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name)?;
        let (_, ours) = row.medians.first()?;
        let (_, theirs) = row.medians.iter().find(|(name, _)| *name == peer)?;
        Some(ours / theirs)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: ratio of medians, ours / peer (below 1: ours is faster)", self.title)?;
        for row in &self.rows {
            let Some((&(ours, median), peers)) = row.medians.split_first() else { continue };
            for (peer, other) in peers {
                writeln!(
                    f,
                    "  {:>6.3}  {:<28} {ours} {}, {peer} {}",
                    median / other,
                    row.name,
                    Time(median),
                    Time(*other)
                )?;
            }
        }
        Ok(())
    }
}

/// Nanoseconds, in a unit that suits them.
struct Time(f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
        match units.iter().find(|(size, _)| self.0 >= *size) {
            Some((size, unit)) => write!(f, "{:.3} {unit}", self.0 / size),
            None => write!(f, "{:.2} ns", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_ours_over_the_peers() {
        let mut report = Report::new("title");
        let medians = vec![("ours", 500.0), ("one", 1000.0), ("two", 2e6)];
        report.push(Row { name: "work".into(), medians });
        assert_eq!(report.ratio("work", "one"), Some(0.5));
        assert_eq!(report.ratio("work", "three"), None);
        assert_eq!(report.ratio("play", "one"), None);
        let text = report.to_string();
        assert!(text.contains("0.500  work"), "{text}");
        assert!(text.contains("ours 500.00 ns, two 2.000 ms"), "{text}");
    }
}
