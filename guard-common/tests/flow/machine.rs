//! A TCP connection and a UDP flow beside a model of each, over random events.

use std::time::Duration;

use guard_common::packet::tcp_flag::{ACK, FIN, PSH, RST, SYN};
use proptest::{prelude::*, sample::select};

use crate::host::{Family, Host, LISTENING_PORT, OTHER_PORT, SERVICE_PORT, answer};

#[derive(Clone, Copy, Debug)]
enum Event {
    Out(u8),
    In(u8),
    Wait(Duration),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let flags = select(vec![SYN, SYN | ACK, ACK, ACK, ACK | PSH, FIN | ACK, RST]);
    let waits = select(vec![400, 700, 1_000, 60_000, 119_000, 119_999, 120_000, 179_999, 180_000, 181_000, 10_000_000]);
    let event = prop_oneof![
        3 => flags.clone().prop_map(Event::Out),
        2 => flags.prop_map(Event::In),
        2 => waits.prop_map(|ms| Event::Wait(Duration::from_millis(ms))),
    ];
    prop::collection::vec(event, 1..40)
}

/// Ends later than those known are noted only if they are later by more than this.
const SLACK: Duration = Duration::from_secs(1);
const CLOSING: Duration = Duration::from_secs(120);
const SILENCE: Duration = Duration::from_secs(180);

/// A TCP connection as this host knows it; times are since the test's beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Connection {
    Unknown,
    Open,
    /// The peer has ended it.
    EndedThere(Duration),
    /// This host has.
    EndedHere(Duration),
}

impl Connection {
    fn send(self, flags: u8, may_be_answer: bool, now: Duration) -> Self {
        match (self, flags & (SYN | ACK | FIN | RST)) {
            (_, SYN) => Self::Open,
            (Self::Unknown | Self::EndedHere(_), flags) if flags & (FIN | RST) != 0 => self,
            (_, flags) if flags & (FIN | RST) != 0 => Self::EndedHere(now + CLOSING),
            (_, flags) if flags & SYN != 0 => self,
            (Self::Unknown, _) if may_be_answer => Self::Unknown,
            (Self::EndedHere(end), _) if now < end && now + CLOSING > end + SLACK => Self::EndedHere(now + CLOSING),
            (Self::EndedHere(_), _) => self,
            _ => Self::Open,
        }
    }

    /// Returns the connection after a packet of the peer's, and whether that is let in.
    fn receive(self, flags: u8, now: Duration) -> (Self, bool) {
        let alive = match self {
            Self::Unknown => false,
            Self::Open => true,
            Self::EndedThere(end) | Self::EndedHere(end) => now < end,
        };
        let is_answer = alive && flags & (SYN | ACK) != SYN;
        let ends = is_answer && flags & (FIN | RST) != 0;
        (if ends && self == Self::Open { Self::EndedThere(now + CLOSING) } else { self }, is_answer)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn tcp(events in events(), port in select(vec![OTHER_PORT, LISTENING_PORT, SERVICE_PORT]), family in select(Family::BOTH.to_vec())) {
        let mut host = Host::new(false);
        let (mut model, mut now) = (Connection::Unknown, Duration::ZERO);
        for event in events {
            match event {
                Event::Wait(time) => {
                    now += time;
                    host.wait(time);
                }
                Event::Out(flags) => {
                    model = model.send(flags, port != OTHER_PORT, now);
                    host.send(&family.tcp(port, flags));
                }
                Event::In(flags) => {
                    let (after, expected) = model.receive(flags, now);
                    model = after;
                    prop_assert_eq!(host.takes(&answer(&family.tcp(port, 0), flags)), expected, "{:?} at {:?}", model, now);
                }
            }
        }
    }

    #[test]
    fn udp(events in events(), family in select(Family::BOTH.to_vec())) {
        let mut host = Host::new(false);
        let (mut end, mut now) = (Duration::ZERO, Duration::ZERO);
        for event in events {
            match event {
                Event::Wait(time) => {
                    now += time;
                    host.wait(time);
                }
                Event::Out(_) => {
                    if now + SILENCE > end + SLACK {
                        end = now + SILENCE;
                    }
                    host.send(&family.udp(OTHER_PORT));
                }
                Event::In(_) => prop_assert_eq!(host.takes(&answer(&family.udp(OTHER_PORT), 0)), now < end),
            }
        }
    }
}
