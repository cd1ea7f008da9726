//! Answers that come in pieces, and pieces of nothing.

use std::net::IpAddr;

use guard_tests::{
    Counters, Probe, Wire, client,
    frame::{Extension, Ipv4},
    in_each_cell, in_each_family,
    server::{UdpEcho, UdpServer},
    wait,
};

use crate::scene::{DROP, PASS, SOON, Scene, packets};

const LENGTH: usize = 4000;
/// Bytes of a datagram that a fragment carries.
const PIECE: usize = 1400;
const UDP: u8 = 17;

#[test]
fn a_large_answer_arrives_in_order_and_reversed() {
    in_each_cell(|cell| {
        let scene = Scene::new(cell);
        let large: Vec<u8> = (0..LENGTH).map(|place| place as u8).collect();
        let answer = large.clone();
        let _server = UdpServer::start(scene.peer(), scene.outside_at(9000), move |_| Some(answer.clone()));
        let _echo = UdpEcho::start_at(scene.peer(), scene.outside_at(9001));
        let guard = scene.site.guard(DROP);
        for (port, question) in [(9000, &b"?"[..]), (9001, &large)] {
            let own = scene.site.address();
            let answer = client::udp_exchange(scene.host(), own, scene.outside_at(port), question, SOON).unwrap();
            assert_eq!(answer.map(|answer| answer == large), Some(true), "the answer from port {port}");
        }
        assert_eq!(Counters::read(&guard).with_verdict("drop"), Default::default());

        // The same from a peer that sends each piece by hand.
        let scene = Scene::silent(cell);
        let guard = scene.site.guard(DROP);
        let socket = scene.datagrams_to(50_001, 9000);
        let wire = Wire::open(scene.peer(), "eth0");
        for (number, reversed) in [false, true].into_iter().enumerate() {
            socket.send(b"?").unwrap();
            let mut pieces = pieces(&scene, number as u16 + 1, &large);
            if reversed {
                pieces.reverse();
            }
            wire.send_all(&pieces);
            let mut arrived = vec![0; 2 * LENGTH];
            let length = socket.recv(&mut arrived).unwrap_or_else(|error| panic!("reversed: {reversed}: {error}"));
            assert!(arrived[..length] == large, "reversed: {reversed}: {length} bytes");
        }
        assert_eq!(packets(&guard, "- pass reply"), 2 * LENGTH.div_ceil(PIECE) as u64);
    });
}

#[test]
fn a_flood_of_pieces_from_strangers_does_not_arrive_where_the_default_is_to_drop() {
    const FLOOD: u64 = 5000;
    in_each_family(|cell| {
        for (policy, [row, listed, answering]) in
            [(DROP, ["- drop fragment", "- pass allowed", "- pass reply"]), (PASS, ["- pass default"; 3])]
        {
            let scene = Scene::silent(cell);
            let guard = scene.site.guard(policy);
            let socket = scene.datagrams_to(50_001, 9000);
            socket.send(b"?").unwrap();
            let frames: Vec<_> = (0..FLOOD).map(|number| later_piece(&scene, scene.stranger, number as u16)).collect();
            let wire = Wire::open(scene.peer(), "eth0");
            frames.chunks(200).for_each(|some| wire.send_all(some));
            let sent = FLOOD - scene.site.link.right.lost_frames();
            wait::eventually("every piece is decided on", SOON, || packets(&guard, row) == sent);
            println!("{cell}: {sent} pieces under `{row}`");
            if row == "- drop fragment" {
                let line = guard.wait_for_eve(|event| event["guard"]["reason"] == "fragment");
                assert_eq!(line["src_ip"], scene.stranger.to_string(), "{line}");
            }

            let mut probe = Probe::new(&scene.site, &guard);
            let one = |source| later_piece(&scene, source, 9);
            probe.expect([
                ("of the office", one(scene.office), listed),
                ("of whom was asked", one(scene.outside), answering),
            ]);
        }
    });
}

/// A piece of a datagram whose beginning never comes.
fn later_piece(scene: &Scene, source: IpAddr, identification: u16) -> Vec<u8> {
    piece(scene, source, Place { identification, offset: PIECE, is_last: false }, &[0; 64])
}

/// A UDP datagram from port 9000 to 50001, in pieces.
fn pieces(scene: &Scene, identification: u16, payload: &[u8]) -> Vec<Vec<u8>> {
    let whole = scene.site.packet(scene.outside).udp(9000, 50_001).payload(payload).build();
    let headers = 14 + scene.site.cell.pick(20, 40);
    let datagram = &whole[headers..];
    let last = datagram.len().div_ceil(PIECE) - 1;
    let cut = |(number, bytes): (usize, &[u8])| {
        let place = Place { identification, offset: number * PIECE, is_last: number == last };
        piece(scene, scene.outside, place, bytes)
    };
    datagram.chunks(PIECE).enumerate().map(cut).collect()
}

/// Where in a datagram a piece belongs.
struct Place {
    identification: u16,
    /// In bytes.
    offset: usize,
    is_last: bool,
}

/// A piece of a UDP datagram.
fn piece(scene: &Scene, source: IpAddr, place: Place, bytes: &[u8]) -> Vec<u8> {
    let Place { identification, offset, is_last } = place;
    let units = (offset / 8) as u16;
    let frame = match (source, scene.site.address()) {
        (IpAddr::V4(source), IpAddr::V4(own)) => {
            scene.site.ethernet().layer(Ipv4::new(source, own).fragment(units, !is_last, identification).protocol(UDP))
        }
        _ => {
            let header = Extension::fragment(units, !is_last, u32::from(identification)).next_header(UDP);
            scene.site.packet(source).layer(header)
        }
    };
    frame.payload(bytes).build()
}
