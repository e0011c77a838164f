//! [`Campaign`]: seed after seed, for some time or some number of modules.
//!
//! While it runs, a file in the folder of findings holds the seed at work, so that a crash of the
//! process can be repeated too; and a watch ends the process when a seed takes far too long.

mod figures;
pub mod finding;

pub use figures::{Against, Endings, Figures};

use crate::compare::{Outcome, compare};
#[cfg(feature = "wasmtime")]
use crate::engines::Wasmtime;
use crate::engines::{Contestant, Record, Seqfault, Wasmi, follow};
use crate::plan::Plan;
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No seed needs a hundredth of this.
const PATIENCE: Duration = Duration::from_secs(120);

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// As far as one gets in this time.
    Time(Duration),
    /// This many generated modules.
    Modules(u64),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed; the others follow it.
    pub first_seed: u64,
    /// How far to go.
    pub limit: Limit,
    /// Where findings are written; nowhere if there is no folder.
    pub findings: Option<PathBuf>,
    /// Which of the peers take part.
    pub peers: Peers,
}

/// Who seqfault is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Wasmtime, and wasmi where it has the features.
    #[cfg(feature = "wasmtime")]
    All,
    /// wasmi only: what it lacks is left out.
    Wasmi,
}

impl Campaign {
    /// Does it. Differences are printed, written down, and counted.
    pub fn run(&self) -> Figures {
        let begun = Instant::now();
        let watch = Watch::start();
        let mut figures = Figures::default();
        for seed in self.first_seed.. {
            let done = match self.limit {
                Limit::Time(time) => begun.elapsed() >= time,
                Limit::Modules(modules) => figures.modules >= modules,
            };
            if done {
                break;
            }
            watch.seed(seed);
            self.note(seed);
            self.try_seed(seed, &mut figures);
        }
        figures.taken = begun.elapsed();
        figures
    }

    fn note(&self, seed: u64) {
        if let Some(folder) = &self.findings {
            let _ = fs::create_dir_all(folder);
            let _ = fs::write(folder.join("seed-at-work"), seed.to_string());
        }
    }

    fn try_seed(&self, seed: u64, figures: &mut Figures) {
        figures.seeds += 1;
        let plan = match Plan::from_seed(seed) {
            Ok(plan) => plan,
            Err(barren) => {
                *figures.barren.entry(barren).or_default() += 1;
                return;
            }
        };
        if self.peers == Peers::Wasmi && !plan.suits_wasmi() {
            figures.unsuited += 1;
            return;
        }
        let ours = match run(|| Ok::<_, seqfault::Error>(Box::new(Seqfault::new(&plan)?)), &plan) {
            Ok(record) => record,
            Err(error) => return self.report(&plan, &format!("seqfault: {error}"), figures),
        };
        figures.count(&plan, &ours);
        let before = figures.differences.len();
        #[cfg(feature = "wasmtime")]
        if self.peers == Peers::All {
            match run(|| Ok::<_, wasmtime::Error>(Box::new(Wasmtime::new(&plan)?)), &plan) {
                Ok(theirs) => {
                    self.judge(&plan, &ours, &theirs, figures, |figures| &mut figures.wasmtime);
                }
                Err(error) => {
                    println!("seed {seed}: wasmtime {error}");
                    figures.peer_failed.push(seed);
                }
            }
        }
        if plan.suits_wasmi() {
            // Where both compilers agree, the interpreter is usually the one that is wrong; but they
            // share a compiler, so that somebody has to look.
            let agreed = self.peers != Peers::Wasmi && figures.differences.len() == before;
            match run(|| Ok::<_, wasmi::Error>(Box::new(Wasmi::new())), &plan) {
                Ok(theirs) => {
                    self.judge(&plan, &ours, &theirs, figures, |figures| &mut figures.wasmi);
                }
                Err(error) => self.report(&plan, &format!("wasmi: {error}"), figures),
            }
            if agreed {
                figures.wasmi_alone.append(&mut figures.differences.split_off(before));
            }
        }
    }

    fn judge(
        &self,
        plan: &Plan,
        ours: &Record,
        theirs: &Record,
        figures: &mut Figures,
        against: fn(&mut Figures) -> &mut Against,
    ) {
        let steps = match compare(plan, ours, theirs) {
            Outcome::Agreed => plan.script.len(),
            Outcome::CutShort(step) => {
                against(figures).cut_short += 1;
                step
            }
            Outcome::Differ(difference) => {
                self.report(plan, &difference.to_string(), figures);
                difference.step
            }
        };
        against(figures).count(plan, steps);
    }

    fn report(&self, plan: &Plan, what: &str, figures: &mut Figures) {
        figures.differences.push(plan.seed);
        println!("{}", finding::describe(plan, what));
        if let Some(folder) = &self.findings {
            let folder = folder.join(plan.seed.to_string());
            if let Err(error) = finding::write(&folder, plan, what) {
                println!("the finding could not be written to {}: {error}", folder.display());
            }
        }
    }
}

/// Runs a plan on an engine. An engine that cannot be made, and one that panics, is an error.
fn run<E: fmt::Display, C: Contestant>(
    make: impl FnOnce() -> Result<Box<C>, E>,
    plan: &Plan,
) -> Result<Record, String> {
    let run = || match make() {
        Ok(mut engine) => Ok(follow(plan, &mut *engine)),
        Err(error) => Err(error.to_string()),
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a text")))
    })
}

/// Ends the process when a seed takes too long.
struct Watch(Arc<AtomicU64>);

impl Watch {
    fn start() -> Watch {
        let seed = Arc::new(AtomicU64::new(0));
        let watched = Arc::downgrade(&seed);
        std::thread::spawn(move || {
            let (mut last, mut since) = (0, Instant::now());
            // Relaxed: nothing but the number matters.
            while let Some(seed) = watched.upgrade().map(|seed| seed.load(Ordering::Relaxed)) {
                if seed != last {
                    (last, since) = (seed, Instant::now());
                } else if since.elapsed() > PATIENCE {
                    eprintln!("seed {seed} does not end");
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Watch(seed)
    }

    fn seed(&self, seed: u64) {
        self.0.store(seed, Ordering::Relaxed);
    }
}
