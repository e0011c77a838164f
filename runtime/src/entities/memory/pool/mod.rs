//! [`RegionPool`]: regions between two users, so that most memories are made without a change of mappings.
//!
//! An engine has one. Regions are rewound when they come, so nothing of a user is in the pool. They come back to the
//! thread's own shard, and are taken from there, last in, first out; a thread that finds none looks at the other
//! shards. So threads that each make and drop memories share no lock.
//!
//! How many regions wait follows from how many were taken lately ([`Demand`]): ten thousand memories
//! that are dropped at once, and are not needed again, leave a few.

mod demand;
mod list;

use crate::config::Reuse;
use demand::Demand;
use list::{Link, List};
use seqfault_jit::process::Lock;
use seqfault_mm::Region;
use std::cell::Cell;
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
    /// The one that came last is the first.
    regions: List,
    /// Bytes that they keep in memory.
    kept: usize,
    demand: Demand,
}

/// What the pool has for a user.
pub(crate) enum Found {
    /// A region as asked for.
    Ready(Box<Link>),
    /// One with the same extent, to be made what is asked for.
    Other(Box<Link>),
}

impl Found {
    /// It waits no longer; `None` if it cannot be used.
    fn used(mut self) -> Option<Found> {
        let (Found::Ready(link) | Found::Other(link)) = &mut self;
        link.region.set_idle(false).then_some(self)
    }
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
            return found.used();
        }
        let others = (1..SHARDS).map(|distance| &self.shards[(own + distance) % SHARDS]);
        let mut others = others.filter_map(|shard| shard.0.try_lock());
        others.find_map(|mut idle| idle.take(shape, false))?.used()
    }

    /// Takes a region back from its user, who has stopped using it.
    fn give(&self, mut region: Box<Link>) {
        let shard = &self.shards[own_shard()].0;
        let (keep, surplus) = shard.lock().prepare(&self.limits);
        // Outside of the lock: both may take system calls.
        drop(surplus);
        if let Some(keep) = keep
            && region.rewind(keep)
        {
            shard.lock().add(region);
        }
    }

    /// Drops all regions.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let idle = std::mem::take(&mut *shard.0.lock());
            // Without the lock.
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

impl Idle {
    /// `asked`: whether it is the shard that is asked first, so that it learns of the demand in any case.
    fn take(&mut self, shape: &Shape, asked: bool) -> Option<Found> {
        let same = self.regions.take_first(|link| link.shape.is(shape));
        let found = match same {
            Some(same) => Some(Found::Ready(same)),
            None => self.alike(shape).map(Found::Other),
        };
        if asked || found.is_some() {
            self.demand.took();
        }
        let (Found::Ready(link) | Found::Other(link)) = found.as_ref()?;
        self.kept -= link.kept;
        if link.region.is_inherited() {
            // This is a child by fork, to which those of its parent are of no use.
            *self = Idle::default();
            return None;
        }
        found
    }

    /// A region that can be made what is asked for. Not if few wait: then those who take turns would take each other's,
    /// and each would have to make it anew.
    fn alike(&mut self, shape: &Shape) -> Option<Box<Link>> {
        const MANY: usize = 16;
        if self.regions.len() < MANY {
            return None;
        }
        self.regions.take_last(|link| link.shape.extent == shape.extent)
    }

    /// Before a region is given: how many bytes it may keep in memory, or `None` if there is no room for it; and one that
    /// is to wait no longer, if there is such a one.
    fn prepare(&mut self, limits: &Reuse) -> (Option<usize>, Option<Box<Link>>) {
        self.demand.gave();
        let most = self.demand.allowance().min(limits.max_idle.div_ceil(SHARDS));
        let surplus = (self.regions.len() > most).then(|| self.regions.take_last(|_| true));
        let surplus = surplus.flatten().inspect(|link| self.kept -= link.kept);
        let room = (limits.max_resident / SHARDS).saturating_sub(self.kept);
        let fits = self.regions.len() < most;
        (fits.then_some(limits.keep_resident.min(room)), surplus)
    }

    fn add(&mut self, link: Box<Link>) {
        self.kept += link.kept;
        self.regions.push(link);
    }

    fn take_past(&mut self) -> List {
        let mut past = List::default();
        while let Some(link) = self.regions.take_first(|link| link.shape.contents.is_of_the_past())
        {
            self.kept -= link.kept;
            past.push(link);
        }
        past
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
    /// Taken when this is dropped.
    link: Option<Box<Link>>,
    /// Where it goes; `None` if it cannot be used again.
    home: Option<Arc<RegionPool>>,
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
        let (mut link, is_set) = match found {
            Some(Found::Ready(link)) => (link, true),
            Some(Found::Other(mut link)) if link.region.reset(shape.accessible).is_ok() => {
                link.shape = shape;
                (link, false)
            }
            _ => {
                let built = build().or_else(|error| match pool.size().0 {
                    0 => Err(error),
                    // The address space may be short: what nobody uses goes first.
                    _ => {
                        pool.clear();
                        build()
                    }
                });
                (Link::new(built?, shape), false)
            }
        };
        let can_return = is_set || {
            let can_return = set(&link.region);
            link.region.set_pristine();
            can_return
        };
        Ok(PooledRegion { link: Some(link), home: can_return.then(|| Arc::clone(pool)) })
    }

    /// Gives back what waits for users, where the address space may be short. Whether there was any.
    pub(crate) fn clear_pool(&self) -> bool {
        let pool = self.home.as_ref().filter(|pool| pool.size().0 > 0);
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
        &self.link.as_ref().expect("there until it is dropped").region
    }
}

