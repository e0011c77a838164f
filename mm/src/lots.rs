//! Lots: addresses for regions that reserve as they grow.
//!
//! Such a region maps only what is accessible, and has to grow where it is. So it gets a *lot*: a range of addresses
//! that is as large as it may ever become, of which nothing is mapped at first. The system counts what is mapped, not the
//! addresses. Lots are far from where the kernel places mappings by itself, so the rest of a lot stays empty in practice.
//! That is no promise: if something was placed there, the region cannot grow beyond it.
//!
//! Regions keep away from each other by the registry, which knows the whole lot.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::registry::{self, SLOT};
use crate::sys::{LINUX, SysError};

/// Where lots are: above what address sanitizers take for themselves, below where the kernel puts programs.
const LOTS: std::ops::Range<usize> = 0x1800_0000_0000..0x5000_0000_0000;
/// The first lot of a process is in the lower half, at a place of its own.
const FIRST: usize = (LOTS.end - LOTS.start) / 2;
/// How many lots are tried before one is refused.
const TRIES: usize = 256;

/// Where the next lot may be; 0 before the first. Only a hint, so Relaxed: the registry and the kernel decide.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A lot of `len` bytes (whole slots), the first `mapped` of which are reserved; where it starts.
pub(crate) fn take(len: usize, mapped: usize) -> Result<usize, SysError> {
    let mut refusal = SysError { call: "mmap", errno: libc::ENOMEM };
    for _ in 0..TRIES {
        let Some(base) = propose(len) else { return Err(refusal) };
        if !registry::is_free(base, len) {
            continue;
        }
        match LINUX.reserve_at(base, mapped) {
            Ok(()) => return Ok(base),
            Err(error) if error.errno == libc::EEXIST => refusal = error,
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

/// Addresses that no other thread is given meanwhile.
fn propose(len: usize) -> Option<usize> {
    if len > LOTS.len() {
        return None;
    }
    let place = |next: usize| {
        let start = if next == 0 { first() } else { next };
        if start + len > LOTS.end { LOTS.start } else { start }
    };
    let beyond = |next: usize| Some(place(next) + len);
    NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, beyond).ok().map(place)
}

/// Where the first lot is: the system draws where this program is placed, and so this.
fn first() -> usize {
    let drawn = (&raw const NEXT).addr() / crate::PAGE_SIZE;
    LOTS.start + drawn.wrapping_mul(SLOT) % FIRST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_are_whole_slots_in_their_range_and_begin_anew_at_its_end() {
        const LARGE: usize = 1 << 43;
        let lots: Vec<usize> = (0..24).map(|_| propose(LARGE).unwrap()).collect();
        for &lot in &lots {
            assert!(LOTS.start <= lot && lot + LARGE <= LOTS.end && lot.is_multiple_of(SLOT));
        }
        assert!(lots.windows(2).any(|pair| pair[1] < pair[0]), "{lots:x?}");
        assert_eq!(propose(LOTS.end), None);
    }
}
