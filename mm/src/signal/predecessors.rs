//! Predecessors: the handlers that ours have displaced, which get the signals that are not ours.
//!
//! To the rest of the process, each entry point of our handler (`arch::SIGNAL_ENTRIES`) is a handler of its own. Each
//! has its own predecessors: a [`Chain`], newest first. The chain of the first entry point has the handler that was
//! there when it was installed. When another handler is found in its place, the *next* entry point goes on top, and its
//! chain begins with the newcomer:
//!
//! ```text
//! installed      what the kernel calls   chains
//! ours           entry 0                 0: [before]
//! newcomer       newcomer                (it remembers entry 0 as its predecessor)
//! ours, again    entry 1                 0: [before]   1: [newcomer, before]
//! ```
//!
//! So a newcomer that passes a signal on to its predecessor reaches the handlers from before it. A newcomer that
//! removes itself, as crash reporters do when they are done, puts entry 0 back. The chain of entry 0 does not contain
//! it, which is right, since its code may be gone.
//!
//! Signal handlers read all this at any time. So a chain is one word, and a known predecessor is never changed or
//! forgotten. Entry points are used in turns, and predecessors are compared by what they do, so a host that installs
//! the same handlers a thousand times takes no more room than once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::SIGNALS;
use crate::arch::SIGNAL_ENTRIES;

/// How many different handlers of one signal can be remembered.
const MOST: usize = 64;

/// A handler that was installed when one of our entry points went on top.
pub(super) struct Predecessor {
    action: libc::sigaction,
    /// It asked for a single call (`SA_RESETHAND`) and has had it: now it means the default action.
    spent: AtomicBool,
}

/// By position in `SIGNALS`, then by the predecessor's number.
static KNOWN: [[OnceLock<Predecessor>; MOST]; SIGNALS.len()] =
    [const { [const { OnceLock::new() }; MOST] }; SIGNALS.len()];

/// By position in `SIGNALS`, and by entry point.
static CHAINS: [[AtomicU64; SIGNAL_ENTRIES.len()]; SIGNALS.len()] =
    [const { [const { AtomicU64::new(0) }; SIGNAL_ENTRIES.len()] }; SIGNALS.len()];

impl Predecessor {
    /// Its action, unless it has had its only call.
    pub(super) fn action(&self) -> Option<&libc::sigaction> {
        // Relaxed: nothing else is told by it.
        (!self.spent.load(Ordering::Relaxed)).then_some(&self.action)
    }

    /// Uses up its only call, if it wants no more than one. False if another thread has had that call.
    pub(super) fn take_call(&self) -> bool {
        self.action.sa_flags & libc::SA_RESETHAND == 0 || !self.spent.swap(true, Ordering::Relaxed)
    }
}

/// The predecessor of that number.
pub(super) fn get(at: usize, index: usize) -> Option<&'static Predecessor> {
    KNOWN.get(at)?.get(index)?.get()
}

/// What entry point `entry` passes a signal on to. Async-signal-safe.
pub(super) fn chain(at: usize, entry: usize) -> Chain {
    // Acquire pairs with the Release in `put_on_top`: the predecessors in the chain are known by then.
    CHAINS
        .get(at)
        .and_then(|of| of.get(entry))
        .map_or(Chain(0), |word| Chain(word.load(Ordering::Acquire)))
}

/// Makes `entry` pass signals on to `action`, and then to `below`. False if there is no room to remember it.
///
/// Callers exclude each other.
pub(super) fn put_on_top(at: usize, entry: usize, below: Chain, action: &libc::sigaction) -> bool {
    let Some(index) = know(at, action) else { return false };
    let is_other = |index: &usize| {
        get(at, *index).is_some_and(|other| other.action.sa_sigaction != action.sa_sigaction)
    };
    // Release pairs with the Acquire in `chain`, here and below.
    CHAINS[at][entry].store(below.keep(is_other).with(index).0, Ordering::Release);
    // Whichever handler the newcomer passes signals on to now, it is the one that was on top before it was installed
    // (again). From there, the same function must not be reached a second time.
    for (_, word) in CHAINS[at].iter().enumerate().filter(|&(other, _)| other != entry) {
        word.store(Chain(word.load(Ordering::Relaxed)).keep(is_other).0, Ordering::Release);
    }
    true
}

