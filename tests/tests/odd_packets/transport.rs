//! Transport headers that are not whole, and TCP flags that no stack sends.

use guard_tests::{
    Site,
    frame::{ACK, FIN, Frame, Icmp, PSH, RST, SYN, Tcp, URG, Udp},
};

use crate::{
    scene::{Case, NO_SERVICE, Source, WEB, case, packet},
    tunnels::carrying,
};

const MALFORMED: &str = "- drop malformed";
const TCP: u8 = 6;
const UDP: u8 = 17;

pub(crate) fn transport_headers_are_whole(site: &Site) -> Vec<Case> {
    let listed = |inside| packet(site, Source::Listed, inside);
    let datagram = |udp: Udp| packet(site, Source::Listed, udp);
    let part = |protocol: u8, whole: Frame, kept: usize| {
        let whole = whole.build();
        let source = Source::Listed.address(site.cell);
        carrying(site, source, protocol).payload(&whole[..kept]).build()
    };
    let tcp = || Frame::bare().tcp(40000, NO_SERVICE, SYN);
    let udp = || Frame::bare().udp(40000, NO_SERVICE);
    let control = site.cell.pick(1, 58);
    let echo = || Frame::bare().layer(site.cell.pick(Icmp::echo_request_v4(1, 1), Icmp::echo_request_v6(1, 1)));
    vec![
        case("nothing of TCP", part(TCP, tcp(), 0), MALFORMED),
        case("TCP's ports alone", part(TCP, tcp(), 4), MALFORMED),
        case("TCP of 19 bytes", part(TCP, tcp(), 19), MALFORMED),
        case("a data offset of 0", listed(Tcp::new(40000, WEB).flags(SYN).data_offset(0)), MALFORMED),
        case("a data offset of 4 words", listed(Tcp::new(40000, WEB).flags(SYN).data_offset(4)), MALFORMED),
        case("a data offset past the packet", listed(Tcp::new(40000, WEB).flags(SYN).data_offset(6)), MALFORMED),
        case("options", listed(Tcp::new(40000, WEB).flags(SYN).options(&[2, 4, 5, 0xb4])), "web pass allowed"),
        case("nothing of UDP", part(UDP, udp(), 0), MALFORMED),
        case("UDP of 7 bytes", part(UDP, udp(), 7), MALFORMED),
        case("a UDP length of zero", datagram(Udp::new(40000, WEB).length(0)), MALFORMED),
        case("a UDP length below its header", datagram(Udp::new(40000, WEB).length(7)), MALFORMED),
        case("a UDP length beyond the packet", datagram(Udp::new(40000, WEB).length(9)), MALFORMED),
        case("an empty datagram", datagram(Udp::new(40000, WEB)), "web pass allowed"),
        case("an ICMP message of 7 bytes", part(control, echo(), 7), MALFORMED),
        case("an ICMP message of 8 bytes", part(control, echo(), 8), "- pass default"),
    ]
}

pub(crate) fn a_service_gets_no_impossible_flags(site: &Site) -> Vec<Case> {
    const ECE_CWR: u8 = 0xc0;
    const IMPOSSIBLE: &str = "web drop malformed";
    const SOUND: &str = "web pass allowed";
    let rows = [
        ("SYN and FIN", SYN | FIN, IMPOSSIBLE),
        ("SYN, FIN and ACK", SYN | FIN | ACK, IMPOSSIBLE),
        ("SYN and RST", SYN | RST, IMPOSSIBLE),
        ("no flags", 0, IMPOSSIBLE),
        ("only those of congestion", ECE_CWR, IMPOSSIBLE),
        ("FIN alone", FIN, IMPOSSIBLE),
        ("FIN, PSH and URG", FIN | PSH | URG, IMPOSSIBLE),
        ("all", 0xff, IMPOSSIBLE),
        ("SYN", SYN, SOUND),
        ("SYN with congestion control", SYN | ECE_CWR, SOUND),
        ("SYN and ACK", SYN | ACK, SOUND),
        ("ACK", ACK, SOUND),
        ("PSH and ACK", PSH | ACK, SOUND),
        ("FIN and ACK", FIN | ACK, SOUND),
        ("RST", RST, SOUND),
        ("RST and ACK", RST | ACK, SOUND),
    ];
    let tried = |(name, flags, row): (&str, u8, &'static str)| {
        let to = |source, port| packet(site, source, Tcp::new(40000, port).flags(flags));
        let unlisted = if row == IMPOSSIBLE { row } else { "web drop not_allowed" };
        [
            case(format!("{name}, listed"), to(Source::Listed, WEB), row),
            case(format!("{name}, unlisted"), to(Source::Unlisted, WEB), unlisted),
            case(format!("{name}, to no service"), to(Source::Listed, NO_SERVICE), "- pass allowed"),
        ]
    };
    rows.into_iter().flat_map(tried).collect()
}
