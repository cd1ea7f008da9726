//! IPv4 headers: lengths, options, fragments.

use std::net::Ipv4Addr;

use guard_tests::{
    Site,
    frame::{Frame, Ipv4, SYN, Tcp},
};

use crate::scene::{Case, HOST_V4, LISTED_V4, NO_SERVICE, OF_WEB_V4, UNLISTED_V4, WEB, case, cut, sound_in};

const MALFORMED: &str = "- drop malformed";
const TCP: u8 = 6;
const UDP: u8 = 17;
const ETHERNET: usize = 14;

fn listed() -> Ipv4 {
    Ipv4::new(LISTED_V4, HOST_V4)
}

fn syn(site: &Site, header: Ipv4) -> Vec<u8> {
    site.ethernet().layer(header).tcp(40000, WEB, SYN).build()
}

pub(crate) fn lengths_that_lie_are_malformed(site: &Site) -> Vec<Case> {
    let sound = || sound_in(site, site.ethernet());
    vec![
        case("version 5", syn(site, listed().version(5)), MALFORMED),
        case("version 6", syn(site, listed().version(6)), MALFORMED),
        case("a header length of 0", syn(site, listed().header_length(0)), MALFORMED),
        case("a header length of 4 words", syn(site, listed().header_length(4)), MALFORMED),
        case("a header length beyond the packet", syn(site, listed().header_length(15)), MALFORMED),
        case("a total length of zero", syn(site, listed().total_length(0)), MALFORMED),
        case("a total length below the header", syn(site, listed().total_length(19)), MALFORMED),
        case("a total length beyond the frame", syn(site, listed().total_length(41)), MALFORMED),
        case("the largest total length", syn(site, listed().total_length(u16::MAX)), MALFORMED),
        case("a total length of the header alone", syn(site, listed().total_length(20)), MALFORMED),
        case("a first byte alone", cut(sound(), ETHERNET + 1), MALFORMED),
        case("a header cut off", cut(sound(), ETHERNET + 19), MALFORMED),
        case("a header alone", cut(sound(), ETHERNET + 20), MALFORMED),
        case("padding behind the packet", [&sound()[..], &[0; 6]].concat(), "web pass allowed"),
        case(
            "padding behind a stranger's packet",
            site.ethernet().ipv4(UNLISTED_V4, HOST_V4).tcp(40000, WEB, SYN).padding(6).build(),
            "web drop not_allowed",
        ),
    ]
}

pub(crate) fn options_are_walked(site: &Site) -> Vec<Case> {
    let rows: [(&str, &[u8], bool); 12] = [
        ("no operation", &[1, 1, 1, 1], true),
        ("end of list", &[0, 0, 0, 0], true),
        ("router alert", &[148, 4, 0, 0], true),
        ("a record of the route", &[7, 7, 4, 0, 0, 0, 0], true),
        ("forty bytes", &[1; 40], true),
        ("source routing behind the end of the list", &[0, 131, 7, 4], true),
        ("a length of 0", &[7, 0, 0, 0], false),
        ("a length of 1", &[7, 1, 0, 0], false),
        ("a length past the header", &[7, 5, 0, 0], false),
        ("a length cut off", &[1, 1, 1, 7], false),
        ("loose source routing", &[131, 7, 4, 10, 0, 0, 9], false),
        ("strict source routing", &[1, 137, 7, 4, 10, 0, 0, 9], false),
    ];
    let tried = |(name, options, sound): (&str, &[u8], bool)| {
        let to_web = |source| syn(site, Ipv4::new(source, HOST_V4).options(options));
        let rows = if sound { ["web pass allowed", "web drop not_allowed"] } else { [MALFORMED; 2] };
        [
            case(format!("{name}, listed"), to_web(LISTED_V4), rows[0]),
            case(format!("{name}, unlisted"), to_web(UNLISTED_V4), rows[1]),
        ]
    };
    rows.into_iter().flat_map(tried).collect()
}

pub(crate) fn fragments_are_decided_by_what_they_show(site: &Site) -> Vec<Case> {
    let mut cases = fragments(site, "- pass allowed", "- drop fragment");
    cases.push(case("later, of one service", later(site, OF_WEB_V4, UDP, 185), "- pass allowed"));
    cases
}

pub(crate) fn later_fragments_pass_where_the_default_is_to_pass(site: &Site) -> Vec<Case> {
    fragments(site, "- pass default", "- pass default")
}

/// `passes` and `refused` are the rows of later fragments, from a listed and an unlisted source.
fn fragments(site: &Site, passes: &'static str, refused: &'static str) -> Vec<Case> {
    let first = |source| {
        let header = Ipv4::new(source, HOST_V4).fragment(0, true, 7);
        site.ethernet().layer(header).tcp(40000, WEB, SYN).payload([0; 12]).build()
    };
    let short = |bytes: usize| {
        let tcp = Frame::bare().layer(Tcp::new(40000, NO_SERVICE).flags(SYN)).build();
        let header = listed().fragment(0, true, 7).protocol(TCP);
        site.ethernet().layer(header).payload(&tcp[..bytes]).build()
    };
    let udp = |bytes: usize| {
        let udp = Frame::bare().udp(40000, WEB).payload([0; 24]).build();
        let header = listed().fragment(0, true, 7).protocol(UDP);
        site.ethernet().layer(header).payload(&udp[..bytes]).build()
    };
    vec![
        case("first, listed", first(LISTED_V4), "web pass allowed"),
        case("first, unlisted", first(UNLISTED_V4), "web drop not_allowed"),
        case("first of a datagram longer than itself", udp(24), "web pass allowed"),
        case("first with half a UDP header", udp(4), MALFORMED),
        case("first with eight bytes of TCP", short(8), MALFORMED),
        case("first with sixteen bytes of TCP", short(16), MALFORMED),
        case("later, listed", later(site, LISTED_V4, UDP, 185), passes),
        case("later, unlisted", later(site, UNLISTED_V4, UDP, 185), refused),
        case("later of TCP behind its header, listed", later(site, LISTED_V4, TCP, 3), passes),
        case("later of TCP behind its header, unlisted", later(site, UNLISTED_V4, TCP, 3), refused),
        case("later of TCP into its flags", later(site, LISTED_V4, TCP, 1), MALFORMED),
        case("later of TCP into its checksum", later(site, LISTED_V4, TCP, 2), MALFORMED),
    ]
}

/// The last fragment, whose offset counts 8 bytes each; the ports that it seems to hold are the service's.
fn later(site: &Site, source: Ipv4Addr, protocol: u8, offset: u16) -> Vec<u8> {
    let inside = Frame::bare().tcp(40000, WEB, SYN).build();
    site.ethernet()
        .layer(Ipv4::new(source, HOST_V4).fragment(offset, false, 7).protocol(protocol))
        .payload(inside)
        .build()
}
