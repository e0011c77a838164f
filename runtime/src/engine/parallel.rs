//! Work on all cores: threads of the process's own, started when there is work for them.
//!
//! These are not the threads of rayon's global pool. We or the host may have started that before a
//! `fork`; its threads do not exist in the child, where a caller would wait for them for ever.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use seqfault_jit::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Calls `work` for each item and collects the results in the order of the items. `work` also gets
/// a value that its thread reuses from item to item. Pieces of `grain` items are not divided. After
/// an error not all items are worked on.
pub(crate) fn try_map<T, S, R, E>(
    items: Vec<T>,
    grain: usize,
    work: impl Fn(&mut S, T) -> Result<R, E> + Sync + Send,
) -> Result<Vec<R>, E>
where
    T: Send,
    S: Default,
    R: Send,
    E: Send,
{
    // A few items are done before other threads have woken up.
    match (items.len() > grain).then(threads).flatten() {
        Some(threads) => threads.install(|| {
            let items = items.into_par_iter().with_min_len(grain);
            items.map_init(S::default, work).collect()
        }),
        None => {
            let mut scratch = S::default();
            items.into_iter().map(|item| work(&mut scratch, item)).collect()
        }
    }
}

/// The threads of one process.
struct Threads {
    generation: u32,
    /// `None` if the system refuses threads.
    pool: Option<ThreadPool>,
}

/// This process's threads, if it can have any.
fn threads() -> Option<&'static ThreadPool> {
    static THREADS: AtomicPtr<Threads> = AtomicPtr::new(ptr::null_mut());
    let generation = process::generation();
    let known = THREADS.load(Ordering::Acquire); // pairs with AcqRel below
    // SAFETY: null, or leaked below.
    match unsafe { known.as_ref() } {
        Some(threads) if threads.generation == generation => return threads.pool.as_ref(),
        // There are none yet, or they belong to a parent: those do not exist here, and are left as
        // they are.
        _ => {}
    }
    let pool = ThreadPoolBuilder::new().thread_name(|i| format!("seqfault-{i}")).build().ok();
    let new = Box::into_raw(Box::new(Threads { generation, pool }));
    let threads = match THREADS.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => new,
        Err(first) => {
            // SAFETY: no other thread knows these. Their threads end.
            drop(unsafe { Box::from_raw(new) });
            first
        }
    };
    // SAFETY: leaked, by this thread or by another.
    unsafe { (*threads).pool.as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn results_come_in_the_order_of_the_items_and_errors_end_it() {
        let double = |_: &mut (), n: usize| if n == 700 { Err(n) } else { Ok(2 * n) };
        let results = try_map((0..600).collect(), 8, double).unwrap();
        assert!(results.iter().enumerate().all(|(n, &twice)| twice == 2 * n));
        assert_eq!(try_map((0..1000).collect(), 8, double), Err(700));
        assert_eq!(try_map((695..702).collect(), 8, double), Err(700));
    }

    #[test]
    fn one_thread_reuses_its_scratch() {
        let made = AtomicUsize::new(0);
        let work = |scratch: &mut Vec<u8>, _: usize| {
            made.fetch_add(usize::from(scratch.is_empty()), Ordering::Relaxed);
            scratch.push(1);
            Ok::<_, ()>(())
        };
        try_map((0..10_000).collect(), 1_000, work).unwrap();
        assert!((1..=10).contains(&made.into_inner()));
    }
}
