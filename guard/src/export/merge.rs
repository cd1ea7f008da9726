//! At most one line a second for a (source, reason, mode), over all CPUs.
//!
//! The kernel's gates already see to it on each CPU; a source whose packets reach several CPUs passes several gates.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use guard_common::records::BlockEvent;

/// Sources that are remembered at once: those of more than a minute at the full budget of one CPU.
const CAPACITY: usize = 65_536;

const SHUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Held {
    written: Instant,
    /// What came since, to be written with its count.
    event: Option<BlockEvent>,
}

/// Holds back events whose source has just had a line.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    /// By source, reason and mode.
    held: HashMap<([u8; 16], u8, u32), Held>,
}

impl Merger {
    /// Takes an event; returns the one to write now.
    pub(crate) fn admit(&mut self, event: BlockEvent, now: Instant) -> Option<BlockEvent> {
        let room = self.held.len() < CAPACITY;
        match self.held.entry((event.source, event.reason, event.mode)) {
            Entry::Occupied(mut entry) => {
                let held = entry.get_mut();
                let packets = held.event.take().map_or(0, |earlier| earlier.packets) + event.packets;
                let event = BlockEvent { packets, ..event };
                if now.duration_since(held.written) < SHUT {
                    held.event = Some(event);
                    None
                } else {
                    held.written = now;
                    Some(event)
                }
            }
            Entry::Vacant(entry) => {
                // Without room the line is one too many, which is better than one too few.
                if room {
                    entry.insert(Held { written: now, event: None });
                }
                Some(event)
            }
        }
    }

    /// Returns what has been held for long enough, and forgets who has been silent for as long.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<BlockEvent> {
        let mut due = Vec::new();
        self.held.retain(|_, held| {
            if now.duration_since(held.written) < SHUT {
                return true;
            }
            match held.event.take() {
                Some(event) => {
                    held.written = now;
                    due.push(event);
                    true
                }
                None => false,
            }
        });
        due
    }

    /// Returns everything that is held.
    pub(crate) fn drain(&mut self) -> Vec<BlockEvent> {
        self.held.drain().filter_map(|(_, held)| held.event).collect()
    }
}

#[cfg(test)]
mod tests {
    use guard_common::policy::Mode;

    use super::*;

    fn event(source: u8, packets: u64) -> BlockEvent {
        BlockEvent { source: [source; 16], packets, ..BlockEvent::default() }
    }

    #[test]
    fn one_line_a_second_stands_for_all() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut merger = Merger::default();
        assert_eq!(merger.admit(event(1, 1), start), Some(event(1, 1)));
        assert_eq!(merger.admit(event(1, 5), after(10)), None);
        assert_eq!(merger.admit(event(1, 7), after(999)), None);
        assert_eq!(merger.admit(event(2, 3), after(999)), Some(event(2, 3)));
        assert_eq!(merger.due(after(999)), []);
        assert_eq!(merger.due(after(1000)), [event(1, 12)]);
        assert_eq!(merger.admit(event(1, 1), after(1500)), None);
        assert_eq!(merger.admit(event(1, 2), after(2000)), Some(event(1, 3)));
    }

    #[test]
    fn what_was_dropped_and_what_would_have_been_are_told_apart() {
        let start = Instant::now();
        let mut merger = Merger::default();
        let monitored = BlockEvent { mode: Mode::Monitor as u32, ..event(1, 1) };
        assert_eq!(merger.admit(event(1, 1), start), Some(event(1, 1)));
        assert_eq!(merger.admit(monitored, start), Some(monitored));
        assert_eq!(merger.admit(monitored, start), None);
        assert_eq!(merger.drain(), [monitored]);
    }

    #[test]
    fn silent_sources_are_forgotten() {
        let start = Instant::now();
        let mut merger = Merger::default();
        merger.admit(event(1, 1), start);
        assert_eq!(merger.due(start + SHUT), []);
        assert!(merger.held.is_empty());
    }

    #[test]
    fn nothing_is_lost_without_room_or_at_the_end() {
        let start = Instant::now();
        let mut merger = Merger::default();
        let mut written = 0;
        for number in 0..CAPACITY as u32 + 1000 {
            let mut unlike = event(0, 1);
            unlike.source[..4].copy_from_slice(&number.to_be_bytes());
            written += merger.admit(unlike, start).map_or(0, |event| event.packets);
            written += merger.admit(unlike, start).map_or(0, |event| event.packets);
        }
        assert_eq!(merger.held.len(), CAPACITY);
        written += merger.drain().iter().map(|event| event.packets).sum::<u64>();
        assert_eq!(written, 2 * (CAPACITY as u64 + 1000));
    }
}
