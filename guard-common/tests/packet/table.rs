//! The one way that a table of named cases goes.

use std::fmt::Write as _;

use guard_common::packet::{LinkType, Packet, Parsed};

use crate::bytes::read;

/// What the parser must answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Ip(Packet),
    NotIp(LinkType),
    Malformed,
}

/// Reads every frame and names each case whose answer is another.
pub(crate) fn check<N: AsRef<str>>(table: &str, cases: impl IntoIterator<Item = (N, Vec<u8>, Expected)>) {
    let mut failures = String::new();
    for (name, frame, expected) in cases {
        let reading = read(&frame);
        let holds = match expected {
            Expected::Ip(packet) => reading.parsed == Parsed::Ip && reading.packet == packet,
            Expected::NotIp(link_type) => reading.parsed == Parsed::NotIp(link_type),
            Expected::Malformed => reading.parsed == Parsed::Malformed,
        };
        if !holds {
            writeln!(failures, "{table}: {}: expected {expected:?}, read {reading:?}", name.as_ref())
                .expect("a string takes all that is written");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}
