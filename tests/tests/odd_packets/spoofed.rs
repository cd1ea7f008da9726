//! Addresses that cannot be real, as sources and destinations.

use guard_tests::{Family, Site, frame::SYN};

use crate::scene::{Case, HOST_V4, HOST_V6, LISTED_V4, LISTED_V6, NO_SERVICE, WEB, case};

const SPOOFED: &str = "web drop spoofed";

pub(crate) fn addresses_that_cannot_be_real_are_spoofed(site: &Site) -> Vec<Case> {
    let v4_sources = [
        ("loopback", [127, 0, 0, 1]),
        ("the last loopback", [127, 255, 255, 255]),
        ("multicast", [224, 0, 0, 1]),
        ("the last multicast", [239, 255, 255, 255]),
        ("unspecified", [0, 0, 0, 0]),
        ("of this network", [0, 1, 2, 3]),
        ("broadcast", [255, 255, 255, 255]),
        ("an own address", HOST_V4.octets()),
    ];
    let v6_sources = [
        ("loopback", "::1"),
        ("multicast", "ff02::1"),
        ("the last multicast", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("unspecified", "::"),
        ("mapped", "::ffff:192.0.2.1"),
        ("compatible", "::192.0.2.1"),
        ("an own address", "2001:db8::1"),
    ];
    let v4 = |source: [u8; 4], to: [u8; 4], port| site.ethernet().ipv4(source, to).tcp(40000, port, SYN).build();
    let v6 = |source: &str, to: &str, port| {
        let [source, to] = [source, to].map(|text| text.parse::<std::net::Ipv6Addr>().unwrap());
        site.ethernet().ipv6(source, to).tcp(40000, port, SYN).build()
    };
    let (host_v6, listed_v6) = (HOST_V6.to_string(), LISTED_V6.to_string());
    let mut cases = Vec::new();
    match site.cell.family {
        Family::V4 => {
            for (name, source) in v4_sources {
                cases.push(case(format!("source {name}"), v4(source, HOST_V4.octets(), WEB), SPOOFED));
                let unnamed = v4(source, HOST_V4.octets(), NO_SERVICE);
                cases.push(case(format!("source {name}, to no service"), unnamed, "- drop spoofed"));
            }
            let listed = LISTED_V4.octets();
            cases.push(case("destination loopback", v4(listed, [127, 0, 0, 1], WEB), SPOOFED));
            cases.push(case("destination multicast", v4(listed, [224, 0, 0, 251], NO_SERVICE), "- pass default"));
            cases.push(case(
                "source behind loopback",
                v4([128, 0, 0, 1], HOST_V4.octets(), WEB),
                "web drop not_allowed",
            ));
            cases.push(case(
                "source before multicast",
                v4([223, 255, 255, 255], HOST_V4.octets(), WEB),
                "web drop not_allowed",
            ));
        }
        Family::V6 => {
            for (name, source) in v6_sources {
                cases.push(case(format!("source {name}"), v6(source, &host_v6, WEB), SPOOFED));
                let unnamed = v6(source, &host_v6, NO_SERVICE);
                cases.push(case(format!("source {name}, to no service"), unnamed, "- drop spoofed"));
            }
            let link_local = own_link_local(site);
            cases.push(case("source the own link-local address", v6(&link_local, &host_v6, WEB), SPOOFED));
            for (name, to) in [("loopback", "::1"), ("mapped", "::ffff:10.0.0.1"), ("compatible", "::10.0.0.1")] {
                cases.push(case(format!("destination {name}"), v6(&listed_v6, to, WEB), SPOOFED));
            }
            cases.push(case("destination multicast", v6(&listed_v6, "ff02::fb", NO_SERVICE), "- pass default"));
            cases.push(case("source behind the mapped", v6("::1:0:0:1", &host_v6, WEB), "web drop not_allowed"));
            cases.push(case("source before multicast", v6("feff::1", &host_v6, WEB), "web drop not_allowed"));
        }
    }
    cases
}

/// What the kernel gave the guarded interface by itself.
fn own_link_local(site: &Site) -> String {
    let listing = site.host().ip(&["-6", "-brief", "addr", "show", "dev", "eth0", "scope", "link"]);
    let address = listing.split_whitespace().find(|word| word.starts_with("fe80:"));
    address.and_then(|address| address.split('/').next()).expect("an interface has a link-local address").into()
}
