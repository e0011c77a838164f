//! [`Demand`]: how many regions are worth keeping.

/// How many regions a shard needs: as many as were taken in a period, the last one or the present one, or half of
/// what it was.
#[derive(Default)]
pub(super) struct Demand {
    operations: usize,
    taken: usize,
    before: usize,
}

impl Demand {
    /// Operations in a period.
    pub(super) const PERIOD: usize = 64;
    /// For threads that have only begun.
    pub(super) const LEAST: usize = 2;

    pub(super) fn took(&mut self) {
        self.taken += 1;
        self.pass();
    }

    pub(super) fn gave(&mut self) {
        self.pass();
    }

    fn pass(&mut self) {
        self.operations += 1;
        if self.operations == Self::PERIOD {
            let before = self.taken.max(self.before / 2);
            *self = Demand { operations: 0, taken: 0, before };
        }
    }

    pub(super) fn allowance(&self) -> usize {
        self.taken.max(self.before).max(Self::LEAST)
    }
}
