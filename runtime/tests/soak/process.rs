//! What the process holds.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    resident: usize,
    maps: usize,
    descriptors: usize,
    threads: usize,
}

/// What the allocator may keep in pieces that are partly in use.
const RESIDENT_SLACK: usize = 12 << 20;

/// Mappings of storage that is kept for its addresses, and of stacks that the C library keeps for the next threads.
const MAPS_SLACK: usize = 40;

impl Held {
    fn now() -> Held {
        // SAFETY: it gives back free memory of the allocator, and nothing else.
        unsafe { libc::malloc_trim(0) };
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: usize = line.split_whitespace().next().unwrap().parse().unwrap();
        Held {
            resident: kib << 10,
            maps: std::fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
            descriptors: descriptors(),
            threads: std::fs::read_dir("/proc/self/task").unwrap().count(),
        }
    }

    fn is_back_at(self, before: Held) -> bool {
        self.resident <= before.resident + RESIDENT_SLACK
            && self.maps <= before.maps + MAPS_SLACK
            && self.descriptors <= before.descriptors
            && self.threads <= before.threads
    }

    /// What is held once threads that have ended are gone, and the kernel has given back what it was told to: at most
    /// what was held `before`, if that is told and comes to be soon.
    pub(crate) fn settled(before: Option<Held>) -> Held {
        let begin = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let held = Held::now();
            let done = before.is_some_and(|before| held.is_back_at(before));
            let patience = Duration::from_secs(if before.is_some() { 10 } else { 1 });
            if done || begin.elapsed() > patience {
                return held;
            }
        }
    }

    pub(crate) fn assert_back_at(self, before: Held) {
        assert!(self.is_back_at(before), "before: {before:?}; after: {self:?}");
    }
}

/// Open descriptors. The one of the page map is opened when a reset first needs it, and kept: it counts from the start.
fn descriptors() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let is_page_map = |link: &std::path::PathBuf| {
        std::fs::read_link(link).is_ok_and(|target| target.ends_with("pagemap"))
    };
    let (page_maps, others): (Vec<_>, Vec<_>) =
        links.map(|link| link.unwrap().path()).partition(is_page_map);
    page_maps.len().max(1) + others.len()
}
