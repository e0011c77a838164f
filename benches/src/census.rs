//! [`Census`]: what many instances that are alive at the same time take, and what they leave behind.

use crate::{Clock, wait_until_resident};
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::Read;
use std::str::FromStr;
use std::time::Duration;

/// How many things are made and looked at.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many are made.
    pub count: usize,
    /// After how many of them memory and mappings are looked at.
    pub look: usize,
    /// How many are alive at the same time: the oldest go.
    pub alive: usize,
}

/// What was seen. Text and back, because it comes from another process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census {
    /// How many could be made.
    pub made: f64,
    /// Bytes of memory that one takes, page tables included.
    pub bytes: f64,
    /// The kernel's mappings that one takes.
    pub maps: f64,
    /// Nanoseconds that making one of the first took.
    pub first: f64,
    /// Nanoseconds that making one of the last took.
    pub last: f64,
    /// Bytes of memory that the process took before they were made.
    pub before: f64,
    /// Bytes of memory that it took when all were gone.
    pub after: f64,
    /// Why not all could be made.
    pub error: String,
}

/// How many of the first, and of the last, are looked at for their time.
const TIMED: usize = 100;

impl Census {
    /// Makes things as `plan` says and looks at the process. `make` has made one before.
    pub fn of<T, E: fmt::Debug>(plan: Plan, mut make: impl FnMut() -> Result<T, E>) -> Census {
        let mut census = Census::default();
        let mut looker = Looker::new();
        drop(make().expect("the first one"));
        let before = looker.look();
        let mut times = Vec::with_capacity(plan.count);
        let mut alive = VecDeque::with_capacity(plan.alive + 1);
        for number in 1..=plan.count {
            let mut made = None;
            times.push(Clock::Thread.time(|| made = Some(make())));
            match made.expect("made") {
                Ok(made) => alive.push_back(made),
                Err(error) => {
                    census.error = format!("{error:?}").replace('\n', " ");
                    times.pop();
                    break;
                }
            }
            if alive.len() > plan.alive {
                alive.pop_front();
            }
            if number == plan.look {
                let now = looker.look();
                census.bytes = (now.bytes - before.bytes) / alive.len() as f64;
                census.maps = (now.maps - before.maps) / alive.len() as f64;
            }
        }
        drop(alive);
        wait_until_resident(before.bytes as u64);
        census.made = times.len() as f64;
        census.before = before.bytes;
        census.after = looker.look().bytes;
        census.first = median(times.iter().take(TIMED));
        census.last = median(times.iter().rev().take(TIMED));
        census
    }
}

fn median<'a>(times: impl Iterator<Item = &'a Duration>) -> f64 {
    let mut times: Vec<&Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_nanos() as f64)
}

impl Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Census { made, bytes, maps, first, last, before, after, error } = self;
        write!(f, "{made} {bytes} {maps} {first} {last} {before} {after} {error}")
    }
}

impl FromStr for Census {
    type Err = String;

    fn from_str(text: &str) -> Result<Census, String> {
        let mut words = text.splitn(8, ' ');
        let mut number = || {
            let word = words.next().unwrap_or_default();
            word.parse().map_err(|_| format!("not a census: {text}"))
        };
        Ok(Census {
            made: number()?,
            bytes: number()?,
            maps: number()?,
            first: number()?,
            last: number()?,
            before: number()?,
            after: number()?,
            error: words.next().unwrap_or_default().to_owned(),
        })
    }
}

/// What the process takes.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    /// Bytes that are resident, and of page tables.
    bytes: f64,
    /// The kernel's mappings.
    maps: f64,
}

/// Looks at the process. It allocates before everything else: small pieces of memory that are freed in the midst of what
/// is looked at would keep the C library from giving back what lies below them.
struct Looker(Box<[u8; 1 << 16]>);

impl Looker {
    fn new() -> Looker {
        Looker(Box::new([0; 1 << 16]))
    }

    fn look(&mut self) -> Footprint {
        let (mut bytes, mut maps) = (0.0, 0);
        // A file of one piece.
        self.read("/proc/self/status", |status| {
            let status = std::str::from_utf8(status).expect("text");
            let kib = |name: &str| -> f64 {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
                kib.expect("a number")
            };
            bytes = (kib("VmRSS") + kib("VmPTE")) * 1024.0;
        });
        self.read("/proc/self/maps", |piece| {
            maps += piece.iter().filter(|&&byte| byte == b'\n').count();
        });
        Footprint { bytes, maps: maps as f64 }
    }

    /// Calls `see` with each piece of a file.
    fn read(&mut self, path: &str, mut see: impl FnMut(&[u8])) {
        let mut file = File::open(path).expect("/proc");
        loop {
            match file.read(&mut self.0[..]).expect("/proc") {
                0 => return,
                len => see(&self.0[..len]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_stays_and_what_fails() {
        const SIZE: usize = 1 << 20;
        let plan = Plan { count: 200, look: 100, alive: 1000 };
        let mut left = 151;
        let census = Census::of(plan, || {
            left -= 1;
            if left == 0 {
                return Err("no\nroom");
            }
            // Not from the allocator, which keeps some.
            let region = seqfault_mm::RegionOptions::new(SIZE).accessible(SIZE).build();
            let region = region.expect("room");
            region.fill(0, 1, SIZE).expect("accessible");
            Ok(region)
        });
        assert_eq!(census.made, 149.0);
        // Other tests take and give back memory meanwhile.
        assert!((0.8e6..1.4e6).contains(&census.bytes), "{census}");
        assert!(census.after < census.before + 50e6, "{census}");
        assert_eq!(census.error, "\"no\\nroom\"");
        assert_eq!(census.to_string().parse(), Ok(census));
    }
}
