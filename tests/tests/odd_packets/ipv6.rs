//! IPv6 headers: lengths, extension headers, fragments.

use std::net::Ipv6Addr;

use guard_tests::{
    Site,
    frame::{Extension, Frame, Ipv6, SYN, Tcp},
};

use crate::scene::{Case, HOST_V6, LISTED_V6, NO_SERVICE, OF_WEB_V6, UNLISTED_V6, WEB, case, cut, sound_in};

const MALFORMED: &str = "- drop malformed";
const TCP: u8 = 6;
const UDP: u8 = 17;
const ETHERNET: usize = 14;
const HEADER: usize = 40;

/// An extension header in the making: one is used up by the frame that it is put in.
type Make = fn() -> Extension;

fn listed() -> Ipv6 {
    Ipv6::new(LISTED_V6, HOST_V6)
}

fn syn(site: &Site, header: Ipv6) -> Vec<u8> {
    site.ethernet().layer(header).tcp(40000, WEB, SYN).build()
}

/// A SYN to the service behind extension headers.
fn behind(site: &Site, source: Ipv6Addr, extensions: impl IntoIterator<Item = Extension>) -> Vec<u8> {
    let frame = site.ethernet().ipv6(source, HOST_V6);
    extensions.into_iter().fold(frame, Frame::layer).tcp(40000, WEB, SYN).build()
}

pub(crate) fn lengths_that_lie_are_malformed(site: &Site) -> Vec<Case> {
    let sound = || sound_in(site, site.ethernet());
    vec![
        case("version 4", syn(site, listed().version(4)), MALFORMED),
        case("version 0", syn(site, listed().version(0)), MALFORMED),
        case("a payload length of zero", syn(site, listed().payload_length(0)), MALFORMED),
        case("a payload length below TCP's header", syn(site, listed().payload_length(19)), MALFORMED),
        case("a payload length beyond the frame", syn(site, listed().payload_length(21)), MALFORMED),
        case("the largest payload length", syn(site, listed().payload_length(u16::MAX)), MALFORMED),
        case("a first byte alone", cut(sound(), ETHERNET + 1), MALFORMED),
        case("a header cut off", cut(sound(), ETHERNET + HEADER - 1), MALFORMED),
        case("a header alone", cut(sound(), ETHERNET + HEADER), MALFORMED),
        case("padding behind the packet", [&sound()[..], &[0; 6]].concat(), "web pass allowed"),
    ]
}

pub(crate) fn extension_headers_are_walked(site: &Site) -> Vec<Case> {
    let chains: [(&str, &[Make]); 11] = [
        ("hop by hop", &[|| Extension::hop_by_hop(&[])]),
        ("routing of type 2", &[|| Extension::routing(2, 0, &[0; 20])]),
        ("segment routing", &[|| Extension::routing(4, 0, &[0; 20])]),
        ("destination", &[|| Extension::destination(&[0; 30])]),
        ("an atomic fragment", &[|| Extension::fragment(0, false, 7)]),
        (
            "an atomic fragment whose reserved octet looks like a length",
            &[|| Extension::fragment(0, false, 7).length(9)],
        ),
        ("authentication", &[Extension::authentication]),
        ("mobility", &[Extension::mobility]),
        ("host identity", &[Extension::host_identity]),
        ("shim6", &[Extension::shim6]),
        (
            "eight of them",
            &[
                || Extension::hop_by_hop(&[]),
                || Extension::destination(&[]),
                || Extension::routing(2, 0, &[0; 20]),
                || Extension::fragment(0, false, 7),
                Extension::authentication,
                Extension::mobility,
                Extension::host_identity,
                || Extension::destination(&[0; 100]),
            ],
        ),
    ];
    let tried = |(name, chain): &(&str, &[Make])| {
        let from = |source| behind(site, source, chain.iter().map(|make| make()));
        [
            case(format!("{name}, listed"), from(LISTED_V6), "web pass allowed"),
            case(format!("{name}, unlisted"), from(UNLISTED_V6), "web drop not_allowed"),
        ]
    };
    chains.iter().flat_map(tried).collect()
}

