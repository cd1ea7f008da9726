//! Numbered packets of several kinds, and what must become of each of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use guard_tests::{Arrivals, Stream, frame::Frame, wait};

use super::scene::{DNS, EDITED, OTHER, SOON, STRANGER, Scene, TALKER, WEB};

/// Rounds for which a packet may be under way before it is judged: the kernel may leave that to a thread of its own.
const UNDER_WAY: u32 = 50;

/// A kind of packets, by its place here: from which source to which port.
const KINDS: [(u8, u16); 5] = [(TALKER, WEB), (EDITED, WEB), (EDITED, DNS), (OTHER, WEB), (STRANGER, WEB)];

pub(crate) const TALKS: u8 = 0;
pub(crate) const EDITED_TO_WEB: u8 = 1;
pub(crate) const EDITED_TO_DNS: u8 = 2;
pub(crate) const OTHER_TO_WEB: u8 = 3;

/// A stream, and what was done meanwhile.
pub(crate) struct Traffic {
    stream: Stream,
    /// Whether packets of each kind pass from now on.
    passes: [bool; KINDS.len()],
    changes: Vec<Change>,
}

/// A change, and the rounds between which it came into force.
#[derive(Debug)]
struct Change {
    what: String,
    asked: u32,
    answered: u32,
    before: [bool; KINDS.len()],
    after: [bool; KINDS.len()],
}

impl Traffic {
    /// Begins; of these kinds packets pass, and of the talker.
    pub(crate) fn start(scene: &Scene, passing: &[u8]) -> Self {
        let (from, to) = (scene.site.link.right.mac(), scene.site.link.left.mac());
        let ends = KINDS.map(|(source, port)| (scene.source(source), port));
        let address = scene.site.address();
        let frame = move |kind: u8, payload: Vec<u8>| {
            let (source, port) = ends[usize::from(kind)];
            Frame::ethernet(from, to).ip(source, address).udp(1234, port).payload(payload).build()
        };
        let stream = Stream::start(&scene.site.link, KINDS.len() as u8, frame);
        let mut traffic = Self { stream, passes: [false; KINDS.len()], changes: Vec::new() };
        traffic.passes[usize::from(TALKS)] = true;
        passing.iter().for_each(|kind| traffic.passes[usize::from(*kind)] = true);
        traffic
    }

    /// Makes a change that is in force when this returns, after which just these kinds and the talker pass.
    pub(crate) fn change<T>(&mut self, what: &str, passing: &[u8], make: impl FnOnce() -> T) -> T {
        self.go_on(2 * UNDER_WAY);
        let asked = self.stream.round();
        let made = make();
        let answered = self.stream.round();
        let mut after = [false; KINDS.len()];
        after[usize::from(TALKS)] = true;
        passing.iter().for_each(|kind| after[usize::from(*kind)] = true);
        let before = std::mem::replace(&mut self.passes, after);
        self.changes.push(Change { what: what.to_owned(), asked, answered, before, after });
        made
    }

    pub(crate) fn go_on(&self, rounds: u32) {
        self.stream.go_on(rounds);
    }

    pub(crate) fn round(&self) -> u32 {
        self.stream.round()
    }

    /// Ends the traffic. Every packet must have been judged as the changes say, each change at one moment for all kinds, and counted
    /// so.
    pub(crate) fn finish(self, scene: &Scene) {
        let packets = self.assert_judged();
        let count = || {
            let counters = scene.counters();
            ["pass", "drop"].map(|verdict| counters.with_verdict(verdict).values().sum::<u64>())
        };
        let counted = wait::until(SOON, || (count() == packets).then_some(()));
        assert!(counted.is_some(), "{}: {:?} passed and dropped, counted {:?}", scene.site.cell, packets, count());
    }

