//! How much passes, beside the ideal.

use guard_common::bucket::{Rate, Work};
use proptest::prelude::*;

use crate::{
    ideal::{DAY_NS, Judge, NS_PER_S, ROUNDING, STEPS_NS, Terms, YEAR_NS},
    line::SharedLine,
    random::Random,
};

/// Returns how long a source waits before its next packet.
fn random_gap(terms: &Terms, random: &mut Random) -> u64 {
    match random.below(12) {
        0..6 => 0,
        6 => 1,
        7 => random.below(terms.steps_for(1) as usize + 2) as u64,
        8 => terms.steps_for(1),
        9 => random.below(3 * terms.steps_for(1) as usize + 2) as u64,
        10 => random.below(terms.steps_for(1 + terms.burst / 8) as usize + 1) as u64,
        _ if random.one_in(50) => {
            terms.steps_for(terms.burst + 1) + random.below((30 * DAY_NS / terms.step_ns) as usize) as u64
        }
        _ => random.below(10) as u64,
    }
}

/// Sends so many packets at random times, has each decision judged, and returns how many passed.
fn run(terms: Terms, packets: usize, random: &mut Random) -> u64 {
    let rate = terms.rate();
    let last_cost = if random.one_in(3) { (terms.burst + 2).min(65_535) as usize } else { 1 };
    let last = 60 * YEAR_NS / terms.step_ns;
    let mut steps = random.below(last as usize) as u64;
    // A bucket of any age, nobody's or of somebody who left.
    let line = SharedLine::idle_at(random.below(rate.time(steps) as usize + 1) as u64);
    let mut judge = Judge::new(terms, steps);
    let mut passed = 0;
    for _ in 0..packets {
        steps = steps.saturating_add(random_gap(&terms, random)).min(last);
        let cost = 1 + random.below(last_cost) as u64;
        let before = line.words();
        let asked = Work::Ask.with(&&line, 7, &rate, rate.time(steps), cost * rate.cell);
        assert_eq!(line.words(), before, "{terms:?}: to ask changes nothing");
        let is_passed = Work::Charge.with(&&line, 7, &rate, rate.time(steps), cost * rate.cell);
        assert_eq!(is_passed, asked, "{terms:?}: what was promised");
        assert!(is_passed || line.words() == before, "{terms:?}: a refusal changes nothing");
        judge.check(steps, cost, is_passed);
        passed += u64::from(is_passed);
    }
    passed
}

#[test]
fn random_arrivals_pass_as_the_ideal_lets_them() {
    let mut random = Random::new(1);
    let (mut passed, mut sent) = (0, 0);
    for _ in 0..1_500 {
        passed += run(Terms::random(&mut random), 1_000, &mut random);
        sent += 1_000;
    }
    println!("{passed} of {sent} packets passed");
    // Else the arrivals say nothing.
    assert!(passed > sent / 10 && passed < sent / 10 * 9, "{passed} of {sent}");
}

#[test]
fn a_source_that_never_stops_gets_burst_and_rate_within_a_cell() {
    let mut random = Random::new(5);
    for _ in 0..1_000 {
        let terms = Terms::random(&mut random);
        // As much as comes in a step at least, or a full bucket would gain nothing by it.
        let in_a_step = u128::from(terms.limit) * u128::from(terms.step_ns) / u128::from(terms.window_ns);
        let terms = Terms { burst: 1 + in_a_step as u64 + random.below(200) as u64, ..terms };
        let rate = terms.rate();
        let start = YEAR_NS / terms.step_ns;
        let line = SharedLine::default();
        let mut passed = 0_u64;
        for nth in 0..300 {
            let elapsed = nth * terms.steps_for(1);
            let now = rate.time(start + elapsed);
            for size in (0..=(terms.burst + 1).ilog2()).rev().map(|bits| 1 << bits) {
                while Work::Charge.with(&&line, 7, &rate, now, size * rate.cell) {
                    passed += size;
                }
            }
            let elapsed_ns = u128::from(elapsed) * u128::from(terms.step_ns);
            let came = (elapsed_ns * u128::from(terms.limit) / u128::from(terms.window_ns)) as u64;
            let allowed = terms.burst + 1 + came;
            let stray = 1 + came / ROUNDING as u64;
            assert!(passed.abs_diff(allowed) <= stray, "{terms:?}: {passed} passed, {allowed} allowed");
        }
    }
}

proptest! {
    #[test]
    fn any_terms_are_kept(
        limit in 1_u64..=50_000_000, window_ns in 1_000_000..=DAY_NS, burst in 0_u64..=65_535, step in 0..STEPS_NS.len(), seed: u64,
    ) {
        // Up to 50 million a second.
        prop_assume!(u128::from(limit) * u128::from(NS_PER_S) <= 50_000_000 * u128::from(window_ns));
        run(Terms { limit, window_ns, burst, step_ns: STEPS_NS[step] }, 300, &mut Random::new(seed));
    }
}

#[test]
fn the_ends_of_what_can_be_asked_for() {
    for step_ns in STEPS_NS {
        for (limit, window_ns) in [(1, DAY_NS), (1, 366 * DAY_NS), (50_000_000, NS_PER_S), (1 << 33, NS_PER_S)] {
            for burst in [0, 1, 65_535, (1 << 33) - 1] {
                let terms = Terms { limit, window_ns, burst, step_ns };
                let mut random = Random::new(burst ^ limit);
                (0..20).for_each(|_| {
                    run(terms, 500, &mut random);
                });
            }
        }
    }
    assert_eq!(Rate::new((1 << 33) + 1, NS_PER_S, 0, 1), None);
    let too_fast = [(u64::MAX, 1, 1), (u64::MAX, 366 * DAY_NS, 1), (1 << 60, DAY_NS, 1)];
    for (limit, window_ns, step_ns) in [(0, 1, 1), (1, 0, 1), (1, 1, 0)].into_iter().chain(too_fast) {
        assert_eq!(Rate::new(limit, window_ns, 0, step_ns), None);
    }
}

#[test]
fn time_never_goes_back_and_lasts_sixty_years() {
    let mut random = Random::new(2);
    for _ in 0..5_000 {
        let terms = Terms::random(&mut random);
        let rate = terms.rate();
        let last = 60 * YEAR_NS / terms.step_ns;
        // Ticks are counted from five minutes before they wrap in 32 bits (INITIAL_JIFFIES).
        let last = if terms.step_ns == 1 { last } else { last + (1 << 32) };
        let mut times: Vec<u64> = (0..20).map(|_| random.below(last as usize) as u64).collect();
        times.extend([0, 1, last, (1 << 32) - 1, 1 << 32, (1 << 32) + 1]);
        times.sort_unstable();
        for steps in times {
            let exact = (u128::from(steps) * u128::from(rate.units_per_step)) >> 32;
            assert_eq!(u128::from(rate.time(steps)), exact, "{terms:?} at {steps}");
            assert!(rate.time(steps + 1) >= rate.time(steps), "{terms:?} at {steps}");
            // What the operator wrote, and at most a little more.
            let ns = u128::from(steps) * u128::from(terms.step_ns);
            let meant = ns * u128::from(terms.limit) * u128::from(rate.cell) / u128::from(terms.window_ns);
            assert!((meant..=meant + meant / ROUNDING + 1).contains(&exact), "{terms:?} at {steps}: {meant}, {exact}");
        }
        // The latest time at which a bucket may be idle again.
        let end = u128::from(rate.time(last)) + u128::from(rate.tolerance) + u128::from(rate.impossible);
        assert!(end < 1 << 64, "{terms:?}: {end:x}");
    }
}
