//! Several limits of one service: a packet is charged to all of them or to none.

use std::cell::RefCell;

use guard_common::{
    bucket::Work,
    limits::{LIMITS_MAX, Ledger, refused_by},
};
use proptest::prelude::*;

/// A row of limits, of which each has a unit of its own, and what each answers.
#[derive(Clone, Debug)]
struct Row {
    limits: usize,
    agrees: [bool; LIMITS_MAX],
    takes: [bool; LIMITS_MAX],
    gives_back: [bool; LIMITS_MAX],
    done: RefCell<Vec<(usize, Work)>>,
}

impl Row {
    fn times(&self, index: usize, work: Work) -> usize {
        self.done.borrow().iter().filter(|done| **done == (index, work)).count()
    }
}

impl Ledger for Row {
    fn unit(&self, index: usize) -> u8 {
        if index < self.limits { index as u8 + 1 } else { 0 }
    }

    fn work(&self, index: usize, work: Work) -> bool {
        assert!(index < self.limits, "limit {index}, which there is not");
        self.done.borrow_mut().push((index, work));
        match work {
            Work::Ask => self.agrees[index],
            Work::Charge => self.takes[index],
            Work::Refund => self.gives_back[index],
        }
    }
}

/// Rows of limits which mostly keep what they promised.
fn rows() -> impl Strategy<Value = Row> {
    let mostly = || any::<[u8; LIMITS_MAX]>().prop_map(|numbers| numbers.map(|number| number % 4 != 0));
    (1..=LIMITS_MAX, mostly(), mostly(), mostly()).prop_map(|(limits, agrees, takes, gives_back)| Row {
        limits,
        agrees,
        takes,
        gives_back,
        done: RefCell::default(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn a_packet_is_charged_to_all_limits_or_to_none(row in rows()) {
        let refused = refused_by(&row);
        // The first is not asked: it is charged before all others.
        let dissenter = (1..row.limits).find(|&index| !row.agrees[index]);
        let failing = (0..row.limits).find(|&index| !row.takes[index]);
        let refusing = dissenter.or(failing);
        prop_assert_eq!(refused, refusing.map_or(0, |index| row.unit(index)));
        for index in 0..row.limits {
            let charged = dissenter.is_none() && failing.is_none_or(|failing| index <= failing);
            prop_assert_eq!(row.times(index, Work::Charge), usize::from(charged), "limit {}", index);
            let given_back = dissenter.is_none() && failing.is_some_and(|failing| index < failing);
            prop_assert_eq!(row.times(index, Work::Refund), usize::from(given_back), "limit {}", index);
        }
    }
}
