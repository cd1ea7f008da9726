//! Traffic that goes on whatever happens: numbered packets of listed and unlisted sources, and which of them got behind
//! XDP.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use guard_tests::{Interface, Link, Wire, frame::Frame, wait};

use super::scene::{LISTED, PORT, SERVER, SOON, UNLISTED, ip};

/// The pause between two rounds: long enough that no queue on the way fills up while a CPU is busy elsewhere.
const PACE: Duration = Duration::from_micros(400);

/// The last bytes of every packet: this, who sent it, and the number of its round.
const MARK: [u8; 4] = *b"\x93grd";

/// A sender that sends a packet of every source in each round, and a receiver behind the guarded interface.
pub(crate) struct Traffic {
    rounds: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
    receiver: Option<JoinHandle<BTreeSet<Packet>>>,
    interface: Interface,
    lost_before: u64,
}

/// A packet by its source's place among [`LISTED`] and then [`UNLISTED`], and the number of its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    source: u8,
    round: u32,
}

/// What was sent and what arrived.
pub(crate) struct Arrivals {
    /// Rounds sent, which count from 1.
    pub(crate) rounds: u32,
    /// Packets that never reached the guarded interface.
    pub(crate) lost: u64,
    arrived: BTreeSet<Packet>,
}

impl Traffic {
    /// Starts to send from the right end of a wire to the left.
    pub(crate) fn start(link: &Link) -> Self {
        let (rounds, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (sending, receiving) =
            (Wire::open(link.right.host(), link.right.name()), Wire::open(link.left.host(), link.left.name()));
        let lost_before = link.right.lost_frames();
        let receiver = thread::spawn({
            let ended = Arc::clone(&ended);
            move || receive(&receiving, &ended)
        });
        let sender = thread::spawn({
            let (rounds, ended) = (Arc::clone(&rounds), Arc::clone(&ended));
            let link = (link.right.mac(), link.left.mac());
            move || send(&sending, link, &rounds, &ended)
        });
        let interface = link.right.clone();
        let traffic = Self { rounds, ended, sender: Some(sender), receiver: Some(receiver), interface, lost_before };
        traffic.go_on(100);
        traffic
    }

    /// The round that is being sent; the packets of later ones are still to come.
    pub(crate) fn round(&self) -> u32 {
        self.rounds.load(Ordering::SeqCst)
    }

    /// Waits until so many more rounds have been sent.
    pub(crate) fn go_on(&self, rounds: u32) {
        let target = self.round() + rounds;
        wait::eventually("traffic goes on", SOON, || self.round() > target);
    }

    /// Ends the traffic, and waits for the last packets.
    pub(crate) fn stop(mut self) -> Arrivals {
        self.ended.store(true, Ordering::SeqCst);
        self.sender.take().expect("only this takes it").join().expect("sending does not panic");
        let arrived = self.receiver.take().expect("only this takes it").join().expect("receiving does not panic");
        Arrivals { rounds: self.round(), lost: self.interface.lost_frames() - self.lost_before, arrived }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

impl Arrivals {
    /// Asserts that no packet of an unlisted source arrived out of the rounds after this one.
    #[track_caller]
    pub(crate) fn assert_no_stranger_after(&self, round: u32, case: &str) {
        assert!(self.rounds > round + 100, "{case}: no traffic after round {round}");
        let passed: Vec<_> = self.arrived.iter().filter(|packet| !packet.is_listed() && packet.round > round).collect();
        assert!(passed.is_empty(), "{case}: {} unlisted packets after round {round}: {:?}", passed.len(), passed[0]);
    }

    /// Asserts that unlisted sources were heard before this round.
    #[track_caller]
    pub(crate) fn assert_strangers_before(&self, round: u32, case: &str) {
        let passed = self.arrived.iter().filter(|packet| !packet.is_listed() && packet.round < round).count();
        assert!(passed > 0, "{case}: the unlisted sources were never heard, so that their silence means nothing");
    }

    /// Asserts that every packet of a listed source arrived that the wire did not lose.
    #[track_caller]
    pub(crate) fn assert_every_listed(&self, case: &str) {
        let sent = u64::from(self.rounds) * LISTED.len() as u64;
        let arrived = self.arrived.iter().filter(|packet| packet.is_listed()).count() as u64;
        let missing = sent - arrived;
        assert!(missing <= self.lost, "{case}: {missing} of {sent} listed packets missing, {} lost", self.lost);
    }
}

impl Packet {
    fn is_listed(&self) -> bool {
        usize::from(self.source) < LISTED.len()
    }

    fn payload(self) -> Vec<u8> {
        [&MARK[..], &[self.source], &self.round.to_be_bytes()].concat()
    }

    fn of(frame: &[u8]) -> Option<Self> {
        let payload: [u8; 9] = *frame.last_chunk()?;
        let [a, b, c, d] = MARK;
        match payload {
            [m, n, o, p, source, round @ ..] if [m, n, o, p] == [a, b, c, d] => {
                Some(Self { source, round: u32::from_be_bytes(round) })
            }
            _ => None,
        }
    }
}

fn send(wire: &Wire, (from, to): ([u8; 6], [u8; 6]), rounds: &AtomicU32, ended: &AtomicBool) {
    let sources = LISTED.into_iter().chain(UNLISTED);
    let ends: Vec<_> =
        sources.zip(SERVER.into_iter().cycle()).map(|(source, server)| (ip(source), ip(server))).collect();
    while !ended.load(Ordering::SeqCst) {
        let round = rounds.fetch_add(1, Ordering::SeqCst) + 1;
        let packet = |(source, (from_ip, to_ip)): (u8, &(_, _))| {
            let frame = Frame::ethernet(from, to).ip(*from_ip, *to_ip).udp(1234, PORT);
            frame.payload(Packet { source, round }.payload()).build()
        };
        wire.send_all(&(0..).zip(&ends).map(packet).collect::<Vec<_>>());
        thread::sleep(PACE);
    }
}

fn receive(wire: &Wire, ended: &AtomicBool) -> BTreeSet<Packet> {
    let mut arrived = BTreeSet::new();
    loop {
        // Asked before reading, so that what came in before the end is still read.
        let ending = ended.load(Ordering::SeqCst);
        match wire.receive(Duration::from_millis(200)) {
            Some(frame) => arrived.extend(Packet::of(&frame)),
            None if ending => return arrived,
            None => {}
        }
    }
}