/// Makes `entry` pass signals on as `other` does.
pub(super) fn copy(at: usize, entry: usize, other: usize) {
    CHAINS[at][entry].store(chain(at, other).0, Ordering::Release);
}

/// The number of `action`, new or known.
fn know(at: usize, action: &libc::sigaction) -> Option<usize> {
    KNOWN[at].iter().position(|slot| {
        let known =
            slot.get_or_init(|| Predecessor { action: *action, spent: AtomicBool::new(false) });
        let is_same = same(&known.action, action);
        if is_same {
            known.spent.store(false, Ordering::Relaxed);
        }
        is_same
    })
}

/// Whether the two do the same.
pub(super) fn same(one: &libc::sigaction, other: &libc::sigaction) -> bool {
    one.sa_sigaction == other.sa_sigaction
        && one.sa_flags == other.sa_flags
        && (1..=64).all(|signo| is_member(&one.sa_mask, signo) == is_member(&other.sa_mask, signo))
}

/// Whether `signo`, any number, is a signal in `set`.
pub(super) fn is_member(set: &libc::sigset_t, signo: i32) -> bool {
    // SAFETY: the set is initialised; numbers that are no signals give an error, which is not 1.
    unsafe { libc::sigismember(set, signo) == 1 }
}

/// Numbers of predecessors, newest first; none is in it twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain(u64);

impl Chain {
    /// Nobody.
    pub(super) const EMPTY: Self = Self(0);
    /// The most predecessors in a chain: one per byte, as the number plus one, the newest in the lowest byte.
    const MOST: usize = size_of::<u64>();

    /// From the newest to the oldest.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let bytes = self.0.to_le_bytes();
        bytes.into_iter().take_while(|&byte| byte != 0).map(|byte| usize::from(byte) - 1)
    }

    /// Puts `index` first, then the others. If the chain becomes too long, the second oldest is left out: the oldest is
    /// the handler from before this library.
    fn with(self, index: usize) -> Self {
        let mut others: Vec<usize> = self.keep(|&other| other != index).iter().collect();
        if others.len() == Self::MOST {
            others.remove(Self::MOST - 2);
        }
        Self::of(std::iter::once(index).chain(others))
    }

    fn keep(self, wanted: impl Fn(&usize) -> bool) -> Self {
        Self::of(self.iter().filter(wanted))
    }

    fn of(indices: impl Iterator<Item = usize>) -> Self {
        let mut bytes = [0; Self::MOST];
        // `MOST` of the module fits a byte.
        bytes.iter_mut().zip(indices).for_each(|(byte, index)| *byte = index as u8 + 1);
        Self(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Chain;

    fn list(chain: Chain) -> Vec<usize> {
        chain.iter().collect()
    }

    #[test]
    fn the_newest_is_first_and_nobody_is_in_a_chain_twice() {
        let chain = Chain::EMPTY.with(0).with(5).with(63).with(5);
        assert_eq!(list(chain), [5, 63, 0]);
        assert_eq!(list(chain.keep(|&index| index != 63)), [5, 0]);
        assert_eq!(list(Chain::EMPTY), []);
    }

    #[test]
    fn a_full_chain_keeps_what_was_there_first() {
        let full = (0..8).fold(Chain::EMPTY, Chain::with);
        assert_eq!(list(full), [7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(list(full.with(9)), [9, 7, 6, 5, 4, 3, 2, 0]);
        assert_eq!(list(full.with(3)), [3, 7, 6, 5, 4, 2, 1, 0]);
    }
}
