//! Named cases of the link layer: tags, PPPoE, frames without an IP packet, frames too short.

use guard_common::packet::{LinkType, protocol};

use crate::{
    build::{Family, PPPOE_SESSION, PROVIDER_VLAN, VLAN, ethernet, patched, pppoe, pppoe_with_length, tagged, tcp},
    table::{
        Expected::{self, Ip, Malformed, NotIp},
        check,
    },
};

#[test]
fn up_to_two_tags_are_looked_through() {
    for family in Family::BOTH {
        let packet = family.packet(protocol::TCP, &tcp(5, b""));
        let whole = Ip(family.expected_ports(protocol::TCP, packet.len()));
        let around = |tags: &[u16]| tagged(tags, family.ether_type(), &packet);
        check(
            &format!("tags, {family:?}"),
            [
                ("none", around(&[]), whole),
                ("802.1Q", around(&[VLAN]), whole),
                ("802.1ad", around(&[PROVIDER_VLAN]), whole),
                ("802.1Q in 802.1Q", around(&[VLAN, VLAN]), whole),
                ("802.1Q in 802.1ad", around(&[PROVIDER_VLAN, VLAN]), whole),
                ("802.1ad in 802.1Q", around(&[VLAN, PROVIDER_VLAN]), whole),
                ("priority tag", patched(around(&[VLAN]), 14, &[0xe0, 0x00]), whole),
                ("three of 802.1Q", around(&[VLAN, VLAN, VLAN]), Malformed),
                ("a third of 802.1ad", around(&[VLAN, VLAN, PROVIDER_VLAN]), Malformed),
                ("four", around(&[PROVIDER_VLAN, VLAN, VLAN, VLAN]), Malformed),
                ("0x9100, a protocol of its own", around(&[0x9100]), NotIp(LinkType::Other)),
                ("0x9100 behind two", around(&[VLAN, VLAN, 0x9100]), NotIp(LinkType::Other)),
                ("padding behind the packet", [around(&[VLAN]), vec![0; 6]].concat(), whole),
            ],
        );
    }
}

#[test]
fn frames_without_an_ip_packet_are_named() {
    let types = [
        ("ARP", 0x0806, LinkType::Arp),
        ("LLDP", 0x88cc, LinkType::Lldp),
        ("EAPOL", 0x888e, LinkType::Eapol),
        ("MPLS", 0x8847, LinkType::Mpls),
        ("MPLS, multicast", 0x8848, LinkType::Mpls),
        ("MACsec", 0x88e5, LinkType::Macsec),
        ("PPPoE discovery", 0x8863, LinkType::PppoeDiscovery),
        ("LLC, length 0", 0, LinkType::Llc),
        ("LLC, length 3", 3, LinkType::Llc),
        ("LLC, the longest", 1500, LinkType::Llc),
        ("LLC, below the first EtherType", 0x05ff, LinkType::Llc),
        ("the first EtherType", 0x0600, LinkType::Other),
        ("the last EtherType", 0xffff, LinkType::Other),
    ];
    for (tags, name) in [(&[][..], "no tag"), (&[VLAN], "one tag"), (&[PROVIDER_VLAN, VLAN], "two tags")] {
        check(name, types.map(|(name, ether_type, link_type)| (name, tagged(tags, ether_type, b""), NotIp(link_type))));
    }
}

#[test]
fn link_types_are_the_indices_of_their_counters() {
    for (index, link_type) in LinkType::ALL.into_iter().enumerate() {
        assert_eq!(link_type as usize, index, "{link_type:?}");
        assert_eq!(link_type.hides_packets(), matches!(link_type, LinkType::Mpls | LinkType::Macsec), "{link_type:?}");
        let namesakes = LinkType::ALL.into_iter().filter(|other| other.name() == link_type.name());
        assert_eq!(namesakes.count(), 1, "{link_type:?}");
    }
}

#[test]
fn linux_reads_no_packet_behind_snap_and_neither_does_the_parser() {
    let snap = [&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00][..], &Family::V4.packet(protocol::TCP, &tcp(5, b""))].concat();
    check("802.2 SNAP", [("an IPv4 packet", ethernet(snap.len() as u16, &snap), NotIp(LinkType::Llc))]);
}

