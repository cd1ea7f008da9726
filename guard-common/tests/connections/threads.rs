//! Threads that ask for one source's connections at the same time.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};

use guard_common::connections::{Counts, HalfOpen, attempt, count_handshake, uncount_handshake};

use crate::{host::S, random::Random};

const NOW: u64 = 1_000 * S;
const THREADS: u64 = 4;

/// One source's counts.
#[derive(Default)]
struct Source {
    half_open: AtomicU64,
    open: AtomicU64,
}

impl Counts for &Source {
    fn open(&self) -> u64 {
        self.open.load(SeqCst)
    }

    fn half_open(&self) -> HalfOpen {
        HalfOpen(self.half_open.load(SeqCst))
    }

    fn replace_half_open(&self, old: HalfOpen, new: HalfOpen) -> bool {
        self.half_open.compare_exchange(old.0, new.0, SeqCst, SeqCst).is_ok()
    }
}

impl Source {
    fn begin(&self, cap: u32) -> bool {
        attempt(|| count_handshake(&self, cap, NOW))
    }

    fn end(&self) {
        attempt(|| uncount_handshake(&self, NOW, NOW));
    }
}

#[test]
fn a_burst_over_all_threads_fills_the_cap_exactly() {
    for cap in [1, 2, 7, 100, 4_000] {
        let (source, let_in) = (Source::default(), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..4_000 {
                        let_in.fetch_add(source.begin(cap).into(), SeqCst);
                    }
                });
            }
        });
        // One that others were before too often was refused; there is room for it still.
        while source.begin(cap) {
            let_in.fetch_add(1, SeqCst);
        }
        assert_eq!((let_in.into_inner(), HalfOpen(source.half_open.into_inner()).count(NOW)), (cap.into(), cap.into()));
    }
}

#[test]
fn whatever_begins_and_ends_at_once_there_never_are_more_than_the_cap() {
    for cap in [1, 2, 5, 20] {
        let (source, now_there) = (Source::default(), AtomicU64::new(0));
        let (let_in, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (source, now_there, let_in, most) = (&source, &now_there, &let_in, &most);
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    let (mut under_way, mut open) = (0, 0);
                    for _ in 0..60_000 {
                        match random.below(4) {
                            0 | 1 if source.begin(cap) => {
                                most.fetch_max(now_there.fetch_add(1, SeqCst) + 1, SeqCst);
                                let_in.fetch_add(1, SeqCst);
                                under_way += 1;
                            }
                            2 if under_way > 0 => {
                                under_way -= 1;
                                if random.one_in(4) {
                                    now_there.fetch_sub(1, SeqCst);
                                } else {
                                    open += 1;
                                    source.open.fetch_add(1, SeqCst);
                                }
                                source.end();
                            }
                            3 if open > 0 => {
                                open -= 1;
                                now_there.fetch_sub(1, SeqCst);
                                source.open.fetch_sub(1, SeqCst);
                            }
                            _ => {}
                        }
                    }
                });
            }
        });
        let (let_in, most) = (let_in.into_inner(), most.into_inner());
        assert!(let_in > 1_000, "{let_in} were let in by a cap of {cap}");
        assert_eq!(most, cap.into(), "at once");
    }
}
