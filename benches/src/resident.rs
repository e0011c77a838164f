//! [`resident`]: what the process takes of the machine's memory.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Bytes of the process that are resident, give or take 256 KiB: the kernel adds up its counters of each
/// processor only now and then.
pub fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").expect("/proc");
    let pages: u64 =
        pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

/// Waits, asleep, until no more than `most` bytes are resident. Says so if that takes too long.
pub fn wait_until_resident(most: u64) {
    let begin = Instant::now();
    while resident() > most {
        if begin.elapsed() > Duration::from_secs(2) {
            println!("{} MiB too many stay resident", (resident().saturating_sub(most)) >> 20);
            return;
        }
        sleep(Duration::from_millis(1));
    }
}
