//! [`RegionPool`]: regions between two users, so that most memories are made without a change of mappings.
//!
//! An engine has one. Regions are rewound when they come, so nothing of a user is in the pool. They come back to the
//! thread's own shard, and are taken from there, last in, first out; a thread that finds none looks at the other
//! shards. So threads that each make and drop memories share no lock.
//!
//! How many regions keep pages in memory follows from how many were taken lately ([`Demand`]): ten thousand memories
//! that are dropped at once, and are not needed again, leave a few.

use crate::config::Reuse;
use seqfault_jit::process::Lock;
use seqfault_mm::Region;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// At most as many threads as there are shards have one of their own.
const SHARDS: usize = 16;

/// What a region is like before it is used. Regions with the same extent can be made into each other.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Bytes reserved: those that can become accessible, and the guard.
    pub(crate) extent: (usize, usize),
    /// Bytes that are accessible from the start.
    pub(crate) accessible: usize,
    /// What its first contents are.
    pub(crate) contents: FirstContents,
}

/// The first contents of a region.
#[derive(Clone, Debug)]
pub(crate) enum FirstContents {
    /// Zeroes.
    Zero,
    /// The heap of a store: zeroes behind a page without access.
    Heap,
    /// The data of a module; the module's mark, and the number of the memory in it.
    Data(Weak<()>, usize),
}

impl FirstContents {
    fn is(&self, other: &FirstContents) -> bool {
        match (self, other) {
            (FirstContents::Zero, FirstContents::Zero)
            | (FirstContents::Heap, FirstContents::Heap) => true,
            (FirstContents::Data(a, m), FirstContents::Data(b, n)) => Weak::ptr_eq(a, b) && m == n,
            _ => false,
        }
    }

    /// Whether no memory will start with it again.
    fn is_of_the_past(&self) -> bool {
        matches!(self, FirstContents::Data(mark, _) if mark.strong_count() == 0)
    }
}

impl Shape {
    fn is(&self, other: &Shape) -> bool {
        self.extent == other.extent
            && self.accessible == other.accessible
            && self.contents.is(&other.contents)
    }
}

/// Regions that wait for a user.
pub(crate) struct RegionPool {
    shards: [Shard; SHARDS],
    limits: Reuse,
}

impl std::fmt::Debug for RegionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionPool").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Those that one thread has brought, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Lock<Idle>);

#[derive(Default)]
struct Idle {
    /// Those that keep nothing in memory come first, then those that do, the last one at the end.
    regions: Vec<IdleRegion>,
    /// Bytes that they keep in memory.
    kept: usize,
    /// How many of them keep any.
    warm: usize,
    demand: Demand,
}

struct IdleRegion {
    region: Region,
    shape: Shape,
    kept: usize,
}

/// What the pool has for a user.
pub(crate) enum Found {
    /// A region as asked for.
    Ready(Region),
    /// One with the same extent, to be made what is asked for.
    Other(Region),
}

impl RegionPool {
    pub(crate) fn new(limits: Reuse) -> RegionPool {
        RegionPool { shards: Default::default(), limits }
    }

    /// A region for a user who wants `shape`; one with the same contents if there is any.
    pub(crate) fn take(&self, shape: &Shape) -> Option<Found> {
        if self.limits.max_idle == 0 {
            return None;
        }
        let own = own_shard();
        let found = self.shards[own].0.lock().take(shape, true);
        if let Some(found) = found {
            return Some(found);
        }
        let others = (1..SHARDS).map(|distance| &self.shards[(own + distance) % SHARDS]);
        let mut others = others.filter_map(|shard| shard.0.try_lock());
        others.find_map(|mut idle| idle.take(shape, false))
    }

    /// Takes a region back from its user, who has stopped using it. `shape` is what it was before.
    pub(crate) fn give(&self, region: Region, shape: Shape) {
        let shard = &self.shards[own_shard()];
        let (room, too_warm) = shard.0.lock().prepare(&self.limits);
        // Outside of the lock: both may take system calls.
        if let Some(IdleRegion { region, shape, .. }) = too_warm
            && let Some(cold) = IdleRegion::rewound(region, shape, 0)
        {
            shard.0.lock().add(cold);
        }
        if let Some(keep) = room
            && let Some(idle) = IdleRegion::rewound(region, shape, keep)
        {
            shard.0.lock().add(idle);
        }
    }

    /// Drops all regions.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let idle = std::mem::take(&mut *shard.0.lock());
            drop(idle);
        }
    }

    /// Drops the regions that start with data of modules that are gone.
    pub(crate) fn forget_the_past(&self) {
        for shard in &self.shards {
            let past = shard.0.lock().take_past();
            drop(past);
        }
    }

    /// How many regions wait, and how many bytes they keep in memory.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.shards.iter().map(|shard| {
            let idle = shard.0.lock();
            (idle.regions.len(), idle.kept)
        });
        sizes.fold((0, 0), |(count, kept), (more, bytes)| (count + more, kept + bytes))
    }
}

