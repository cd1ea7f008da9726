//! Addresses that cannot be real, as sources and destinations.

use std::net::IpAddr;

use guard_tests::{Family, Site, frame::SYN};

use crate::scene::{Case, NO_SERVICE, Source, WEB, case};

const V4_SOURCES: &[(&str, &str)] = &[
    ("loopback", "127.0.0.1"),
    ("the last loopback", "127.255.255.255"),
    ("multicast", "224.0.0.1"),
    ("the last multicast", "239.255.255.255"),
    ("unspecified", "0.0.0.0"),
    ("of this network", "0.1.2.3"),
    ("broadcast", "255.255.255.255"),
    ("an own address", "10.0.0.1"),
];
const V6_SOURCES: &[(&str, &str)] = &[
    ("loopback", "::1"),
    ("multicast", "ff02::1"),
    ("the last multicast", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("unspecified", "::"),
    ("mapped", "::ffff:192.0.2.1"),
    ("compatible", "::192.0.2.1"),
    ("an own address", "2001:db8::1"),
];

const V4_DESTINATIONS: &[(&str, &str)] = &[("loopback", "127.0.0.1"), ("the last loopback", "127.255.255.255")];
const V6_DESTINATIONS: &[(&str, &str)] =
    &[("loopback", "::1"), ("mapped", "::ffff:10.0.0.1"), ("compatible", "::10.0.0.1"), ("unspecified", "::")];

/// Sources next to those that cannot be real.
const V4_NEIGHBOURS: &[&str] = &["1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "10.0.0.2"];
const V6_NEIGHBOURS: &[&str] = &["::1:0:0:1", "::fffe:c000:201", "feff::1", "2001:db8::2"];

pub(crate) fn addresses_that_cannot_be_real_are_spoofed(site: &Site) -> Vec<Case> {
    let cell = site.cell;
    let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
    let (host, listed) = (site.address(), Source::Listed.address(cell));
    let syn = |from: IpAddr, to: IpAddr, port| site.ethernet().ip(from, to).tcp(40000, port, SYN).build();
    let mut cases = Vec::new();
    for (name, source) in cell.pick(V4_SOURCES, V6_SOURCES) {
        let source = parse(source);
        cases.push(case(format!("source {name}"), syn(source, host, WEB), "web drop spoofed"));
        cases.push(case(format!("source {name}, no service"), syn(source, host, NO_SERVICE), "- drop spoofed"));
    }
    for (name, destination) in cell.pick(V4_DESTINATIONS, V6_DESTINATIONS) {
        cases.push(case(format!("destination {name}"), syn(listed, parse(destination), WEB), "web drop spoofed"));
    }
    for source in cell.pick(V4_NEIGHBOURS, V6_NEIGHBOURS) {
        cases.push(case(format!("source {source}"), syn(parse(source), host, WEB), "web drop not_allowed"));
    }
    let group = parse(cell.pick("224.0.0.251", "ff02::fb"));
    cases.push(case("destination multicast", syn(listed, group, NO_SERVICE), "- pass default"));
    if cell.family == Family::V6 {
        let link_local = own_link_local(site);
        cases.push(case("source the own link-local address", syn(link_local, host, WEB), "web drop spoofed"));
    }
    cases
}

/// What the kernel gave the guarded interface by itself.
fn own_link_local(site: &Site) -> IpAddr {
    let listing = site.host().ip(&["-6", "-brief", "addr", "show", "dev", "eth0", "scope", "link"]);
    let address = listing.split_whitespace().find_map(|word| word.strip_suffix("/64"));
    address.and_then(|address| address.parse().ok()).expect("an interface has a link-local address")
}
