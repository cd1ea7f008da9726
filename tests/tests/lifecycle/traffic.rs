//! Traffic that goes on whatever happens: packets of listed and unlisted sources, and which of them got behind XDP.

use std::ops::Range;

use guard_tests::{Link, Stream, frame::Frame};

use super::scene::{LISTED, PORT, SERVER, UNLISTED, ip};

/// Kinds of packets are the sources' places among [`LISTED`] and then [`UNLISTED`].
const LISTED_KINDS: Range<u8> = 0..2;
const UNLISTED_KINDS: Range<u8> = 2..4;

/// A stream of packets of every source.
pub(crate) struct Traffic(Stream);

/// What was sent and what arrived.
pub(crate) struct Arrivals(guard_tests::Arrivals);

impl Traffic {
    /// Starts to send from the right end of a wire to the left.
    pub(crate) fn start(link: &Link) -> Self {
        let sources = LISTED.into_iter().chain(UNLISTED);
        let ends: Vec<_> =
            sources.zip(SERVER.into_iter().cycle()).map(|(source, server)| (ip(source), ip(server))).collect();
        let (from, to) = (link.right.mac(), link.left.mac());
        let frame = move |kind: u8, payload: Vec<u8>| {
            let (source, server) = ends[usize::from(kind)];
            Frame::ethernet(from, to).ip(source, server).udp(1234, PORT).payload(payload).build()
        };
        Self(Stream::start(link, UNLISTED_KINDS.end, frame))
    }

    /// The round that is being sent; the packets of later ones are still to come.
    pub(crate) fn round(&self) -> u32 {
        self.0.round()
    }

    /// Waits until so many more rounds have been sent.
    pub(crate) fn go_on(&self, rounds: u32) {
        self.0.go_on(rounds);
    }

    /// Ends the traffic, and waits for the last packets.
    pub(crate) fn stop(self) -> Arrivals {
        Arrivals(self.0.stop())
    }
}

impl Arrivals {
    /// Rounds sent, which count from 1.
    pub(crate) fn rounds(&self) -> u32 {
        self.0.rounds
    }

    /// Packets that never reached the guarded interface.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost
    }

    /// Asserts that no packet of an unlisted source arrived out of the rounds after this one.
    #[track_caller]
    pub(crate) fn assert_no_stranger_after(&self, round: u32, case: &str) {
        assert!(self.rounds() > round + 100, "{case}: no traffic after round {round}");
        let passed: Vec<u32> = self.arrived(UNLISTED_KINDS).filter(|of| *of > round).collect();
        assert!(passed.is_empty(), "{case}: {} unlisted packets after round {round}: {:?}", passed.len(), passed[0]);
    }

    /// Asserts that unlisted sources were heard before this round.
    #[track_caller]
    pub(crate) fn assert_strangers_before(&self, round: u32, case: &str) {
        let passed = self.arrived(UNLISTED_KINDS).filter(|of| *of < round).count();
        assert!(passed > 0, "{case}: the unlisted sources were never heard, so that their silence means nothing");
    }

    /// Asserts that every packet of a listed source arrived that the wire did not lose.
    #[track_caller]
    pub(crate) fn assert_every_listed(&self, case: &str) {
        let sent = u64::from(self.rounds()) * LISTED.len() as u64;
        let missing = sent - self.arrived(LISTED_KINDS).count() as u64;
        assert!(missing <= self.lost(), "{case}: {missing} of {sent} listed packets missing, {} lost", self.lost());
    }

    /// The round of each packet of these kinds that arrived.
    fn arrived(&self, kinds: Range<u8>) -> impl Iterator<Item = u32> {
        self.0.passed.iter().filter(move |(_, kind)| kinds.contains(kind)).map(|(round, _)| *round)
    }
}