    /// As [`Traffic::finish`], but without what was counted; returns the packets that passed and those that did not.
    pub(crate) fn assert_judged(self) -> [u64; 2] {
        self.go_on(2 * UNDER_WAY);
        let Self { stream, passes, changes } = self;
        let arrivals = stream.stop();
        assert_eq!(arrivals.lost, 0, "the wire lost packets, so that the others prove nothing");
        let judged: Vec<[bool; KINDS.len()]> = (1..=arrivals.rounds).map(|round| passed(&arrivals, round)).collect();
        let of = |round: u32| judged[round as usize - 1];
        let mut from = 1;
        for Change { what, asked, answered, before, after } in &changes {
            for round in from..asked.saturating_sub(UNDER_WAY) {
                assert_eq!(of(round), *before, "before {what}: round {round}, asked for in {asked}");
            }
            // The packets in between are judged in order, by what was in force first and then by what is now.
            let mut by_new = Vec::new();
            for round in from.max(asked.saturating_sub(UNDER_WAY))..=*answered {
                for (kind, passed) in of(round).into_iter().enumerate() {
                    if before[kind] == after[kind] {
                        assert_eq!(passed, after[kind], "{what} is not about kind {kind}: round {round}");
                    } else {
                        by_new.push(passed == after[kind]);
                    }
                }
            }
            assert!(by_new.is_sorted(), "{what} came into force more than once, between {asked} and {answered}");
            from = answered + 1;
        }
        for round in from..=arrivals.rounds {
            assert_eq!(of(round), passes, "at the end, round {round}");
        }
        let passed = arrivals.passed.len() as u64;
        [passed, u64::from(arrivals.rounds) * KINDS.len() as u64 - passed]
    }

    /// Ends traffic of which only the talker and the strangers are looked at: all of the one pass, none of the others.
    pub(crate) fn assert_uninterrupted(self, case: &str) {
        self.go_on(2 * UNDER_WAY);
        let arrivals = self.stream.stop();
        assert_eq!(arrivals.lost, 0, "{case}: the wire lost packets, so that the others prove nothing");
        let of_kind =
            |kind: usize| arrivals.passed.iter().filter(move |(_, of)| usize::from(*of) == kind).count() as u32;
        assert_eq!(of_kind(0), arrivals.rounds, "{case}: packets of the listed source");
        assert_eq!(of_kind(KINDS.len() - 1), 0, "{case}: packets of the stranger");
    }

    /// Ends the traffic once packets of a kind have changed their fate by themselves, and returns when that was; everything else
    /// must have stayed as it was.
    pub(crate) fn time_of_end(self, kind: u8, limit: Duration) -> Instant {
        let started = Instant::now();
        let mut rounds = vec![(Instant::now(), self.stream.round())];
        while started.elapsed() < limit {
            thread::sleep(Duration::from_millis(2));
            rounds.push((Instant::now(), self.stream.round()));
        }
        let (first, passes) = (rounds[0].1 + 1, self.passes);
        let arrivals = self.stream.stop();
        assert_eq!(arrivals.lost, 0, "the wire lost packets, so that the others prove nothing");
        let fate = |round: u32| passed(&arrivals, round)[usize::from(kind)];
        let fates: Vec<bool> = (first..=arrivals.rounds).map(fate).collect();
        let changed = fates.iter().position(|fate| *fate != fates[0]).expect("what held for a time ends");
        assert!(fates[changed..].iter().all(|fate| *fate != fates[0]), "what has ended comes back");
        for round in first..=arrivals.rounds {
            let mut expected = passes;
            expected[usize::from(kind)] = fate(round);
            // Which other packets of the same source share its fate, its test says by what passes.
            for other in 0..KINDS.len() {
                if KINDS[other].0 != KINDS[usize::from(kind)].0 {
                    assert_eq!(passed(&arrivals, round)[other], expected[other], "round {round}, kind {other}");
                }
            }
        }
        let round = first + changed as u32;
        rounds.iter().find(|(_, sent)| *sent >= round).map_or_else(Instant::now, |(at, _)| *at)
    }
}

fn passed(arrivals: &Arrivals, round: u32) -> [bool; KINDS.len()] {
    std::array::from_fn(|kind| arrivals.passed.contains(&(round, kind as u8)))
}