impl IdleRegion {
    /// A region as it was before its last user; `None` if it is of no further use.
    fn rewound(mut region: Region, shape: Shape, keep: usize) -> Option<IdleRegion> {
        if shape.contents.is_of_the_past() {
            return None;
        }
        let kept = region.rewind(keep).ok()?;
        Some(IdleRegion { region, shape, kept })
    }
}

impl Idle {
    /// `asked`: whether it is the shard that is asked first, so that it learns of the demand in any case.
    fn take(&mut self, shape: &Shape, asked: bool) -> Option<Found> {
        let same = self.regions.iter().rposition(|idle| idle.shape.is(shape));
        let at = same.or_else(|| self.alike(shape));
        if asked || at.is_some() {
            self.demand.took();
        }
        let idle = self.regions.remove(at?);
        self.removed(&idle);
        if idle.region.is_inherited() {
            // This is a child by fork, to which those of its parent are of no use.
            *self = Idle::default();
            return None;
        }
        Some(match same {
            Some(_) => Found::Ready(idle.region),
            None => Found::Other(idle.region),
        })
    }

    /// A region that can be made what is asked for. Not if few wait: then those who take turns would take each other's,
    /// and each would have to make it anew.
    fn alike(&self, shape: &Shape) -> Option<usize> {
        const MANY: usize = 16;
        // A cold one first: what others keep in memory is of no use here.
        let alike = || self.regions.iter().position(|idle| idle.shape.extent == shape.extent);
        (self.regions.len() >= MANY).then(alike)?
    }

    fn removed(&mut self, idle: &IdleRegion) {
        self.kept -= idle.kept;
        self.warm -= usize::from(idle.kept != 0);
    }

    /// Before a region is given: how many bytes it may keep in memory, or `None` if there is no room for it; and one that
    /// is no longer to keep any, if there is such a one.
    fn prepare(&mut self, limits: &Reuse) -> (Option<usize>, Option<IdleRegion>) {
        self.demand.gave();
        let allowed = self.demand.allowance();
        let too_warm = (self.warm > allowed).then(|| {
            let oldest = self.regions.iter().position(|idle| idle.kept != 0);
            let idle = self.regions.remove(oldest.expect("there are warm ones"));
            self.removed(&idle);
            idle
        });
        let room = (limits.max_resident / SHARDS).saturating_sub(self.kept);
        let keep = if self.warm < allowed { limits.keep_resident.min(room) } else { 0 };
        let fits = self.regions.len() < limits.max_idle.div_ceil(SHARDS);
        (fits.then_some(keep), too_warm)
    }

    /// Adds a region: a cold one before all others, which are taken first.
    fn add(&mut self, idle: IdleRegion) {
        self.kept += idle.kept;
        self.warm += usize::from(idle.kept != 0);
        match idle.kept {
            0 => self.regions.insert(0, idle),
            _ => self.regions.push(idle),
        }
    }

    fn take_past(&mut self) -> Vec<IdleRegion> {
        let past = self.regions.extract_if(.., |idle| idle.shape.contents.is_of_the_past());
        let past: Vec<_> = past.collect();
        past.iter().for_each(|idle| self.removed(idle));
        past
    }
}

/// How many warm regions a shard needs: as many as were taken in a period, the last one or the present one, or half of
/// what it was.
#[derive(Default)]
struct Demand {
    operations: usize,
    taken: usize,
    before: usize,
}

impl Demand {
    /// Operations in a period.
    const PERIOD: usize = 64;
    /// For threads that have only begun.
    const LEAST: usize = 2;

    fn took(&mut self) {
        self.taken += 1;
        self.pass();
    }

    fn gave(&mut self) {
        self.pass();
    }

    fn pass(&mut self) {
        self.operations += 1;
        if self.operations == Self::PERIOD {
            let before = self.taken.max(self.before / 2);
            *self = Demand { operations: 0, taken: 0, before };
        }
    }

    fn allowance(&self) -> usize {
        self.taken.max(self.before).max(Self::LEAST)
    }
}

/// The calling thread's shard.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        // Relaxed: the number orders nothing else.
        let own = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        OWN.set(Some(own));
        own
    })
}

/// A region that goes to a pool when it is dropped.
#[derive(Debug)]
pub(crate) struct PooledRegion {
    region: ManuallyDrop<Region>,
    /// Where it goes, and what it was before it was used; `None` if it cannot be used again.
    home: Option<(Arc<RegionPool>, Shape)>,
}

