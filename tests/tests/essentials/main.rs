//! What a host cannot live without passes under the strictest policy, and what only looks like it does not.

mod ipv4;
mod ipv6;
mod link_types;

use std::{net::IpAddr, time::Duration};

use guard_tests::{
    Counters, Guard, Probe, Site, Sniffer,
    client::{self, Outcome},
    in_each_cell,
    server::HttpServer,
    wire,
};

const SOON: Duration = Duration::from_secs(10);
/// How long a connection is waited for that must not come; before a SYN is sent again, so that one is counted.
const SHORTLY: Duration = Duration::from_millis(400);

const POLICY: &str = r#"
    default = "drop"
    failsafe_ports = []
    allow.ips = ["192.0.2.1", "2001:db8:1::1"]
    service = [{ name = "web", ports = ["tcp/3000"] }]
"#;

/// A named frame and the row of the counters that it comes under.
type Case = (&'static str, Vec<u8>, &'static str);

const ESSENTIAL: &str = "- pass essential";

#[test]
fn essential_packets_pass_and_near_misses_do_not() {
    in_each_cell(|cell| {
        let site = Site::with_silent_peer(cell);
        let guard = site.guard(POLICY);
        let cases: fn(&Site) -> Vec<Case> = cell.pick(ipv4::cases, ipv6::cases);
        Probe::new(&site, &guard).expect(cases(&site));
    });
}

#[test]
fn neighbours_find_each_other_from_empty_tables() {
    in_each_cell(|cell| {
        let site = Site::new(cell);
        let [listed, unlisted]: [IpAddr; 2] = cell
            .pick(["192.0.2.1", "203.0.113.9"], ["2001:db8:1::1", "2001:db8:9::9"])
            .map(|text| text.parse().unwrap());
        site.add_sources([listed, unlisted]);
        let server = HttpServer::start(site.host(), 3000);
        let guard = site.guard(POLICY);

        forget_neighbours(&site);
        assert_eq!(client::http_get(site.peer(), listed, site.at(3000), SOON).unwrap(), listed.to_string());

        forget_neighbours(&site);
        let seen = Sniffer::start(site.host(), "eth0", move |frame| {
            // By ICMPv6 it asks for its neighbour.
            wire::source(frame) == Some(unlisted) && !wire::is_icmpv6(frame)
        });
        assert_eq!(client::connects(site.peer(), unlisted, site.at(3000), SHORTLY), Outcome::TimedOut);
        assert!(knows(&site, site.address()), "nobody told the unlisted one where {} is", site.address());
        assert_eq!((dropped(&guard), seen.stop(), server.clients()), (1, 0, vec![listed]));
    });
}

fn dropped(guard: &Guard) -> u64 {
    Counters::read(guard).packets("web drop not_allowed")
}

fn forget_neighbours(site: &Site) {
    for host in [site.host(), site.peer()] {
        host.ip(&["neigh", "flush", "all"]);
    }
    assert!(!knows(site, site.address()), "the neighbour tables are not empty");
}

/// Tells whether the peer has the Ethernet address of a neighbour.
fn knows(site: &Site, neighbour: IpAddr) -> bool {
    site.peer().ip(&["neigh", "show", &neighbour.to_string()]).contains("lladdr")
}
