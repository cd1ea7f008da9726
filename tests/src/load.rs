//! Packets offered at a steady rate.

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::wire::Wire;

/// How long a sender sleeps: packets that become due meanwhile are sent together.
const PACE: Duration = Duration::from_millis(1);

/// How many packets are taken to be sent at the same time.
const TOGETHER: usize = 64;

/// Every packet's last bytes: this, and the number of its load.
const MARK: [u8; 4] = *b"\x93ld ";

/// How many packets are offered: some at once, then so many a second.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub at_once: u32,
    pub per_s: u32,
}

/// A load, and what makes its packets: of the packet's number and the payload that it must end with.
pub type Offer<'a> = (Load, Box<dyn Fn(u32, &[u8]) -> Vec<u8> + Send + 'a>);

impl Load {
    /// Offers all loads until the end, of which `ended` tells by the time since the beginning, and returns when the packets of
    /// each were sent. A sender that is held up makes up for it.
    pub fn offer(wire: &Wire, offers: &[Offer<'_>], ended: impl Fn(Duration) -> bool) -> Vec<Vec<SystemTime>> {
        let mut sent = vec![Vec::new(); offers.len()];
        let mut made = vec![0; offers.len()];
        let mut batch = Vec::new();
        let start = Instant::now();
        loop {
            let elapsed = start.elapsed();
            for (number, ((load, frame), made)) in (0_u16..).zip(offers.iter().zip(&mut made)) {
                let payload = Self::payload(number);
                batch.extend((*made..load.due(elapsed)).map(|packet| (number, frame(packet, &payload))));
                *made = load.due(elapsed);
            }
            for part in batch.chunks(TOGETHER) {
                let now = SystemTime::now();
                wire.send_all(&part.iter().map(|(_, frame)| frame).collect::<Vec<_>>());
                part.iter().for_each(|(number, _)| sent[usize::from(*number)].push(now));
            }
            batch.clear();
            if ended(elapsed) {
                return sent;
            }
            thread::sleep(PACE);
        }
    }

    /// What the packets of a load must end with.
    pub fn payload(number: u16) -> Vec<u8> {
        [&MARK[..], &number.to_be_bytes()].concat()
    }

    /// Returns of which load a frame is, by its place among those offered.
    pub fn of(frame: &[u8]) -> Option<usize> {
        let (_, [a, b, c, d, number @ ..]) = frame.split_last_chunk::<6>()?;
        ([*a, *b, *c, *d] == MARK).then_some(u16::from_be_bytes(*number).into())
    }

    /// Packets that are due after a time.
    fn due(self, elapsed: Duration) -> u32 {
        self.at_once + (u128::from(self.per_s) * elapsed.as_micros() / 1_000_000) as u32
    }
}
