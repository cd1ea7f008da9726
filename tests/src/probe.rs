//! Asking guard frame by frame: each is sent raw, and both what was counted and what got through are held against what
//! is expected.

use std::{cell::Cell, collections::BTreeSet, fmt::Display, time::Duration};

use crate::{
    counters::Counters,
    frame::{Ethernet, Frame},
    guard::Guard,
    site::Site,
    wait,
    wire::Wire,
};

/// How long a frame may take through a slow machine.
const LIMIT: Duration = Duration::from_secs(10);
/// IEEE 802's EtherType for local experiments.
const MARKER: u16 = 0x88b5;

/// Frames from the peer of a [`Site`] whose peer is silent: every packet counted must be one of them.
pub struct Probe<'a> {
    site: &'a Site,
    guard: &'a Guard,
    sender: Wire,
    receiver: Wire,
    counted: Counters,
    markers: u64,
}

/// A frame with its name and the one row of [`Counters`] that it must come under, which also says whether it passes.
pub type Case<N> = (N, Vec<u8>, &'static str);

impl<'a> Probe<'a> {
    /// Begins with what has been counted so far.
    pub fn new(site: &'a Site, guard: &'a Guard) -> Self {
        let sender = Wire::open(site.peer(), site.link.right.name());
        let receiver = Wire::open(site.host(), site.guarded().name());
        Self { site, guard, sender, receiver, counted: Counters::read(guard), markers: 0 }
    }

    /// Sends every frame and panics with all that came out otherwise than expected.
    pub fn expect<N: Display>(&mut self, cases: impl IntoIterator<Item = Case<N>>) {
        let mut faults = Vec::new();
        for (name, frame, row) in cases {
            let (counted, passed) = self.send(&frame);
            let expected = expected(row, frame.len());
            if counted != expected {
                faults.push(format!("{name}: counted {counted:?}, not {expected:?}"));
            }
            let passes = row.split(' ').nth(1) != Some("drop");
            if passed != u64::from(passes) {
                faults.push(format!("{name}: came through {passed} times, expected under `{row}`"));
            }
        }
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }

    /// Tells whether a frame comes through, without asking guard. It is not counted: another probe counts again.
    pub fn passes(&mut self, frame: &[u8]) -> bool {
        self.passed(&[frame]) > 0
    }

    /// Sends frames at once and tells how many come through, without asking guard. They are not counted either.
    pub fn passed(&mut self, frames: &[impl AsRef<[u8]>]) -> u64 {
        self.exchange(frames).0
    }

    /// Sends one frame and returns what was counted for it and how often it came through.
    fn send(&mut self, frame: &[u8]) -> (Counters, u64) {
        let (seen, marker_bytes) = self.exchange(&[frame]);
        self.counted.add("- pass not_ip", marker_bytes);
        self.counted.add("link other", marker_bytes);
        let mut now = Counters::default();
        // The marker came behind the frame, unless they were sent from different processors.
        wait::until(Duration::from_secs(1), || {
            now = Counters::read(self.guard);
            (now != self.counted).then_some(())
        });
        let grown = now.since(&self.counted);
        self.counted = now;
        (grown, seen)
    }

    /// Sends frames with a marker behind them, and returns how many came through before the marker, and the marker's
    /// length.
    fn exchange(&mut self, frames: &[impl AsRef<[u8]>]) -> (u64, usize) {
        self.markers += 1;
        let (source, destination) = (self.site.link.right.mac(), self.site.link.left.mac());
        let marker = Frame::bare().layer(Ethernet::new(source, destination).ether_type(MARKER));
        let marker = marker.payload(self.markers.to_be_bytes()).build();
        self.sender.send_all(&frames.iter().map(AsRef::as_ref).chain([&marker[..]]).collect::<Vec<_>>());
        let sent: BTreeSet<&[u8]> = frames.iter().map(AsRef::as_ref).collect();
        let seen = Cell::new(0);
        let arrived = self.receiver.receive_where(LIMIT, |arrived| {
            seen.set(seen.get() + u64::from(sent.contains(arrived)));
            arrived == marker
        });
        assert!(arrived.is_some(), "a frame that guard always passes did not come through");
        (seen.get(), marker.len())
    }
}

fn expected(row: &str, bytes: usize) -> Counters {
    let mut expected = Counters::default();
    expected.add(row, bytes);
    if row.starts_with("link ") {
        expected.add("- pass not_ip", bytes);
    }
    expected
}
