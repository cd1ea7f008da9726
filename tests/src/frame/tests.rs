//! The builder against a parser no one here wrote.

use super::{ACK, Arp, Extension, Frame, Icmp, Igmp, Ipv4, Ipv6, Mac, PSH, SYN, Tcp, Udp};
use etherparse::{Icmpv6Slice, NetSlice, SlicedPacket, TransportSlice, VlanSlice};

const CLIENT: Mac = [2, 0, 0, 0, 0, 1];
const SERVER: Mac = [2, 0, 0, 0, 0, 2];
const V4: ([u8; 4], [u8; 4]) = ([192, 0, 2, 1], [198, 51, 100, 7]);
const V6: ([u16; 8], [u16; 8]) = ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfff1]);

fn ethernet() -> Frame {
    Frame::ethernet(CLIENT, SERVER)
}

/// Parses a frame and checks every checksum in it.
fn sound<'a>(case: &str, bytes: &'a [u8]) -> SlicedPacket<'a> {
    let packet = SlicedPacket::from_ethernet(bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
    let (v4, v6) = match packet.net.as_ref() {
        Some(NetSlice::Ipv4(ip)) => (Some(ip.header()), None),
        Some(NetSlice::Ipv6(ip)) => (None, Some(ip.header())),
        _ => return packet,
    };
    if let Some(header) = v4 {
        assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum(), "{case}: IPv4 header");
    }
    let v6_addresses = v6.map(|header| (header.source(), header.destination()));
    match packet.transport.as_ref() {
        Some(TransportSlice::Tcp(tcp)) => {
            let sum = match v4 {
                Some(ip) => tcp.calc_checksum_ipv4(ip.source(), ip.destination()),
                None => v6_addresses.map(|(source, destination)| tcp.calc_checksum_ipv6(source, destination)).unwrap(),
            };
            assert_eq!(Ok(tcp.checksum()), sum, "{case}: TCP");
        }
        Some(TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            let sum = match v4 {
                Some(ip) => header.calc_checksum_ipv4_raw(ip.source(), ip.destination(), udp.payload()),
                None => {
                    let (source, destination) = v6_addresses.unwrap();
                    header.calc_checksum_ipv6_raw(source, destination, udp.payload())
                }
            };
            assert_eq!(Ok(udp.checksum()), sum, "{case}: UDP");
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            assert_eq!(icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()), "{case}: ICMP");
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let (source, destination) = v6_addresses.unwrap();
            assert!(Icmpv6Slice::from_slice(icmp.slice()).unwrap().is_checksum_valid(source, destination), "{case}");
        }
        _ => {}
    }
    packet
}

#[test]
fn sane_frames_are_sane_to_another_parser() {
    let odd = b"five!";
    let own = V6.0.into();
    let cases = [
        ("tcp over v4", ethernet().ipv4(V4.0, V4.1).tcp(1234, 3000, SYN), 6),
        ("tcp over v6", ethernet().ipv6(V6.0, V6.1).tcp(1234, 3000, SYN | ACK), 6),
        ("tcp with data", ethernet().ipv4(V4.0, V4.1).tcp(1, 2, PSH | ACK).payload(odd), 6),
        ("tcp with options", ethernet().ipv6(V6.0, V6.1).layer(Tcp::new(1, 2).options(&[2, 4, 5, 0xb4, 1])), 6),
        ("v4 with options", ethernet().layer(Ipv4::new(V4.0, V4.1).options(&[1, 1, 1])).udp(1, 2).payload(odd), 17),
        ("udp over v4", ethernet().ipv4(V4.0, V4.1).udp(53, 5353).payload(odd), 17),
        ("udp over v6", ethernet().ipv6(V6.0, V6.1).udp(53, 5353).payload(odd), 17),
        ("padded", ethernet().ipv4(V4.0, V4.1).udp(53, 5353).padding(20), 17),
        ("one tag", ethernet().vlan(5).ipv4(V4.0, V4.1).tcp(1, 2, SYN), 6),
        ("two tags", ethernet().service_vlan(7).vlan(5).ipv6(V6.0, V6.1).tcp(1, 2, SYN), 6),
        ("echo over v4", ethernet().ipv4(V4.0, V4.1).layer(Icmp::echo_request_v4(7, 1)).payload(odd), 1),
        ("echo over v6", ethernet().ipv6(V6.0, V6.1).layer(Icmp::echo_request_v6(7, 1)).payload(odd), 58),
        ("solicitation", ethernet().ipv6(V6.0, V6.1).layer(Icmp::neighbour_solicitation(own, Some(CLIENT))), 58),
        ("advertisement", ethernet().ipv6(V6.0, V6.1).layer(Icmp::neighbour_advertisement(own, CLIENT)), 58),
        ("router", ethernet().ipv6(V6.0, V6.1).layer(Icmp::router_advertisement(0, CLIENT)), 58),
        ("igmp", ethernet().ipv4(V4.0, V4.1).layer(Igmp::report([224, 0, 0, 5])), 2),
    ];
    for (case, frame, protocol) in cases {
        let bytes = frame.build();
        let packet = sound(case, &bytes);
        let found = packet.net.as_ref().and_then(|net| net.ip_payload_ref().map(|payload| payload.ip_number.0));
        assert_eq!(found, Some(protocol), "{case}");
    }
}

