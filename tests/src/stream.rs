//! A stream of numbered packets that goes on whatever happens, and which of them got behind XDP.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    cpu::{cpus, stay_on},
    link::{Interface, Link},
    wait,
    wire::Wire,
};

/// How long a slow machine may take over some rounds.
const LIMIT: Duration = Duration::from_secs(15);

/// The pause between two rounds: long enough that no queue on the way fills up while a CPU is busy elsewhere.
const PACE: Duration = Duration::from_micros(500);

/// The payload of every packet: this, its kind, and the number of its round.
const MARK: [u8; 4] = *b"\x93grd";

/// A packet by the number of its round and its kind.
pub type Packet = (u32, u8);

/// A sender that sends a packet of every kind in each round, always from one CPU, and a receiver behind the guarded
/// interface.
pub struct Stream {
    round: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
    receiver: Option<JoinHandle<BTreeSet<Packet>>>,
    interface: Interface,
    lost_before: u64,
}

/// What was sent and what arrived.
pub struct Arrivals {
    /// Rounds sent, which count from 1.
    pub rounds: u32,
    /// Packets that never reached the guarded interface.
    pub lost: u64,
    pub passed: BTreeSet<Packet>,
}

impl Stream {
    /// Starts to send from the right end of a wire to the left; `frame` makes a frame of a kind around a payload.
    pub fn start(link: &Link, kinds: u8, frame: impl Fn(u8, Vec<u8>) -> Vec<u8> + Send + 'static) -> Self {
        let (round, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let sending = Wire::open(link.right.host(), link.right.name());
        let receiving = Wire::open(link.left.host(), link.left.name());
        let receiver = thread::spawn({
            let ended = Arc::clone(&ended);
            move || receive(&receiving, &ended)
        });
        let interface = link.right.clone();
        let lost_before = interface.lost_frames();
        let sender = thread::spawn({
            let (round, ended) = (Arc::clone(&round), Arc::clone(&ended));
            move || {
                stay_on(cpus()[0]);
                while !ended.load(Ordering::SeqCst) {
                    let round = round.fetch_add(1, Ordering::SeqCst) + 1;
                    let payload = |kind: u8| [&MARK[..], &[kind], &round.to_be_bytes()].concat();
                    sending.send_all(&(0..kinds).map(|kind| frame(kind, payload(kind))).collect::<Vec<_>>());
                    thread::sleep(PACE);
                }
            }
        });
        let stream = Self { round, ended, sender: Some(sender), receiver: Some(receiver), interface, lost_before };
        stream.go_on(100);
        stream
    }

    /// The round that is being sent; the packets of later ones are still to come.
    pub fn round(&self) -> u32 {
        self.round.load(Ordering::SeqCst)
    }

    /// Waits until so many more rounds have been sent.
    pub fn go_on(&self, rounds: u32) {
        let target = self.round() + rounds;
        wait::eventually("the stream goes on", LIMIT, || self.round() > target);
    }

    /// Ends the stream, and waits for the last packets.
    pub fn stop(mut self) -> Arrivals {
        self.ended.store(true, Ordering::SeqCst);
        self.sender.take().expect("only this takes it").join().expect("sending does not panic");
        let passed = self.receiver.take().expect("only this takes it").join().expect("receiving does not panic");
        Arrivals { rounds: self.round(), lost: self.interface.lost_frames() - self.lost_before, passed }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn receive(wire: &Wire, ended: &AtomicBool) -> BTreeSet<Packet> {
    let mut passed = BTreeSet::new();
    loop {
        // Asked before reading, so that what came in before the end is still read.
        let ending = ended.load(Ordering::SeqCst);
        match wire.receive(Duration::from_millis(200)) {
            Some(frame) => {
                let payload = frame.split_last_chunk::<9>().map(|(_, payload)| *payload);
                if let Some([a, b, c, d, kind, round @ ..]) = payload
                    && [a, b, c, d] == MARK
                {
                    passed.insert((u32::from_be_bytes(round), kind));
                }
            }
            None if ending => return passed,
            None => {}
        }
    }
}
