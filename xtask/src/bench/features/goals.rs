//! What features may cost, as ratios between figures of one run.

use std::fmt::Display;

use guard_tests::Family;

use super::{
    Figure,
    case::{
        Case, MILLION, ONE, SIZES, SOME,
        Traffic::{
            Answers, Continuing, NoAnswers, Opening, Syns, SynsToService, ToOwnPort, ToService, ToServiceFromBanned,
        },
        Variant::{Bans, Caps, DefaultDrop, FlowsFull, NoBan, NoLimit, OneLimit, Refusing, ThreeLimits, Unguarded},
    },
    times,
};
use crate::bench::{
    goals::Bound,
    table::{Table, grouped},
};

/// A ratio of two cases' minima, and what it may be at most.
struct Goal {
    upper: Case,
    lower: Case,
    must: Option<f64>,
    aim: Option<f64>,
}

impl Goal {
    const fn unbounded(upper: Case, lower: Case) -> Self {
        Self { upper, lower, must: None, aim: None }
    }
}

fn goals() -> Vec<Goal> {
    let mut goals = Vec::new();
    for (variant, must, aim) in [(OneLimit, Some(1.5), Some(1.25)), (ThreeLimits, None, None)] {
        for size in SIZES {
            let is_bounded = |_: &f64| size == SOME;
            let [upper, lower] = [variant, NoLimit].map(|variant| Case::new(variant, ToService, size));
            goals.push(Goal { upper, lower, must: must.filter(is_bounded), aim: aim.filter(is_bounded) });
        }
    }
    for (variant, must) in [(NoLimit, None), (OneLimit, Some(1.3)), (Refusing, Some(1.3))] {
        let [upper, lower] = [MILLION, ONE].map(|size| Case::new(variant, ToService, size));
        goals.push(Goal { upper, lower, must, aim: None });
    }
    for (upper, lower, traffic, size) in [
        (Caps, NoLimit, ToService, SOME),
        (Caps, NoLimit, SynsToService, SOME),
        (Caps, NoLimit, SynsToService, MILLION),
        (Bans, NoBan, ToService, SOME),
        (Bans, NoBan, ToService, MILLION),
        (Bans, NoBan, ToServiceFromBanned, SOME),
    ] {
        goals.push(Goal::unbounded(Case::new(upper, traffic, size), Case::new(lower, traffic, size)));
    }
    for (variant, size) in [(DefaultDrop, SOME), (DefaultDrop, MILLION), (FlowsFull, MILLION)] {
        goals.push(Goal::unbounded(Case::new(variant, NoAnswers, size), Case::new(DefaultDrop, Syns, size)));
    }
    goals.push(Goal::unbounded(Case::new(DefaultDrop, Answers, SOME), Case::new(DefaultDrop, ToOwnPort, SOME)));
    for (variant, traffic, size) in
        [(NoLimit, Continuing, SOME), (DefaultDrop, Continuing, SOME), (FlowsFull, Opening, MILLION)]
    {
        goals.push(Goal::unbounded(Case::new(variant, traffic, size), Case::new(Unguarded, traffic, size)));
    }
    goals
}

/// Every ratio of cases that were measured, marked where it is bounded.
pub(super) fn table(figures: &[Figure]) -> String {
    let heading = ["policy", "packets", "addresses", "IPv4", "IPv6", "must be at most", "should be at most"];
    let mut table = Table::new(heading.map(str::to_owned));
    for Goal { upper, lower, must, aim } in goals() {
        let cell = |family| {
            let minimum_ns = |case| times(figures, family, case).map(|times| times.minimum_ns() as f64);
            let ratio = minimum_ns(upper)? / minimum_ns(lower)?;
            let mark = must.map_or("", |must| Bound::AtMost.mark(ratio, must, aim).text());
            Some(format!("{ratio:.2}{mark}"))
        };
        let [Some(v4), Some(v6)] = Family::ALL.map(cell) else { continue };
        let [must, aim] = [must, aim].map(|bound| bound.map_or(String::new(), |bound| bound.to_string()));
        table.push([
            of_both(upper.variant, lower.variant),
            of_both(upper.traffic, lower.traffic),
            of_both(grouped(upper.size as usize), grouped(lower.size as usize)),
            v4,
            v6,
            must,
            aim,
        ]);
    }
    table.render()
}

/// What two cases share, or both of what they differ in.
fn of_both<T: Display + PartialEq>(upper: T, lower: T) -> String {
    if upper == lower { upper.to_string() } else { format!("{upper} / {lower}") }
}

#[cfg(test)]
mod tests {
    use super::{super::case::CASES, goals};

    #[test]
    fn every_ratio_is_between_two_cases_that_are_measured() {
        for goal in goals() {
            for case in [goal.upper, goal.lower] {
                assert!(CASES.contains(&case), "{case}");
            }
        }
    }
}
