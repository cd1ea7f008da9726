//! Clocks that stand still or go back, and buckets that nobody has touched for long.

use guard_common::bucket::Work;

use crate::{
    ideal::{DAY_NS, NS_PER_S, STEPS_NS, Terms, YEAR_NS},
    line::SharedLine,
};

const TAG: u64 = 7;

fn all_terms() -> impl Iterator<Item = Terms> {
    let limits = [(1, DAY_NS), (100, 60 * NS_PER_S), (1, NS_PER_S), (1_000, NS_PER_S), (50_000_000, NS_PER_S)];
    STEPS_NS.into_iter().flat_map(move |step_ns| {
        limits.into_iter().flat_map(move |(limit, window_ns)| {
            [0, 5, 99, 10_000].map(|burst| Terms { limit, window_ns, burst, step_ns })
        })
    })
}

/// Charges one cell.
fn charge(line: &SharedLine, terms: &Terms, steps: u64) -> bool {
    let rate = terms.rate();
    Work::Charge.with(&line, TAG, &rate, rate.time(steps), rate.cell)
}

/// Charges cells until one is refused; returns how many passed.
fn drain(line: &SharedLine, terms: &Terms, steps: u64) -> u64 {
    (0..).take_while(|_| charge(line, terms, steps)).count() as u64
}

#[test]
fn a_clock_that_stands_still_lets_the_burst_pass() {
    for terms in all_terms() {
        for age_ns in [0, 1, NS_PER_S, YEAR_NS, 60 * YEAR_NS] {
            let now = 60 * YEAR_NS / terms.step_ns;
            let line = SharedLine::idle_at(terms.rate().time(now - age_ns / terms.step_ns));
            assert_eq!(drain(&line, &terms, now), terms.burst + 1, "{terms:?}, idle for {age_ns} ns");
            assert_eq!(drain(&line, &terms, now), 0, "{terms:?}, idle for {age_ns} ns");
        }
    }
}

#[test]
fn a_clock_that_goes_back_a_little_costs_no_more_than_that() {
    for terms in all_terms() {
        let start = YEAR_NS / terms.step_ns;
        for back_ns in [terms.step_ns, NS_PER_S / 2, 59 * NS_PER_S] {
            let back = back_ns / terms.step_ns;
            let line = SharedLine::default();
            assert_eq!(drain(&line, &terms, start), terms.burst + 1);
            assert_eq!(drain(&line, &terms, start - back), 0, "{terms:?}, {back_ns} ns back");
            // From where it was, the bucket recovers as if nothing had been.
            let cell = terms.steps_for(1) + 1;
            let passed = drain(&line, &terms, start + cell);
            assert!(
                (1..=1 + 2 * terms.limit * terms.step_ns / terms.window_ns).contains(&passed),
                "{terms:?}: {passed}"
            );
        }
    }
}

#[test]
fn a_clock_that_goes_back_far_shuts_nobody_out() {
    for terms in all_terms() {
        let rate = terms.rate();
        let start = 50 * YEAR_NS / terms.step_ns;
        // More than a full bucket's debt and a minute.
        let debt = terms.steps_for(terms.burst + 1) + 61 * NS_PER_S.div_ceil(terms.step_ns);
        for back in [debt, debt + YEAR_NS / terms.step_ns, start] {
            for work in [Work::Charge, Work::Ask] {
                let line = SharedLine::default();
                assert_eq!(drain(&line, &terms, start), terms.burst + 1);
                let now = start - back;
                assert!(!work.with(&&line, TAG, &rate, rate.time(now), rate.cell), "{terms:?}, {back} steps back");
                assert_eq!(drain(&line, &terms, now), 0, "{terms:?}, {back} steps back: no more than the limit");
                // One cell later one may come, and no more than came meanwhile.
                let cell = terms.steps_for(1) + 1;
                let most = rate.time(now + cell).abs_diff(rate.time(now)) / rate.cell + 1;
                let passed = drain(&line, &terms, now + cell);
                assert!((1..=most).contains(&passed), "{terms:?}, {work:?}, {back} steps back: {passed} of {most}");
            }
        }
    }
}