#[test]
fn extension_headers_are_walked_to_the_transport_header() {
    let frame = ethernet()
        .ipv6(V6.0, V6.1)
        .layer(Extension::hop_by_hop(&[5, 2, 0, 0]))
        .layer(Extension::destination(&[0; 9]))
        .layer(Extension::routing(2, 1, &[0; 20]))
        .layer(Extension::fragment(0, false, 77))
        .layer(Extension::authentication())
        .tcp(1234, 3000, SYN)
        .build();
    let packet = sound("all extensions", &frame);
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no TCP behind the extensions: {packet:?}") };
    assert_eq!((tcp.source_port(), tcp.destination_port()), (1234, 3000));
}

#[test]
fn every_extension_header_is_as_long_as_it_says() {
    let eight_byte_units = [
        ("mobility", Extension::mobility()),
        ("host identity", Extension::host_identity()),
        ("shim6", Extension::shim6()),
        ("hop by hop", Extension::hop_by_hop(&[])),
    ];
    for (case, extension) in eight_byte_units {
        let bytes = Frame::bare().layer(extension).payload([0xee]).build();
        assert_eq!(bytes.len(), (usize::from(bytes[1]) + 1) * 8 + 1, "{case}");
    }
}

#[test]
fn fragments_say_where_they_belong() {
    let first = Ipv4::new(V4.0, V4.1).fragment(0, true, 77);
    let later = Ipv4::new(V4.0, V4.1).fragment(185, false, 77).protocol(17);
    for (case, header, offset, more) in [("first", first, 0, true), ("later", later, 185, false)] {
        let bytes = ethernet().layer(header).payload([0; 16]).build();
        let packet = sound(case, &bytes);
        let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("{case}: {packet:?}") };
        let header = ip.header();
        assert_eq!((header.fragments_offset().value(), header.more_fragments()), (offset, more), "{case}");
        assert_eq!(header.identification(), 77, "{case}");
    }
}

#[test]
fn tags_carry_their_identifiers() {
    let bytes = ethernet().service_vlan(7).vlan(0x2005).ipv4(V4.0, V4.1).udp(1, 2).build();
    let Some(VlanSlice::DoubleVlan(tags)) = sound("two tags", &bytes).vlan() else { panic!("not two tags") };
    assert_eq!(tags.outer.vlan_identifier().value(), 7);
    assert_eq!(tags.inner.vlan_identifier().value(), 5);
    assert_eq!(tags.inner.priority_code_point().value(), 1);
}

#[test]
fn what_is_set_is_not_corrected() {
    let v4 = |header: Ipv4| ethernet().layer(header).udp(1, 2).build();
    let base = || Ipv4::new(V4.0, V4.1);
    assert_eq!(v4(base().header_length(3))[14], 0x43);
    assert_eq!(v4(base().version(6))[14], 0x65);
    assert_eq!(v4(base().total_length(9))[16..18], [0, 9]);
    assert_eq!(v4(base().protocol(47))[23], 47);
    assert_eq!(v4(base().checksum(0xabcd))[24..26], [0xab, 0xcd]);
    let v6 = ethernet().layer(Ipv6::new(V6.0, V6.1).payload_length(3).next_header(59).hop_limit(255)).udp(1, 2).build();
    assert_eq!(v6[18..22], [0, 3, 59, 255]);
    let udp = ethernet().ipv4(V4.0, V4.1).layer(Udp::new(1, 2).length(7).checksum(0)).build();
    assert_eq!(udp[38..42], [0, 7, 0, 0]);
    let tcp = ethernet().ipv4(V4.0, V4.1).layer(Tcp::new(1, 2).data_offset(4).checksum(1)).build();
    assert_eq!((tcp[46], &tcp[50..52]), (0x40, &[0, 1][..]));
}

#[test]
fn pppoe_names_the_family_inside() {
    let v4 = ethernet().pppoe(9).ipv4(V4.0, V4.1).udp(1, 2).build();
    let v6 = ethernet().pppoe(9).ipv6(V6.0, V6.1).udp(1, 2).build();
    assert_eq!(v4[12..22], [0x88, 0x64, 0x11, 0, 0, 9, 0, 30, 0x00, 0x21]);
    assert_eq!(v6[20..22], [0x00, 0x57]);
}

#[test]
fn arp_asks_for_an_address() {
    let bytes = ethernet().layer(Arp::request((CLIENT, V4.0.into()), V4.1)).build();
    let packet = sound("arp", &bytes);
    let Some(NetSlice::Arp(arp)) = packet.net else { panic!("not ARP: {packet:?}") };
    assert_eq!((arp.operation().0, arp.sender_protocol_addr(), arp.target_protocol_addr()), (1, &V4.0[..], &V4.1[..]));
}

#[test]
fn an_error_quotes_a_packet() {
    let quoted = Frame::bare().ipv4(V4.1, V4.0).udp(3000, 1234).build();
    let bytes = ethernet().ipv4(V4.0, V4.1).layer(Icmp::v4(3, 3).body(quoted.clone())).build();
    sound("port unreachable", &bytes);
    assert_eq!(bytes[42..], quoted);
}
