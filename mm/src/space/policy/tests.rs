//! The policy on patterns, without a space.

use super::*;

const VMA: PageRange = PageRange::new(0, 1 << 18);
const OPENING: Policy = Policy::FINE.opening(Opening::OnEvidence);

/// A region as one thread sees it: what was brought, what is open, and what the kernel makes resident.
struct Region {
    policy: Policy,
    pattern: Pattern,
    brought: Vec<PageRange>,
    open: Vec<PageRange>,
    /// What of it asks for huge pages.
    huge: Vec<PageRange>,
    resident: Vec<bool>,
    is_new: bool,
}

impl Region {
    fn new(policy: Policy) -> Self {
        let (brought, open, huge) = (Vec::new(), Vec::new(), Vec::new());
        let (pattern, resident) = (Pattern::new(), vec![false; VMA.end]);
        Self { policy, pattern, brought, open, huge, resident, is_new: false }
    }

    fn touch(&mut self, page: usize) {
        let holds = |ranges: &[PageRange]| ranges.iter().any(|range| range.contains(page));
        if !holds(&self.open) && !holds(&self.brought) {
            self.fault(page);
        }
        let stripe = PageRange::stripe_of(page);
        let is_empty = !self.resident[stripe.start..stripe.end].contains(&true);
        let is_huge = |range: &PageRange| range.contains(page) && stripe.end <= range.end;
        if is_empty && self.huge.iter().any(is_huge) {
            self.make_resident(stripe);
        }
        self.resident[page] = true;
    }

    fn make_resident(&mut self, pages: PageRange) {
        self.resident[pages.start..pages.end].fill(true);
    }

    fn fault(&mut self, page: usize) {
        let place = Place {
            page,
            vma: VMA,
            density: 0,
            is_first: self.brought.is_empty() && self.open.is_empty(),
            openings: self.open.len(),
            is_new: self.is_new,
        };
        match self.pattern.step(&place, self.policy) {
            Step::Bring(window) => {
                let pages = window.pages;
                assert!(pages.contains(page), "{page} is not in {pages:?}");
                assert_eq!(pages, pages.intersect(PageRange::stripe_of(page)));
                assert!(self.brought.iter().all(|old| old.intersect(pages).is_empty()));
                self.pattern.brought(window, pages);
                self.make_resident(pages);
                self.brought.push(pages);
            }
            Step::Open(window) => {
                let pages = window.pages.intersect(VMA);
                assert!(self.policy.opens() && pages.contains(page));
                self.pattern.opened(window, pages);
                self.open.push(pages);
                let stripe = PageRange::stripe_of(page);
                if window.huge {
                    assert_eq!(pages.len() % STRIPE_PAGES, 0);
                    self.huge.push(pages);
                    if page != stripe.start && page + 1 != stripe.end {
                        self.make_resident(stripe);
                    }
                }
            }
        }
    }

    /// Pages that are resident although nothing touched them, given how many were touched.
    fn excess(&self, touched: &std::collections::BTreeSet<usize>) -> usize {
        self.resident.iter().filter(|&&resident| resident).count() - touched.len()
    }
}

/// The windows for a thread that touches `pages` in order.
fn windows(policy: Policy, pages: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut region = Region::new(policy);
    pages.into_iter().for_each(|page| region.touch(page));
    assert!(region.open.is_empty());
    region.brought.iter().map(|range| range.len()).collect()
}

const UP: [usize; 14] = [16, 1, 16, 36, 70, 130, 243, 512, 512, 5, 507, 512, 11, 501];

#[test]
fn a_sequence_grows_the_window_up_to_a_stripe_and_is_probed_now_and_then() {
    assert_eq!(windows(OPENING, 0..STRIPE_PAGES * 7)[..UP.len()], UP);
    assert_eq!(windows(Policy::FINE, 0..STRIPE_PAGES * 7)[3..UP.len()], UP[3..]);
}

#[test]
fn a_few_pages_of_each_granule_are_no_sequence() {
    for few in 1..GRANULE_PAGES - 2 {
        let pages = (0..VMA.end).filter(|page| page % GRANULE_PAGES < few);
        for back in [false, true] {
            let pages: Vec<usize> = pages.clone().collect();
            let mut region = Region::new(OPENING);
            let order: Vec<usize> = if back { pages.into_iter().rev().collect() } else { pages };
            order.into_iter().for_each(|page| region.touch(page));
            let brought: usize = region.brought.iter().map(|range| range.len()).sum();
            assert!(brought <= 512, "{few} of 16, {back}: {brought} brought");
        }
    }
}

