//! Traffic that goes on whatever happens, each packet of which has a number, and what must become of each kind.

use std::{collections::BTreeMap, time::Duration};

use guard_tests::{Arrivals, Counters, Guard, Stream, frame::Frame, wait};

use super::scene::Scene;

const SOON: Duration = Duration::from_secs(10);
/// The port outside that the guarded host asks.
const ASKED: u16 = 53;

/// The kinds of packets, by what they are counted under.
const KINDS: [&str; 4] = ["web pass allowed", "- pass reply", "web drop not_allowed", "- drop not_allowed"];

/// A stream of packets of every kind.
pub(crate) struct Traffic {
    stream: Stream,
    /// Keeps its port.
    _asking: std::net::UdpSocket,
}

impl Traffic {
    /// Starts: a listed source and a stranger to the service, answers to what the guarded host asked, and a stranger to a port
    /// of no service.
    pub(crate) fn start(scene: &Scene) -> Self {
        let (asking, own_port) = scene.ask_outside(ASKED);
        let (from, to, own) = (scene.site.link.right.mac(), scene.site.link.left.mac(), scene.site.address());
        let ends = [
            (scene.listed, 1234, 3000),
            (scene.outside, ASKED, own_port),
            (scene.stranger, 1234, 3000),
            (scene.stranger, 1234, 9000),
        ];
        let frame = move |kind: u8, payload: Vec<u8>| {
            let (source, source_port, port) = ends[usize::from(kind)];
            Frame::ethernet(from, to).ip(source, own).udp(source_port, port).payload(payload).build()
        };
        Self { stream: Stream::start(&scene.site.link, KINDS.len() as u8, frame), _asking: asking }
    }

    pub(crate) fn go_on(&self, rounds: u32) {
        self.stream.go_on(rounds);
    }

    /// Ends the traffic, and asserts of each packet what became of it, and that each was counted, since it started.
    #[track_caller]
    pub(crate) fn end(self, guard: &Guard, case: &str) -> Ended {
        let arrivals = self.stream.stop();
        assert_eq!(arrivals.lost, 0, "{case}: the wire lost packets, so that the others prove nothing");
        for (kind, row) in (0..).zip(KINDS) {
            let passed = passed(&arrivals, kind);
            let expected = if row.contains(" pass ") { arrivals.rounds } else { 0 };
            assert_eq!(passed, expected, "{case}: `{row}`: of {} rounds", arrivals.rounds);
        }
        let expected: BTreeMap<_, _> = KINDS.map(|row| (row, u64::from(arrivals.rounds))).into();
        let mut counted = BTreeMap::new();
        wait::until(SOON, || {
            let counters = Counters::read(guard);
            counted = KINDS.map(|row| (row, counters.packets(row))).into();
            (counted == expected).then_some(())
        });
        assert_eq!(counted, expected, "{case}: counted");
        Ended { rounds: arrivals.rounds }
    }
}

/// Traffic of which every packet is accounted for.
pub(crate) struct Ended {
    pub(crate) rounds: u32,
}

impl Ended {
    /// The packets that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        KINDS.iter().filter(|row| row.contains(" drop ")).count() as u64 * u64::from(self.rounds)
    }
}

fn passed(arrivals: &Arrivals, kind: u8) -> u32 {
    arrivals.passed.iter().filter(|(_, of)| *of == kind).count() as u32
}