#[test]
fn runts_are_malformed() {
    check(
        "runts",
        [
            ("nothing", vec![], Malformed),
            ("one byte", vec![0], Malformed),
            ("half an EtherType", ethernet(Family::V4.ether_type(), b"")[..13].to_vec(), Malformed),
            ("an IPv4 EtherType alone", ethernet(Family::V4.ether_type(), b""), Malformed),
            ("an IPv6 EtherType alone", ethernet(Family::V6.ether_type(), b""), Malformed),
            ("half a tag", ethernet(VLAN, &[0x20, 0x05, 0x08]), Malformed),
            ("a tag alone", ethernet(VLAN, b""), Malformed),
            ("an ARP EtherType alone", ethernet(0x0806, b""), NotIp(LinkType::Arp)),
        ],
    );
}

#[test]
fn a_version_other_than_the_ether_types_is_malformed() {
    for family in Family::BOTH {
        let packet = family.packet(protocol::TCP, &tcp(5, b""));
        let versions = (0..16).filter(|&version| version != packet[0] >> 4);
        let cases = versions.flat_map(|version| {
            let packet = patched(packet.clone(), 0, &[version << 4 | packet[0] & 0x0f]);
            let session = [&[family.ppp_number()][..], &packet].concat();
            [
                (format!("{version}"), family.frame(&packet), Malformed),
                (format!("{version} in PPPoE"), ethernet(PPPOE_SESSION, &pppoe(&session)), Malformed),
            ]
        });
        check(&format!("version, {family:?}"), cases);
    }
    let mixed = Family::V4.packet(protocol::TCP, &tcp(5, &[0; 40]));
    check("version", [("an IPv4 packet named IPv6", Family::V6.frame(&mixed), Malformed)]);
}

#[test]
fn pppoe_sessions_are_looked_into() {
    for family in Family::BOTH {
        let number = family.ppp_number();
        let packet = family.packet(protocol::TCP, &tcp(5, b""));
        let whole = Ip(family.expected_ports(protocol::TCP, packet.len()));
        let two_bytes = [&[0, number][..], &packet].concat();
        let one_byte = [&[number][..], &packet].concat();
        let declared = |length: usize| pppoe_with_length(length as u16, &two_bytes);
        let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
            ("protocol of two bytes", pppoe(&two_bytes), whole),
            ("protocol of one byte", pppoe(&one_byte), whole),
            ("bytes past its length", [pppoe(&two_bytes), vec![0xff; 9]].concat(), whole),
            ("padding within its length", pppoe(&[&two_bytes[..], &[0xff; 9]].concat()), whole),
            ("length one beyond the frame", declared(two_bytes.len() + 1), Malformed),
            ("length 65,535", declared(65_535), Malformed),
            ("length 0", declared(0), Malformed),
            ("length of half a protocol", declared(1), Malformed),
            ("length of the protocol alone", declared(2), Malformed),
            ("length within the IP header", declared(2 + family.header_length() - 1), Malformed),
            ("length of the IP header alone", declared(2 + family.header_length()), Malformed),
            ("length one short of the packet", declared(two_bytes.len() - 1), Malformed),
        ];
        check(
            &format!("PPPoE, {family:?}"),
            cases.iter().map(|(name, session, expected)| (name, ethernet(PPPOE_SESSION, session), *expected)),
        );
        check(
            &format!("PPPoE in two tags, {family:?}"),
            cases.iter().map(|(name, session, expected)| {
                (name, tagged(&[PROVIDER_VLAN, VLAN], PPPOE_SESSION, session), *expected)
            }),
        );
    }
}

#[test]
fn pppoe_sessions_without_an_ip_packet_are_passed_over() {
    let ppp = NotIp(LinkType::Ppp);
    check(
        "PPPoE",
        [
            ("LCP echo", pppoe(&[0xc0, 0x21, 0x09, 0x01, 0x00, 0x08, 0, 0, 0, 0]), ppp),
            ("LCP, number alone", pppoe(&[0xc0, 0x21]), ppp),
            ("IPCP", pppoe(&[0x80, 0x21, 0x01, 0x01, 0x00, 0x04]), ppp),
            ("IPv6CP", pppoe(&[0x80, 0x57, 0x01, 0x01, 0x00, 0x04]), ppp),
            ("compressed number of no IP version", pppoe(&[0x2b]), ppp),
            ("address and control field", pppoe(&[0xff, 0x03, 0xc0, 0x21]), ppp),
            ("half a number", pppoe(&[0xc0]), Malformed),
            ("half a number in the length", pppoe_with_length(1, &[0xc0, 0x21]), Malformed),
            ("number past the length", pppoe_with_length(0, &[0xc0, 0x21]), Malformed),
            ("header cut", vec![0x11, 0, 0, 0x2a, 0], Malformed),
            ("header alone", pppoe(b""), Malformed),
        ]
        .map(|(name, session, expected)| (name, ethernet(PPPOE_SESSION, &session), expected)),
    );
}