#[test]
fn a_downward_sequence_grows_it_alike() {
    let lens = windows(OPENING, (0..STRIPE_PAGES * 6).rev());
    assert_eq!(lens.iter().sum::<usize>(), STRIPE_PAGES * 6);
    assert!(lens.len() < 20, "{lens:?}");
}

#[test]
fn every_stride_but_one_is_left_to_the_kernel_after_few_faults() {
    for stride in (2..1500).chain([4096, 16384]) {
        for start in [0, 1, 7, 511] {
            let up: Vec<usize> = (start..VMA.end).step_by(stride).collect();
            let down: Vec<usize> = up.iter().rev().copied().collect();
            for pages in [up, down] {
                let mut region = Region::new(OPENING.huge(Huge::Asked));
                pages.into_iter().for_each(|page| region.touch(page));
                let faults = region.brought.len() + region.open.len();
                assert!(faults <= 5, "stride {stride}: {faults} faults");
                assert!(region.brought.iter().map(|range| range.len()).sum::<usize>() <= 17);
                assert!(region.huge.is_empty());
            }
        }
    }
}

#[test]
fn a_sequence_opens_stripes_ahead_where_huge_pages_are_to_be_asked_for() {
    for back in [false, true] {
        let mut region = Region::new(OPENING.huge(Huge::Asked));
        let mut touched = std::collections::BTreeSet::new();
        for page in VMA.start..VMA.end {
            let page = if back { VMA.end - 1 - page } else { page };
            region.touch(page);
            touched.insert(page);
            if page % 37 == 0 {
                let excess = region.excess(&touched);
                assert!(excess <= touched.len() + GRANULE_PAGES, "{excess}, {page}");
            }
        }
        let faults = region.brought.len() + region.open.len();
        assert!(faults <= 32, "{faults} faults for a gigabyte");
        let asked: usize = region.huge.iter().map(|range| range.len()).sum();
        assert_eq!(asked, VMA.end - STRIPE_PAGES, "all but the first stripe");
    }
}

#[test]
fn a_sequence_that_ends_leaves_no_more_resident_than_it_has_touched() {
    let sparse = [1, 2, 16, 511, 512, 513, 1024];
    for dense in [300, 512, 600, 1023, 1024, 1030, 1536, 2048, 2053, 3000, 4096, 5000, 9000] {
        for (stride, base) in sparse.into_iter().zip([0, 1, 2, 3, 5, 15, 511]) {
            let mut region = Region::new(OPENING.huge(Huge::Asked));
            let mut touched = std::collections::BTreeSet::new();
            let rest = (0..200).map(|step| dense + base + step * stride);
            for page in (0..dense).chain(rest.filter(|&page| page < VMA.end)) {
                region.touch(page);
                touched.insert(page);
            }
            let excess = region.excess(&touched);
            let most = touched.len() + 2 * GRANULE_PAGES;
            assert!(excess <= most, "{dense}, {stride}: {excess} beside {}", touched.len());
        }
    }
}

#[test]
fn where_huge_pages_are_given_the_second_fault_opens_everything() {
    let policy = OPENING.huge(Huge::Given);
    let mut region = Region::new(policy);
    [5, 16, 9000].into_iter().for_each(|page| region.touch(page));
    assert_eq!((region.brought.len(), &region.open[..]), (1, &[VMA][..]));
    assert!(region.huge.is_empty());
    assert!(policy.opens_growth(STRIPE_PAGES) && !policy.opens_growth(STRIPE_PAGES - 1));
    let never = policy.opening(Opening::Never);
    assert!(!never.opens_growth(STRIPE_PAGES) && windows(never, [0, 500]).len() == 2);
}

#[test]
fn no_pattern_brings_more_than_twice_what_it_touches_and_two_granules() {
    let mut random = crate::tests::random::Random::new(11);
    for case in 0..400 {
        let huge = [Huge::Never, Huge::Asked][case % 2];
        let mut region = Region::new(OPENING.huge(huge));
        let mut touched = std::collections::BTreeSet::new();
        for _ in 0..1 + random.below(6) {
            let (start, count) = (random.below(VMA.end / 2), 1 << random.below(14));
            let stride = [1, 1, 1, 2, 16, 512, 1 + random.below(600)][random.below(7)];
            let back = random.below(2) == 0;
            for step in 0..count {
                let step = if back { count - 1 - step } else { step };
                let page = (start + step * stride) % VMA.end;
                region.touch(page);
                touched.insert(page);
                if step % 61 != 0 && step != count - 1 {
                    continue;
                }
                let excess = region.excess(&touched);
                assert!(
                    excess <= touched.len() * 5 / 4 + 2 * GRANULE_PAGES,
                    "case {case}: {excess} beside {} touched: {:?}",
                    touched.len(),
                    &region.brought[region.brought.len().saturating_sub(9)..]
                );
            }
        }
    }
}