pub(crate) fn chains_that_lie_are_malformed(site: &Site) -> Vec<Case> {
    let one = |extension| behind(site, LISTED_V6, [extension]);
    let header_cut = |kept: usize| {
        let header = listed().next_header(60).payload_length(u16::try_from(kept).expect("a few bytes"));
        site.ethernet().layer(header).payload(vec![0; kept]).build()
    };
    vec![
        case("nine headers", behind(site, LISTED_V6, (0..9).map(|_| Extension::destination(&[]))), MALFORMED),
        case("routing of type 0", one(Extension::routing(0, 0, &[0; 20])), MALFORMED),
        case("routing of type 0 that is done", one(Extension::routing(0, 1, &[0; 20])), MALFORMED),
        case("a length beyond the packet", one(Extension::destination(&[]).length(4)), MALFORMED),
        case("the largest length", one(Extension::hop_by_hop(&[]).length(255)), MALFORMED),
        case("an authentication header beyond the packet", one(Extension::authentication().length(40)), MALFORMED),
        case("a header of which there is nothing", header_cut(0), MALFORMED),
        case("a header of which there are seven bytes", header_cut(7), MALFORMED),
        case(
            "two fragment headers",
            behind(site, LISTED_V6, [Extension::fragment(0, true, 7), Extension::fragment(0, false, 7)]),
            MALFORMED,
        ),
    ]
}

pub(crate) fn what_ends_the_chain_has_no_ports(site: &Site) -> Vec<Case> {
    let ends: [(&str, Make); 2] = [("ESP", || Extension::encapsulating(1, 1)), ("no next header", Extension::none)];
    let tried = |(name, end): (&str, Make)| {
        let from = |source| {
            let frame = site.ethernet().ipv6(source, HOST_V6).layer(Extension::destination(&[])).layer(end());
            frame.tcp(40000, WEB, SYN).build()
        };
        [
            case(format!("{name}, listed"), from(LISTED_V6), "- pass allowed"),
            case(format!("{name}, unlisted"), from(UNLISTED_V6), "- drop not_allowed"),
        ]
    };
    ends.into_iter().flat_map(tried).collect()
}

pub(crate) fn fragments_are_decided_by_what_they_show(site: &Site) -> Vec<Case> {
    let mut cases = fragments(site, "- pass allowed", "- drop fragment");
    cases.push(case("later, of one service", later(site, OF_WEB_V6, UDP, 185), "- pass allowed"));
    cases
}

pub(crate) fn later_fragments_pass_where_the_default_is_to_pass(site: &Site) -> Vec<Case> {
    fragments(site, "- pass default", "- pass default")
}

/// `passes` and `refused` are the rows of later fragments, from a listed and an unlisted source.
fn fragments(site: &Site, passes: &'static str, refused: &'static str) -> Vec<Case> {
    let first = |source| behind(site, source, [Extension::fragment(0, true, 7)]);
    let short = |protocol, bytes: &[u8]| {
        let fragment = Extension::fragment(0, true, 7).next_header(protocol);
        site.ethernet().layer(listed()).layer(fragment).payload(bytes).build()
    };
    let tcp = Frame::bare().layer(Tcp::new(40000, NO_SERVICE).flags(SYN)).build();
    let udp = Frame::bare().udp(40000, WEB).payload([0; 24]).build();
    let options = Extension::destination(&[]).next_header(TCP);
    vec![
        case("first, listed", first(LISTED_V6), "web pass allowed"),
        case("first, unlisted", first(UNLISTED_V6), "web drop not_allowed"),
        case("first of a datagram longer than itself", short(UDP, &udp[..24]), "web pass allowed"),
        case("first with half a UDP header", short(UDP, &udp[..4]), MALFORMED),
        case("first with sixteen bytes of TCP", short(TCP, &tcp[..16]), MALFORMED),
        // RFC 7112: the whole chain must be in the first fragment.
        case("first with half of the chain", short(60, &Frame::bare().layer(options).build()), MALFORMED),
        case("later, listed", later(site, LISTED_V6, UDP, 185), passes),
        case("later, unlisted", later(site, UNLISTED_V6, UDP, 185), refused),
        case("later of TCP behind its header, listed", later(site, LISTED_V6, TCP, 3), passes),
        case("later of TCP behind its header, unlisted", later(site, UNLISTED_V6, TCP, 3), refused),
        case("later of TCP into its flags", later(site, LISTED_V6, TCP, 1), MALFORMED),
        case("later of TCP into its checksum", later(site, LISTED_V6, TCP, 2), MALFORMED),
    ]
}

/// The last fragment, whose offset counts 8 bytes each; the ports that it seems to hold are the service's.
fn later(site: &Site, source: Ipv6Addr, protocol: u8, offset: u16) -> Vec<u8> {
    let inside = Frame::bare().tcp(40000, WEB, SYN).build();
    let fragment = Extension::fragment(offset, false, 7).next_header(protocol);
    site.ethernet().ipv6(source, HOST_V6).layer(fragment).payload(inside).build()
}
