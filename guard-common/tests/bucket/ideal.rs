//! Limits as an operator writes them, and the bucket that they describe.

use guard_common::bucket::Rate;

use crate::random::Random;

pub(crate) const NS_PER_S: u64 = 1_000_000_000;
pub(crate) const DAY_NS: u64 = 86_400 * NS_PER_S;
pub(crate) const YEAR_NS: u64 = 365 * DAY_NS;

/// Steps of a clock: one by ns, and ticks at HZ 1000, 250, 100 and 300.
pub(crate) const STEPS_NS: [u64; 5] = [1, 1_000_000, 4_000_000, 10_000_000, 3_333_333];

/// How much faster than it should a bucket may recover, at most: one part in so many.
pub(crate) const ROUNDING: u128 = 1 << 20;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) limit: u64,
    pub(crate) window_ns: u64,
    pub(crate) burst: u64,
    pub(crate) step_ns: u64,
}

impl Terms {
    pub(crate) fn rate(&self) -> Rate {
        let Self { limit, window_ns, burst, step_ns } = *self;
        Rate::new(limit, window_ns, burst, step_ns).unwrap_or_else(|| panic!("{self:?} are terms that can be kept"))
    }

    /// Returns random terms: from one a day to 50 million a second, or 2^33 bytes a second.
    pub(crate) fn random(random: &mut Random) -> Self {
        let (limit, window_ns) = match random.below(6) {
            0 => (1 + random.below(1_000) as u64, DAY_NS),
            1 => (1 + random.below(100_000) as u64, (1 + random.below(60) as u64) * 60 * NS_PER_S),
            2 => (1 + random.below(1_000) as u64, (1 + random.below(100) as u64) * NS_PER_S),
            3 => (1 + random.below(50_000_000) as u64, NS_PER_S),
            4 => (1 + random.below(50_000) as u64, 1_000_000),
            _ => (1 + random.below(1 << 33) as u64, NS_PER_S),
        };
        let burst = match random.below(4) {
            0 => random.pick(&[0, 1, 5, 99, 65_535]),
            1 => random.below(100) as u64,
            2 => random.below(65_536) as u64,
            _ => limit - 1,
        };
        Self { limit, window_ns, burst, step_ns: random.pick(&STEPS_NS) }
    }

    /// Returns the time in which so many cells come, in steps of the clock; at least one.
    pub(crate) fn steps_for(&self, cells: u64) -> u64 {
        let ns = u128::from(cells) * u128::from(self.window_ns) / u128::from(self.limit);
        (ns as u64 / self.step_ns).max(1)
    }
}

/// What a bucket lacks to be full, exactly: in cells times the window's ns, and times [`ROUNDING`].
#[derive(Clone, Debug)]
pub(crate) struct Ideal {
    terms: Terms,
    lack: u128,
    steps: u64,
    /// One more than [`ROUNDING`] where it recovers as much faster as a real one may.
    pace: u128,
}

impl Ideal {
    pub(crate) fn exact(terms: Terms, steps: u64) -> Self {
        Self { terms, lack: 0, steps, pace: ROUNDING }
    }

    pub(crate) fn fast(terms: Terms, steps: u64) -> Self {
        Self { pace: ROUNDING + 1, ..Self::exact(terms, steps) }
    }

    fn cell(&self) -> u128 {
        u128::from(self.terms.window_ns) * ROUNDING
    }

    /// Returns by how much the bucket would lack more than there is in it, if `cost` cells were taken at a time.
    pub(crate) fn excess(&mut self, steps: u64, cost: u64) -> i128 {
        let passed_ns = u128::from(steps - self.steps) * u128::from(self.terms.step_ns);
        self.lack = self.lack.saturating_sub(passed_ns * u128::from(self.terms.limit) * self.pace);
        self.steps = steps;
        let depth = u128::from(self.terms.burst) + 1;
        (self.lack + u128::from(cost) * self.cell()) as i128 - (depth * self.cell()) as i128
    }

    pub(crate) fn take(&mut self, cost: u64) {
        self.lack += u128::from(cost) * self.cell();
    }

    /// Returns what two units of a rate's time are: the most by which reading two times is off.
    pub(crate) fn two_units(&self) -> i128 {
        (2 * self.cell()).div_ceil(u128::from(self.terms.rate().cell)) as i128
    }
}

/// A bucket's decisions, each held against the ideal. Every window is looked at: a bucket that never lacks more than there is
/// in it lets no more pass than burst and rate allow, whenever one begins to count.
pub(crate) struct Judge {
    exact: Ideal,
    fast: Ideal,
}

impl Judge {
    pub(crate) fn new(terms: Terms, steps: u64) -> Self {
        Self { exact: Ideal::exact(terms, steps), fast: Ideal::fast(terms, steps) }
    }

    /// Panics if the bucket let too much pass.
    pub(crate) fn check_most(&mut self, steps: u64, cost: u64, passed: bool) {
        let excess = self.fast.excess(steps, cost);
        if passed {
            assert!(
                excess <= self.fast.two_units(),
                "{:?}: {cost} passed at {steps}, {excess} too much",
                self.fast.terms
            );
            self.fast.take(cost);
        }
    }

    /// Panics if the bucket let too much pass or refused what it had.
    pub(crate) fn check(&mut self, steps: u64, cost: u64, passed: bool) {
        self.check_most(steps, cost, passed);
        let excess = self.exact.excess(steps, cost);
        if passed {
            self.exact.take(cost);
        } else {
            let least = -self.exact.two_units();
            assert!(excess >= least, "{:?}: {cost} refused at {steps}, {excess} short of full", self.exact.terms);
        }
    }
}