impl PooledRegion {
    /// Finds a region of `shape` in the pool, or `build`s one without its first contents, and has them `set`. A region
    /// of which [`is_as_asked`](Self::is_as_asked) is not true may have none or some of them.
    ///
    /// # Errors
    ///
    /// When none can be built.
    pub(crate) fn new(
        pool: &Arc<RegionPool>,
        shape: Shape,
        build: impl Fn() -> Result<Region, seqfault_mm::Error>,
        set: impl FnOnce(&Region) -> bool,
    ) -> Result<PooledRegion, seqfault_mm::Error> {
        let found = pool.take(&shape);
        let (mut region, is_set) = match found {
            Some(Found::Ready(region)) => (region, true),
            Some(Found::Other(region)) if region.reset(shape.accessible).is_ok() => (region, false),
            _ => {
                let built = build().or_else(|error| match pool.size().0 {
                    0 => Err(error),
                    // The address space may be short: what nobody uses goes first.
                    _ => {
                        pool.clear();
                        build()
                    }
                });
                (built?, false)
            }
        };
        let can_return = is_set || {
            let can_return = set(&region);
            region.set_pristine();
            can_return
        };
        let home = can_return.then(|| (Arc::clone(pool), shape));
        Ok(PooledRegion { region: ManuallyDrop::new(region), home })
    }

    /// Gives back what waits for users, where the address space may be short. Whether there was any.
    pub(crate) fn clear_pool(&self) -> bool {
        let pool = self.home.as_ref().map(|(pool, _)| pool).filter(|pool| pool.size().0 > 0);
        pool.inspect(|pool| pool.clear()).is_some()
    }

    /// Whether it had its first contents set.
    pub(crate) fn is_as_asked(&self) -> bool {
        self.home.is_some()
    }
}

impl Deref for PooledRegion {
    type Target = Region;

    fn deref(&self) -> &Region {
        &self.region
    }
}

impl Drop for PooledRegion {
    fn drop(&mut self) {
        // SAFETY: not used after this.
        let region = unsafe { ManuallyDrop::take(&mut self.region) };
        if let Some((pool, shape)) = self.home.take() {
            pool.give(region, shape);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqfault_mm::RegionOptions;

    const SHAPE: Shape =
        Shape { extent: (1 << 20, 0), accessible: 1 << 16, contents: FirstContents::Zero };

    fn region() -> Region {
        RegionOptions::new(SHAPE.extent.0).accessible(SHAPE.accessible).build().unwrap()
    }

    fn used() -> Region {
        let region = region();
        region.fill(0, 1, SHAPE.accessible).unwrap();
        region
    }

    #[test]
    fn a_burst_leaves_few_warm_regions_and_no_more_than_the_limit() {
        let pool = RegionPool::new(Reuse::default());
        (0..2 * Demand::PERIOD).for_each(|_| drop(pool.take(&SHAPE)));
        (0..10 * Demand::PERIOD).for_each(|_| pool.give(used(), SHAPE));
        let (count, kept) = pool.size();
        assert!(count <= Reuse::default().max_idle, "{count}");
        assert!(kept <= Demand::LEAST * SHAPE.accessible, "{kept}");
    }

    #[test]
    fn regions_that_are_needed_again_and_again_stay_warm() {
        let pool = RegionPool::new(Reuse::default());
        for round in 0..10 {
            let taken: Vec<_> = (0..20).map(|_| pool.take(&SHAPE)).collect();
            let warm = taken.iter().flatten().filter(|found| match found {
                Found::Ready(region) => region.resident() != 0,
                Found::Other(_) => false,
            });
            assert!(round < 2 || warm.count() >= 19, "round {round}");
            drop(taken);
            (0..20).for_each(|_| pool.give(used(), SHAPE));
        }
    }

    #[test]
    fn those_who_take_turns_do_not_take_each_others_unless_many_wait() {
        let pool = RegionPool::new(Reuse::default());
        let other = Shape { accessible: 2 << 16, ..SHAPE };
        for waiting in 1..40 {
            pool.give(region(), SHAPE);
            let found = pool.take(&other);
            assert_eq!(found.is_some(), waiting >= 16, "{waiting}");
            if found.is_some() {
                pool.give(region(), SHAPE);
            }
        }
    }

    #[test]
    fn nothing_is_kept_without_room() {
        for limits in [
            Reuse { max_idle: 0, ..Reuse::default() },
            Reuse { keep_resident: 0, ..Reuse::default() },
            Reuse { max_resident: 0, ..Reuse::default() },
        ] {
            let pool = RegionPool::new(limits.clone());
            pool.give(used(), SHAPE);
            let expected = usize::from(limits.max_idle != 0);
            assert_eq!(pool.size(), (expected, 0), "{limits:?}");
        }
    }

    #[test]
    fn data_of_a_module_that_is_gone_is_given_back() {
        let pool = RegionPool::new(Reuse::default());
        let mark = Arc::new(());
        let shape = || Shape { contents: FirstContents::Data(Arc::downgrade(&mark), 0), ..SHAPE };
        pool.give(used(), shape());
        pool.give(used(), SHAPE);
        assert_eq!(pool.size().0, 2);
        let late = shape();
        drop(mark);
        pool.forget_the_past();
        pool.give(used(), late);
        assert_eq!(pool.size(), (1, SHAPE.accessible));
    }
}
