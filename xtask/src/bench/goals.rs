//! What guard is held to, as ratios between figures of one run.

use guard_tests::Family;

use super::{
    LENGTHS,
    contender::Contender,
    list::Entries,
    scene::{Row, Setting, Subject},
    sources::Mix,
};

/// Which way a ratio is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    AtMost,
    AtLeast,
}

/// How a figure compares with what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// What must be reached is not.
    Miss,
    Reached,
    /// What is aimed at is reached too.
    Aim,
}

/// A ratio of two contenders' minima, with its bounds by the length of the list.
pub(super) struct Goal {
    pub(super) family: Family,
    entries: Entries,
    pub(super) mix: Mix,
    pub(super) upper: Contender,
    pub(super) lower: Contender,
    pub(super) bound: Bound,
    /// What must be reached, in the order of [`LENGTHS`]; longer lists than these have no bound.
    pub(super) must: &'static [f64],
    /// What is aimed at.
    pub(super) aim: &'static [f64],
}

const DROP: Goal = Goal {
    family: Family::V4,
    entries: Entries::Prefixes,
    mix: Mix::Unlisted,
    upper: Contender::Guard,
    lower: Contender::BareDrop,
    bound: Bound::AtMost,
    must: &[1.35, 1.5, 1.8, 2.9],
    aim: &[1.25, 1.35, 1.6, 2.4],
};
const NFT: Goal = Goal {
    upper: Contender::NftIngress,
    lower: Contender::Guard,
    bound: Bound::AtLeast,
    must: &[3.0, 4.0, 7.0, 8.5],
    aim: &[3.3, 4.5, 8.0, 10.0],
    ..DROP
};
const PASS: Goal = Goal { mix: Mix::Listed, lower: Contender::BarePass, must: &[1.25, 1.25], aim: &[], ..DROP };
const XDP_FILTER: Goal =
    Goal { entries: Entries::Addresses, lower: Contender::XdpFilter, must: &[1.15, 1.15], aim: &[1.0, 1.0], ..DROP };

pub(super) const GOALS: [Goal; 9] = [
    DROP,
    Goal { family: Family::V6, must: &[1.5, 1.75, 2.7, 4.5], aim: &[1.35, 1.6, 2.4, 4.0], ..DROP },
    NFT,
    Goal { family: Family::V6, must: &[3.4, 3.8, 4.8, 5.5], aim: &[], ..NFT },
    Goal { upper: Contender::LpmTrie, must: &[1.1, 1.6, 5.5, 7.0], aim: &[], ..NFT },
    XDP_FILTER,
    Goal { mix: Mix::Listed, ..XDP_FILTER },
    PASS,
    Goal { family: Family::V6, ..PASS },
];

impl Goal {
    /// The ratio for lists of a length, and how it compares where it is bounded; none if one of the two was not measured.
    pub(super) fn judge(&self, rows: &[Row], length: usize) -> Option<(f64, Option<Mark>)> {
        let setting = Setting { family: self.family, entries: self.entries, length };
        let minimum_ns = |contender| {
            let subject = Subject::Contender(contender);
            let row =
                rows.iter().find(|row| row.setting == setting && row.subject == subject && row.mix == self.mix)?;
            Some(row.times.minimum_ns() as f64)
        };
        let ratio = minimum_ns(self.upper)? / minimum_ns(self.lower)?;
        let column = LENGTHS.iter().position(|known| *known == length);
        let bound = |bounds: &[f64]| bounds.get(column?).copied();
        Some((ratio, bound(self.must).map(|must| self.bound.mark(ratio, must, bound(self.aim)))))
    }
}

impl Bound {
    pub(super) fn mark(self, figure: f64, must: f64, aim: Option<f64>) -> Mark {
        let reaches = |limit: f64| match self {
            Self::AtMost => figure <= limit,
            Self::AtLeast => figure >= limit,
        };
        match (reaches(must), aim.is_some_and(reaches)) {
            (false, _) => Mark::Miss,
            (true, false) => Mark::Reached,
            (true, true) => Mark::Aim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Mark};

    #[test]
    fn a_bound_itself_is_reached() {
        for (bound, figure, mark) in [
            (Bound::AtMost, 1.25, Mark::Aim),
            (Bound::AtMost, 1.35, Mark::Reached),
            (Bound::AtMost, 1.36, Mark::Miss),
            (Bound::AtLeast, 1.34, Mark::Aim),
            (Bound::AtLeast, 1.24, Mark::Miss),
        ] {
            let (must, aim) = if bound == Bound::AtMost { (1.35, 1.25) } else { (1.25, 1.3) };
            assert_eq!(bound.mark(figure, must, Some(aim)), mark, "{figure} {bound:?}");
        }
        assert_eq!(Bound::AtMost.mark(1.0, 1.35, None), Mark::Reached);
    }
}