#[test]
fn sizes_are_kept_to() {
    let policy = Policy::of_pages(STRIPE_PAGES / 8, STRIPE_PAGES / 2);
    assert_eq!(Policy::from_bits(policy.to_bits()), policy);
    for (opening, huge) in [
        (Opening::Never, Huge::Asked),
        (Opening::OnEvidence, Huge::Given),
        (Opening::OnEvidence, Huge::Never),
    ] {
        let policy = policy.opening(opening).huge(huge);
        assert_eq!(Policy::from_bits(policy.to_bits()), policy);
    }
    let lens = windows(policy, 0..STRIPE_PAGES * 4);
    assert!(lens.iter().all(|&len| len <= 256) && lens.len() > 8, "{lens:?}");
    assert_eq!(windows(policy, [63, 1000]), [64, 64], "aligned, so that the page is inside");
    assert_eq!(Policy::of_pages(0, usize::MAX), Policy::of_pages(1, STRIPE_PAGES));
    assert_eq!(Policy::of_pages(512, 1), Policy::of_pages(512, 512));
    assert_eq!(windows(Policy::of_pages(1, 1), 5..8), [1, 1, 1]);
}

#[test]
fn a_sparse_touch_brings_the_smallest_window_each_where_nothing_is_opened() {
    let lens = windows(Policy::FINE, (0..1000).map(|n| n * 97));
    assert!(lens[1..].iter().all(|&len| len == 2), "{lens:?}");
}

#[test]
fn what_is_missing_of_a_dense_granule_comes_at_once_where_nothing_is_opened() {
    let pattern = Pattern::new();
    let window = Opened { pages: VMA, huge: false, stage: Stage::OPENED };
    pattern.opened(window, PageRange::stripe_of(500));
    let step = |density, policy: Policy| {
        let place =
            Place { page: 37, vma: VMA, density, is_first: false, openings: 0, is_new: false };
        match pattern.step(&place, policy) {
            Step::Bring(window) => window.pages,
            Step::Open(window) => panic!("{window:?} is opened"),
        }
    };
    assert_eq!(step(7, Policy::FINE), PageRange::new(36, 38));
    assert_eq!(step(8, Policy::FINE), PageRange::new(32, 48));
    assert_eq!(step(8, Policy::of_pages(1, 2)), PageRange::new(36, 38));
}

#[test]
fn a_short_addition_that_was_left_to_faults_is_looked_at_from_its_start() {
    let vma = PageRange::new(4096, 4096 + WORTH_A_LOOK - 1);
    let looks = |page| {
        let pattern = Pattern::new();
        let window = Opened { pages: VMA, huge: false, stage: Stage::OPENED };
        pattern.opened(window, PageRange::stripe_of(500));
        let place = Place { page, vma, density: 0, is_first: false, openings: 1, is_new: true };
        matches!(pattern.step(&place, OPENING), Step::Bring(_))
    };
    assert!(looks(vma.start) && !looks(vma.start + 1));
    let left: Vec<usize> = (0..100).filter(|&growths| leaves_to_faults(growths)).collect();
    assert_eq!(left, [4, 8, 16, 32, 64]);
}

#[test]
fn what_a_window_lacks_is_owed_where_memory_grows_at_its_end() {
    let pattern = Pattern::new();
    let window = Window { pages: PageRange::new(31, 67), stage: Stage::GRANULE };
    let added = PageRange::new(32, 48);
    assert_eq!(pattern.owed(added), None);
    pattern.brought(window, PageRange::new(31, 32));
    assert_eq!(pattern.owed(PageRange::new(64, 80)), None, "not where it ended");
    assert_eq!(pattern.owed(added), Some(added));
    pattern.paid(added.end);
    let rest = PageRange::new(48, 67);
    assert_eq!(pattern.owed(PageRange::new(48, 4096)), Some(rest), "no more than is proven");
    pattern.paid(rest.end);
    assert_eq!(pattern.owed(PageRange::new(67, 80)), None);
    pattern.brought(window, PageRange::new(31, 32));
    pattern.owes_nothing();
    assert_eq!(pattern.owed(added), None);
}

#[test]
fn a_growing_region_is_looked_at_again() {
    let mut region = Region::new(OPENING);
    [0, 1000].into_iter().for_each(|page| region.touch(page));
    assert_eq!(region.open, [PageRange::new(512, 1024)]);
    // What is accessible since then may be used in another way.
    region.is_new = true;
    (2048..2048 + STRIPE_PAGES).for_each(|page| region.touch(page));
    assert_eq!(region.open.len(), 1);
    assert!(region.brought.iter().any(|range| range.len() > 100), "{:?}", region.brought);
}