impl Drop for PooledRegion {
    fn drop(&mut self) {
        if let Some((pool, link)) = self.home.take().zip(self.link.take()) {
            pool.give(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqfault_mm::RegionOptions;

    const SHAPE: Shape =
        Shape { extent: (1 << 20, 0), accessible: 1 << 16, contents: FirstContents::Zero };

    fn link(shape: Shape) -> Box<Link> {
        let region = RegionOptions::new(shape.extent.0).accessible(shape.accessible).build();
        Link::new(region.unwrap(), shape)
    }

    fn used(shape: Shape) -> Box<Link> {
        let link = link(shape);
        link.region.fill(0, 1, link.shape.accessible).unwrap();
        link
    }

    #[test]
    fn a_burst_leaves_few_regions() {
        let pool = RegionPool::new(Reuse::default());
        (0..2 * Demand::PERIOD).for_each(|_| drop(pool.take(&SHAPE)));
        for given in 1..=10 * Demand::PERIOD {
            pool.give(used(SHAPE));
            let (count, kept) = pool.size();
            assert!(count <= Reuse::default().max_idle / SHARDS, "{count}");
            assert!(given >= Demand::PERIOD || count == given.min(Demand::PERIOD), "{count}");
            assert_eq!(kept, count * SHAPE.accessible);
        }
        assert_eq!(pool.size().0, Demand::LEAST);
    }

    #[test]
    fn regions_that_are_needed_again_and_again_stay_warm() {
        let pool = RegionPool::new(Reuse::default());
        for round in 0..10 {
            let taken: Vec<_> = (0..20).map(|_| pool.take(&SHAPE)).collect();
            let warm = taken.iter().flatten().filter(|found| match found {
                Found::Ready(link) => link.region.resident() != 0,
                Found::Other(_) => false,
            });
            assert!(round < 2 || warm.count() >= 19, "round {round}");
            drop(taken);
            (0..20).for_each(|_| pool.give(used(SHAPE)));
        }
    }

    #[test]
    fn those_who_take_turns_do_not_take_each_others_unless_many_wait() {
        let pool = RegionPool::new(Reuse::default());
        let other = Shape { accessible: 2 << 16, ..SHAPE };
        (0..2 * Demand::PERIOD).for_each(|_| drop(pool.take(&SHAPE)));
        for waiting in 1..40 {
            pool.give(link(SHAPE));
            let found = pool.take(&other);
            assert_eq!(found.is_some(), waiting >= 16, "{waiting}");
            if found.is_some() {
                pool.give(link(SHAPE));
            }
        }
    }

    #[test]
    fn what_one_thread_drops_and_others_take_waits_for_them() {
        let pool = RegionPool::new(Reuse::default());
        std::thread::scope(|scope| {
            let dropping = scope.spawn(|| (0..100).for_each(|_| pool.give(used(SHAPE))));
            dropping.join().unwrap();
        });
        let found = (0..100).filter_map(|_| pool.take(&SHAPE)).count();
        assert_eq!(found, Demand::LEAST);
    }

    #[test]
    fn a_thread_needs_no_lock_but_its_own() {
        use std::sync::mpsc::channel;
        let pool = RegionPool::new(Reuse::default());
        let (go, may_go) = channel();
        let (done, is_done) = channel();
        std::thread::scope(|scope| {
            let pool = &pool;
            scope.spawn(move || {
                pool.give(used(SHAPE));
                for () in may_go {
                    for _ in 0..100 {
                        let Some(Found::Ready(link)) = pool.take(&SHAPE) else { panic!("gone") };
                        assert!(pool.take(&SHAPE).is_none());
                        pool.give(link);
                    }
                    done.send(()).unwrap();
                }
            });
            while pool.size().0 == 0 {
                std::thread::yield_now();
            }
            let own = pool.shards.iter().position(|shard| shard.0.lock().regions.len() == 1);
            scope.spawn(|| pool.give(used(SHAPE))).join().unwrap();
            let others = pool.shards.iter().enumerate().filter(|(at, _)| Some(*at) != own);
            let held: Vec<_> = others.map(|(_, shard)| shard.0.lock()).collect();
            assert_eq!(held.iter().map(|idle| idle.regions.len()).sum::<usize>(), 1);
            go.send(()).unwrap();
            let alone = is_done.recv_timeout(std::time::Duration::from_secs(60));
            // Before the assertion: the thread must end in any case.
            drop((held, go));
            assert_eq!(alone, Ok(()));
        });
    }

    #[test]
    fn nothing_is_kept_without_room() {
        for limits in [
            Reuse { max_idle: 0, ..Reuse::default() },
            Reuse { keep_resident: 0, ..Reuse::default() },
            Reuse { max_resident: 0, ..Reuse::default() },
        ] {
            let pool = RegionPool::new(limits.clone());
            pool.give(used(SHAPE));
            let expected = usize::from(limits.max_idle != 0);
            assert_eq!(pool.size(), (expected, 0), "{limits:?}");
        }
    }

    #[test]
    fn data_of_a_module_that_is_gone_is_given_back() {
        let pool = RegionPool::new(Reuse::default());
        let mark = Arc::new(());
        let shape = || Shape { contents: FirstContents::Data(Arc::downgrade(&mark), 0), ..SHAPE };
        pool.give(used(shape()));
        pool.give(used(SHAPE));
        assert_eq!(pool.size().0, 2);
        let late = used(shape());
        drop(mark);
        pool.forget_the_past();
        pool.give(late);
        assert_eq!(pool.size(), (1, SHAPE.accessible));
    }
}
