//! Threads that charge one bucket at the same time.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};

use guard_common::bucket::Work;

use crate::{ideal::Terms, line::SharedLine};

const THREADS: u64 = 4;
const ATTEMPTS: u64 = 100_000;
/// Together they take less than a minute: a thread that is kept waiting for longer would take the clock for one that went back.
const STEP_NS: u64 = 100_000;
/// How many attempts come in a step of the clock, far more than the limit allows.
const ATTEMPTS_PER_STEP: u64 = 50;

/// Has threads charge a bucket, each for `tag` of its number; returns how many passed, and the time in the end.
fn hammer(terms: &Terms, line: &SharedLine, start: u64, tag: impl Fn(u64) -> u64 + Sync) -> (u64, u64) {
    let rate = terms.rate();
    let attempts = AtomicU64::new(0);
    let passed = AtomicU64::new(0);
    let now = || start + attempts.fetch_add(1, SeqCst) / ATTEMPTS_PER_STEP;
    thread::scope(|scope| {
        for nth in 0..THREADS {
            let (tag, passed, now) = (&tag, &passed, &now);
            scope.spawn(move || {
                for _ in 0..ATTEMPTS {
                    if Work::Charge.with(&line, tag(nth), &rate, rate.time(now()), rate.cell) {
                        passed.fetch_add(1, SeqCst);
                    }
                }
            });
        }
    });
    let end = now();
    (passed.into_inner(), end)
}

#[test]
fn threads_pass_exactly_what_one_would() {
    for (limit, burst) in [(10_000, 0), (100_000, 100), (33_333, 65_535), (60_000, 7)] {
        let terms = Terms { limit, window_ns: 1_000_000_000, burst, step_ns: STEP_NS };
        let rate = terms.rate();
        let line = SharedLine::default();
        let start = 1 << 33;
        assert!(Work::Charge.with(&&line, 7, &rate, rate.time(start), rate.cell));
        let (mut passed, end) = hammer(&terms, &line, start, |_| 7);
        while Work::Charge.with(&&line, 7, &rate, rate.time(end), rate.cell) {
            passed += 1;
        }
        // The bucket never was full again, so that all that came to be allowed was taken.
        let allowed = burst + 1 + (rate.time(end) - rate.time(start)) / rate.cell;
        assert_eq!(passed + 1, allowed, "{terms:?}");
    }
}

#[test]
fn threads_that_crowd_a_line_pass_no_more_than_its_buckets() {
    let terms = Terms { limit: 50_000, window_ns: 1_000_000_000, burst: 20, step_ns: STEP_NS };
    let rate = terms.rate();
    let line = SharedLine::default();
    let start = 1 << 33;
    let random = AtomicU64::new(1);
    let new_tag = |_| random.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst) | 1;
    let (passed, end) = hammer(&terms, &line, start, new_tag);
    let allowed = 4 * (terms.burst + 1 + (rate.time(end) - rate.time(start)) / rate.cell);
    assert!((allowed * 9 / 10..=allowed).contains(&passed), "{passed} of {allowed}");
}
