//! Addresses that cannot be real.

use guard_common::{
    address::Address,
    packet::Packet,
    policy::{Reason, Set},
};

use crate::model::{Family, Model, OTHER_PORT, SERVICE_PORT, Source, address};

const IMPOSSIBLE: bool = true;
const POSSIBLE: bool = false;

/// Checks each address in each kind of packet, in no set and in `allow`.
fn check(
    table: &str,
    family: Family,
    place: impl Fn(Packet, Address) -> Packet,
    addresses: impl IntoIterator<Item = (&'static str, bool)>,
) {
    let packets = [
        family.tcp(Source::Stranger, SERVICE_PORT),
        family.udp(Source::Stranger, OTHER_PORT),
        family.packet(Source::Stranger),
    ];
    for (text, impossible) in addresses {
        for packet in packets {
            let packet = place(packet, address(text));
            for model in [Model::new(true), Model::new(false), Model::new(false).with(Set::Allow, packet.source)] {
                let spoofed = model.reason(&packet) == Reason::Spoofed;
                assert_eq!(spoofed, impossible, "{table}: {text}: {packet:?} by {model:?}");
            }
        }
    }
}

#[test]
fn v4_sources() {
    check(
        "source",
        Family::V4,
        |packet, source| Packet { source, ..packet },
        [
            ("0.0.0.0", IMPOSSIBLE),
            ("0.0.0.1", IMPOSSIBLE),
            ("0.255.255.255", IMPOSSIBLE),
            ("1.0.0.0", POSSIBLE),
            ("10.0.0.1", POSSIBLE),
            ("126.255.255.255", POSSIBLE),
            ("127.0.0.0", IMPOSSIBLE),
            ("127.0.0.1", IMPOSSIBLE),
            ("127.255.255.255", IMPOSSIBLE),
            ("128.0.0.0", POSSIBLE),
            ("169.254.0.1", POSSIBLE),
            ("223.255.255.255", POSSIBLE),
            ("224.0.0.0", IMPOSSIBLE),
            ("239.255.255.255", IMPOSSIBLE),
            ("240.0.0.0", POSSIBLE),
            ("255.255.255.254", POSSIBLE),
            ("255.255.255.255", IMPOSSIBLE),
        ],
    );
}

#[test]
fn v4_destinations() {
    check(
        "destination",
        Family::V4,
        |packet, destination| Packet { destination, ..packet },
        [
            ("0.0.0.0", POSSIBLE),
            ("126.255.255.255", POSSIBLE),
            ("127.0.0.0", IMPOSSIBLE),
            ("127.0.0.1", IMPOSSIBLE),
            ("127.255.255.255", IMPOSSIBLE),
            ("128.0.0.0", POSSIBLE),
            ("224.0.0.1", POSSIBLE),
            ("255.255.255.255", POSSIBLE),
        ],
    );
}

#[test]
fn v6_sources() {
    check(
        "source",
        Family::V6,
        |packet, source| Packet { source, ..packet },
        [
            ("ff00::", IMPOSSIBLE),
            ("ff02::1", IMPOSSIBLE),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", IMPOSSIBLE),
            ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", POSSIBLE),
            ("fe80::1", POSSIBLE),
            ("fd00::1", POSSIBLE),
            ("2001:db8::1", POSSIBLE),
        ]
        .into_iter()
        .chain(V4_IN_V6),
    );
}

#[test]
fn v6_destinations() {
    check(
        "destination",
        Family::V6,
        |packet, destination| Packet { destination, ..packet },
        [("ff02::1", POSSIBLE), ("fe80::1", POSSIBLE), ("2001:db8::1", POSSIBLE)].into_iter().chain(V4_IN_V6),
    );
}

/// Unspecified, loopback, IPv4-compatible, IPv4-mapped, and their neighbours.
const V4_IN_V6: [(&str, bool); 14] = [
    ("::", IMPOSSIBLE),
    ("::1", IMPOSSIBLE),
    ("::2", IMPOSSIBLE),
    ("::192.0.2.1", IMPOSSIBLE),
    ("::255.255.255.255", IMPOSSIBLE),
    ("::1:0:0", POSSIBLE),
    ("::fffe:255.255.255.255", POSSIBLE),
    ("::ffff:0.0.0.0", IMPOSSIBLE),
    ("::ffff:192.0.2.1", IMPOSSIBLE),
    ("::ffff:127.0.0.1", IMPOSSIBLE),
    ("::ffff:255.255.255.255", IMPOSSIBLE),
    ("::1:0:0:0", POSSIBLE),
    ("0:0:0:1::ffff:192.0.2.1", POSSIBLE),
    ("64:ff9b::192.0.2.1", POSSIBLE),
];

#[test]
fn the_version_tells_an_address_from_its_mapped_form() {
    let v4 = Family::V4.tcp(Source::Listed, SERVICE_PORT);
    assert_eq!(Model::new(false).reason(&v4), Reason::Allowed);
    let clothed = Packet { version: 6, destination: address("2001:db8::100"), ..v4 };
    assert_eq!(Model::new(false).reason(&clothed), Reason::Spoofed);
}

#[test]
fn own_addresses_are_no_sources() {
    for family in Family::BOTH {
        let host = family.packet(Source::Own).source;
        let to_host = Packet { destination: host, ..family.tcp(Source::Listed, SERVICE_PORT) };
        let from_host = family.tcp(Source::Own, SERVICE_PORT);
        let mut sharing = Model::new(false);
        assert_eq!(sharing.reason(&to_host), Reason::Allowed, "{family:?}");
        assert_eq!(sharing.reason(&from_host), Reason::Spoofed, "{family:?}");
        sharing.own.clear();
        assert_eq!(sharing.reason(&from_host), Reason::Allowed, "{family:?}, shared with another host");
    }
}
