//! Sources that share a line, more than it has buckets: none gains by losing its bucket, or by making others lose theirs.

use guard_common::bucket::{BUCKET_WAYS, Work};

use crate::{
    ideal::{Judge, Terms},
    line::SharedLine,
    random::Random,
};

/// The source that is looked at.
const ONE: u64 = 1;

/// Sends from one source, as often as it likes, amid a flood of others; returns how many of the one's packets passed, and of
/// all.
fn run(terms: Terms, others: usize, random: &mut Random) -> [u64; 2] {
    let rate = terms.rate();
    let line = SharedLine::default();
    let mut steps = terms.steps_for(terms.burst + 1) + 1_000_000;
    let mut one = Judge::new(terms, steps);
    // A line lets no more pass than its buckets would if each had a source of its own.
    let all =
        Terms { limit: terms.limit * BUCKET_WAYS as u64, burst: (terms.burst + 1) * BUCKET_WAYS as u64 - 1, ..terms };
    let mut together = Judge::new(all, steps);
    let mut passed = [0; 2];
    for _ in 0..2_000 {
        if random.one_in(4) {
            steps += random.below(terms.steps_for(1 + terms.burst / 16) as usize + 2) as u64;
        }
        let is_one = random.one_in(3);
        let tag = if is_one { ONE } else { 2 + random.below(others) as u64 };
        let before = line.words();
        let is_passed = Work::Charge.with(&&line, tag, &rate, rate.time(steps), rate.cell);
        assert!(is_passed || line.words() == before, "{terms:?}: a refusal changes nothing");
        if is_one {
            one.check_most(steps, 1, is_passed);
        }
        together.check_most(steps, 1, is_passed);
        passed = [passed[0] + u64::from(is_passed && is_one), passed[1] + u64::from(is_passed)];
    }
    passed
}

#[test]
fn a_flood_neither_lifts_nor_resets_a_limit() {
    let mut random = Random::new(3);
    let mut sums = [0; 2];
    for nth in 0..1_500 {
        let terms = Terms::random(&mut random);
        if u128::from(terms.limit) * 4_000_000_000 > u128::from(terms.window_ns) << 33 {
            // Four times as much could not be measured.
            continue;
        }
        // A few that come back, or ever new ones.
        let others = [3, 4, 20, usize::MAX - 2][nth % 4];
        let [one, all] = run(Terms { burst: terms.burst.min(300), ..terms }, others, &mut random);
        sums = [sums[0] + one, sums[1] + all];
    }
    println!("{} packets of the one passed, {} of all", sums[0], sums[1]);
    assert!(sums[0] > 10_000 && sums[1] > 2 * sums[0], "{sums:?}");
}

#[test]
fn up_to_four_sources_do_not_know_of_each_other() {
    let mut random = Random::new(4);
    for _ in 0..300 {
        let terms = Terms::random(&mut random);
        let rate = terms.rate();
        let line = SharedLine::default();
        let mut steps = 1_u64 << 40;
        let mut judges: Vec<Judge> = (0..BUCKET_WAYS).map(|_| Judge::new(terms, steps)).collect();
        for _ in 0..1_000 {
            steps += random.below(terms.steps_for(1) as usize + 1) as u64;
            let source = random.below(BUCKET_WAYS);
            let passed = Work::Charge.with(&&line, 1 + source as u64, &rate, rate.time(steps), rate.cell);
            judges[source].check(steps, 1, passed);
        }
    }
}

#[test]
fn a_newcomer_takes_an_idle_bucket_first_and_else_the_least_indebted() {
    let terms = Terms { limit: 1, window_ns: 1_000_000_000, burst: 9, step_ns: 1_000_000 };
    let rate = terms.rate();
    let line = SharedLine::default();
    let now = rate.time(1_000_000);
    let charge = |tag, cells| Work::Charge.with(&&line, tag, &rate, now, cells * rate.cell);
    for (tag, cells) in [(11, 5), (12, 3), (13, 7)] {
        assert!(charge(tag, cells));
    }
    assert!(charge(14, 10), "an idle bucket is left");
    // 12 owes least: who takes its place finds seven cells left.
    assert!(!charge(15, 8));
    assert_eq!(line.words()[0].iter().filter(|tag| **tag == 12).count(), 1, "a refused newcomer takes nothing");
    assert!(charge(15, 7));
    assert!(!line.words()[0].contains(&12) && line.words()[0].contains(&15));
    // Now 11 owes least, and 12 finds what that one owes.
    assert!(!charge(12, 6));
    assert!(charge(12, 5));
    assert!(!line.words()[0].contains(&11));
}
