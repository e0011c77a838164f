//! [`Probe`]: what a piece of work does besides taking time.

mod calls;
mod pages;

use calls::Calls;
use std::fs;
use std::ops::Range;

/// What a piece of work did. `None`: this system does not tell.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Pages of the memory that hold something in the end, zero pages of the kernel's excepted.
    pub resident: Option<u64>,
    /// Pages of these that are parts of huge ones.
    pub huge: Option<u64>,
    /// Faults that seqfault's handler was asked to resolve.
    pub signals: u64,
    /// Faults that the kernel resolved on this thread without I/O.
    pub faults: u64,
    /// System calls of this thread.
    pub calls: Option<u64>,
    /// Times that this thread was switched from.
    pub switches: u64,
    /// The kernel's mappings in the memory's range in the end.
    pub maps: u64,
}

/// Looks at the work of the thread that made it.
#[derive(Debug)]
pub struct Probe {
    calls: Option<Calls>,
}

impl Probe {
    /// A probe for this thread.
    pub fn new() -> Probe {
        let calls = Calls::of_this_thread();
        if let Err(error) = &calls {
            println!("without the number of system calls: {error}");
        }
        Probe { calls: calls.ok() }
    }

    /// Begins to look.
    pub fn start(&self) -> Looking<'_> {
        let usage = usage();
        let signals = signals();
        Looking { probe: self, calls: self.calls.as_ref().map(Calls::start), usage, signals }
    }
}

impl Default for Probe {
    fn default() -> Probe {
        Probe::new()
    }
}

/// A look that has begun.
#[derive(Debug)]
pub struct Looking<'a> {
    probe: &'a Probe,
    calls: Option<u64>,
    usage: [u64; 2],
    signals: u64,
}

impl Looking<'_> {
    /// What was done since the start; the memory that it was done with has these addresses.
    pub fn finish(self, memory: Range<usize>) -> Figures {
        let calls = self.probe.calls.as_ref().zip(self.calls);
        let calls = calls.map(|(calls, before)| calls.stop() - before);
        let signals = signals() - self.signals;
        let [faults, switches] = usage();
        Figures {
            resident: pages::resident(memory.clone()),
            huge: pages::huge(memory.clone()),
            signals,
            faults: faults - self.usage[0],
            calls,
            switches: switches - self.usage[1],
            maps: maps(memory),
        }
    }
}

fn signals() -> u64 {
    let counters = seqfault_mm::counters();
    // What was tried without a lock and aborted is decided under it, and counts in both.
    counters.attempts - counters.aborts() + counters.classic
}

/// Minor faults and context switches of this thread.
fn usage() -> [u64; 2] {
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a valid `rusage`.
    let done = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    assert_eq!(done, 0, "getrusage");
    // None of them is ever negative.
    [usage.ru_minflt as u64, (usage.ru_nvcsw + usage.ru_nivcsw) as u64]
}

/// The kernel's mappings that have a part in `memory`.
fn maps(memory: Range<usize>) -> u64 {
    let text = fs::read_to_string("/proc/self/maps").expect("/proc");
    let range = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let end = rest.split(' ').next()?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    let maps = text.lines().filter_map(range);
    maps.filter(|map| map.start < memory.end && memory.start < map.end).count() as u64
}
