//! [`Report`]: the ratios of a run, printed at its end.

use std::fmt;

/// The outcome of a contest, ours first.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) standings: Vec<Standing>,
}

/// The outcome for one contender.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    /// Nanoseconds an iteration.
    pub(crate) median: f64,
    /// Our time divided by this contender's.
    pub(crate) ratio: f64,
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

    /// Our time divided by that of `peer`, in the contest `name`.
    pub fn ratio(&self, name: &str, peer: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name)?;
        Some(row.standings.iter().find(|standing| standing.name == peer)?.ratio)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: our time / the peer's (below 1: ours is faster), and medians",
            self.title
        )?;
        for Row { name, standings } in &self.rows {
            let Some((ours, peers)) = standings.split_first() else { continue };
            for peer in peers {
                writeln!(f, "  {:>6.3}  {name:<28} {ours}, {peer}", peer.ratio)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, Time(self.median))
    }
}

/// Nanoseconds, in a unit that suits them.
pub(crate) struct Time(pub(crate) f64);

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
    fn a_row_for_each_peer_ratio_first() {
        let mut report = Report::new("title");
        let standing = |name, median, ratio| Standing { name, median, ratio };
        let standings = vec![
            standing("ours", 500.0, 1.0),
            standing("one", 1e3, 0.5),
            standing("two", 2e6, 0.1),
        ];
        report.push(Row { name: "work".into(), standings });
        assert_eq!(report.ratio("work", "one"), Some(0.5));
        assert_eq!(report.ratio("work", "three"), None);
        assert_eq!(report.ratio("play", "one"), None);
        let text = report.to_string();
        assert!(text.contains("0.500  work"), "{text}");
        assert!(text.contains("ours 500.00 ns, two 2.000 ms"), "{text}");
    }
}
