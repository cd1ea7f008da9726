//! How many handshakes of a source are under way, beside a list of when each began.

use guard_common::connections::{HANDSHAKE_NS, HalfOpen, PER_SOURCE_MAX, PERIOD_NS};
use proptest::prelude::*;

const S: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * S;
/// A tick of the kernel's clock at HZ 250.
const TICK: u64 = 4_000_000;
/// When the number of the period begins anew.
const WRAP: u64 = (1 << 16) * PERIOD_NS;
/// So long after the period in which it began none is counted any more.
const LONGEST: u64 = HANDSHAKE_NS + PERIOD_NS;

fn with(mut half_open: HalfOpen, many: u32, now_ns: u64) -> HalfOpen {
    for _ in 0..many {
        half_open = half_open.with_one(now_ns).unwrap_or_else(|| panic!("no room at {now_ns} in {half_open:?}"));
    }
    half_open
}

#[test]
fn one_is_counted_for_66_to_88_s() {
    for (name, period) in [
        ("at boot", 0),
        ("after a minute", 3 * PERIOD_NS),
        ("the last period of all", WRAP - PERIOD_NS),
        ("the first again", WRAP),
        ("a minute before", WRAP - 3 * PERIOD_NS),
        ("half of them passed", WRAP / 2),
        ("just more than half", WRAP / 2 + PERIOD_NS),
        ("after three weeks", 21 * DAY - 21 * DAY % PERIOD_NS),
        ("after ten years", 3_650 * DAY - 3_650 * DAY % PERIOD_NS),
    ] {
        for (age_in_period, counted_until) in [(0, LONGEST - 1), (PERIOD_NS - 1, HANDSHAKE_NS)] {
            let began = period + age_in_period;
            let one = with(HalfOpen::default(), 1, began);
            for (age, expected) in
                [(0, 1), (1, 1), (HANDSHAKE_NS, 1), (counted_until, 1), (counted_until + 1, 0), (DAY, 0)]
            {
                assert_eq!(one.count(began + age), expected, "{name}, {age_in_period} ns into it, after {age} ns");
            }
        }
    }
}

#[test]
fn what_nobody_has_touched_for_days_is_not_counted() {
    for start in [0, 5 * S, WRAP - 1, 9 * DAY] {
        let some = with(HalfOpen::default(), 20, start);
        for days in 1..=15 {
            let now = start + days * DAY;
            assert_eq!(some.count(now), 0, "{days} days after {start}");
            let one_more = with(some, 1, now);
            assert_eq!(one_more.count(now), 1, "{days} days after {start}");
            assert_eq!(one_more.count(now + LONGEST), 0, "{days} days and 88 s after {start}");
        }
    }
}

#[test]
fn as_many_fit_as_a_cap_may_say() {
    for start in [0, WRAP - 2 * PERIOD_NS] {
        let mut half_open = HalfOpen::default();
        for period in 0..4 {
            let now = start + period * PERIOD_NS;
            half_open = with(half_open, PER_SOURCE_MAX, now);
            assert_eq!(half_open.with_one(now), None, "period {period}");
            assert_eq!(half_open.count(now), (period + 1) * u64::from(PER_SOURCE_MAX), "period {period}");
        }
        for (left, period) in [(3, 4), (2, 5), (1, 6), (0, 7)] {
            let now = start + period * PERIOD_NS;
            assert_eq!(half_open.count(now), left * u64::from(PER_SOURCE_MAX), "period {period}");
        }
        let less = half_open.without_one(start, start + 3 * PERIOD_NS);
        assert_eq!(less.count(start + 3 * PERIOD_NS), 4 * u64::from(PER_SOURCE_MAX) - 1);
        assert_eq!(less.count(start + 4 * PERIOD_NS), 3 * u64::from(PER_SOURCE_MAX), "it was of the first period");
    }
}

#[test]
fn who_is_taken_out_twice_or_too_late_takes_nobody_along() {
    let began = 100 * S;
    let half_open = with(with(HalfOpen::default(), 2, began), 3, began + PERIOD_NS);
    let now = began + PERIOD_NS;
    let without = (0..3).fold(half_open, |left, _| left.without_one(began, now));
    assert_eq!(without.count(now), 3, "the two of its period, and no other");
    for age in [LONGEST, DAY, 15 * DAY] {
        let now = began + age;
        let others = with(half_open, 4, now);
        assert_eq!(others.without_one(began, now).count(now), others.count(now), "after {age} ns");
    }
}

