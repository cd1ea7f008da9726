//! What is proven of a source, beside the bucket that every SYN is charged to.

use std::cell::RefCell;

use guard_common::{
    bucket::{Charge, Rate},
    connections::Proof,
};
use proptest::{prelude::*, sample::select};

const S: u64 = 1_000_000_000;
/// Steps of a clock whose tick is 4 ms.
const PER_S: u64 = 250;
const TICK_NS: u64 = 4_000_000;

/// So many a second, or window, and so many beyond the first at once.
fn rate(limit: u64, window_s: u64, burst: u64) -> Rate {
    Rate::new(limit, window_s * S, burst, TICK_NS).expect("a rate that can be kept")
}

/// Returns when a bucket is idle after one more at a time, if it takes that.
fn charged(rate: &Rate, idle_at: u64, now: u64) -> Option<u64> {
    match rate.charge(idle_at, now, rate.cell) {
        Charge::Taken(idle_at) => Some(idle_at),
        Charge::Refused | Charge::Impossible(_) => None,
    }
}

/// Completes handshakes that began at some steps of the clock, in this order.
fn completed(rate: &Rate, began: impl IntoIterator<Item = u64>) -> Proof {
    began.into_iter().fold(Proof::default(), |proof, steps| proof.with_handshake(rate, rate.time(steps), steps))
}

#[test]
fn as_many_as_the_limit_lets_through_fill_it_and_one_less_does_not() {
    let start = 1_000 * PER_S;
    for (limit, window_s, burst) in [(1, 1, 0), (1, 1, 5), (5, 1, 4), (100, 60, 99), (10, 86_400, 9), (1_000, 1, 3_000)]
    {
        let rate = rate(limit, window_s, burst);
        let now = rate.time(start);
        for many in [0, 1, burst / 2, burst, burst + 1] {
            let proof = completed(&rate, (0..many).map(|_| start));
            let expected = (many == burst + 1).then_some(many);
            assert_eq!(
                proof.handshakes_that_fill(&rate, now),
                expected,
                "{limit} in {window_s} s, {burst} more, {many}"
            );
        }
        let full = completed(&rate, (0..=burst).map(|_| start));
        let cell = rate.time(start + window_s * PER_S / limit + 2);
        assert_eq!(full.handshakes_that_fill(&rate, cell), None, "{limit} in {window_s} s, {burst} more: one has left");
    }
}

#[test]
fn what_it_tells_of_itself() {
    let rate = rate(5, 60, 4);
    let proof = completed(&rate, [1_000, 1_001, 1_500]);
    assert_eq!((proof.handshakes, proof.last_ns), (3, 1_500));
    assert_eq!(Proof::default().handshakes_that_fill(&rate, rate.time(1_000)), None, "nothing is known");
}

#[test]
fn handshakes_that_come_to_their_end_in_another_order_prove_no_more_and_wipe_out_nothing() {
    // One a second, and five more at once.
    let rate = rate(1, 1, 5);
    let at = |seconds: u64| 1_000 * PER_S + seconds * PER_S;
    let idle_after = |began: &[u64]| completed(&rate, began.iter().map(|&s| at(s))).idle_at - rate.time(at(0));
    let cells = |many: u64| many * rate.cell;
    let two_units = 2;
    for (name, began, expected) in [
        ("in order", &[0, 1, 2, 3][..], 4),
        ("the first is late, and was over before the others began", &[1, 2, 3, 0], 4),
        ("all in reverse, none at the same time as another", &[3, 2, 1, 0], 4),
        ("two at once are late", &[2, 3, 0, 0], 4),
        ("late, but of the time when it was busy", &[0, 0, 0, 2, 1], 5),
        ("a minute late", &[50, 50, 50, 50, 50, 50, 0], 56),
        ("nearly a minute late, from when it was busy", &[0, 0, 1, 59, 2], 60),
    ] {
        let idle = idle_after(began);
        assert!(
            idle.abs_diff(cells(expected)) <= two_units,
            "{name}: {idle}, {expected} cells are {}",
            cells(expected)
        );
    }
}

