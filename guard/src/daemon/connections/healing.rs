//! Counts that are not what is counted adds up to. While connections come and go the two can't be read at one moment, so only what
//! stays the same is a miscount.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// How long a miscount must stay the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counts that differed when they were last compared, and since when.
pub(super) struct Healing<K>(BTreeMap<K, (Miscount, Instant)>);

/// What is counted of a key, and what should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Miscount {
    count: u64,
    sum: u64,
}

impl<K> Default for Healing<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Copy> Healing<K> {
    /// Compares counts, read before and after what they should be; returns by what each is wrong for long enough, to be added.
    pub(super) fn differences(
        &mut self,
        before: &BTreeMap<K, u64>,
        sums: &BTreeMap<K, u64>,
        after: &BTreeMap<K, u64>,
        now: Instant,
    ) -> Vec<(K, i64)> {
        let of = |counts: &BTreeMap<K, u64>, key: &K| counts.get(key).copied().unwrap_or(0);
        let mut suspects = BTreeMap::new();
        let mut differences = Vec::new();
        for key in before.keys().chain(sums.keys()).collect::<BTreeSet<_>>() {
            let miscount = Miscount { count: of(before, key), sum: of(sums, key) };
            if miscount.count == miscount.sum || miscount.count != of(after, key) {
                continue;
            }
            let known = self.0.get(key).filter(|(known, _)| *known == miscount);
            let since = known.map_or(now, |(_, since)| *since);
            if now.duration_since(since) < PATIENCE {
                suspects.insert(*key, (miscount, since));
            } else {
                // A count that went below nothing has wrapped.
                differences.push((*key, miscount.sum.wrapping_sub(miscount.count) as i64));
            }
        }
        self.0 = suspects;
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_miscount_that_stays_is_mended() {
        // The counts before and after, and what they should be, at times in ms; and what is to be added at the last.
        type Case<'a> = (&'a str, &'a [(u64, u64, u64, u64)], &'a [(u8, i64)]);
        let cases: [Case<'_>; 8] = [
            ("as it should be", &[(0, 3, 3, 3), (1000, 3, 3, 3)], &[]),
            ("too many", &[(0, 3, 2, 3), (500, 3, 2, 3), (1000, 3, 2, 3)], &[(7, -1)]),
            ("too few", &[(0, 3, 5, 3), (1000, 3, 5, 3)], &[(7, 2)]),
            ("below nothing", &[(0, u64::MAX, 0, u64::MAX), (1000, u64::MAX, 0, u64::MAX)], &[(7, 1)]),
            ("not for long enough", &[(0, 3, 2, 3), (999, 3, 2, 3)], &[]),
            ("another one than before", &[(0, 3, 2, 3), (500, 4, 3, 4), (1000, 4, 3, 4)], &[]),
            ("one that was away meanwhile", &[(0, 3, 2, 3), (500, 3, 3, 3), (1000, 3, 2, 3)], &[]),
            ("one that changes while it is read", &[(0, 3, 2, 2), (1000, 3, 2, 2)], &[]),
        ];
        for (case, looks, expected) in cases {
            let start = Instant::now();
            let mut healing = Healing::default();
            let counts = |count: u64| BTreeMap::from([(7, count)]);
            let mut last = Vec::new();
            for (ms, before, sum, after) in looks {
                let now = start + Duration::from_millis(*ms);
                last = healing.differences(&counts(*before), &counts(*sum), &counts(*after), now);
            }
            assert_eq!(last, expected, "{case}");
        }
    }

    #[test]
    fn what_is_missing_on_either_side_is_nothing() {
        let start = Instant::now();
        let (none, three) = (BTreeMap::new(), BTreeMap::from([("source", 3)]));
        for (counts, sums, difference) in [(&none, &three, 3), (&three, &none, -3)] {
            let mut healing = Healing::default();
            assert_eq!(healing.differences(counts, sums, counts, start), []);
            assert_eq!(healing.differences(counts, sums, counts, start + PATIENCE), [("source", difference)]);
            assert_eq!(healing.differences(counts, sums, counts, start + 2 * PATIENCE), [], "it is made good by then");
        }
    }
}