#[test]
fn a_clock_that_is_behind_takes_nobody_out() {
    for start in [10 * PERIOD_NS, WRAP, WRAP + PERIOD_NS, 4 * WRAP + 2 * PERIOD_NS] {
        let half_open = with(with(HalfOpen::default(), 3, start - PERIOD_NS), 4, start);
        for behind in [1, TICK, PERIOD_NS, HANDSHAKE_NS] {
            let now = start - behind;
            assert_eq!(half_open.count(now), 7, "{behind} ns behind {start}");
            let one_more = with(half_open, 1, now);
            assert_eq!(one_more.count(now), 8, "{behind} ns behind {start}");
            // The one that is taken out is counted where it finds one, and else leaves by itself.
            let expected = if behind <= PERIOD_NS { 7 } else { 8 };
            assert_eq!(one_more.without_one(now, now).count(now), expected, "{behind} ns behind {start}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    /// One more begins, as far behind the clock as the CPU's reading is.
    Begin {
        behind: u64,
    },
    /// One of those that were begun comes to its end.
    End {
        nth: usize,
        behind: u64,
    },
}

/// Returns steps with a long rest among them: more than one, and a period's number may come again before anybody looks.
fn steps(most_behind: u64) -> impl Strategy<Value = Vec<Step>> {
    let waits = prop_oneof![6 => 0..=TICK, 6 => 0..=PERIOD_NS, 2 => Just(PERIOD_NS), 2 => 0..=2 * LONGEST];
    let step = prop_oneof![
        3 => waits.prop_map(Step::Wait),
        4 => (0..=most_behind).prop_map(|behind| Step::Begin { behind }),
        2 => (any::<usize>(), 0..=most_behind).prop_map(|(nth, behind)| Step::End { nth, behind }),
    ];
    let some = prop::collection::vec(step, 1..100);
    (some.clone(), 0..=14 * DAY, some)
        .prop_map(|(before, rest, behind)| [before, vec![Step::Wait(rest)], behind].concat())
}

fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![Just(HANDSHAKE_NS), WRAP - LONGEST..WRAP + LONGEST, HANDSHAKE_NS..3_650 * DAY]
}

/// Runs the steps; gives `check` what is counted, those under way by when they began, all that ever began, and the time that
/// the word is at.
fn run(start: u64, steps: &[Step], check: impl Fn(u64, &[u64], &[u64], u64)) {
    let (mut half_open, mut now, mut changed) = (HalfOpen::default(), start, 0);
    let (mut under_way, mut begun) = (Vec::new(), Vec::new());
    for step in steps {
        let behind = match *step {
            Step::Wait(ns) => {
                now += ns;
                check(half_open.count(now), &under_way, &begun, now);
                continue;
            }
            Step::Begin { behind } => {
                half_open = with(half_open, 1, now - behind);
                under_way.push(now - behind);
                begun.push(now - behind);
                behind
            }
            Step::End { nth, behind } => {
                if !under_way.is_empty() {
                    let began = under_way.swap_remove(nth % under_way.len());
                    half_open = half_open.without_one(began, now - behind);
                }
                behind
            }
        };
        changed = changed.max(now - behind);
        check(half_open.count(now - behind), &under_way, &begun, changed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn exactly_those_of_this_period_and_the_three_before_are_counted(start in starts(), steps in steps(0)) {
        run(start, &steps, |count, under_way, _, now| {
            let counted = under_way.iter().filter(|&&began| now / PERIOD_NS - began / PERIOD_NS <= 3).count();
            assert_eq!(count, counted as u64);
            let young = under_way.iter().filter(|&&began| now - began < HANDSHAKE_NS).count();
            let not_old = under_way.iter().filter(|&&began| now - began < LONGEST).count();
            assert!((young..=not_old).contains(&counted));
        });
    }

    #[test]
    fn cpus_that_are_behind_hide_nobody_and_keep_nobody(start in starts(), steps in steps(HANDSHAKE_NS / 2)) {
        run(start, &steps, |count, under_way, begun, latest| {
            let young = under_way.iter().filter(|&&began| latest.saturating_sub(began) < HANDSHAKE_NS).count();
            let latest_of_all = LONGEST + HANDSHAKE_NS / 2;
            let not_old = begun.iter().filter(|&&began| latest.saturating_sub(began) < latest_of_all).count();
            assert!((young as u64..=not_old as u64).contains(&count), "{young} to {not_old}, counted {count}");
        });
    }
}