#[test]
fn a_clock_that_went_back_proves_nothing_and_leaves_nobody_unprovable() {
    for (limit, window_s, burst) in [(1, 1, 5), (100, 60, 99), (1_000, 1, 99)] {
        let rate = rate(limit, window_s, burst);
        let start = 1_000_000 * PER_S;
        let full = completed(&rate, (0..=burst).map(|_| start));
        // A bucket's time, and more than a minute.
        let far = (burst + 1) * window_s * PER_S / limit + 70 * PER_S;
        for back in [far, 10 * far, start - 1] {
            let now = start - back;
            assert_eq!(full.handshakes_that_fill(&rate, rate.time(now)), None, "{rate:?}, {back} steps back");
            let again = (0..=burst).fold(full, |proof, _| proof.with_handshake(&rate, rate.time(now), now));
            assert_eq!(
                again.handshakes_that_fill(&rate, rate.time(now)),
                Some(burst + 1),
                "{rate:?}, {back} steps back"
            );
        }
        let tick_behind = full.handshakes_that_fill(&rate, rate.time(start - 1));
        assert_eq!(tick_behind, Some(burst + 1), "{rate:?}: a CPU that is a tick behind");
    }
}

/// A SYN of the source or another's with its address, and what becomes of it.
#[derive(Clone, Debug)]
struct Sent {
    wait: u64,
    is_forged: bool,
    /// How many steps later its handshake is completed, if ever.
    answered: Option<u64>,
}

fn sent(answered: impl Strategy<Value = Option<u64>>) -> impl Strategy<Value = Vec<Sent>> {
    let waits = prop_oneof![4 => Just(0), 4 => 0..PER_S, 2 => 0..20 * PER_S, 1 => 0..100_000 * PER_S];
    let one = (waits, prop::bool::weighted(0.2), answered);
    let one = one.prop_map(|(wait, is_forged, answered)| Sent { wait, is_forged, answered });
    prop::collection::vec(one, 1..200)
}

fn rates() -> impl Strategy<Value = Rate> {
    let windows = select(vec![(1, 1), (5, 1), (100, 60), (3, 60), (50, 1), (7, 3_600)]);
    (windows, select(vec![0, 1, 2, 5, 20, 99])).prop_map(|((limit, window_s), burst)| rate(limit, window_s, burst))
}

/// Sends everything. Before each SYN of the source's own it gives `check` what is proven, when the limit's bucket would be idle if
/// nobody had forged anything, and the time.
fn run(rate: &Rate, sent: &[Sent], check: impl Fn(&Proof, u64, u64)) {
    let (mut steps, mut proof) = (1_000_000, Proof::default());
    let (mut shared, mut alone) = (0, 0);
    let mut under_way: Vec<(u64, u64)> = Vec::new();
    for Sent { wait, is_forged, answered } in sent {
        steps += wait;
        let now = rate.time(steps);
        under_way.sort_unstable();
        while under_way.first().is_some_and(|(answered, _)| *answered <= steps) {
            let (answered, began) = under_way.remove(0);
            proof = proof.with_handshake(rate, rate.time(began), answered);
        }
        if !is_forged {
            check(&proof, alone, now);
        }
        let Some(idle_at) = charged(rate, shared, now) else { continue };
        shared = idle_at;
        if !is_forged {
            alone = charged(rate, alone, now).expect("less was charged to it");
            under_way.extend(answered.map(|after| (steps + after, steps)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn who_is_below_the_limit_is_not_proven_to_fill_it(
        rate in rates(),
        sent in sent(prop::option::weighted(0.9, prop_oneof![Just(0), 0..PER_S, 0..60 * PER_S])),
    ) {
        run(&rate, &sent, |proof, alone, now| {
            assert!(proof.idle_at <= alone, "{proof:?}, {alone}");
            let is_room = charged(&rate, alone, now).is_some();
            assert!(!is_room || proof.handshakes_that_fill(&rate, now).is_none(), "{proof:?} at {now}");
        });
    }

    #[test]
    fn of_one_who_completes_all_in_their_order_it_is_the_very_bucket(
        rate in rates(),
        mut sent in sent(Just(Some(0))),
        delay in 0..20 * PER_S,
    ) {
        sent.iter_mut().for_each(|sent| {
            sent.is_forged = false;
            sent.answered = Some(delay);
        });
        // What is completed by now is what was let in up to then: nothing comes for a while.
        sent.push(Sent { wait: delay, is_forged: false, answered: None });
        let last = RefCell::default();
        run(&rate, &sent, |proof, alone, now| {
            *last.borrow_mut() = (*proof, alone, now);
        });
        let (proof, alone, now) = last.into_inner();
        prop_assert_eq!(proof.idle_at, alone);
        prop_assert_eq!(proof.handshakes_that_fill(&rate, now).is_some(), charged(&rate, alone, now).is_none());
    }
}
