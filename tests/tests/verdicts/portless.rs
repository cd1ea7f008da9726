//! Packets without ports are held to the union of all lists, where the default is not to pass them.

use std::net::IpAddr;

use guard_tests::{
    Cell, Probe, Site,
    frame::{Frame, Icmp, Ipv4, Ipv6},
    in_each_cell,
};

use crate::scene::ip;

const GRE: u8 = 47;
const SCTP: u8 = 132;

/// Name, source of either family, row where the default is to pass, and where it is to drop.
const CASES: &[(&str, [&str; 2], [&str; 2])] = &[
    ("listed", ["192.0.2.1", "2001:db8:1::1"], ["- pass default", "- pass allowed"]),
    ("of one service", ["198.51.100.7", "2001:db8:2::7"], ["- pass default", "- pass allowed"]),
    ("unlisted", ["203.0.113.9", "2001:db8:9::9"], ["- pass default", "- drop not_allowed"]),
    ("denied", ["192.0.2.66", "2001:db8:1::66"], ["- drop blocked", "- drop blocked"]),
];

#[test]
fn packets_without_ports_come_from_any_list_or_by_default() {
    in_each_cell(|cell| {
        for (which, default) in ["pass", "drop"].into_iter().enumerate() {
            let site = Site::with_silent_peer(cell);
            let guard = site.guard(&format!(
                r#"
                default = "{default}"
                allow.ips = ["192.0.2.0/24", "2001:db8:1::/64"]
                deny.ips = ["192.0.2.66", "2001:db8:1::66"]
                [[service]]
                name = "web"
                ports = ["tcp/3000"]
                allow = ["198.51.100.7", "2001:db8:2::7"]
                "#
            ));
            let mut probe = Probe::new(&site, &guard);
            for (name, [v4, v6], rows) in CASES {
                let row = rows[which];
                probe.expect(packets(&site, cell, v4, v6).map(|(kind, frame)| {
                    (format!("{kind} of a source that is {name}, default {default}"), frame.build(), row)
                }));
            }
        }
    });
}

fn packets(site: &Site, cell: Cell, v4: &str, v6: &str) -> [(&'static str, Frame); 4] {
    let source = ip(cell.pick(v4, v6));
    let protocol = |number: u8| {
        let base = site.ethernet();
        match (source, site.address()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => base.layer(Ipv4::new(from, to).protocol(number)),
            (IpAddr::V6(from), IpAddr::V6(to)) => base.layer(Ipv6::new(from, to).next_header(number)),
            _ => unreachable!("both are of the cell's family"),
        }
    };
    let echo = cell.pick(Icmp::echo_request_v4(1, 1), Icmp::echo_request_v6(1, 1));
    [
        ("an echo request", site.packet(source).layer(echo)),
        ("GRE", protocol(GRE).payload([0, 0, 0x08, 0, 1, 2, 3, 4])),
        ("SCTP", protocol(SCTP).payload([0; 12])),
        ("an unknown protocol", protocol(253)),
    ]
}
