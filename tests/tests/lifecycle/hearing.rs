//! Who is heard behind an interface, whatever it is called and without any address on it.

use std::{iter, time::Duration};

use guard_tests::{
    Host, Interface, Wire,
    frame::{BROADCAST, Ethernet, Frame},
};

use super::scene::{LISTED, PORT, SERVER, SOON, UNLISTED, ip};

/// IEEE 802's EtherType for local experiments, which always passes.
const MARKER: u16 = 0x88b5;

/// How long frames that were processed by another CPU may come behind the marker.
const STRAGGLERS: Duration = Duration::from_millis(50);

/// Sends a packet of every source from an interface, and returns which sources were heard on another.
pub(crate) fn heard(from: &Interface, host: &Host, interface: &str) -> Vec<&'static str> {
    let (sender, receiver) = (Wire::open(from.host(), from.name()), Wire::open(host, interface));
    let sources = LISTED.into_iter().chain(UNLISTED);
    let packets: Vec<(&str, Vec<u8>)> = sources
        .zip(SERVER.into_iter().cycle())
        .map(|(source, server)| {
            let frame = Frame::ethernet(from.mac(), BROADCAST).ip(ip(source), ip(server)).udp(1234, PORT);
            (source, frame.payload(source).build())
        })
        .collect();
    let marker = Frame::bare().layer(Ethernet::new(from.mac(), BROADCAST).ether_type(MARKER)).build();
    let frames: Vec<&[u8]> = packets.iter().map(|(_, frame)| &frame[..]).chain([&marker[..]]).collect();
    sender.send_all(&frames);

    let mut arrived: Vec<Vec<u8>> = iter::from_fn(|| receiver.receive(SOON).filter(|frame| *frame != marker)).collect();
    arrived.extend(iter::from_fn(|| receiver.receive(STRAGGLERS)));
    packets.iter().filter(|(_, frame)| arrived.contains(frame)).map(|(source, _)| *source).collect()
}

/// Asserts that on an interface the listed sources are heard, and nobody else.
#[track_caller]
pub(crate) fn assert_only_listed(from: &Interface, host: &Host, interface: &str) {
    assert_eq!(heard(from, host, interface), LISTED, "heard on `{interface}`");
}
