//! Monitor mode: decided, counted and reported the same, and passed.

use guard_tests::{
    Counters, Probe, Site,
    client::{self, Outcome},
    frame::{Extension, Frame},
    in_each_cell,
    server::TcpEcho,
};

use crate::scene::{SHORTLY, SOON, ip};

#[test]
fn monitor_mode_passes_what_it_reports() {
    // The mode of all, of the service `own`, and then what becomes of an unlisted source at `own`, `web` and port 5000.
    let cases = [
        ("monitor", "monitor", [true, true, true]),
        ("monitor", "enforce", [false, true, true]),
        ("enforce", "monitor", [true, false, false]),
    ];
    in_each_cell(|cell| {
        for (mode, own_mode, passes) in cases {
            let site = Site::new(cell);
            // One for each port: lines are merged by source and reason.
            let unlisted = [9, 10, 11].map(|last| ip(&format!("{}{last}", cell.pick("203.0.113.", "2001:db8:9::"))));
            site.add_sources(unlisted);
            let _servers = [2000, 3000, 5000].map(|port| TcpEcho::start(site.host(), port));
            let guard = site.guard(&format!(
                r#"
                mode = "{mode}"
                default = "drop"
                allow.ips = ["192.0.2.1"]
                service = [
                    {{ name = "own", ports = ["tcp/2000"], mode = "{own_mode}" }},
                    {{ name = "web", ports = ["tcp/3000"] }},
                ]
                "#
            ));
            let targets = [("own", 2000), ("web", 3000), ("-", 5000)];
            for (((service, port), passes), source) in targets.into_iter().zip(passes).zip(unlisted) {
                let case = format!("{mode}, own {own_mode}, port {port}");
                let (outcome, verdict, line_mode, limit) = match passes {
                    true => (Outcome::Connected, "monitor", "monitor", SOON),
                    false => (Outcome::TimedOut, "drop", "enforce", SHORTLY),
                };
                let at = site.at(port);
                assert_eq!(client::connects(site.peer(), source, at, limit), outcome, "{case}");
                let counters = Counters::read(&guard);
                assert!(counters.packets(&format!("{service} {verdict} not_allowed")) > 0, "{case}: {counters:?}");
                let other = if passes { "drop" } else { "monitor" };
                assert_eq!(counters.packets(&format!("{service} {other} not_allowed")), 0, "{case}: {counters:?}");
                let line = guard.wait_for_eve(|event| event["dest_port"] == port);
                assert_eq!(
                    (&line["event_type"], &line["guard"]["mode"]),
                    (&"drop".into(), &line_mode.into()),
                    "{case}"
                );
            }
        }
    });
}

/// A packet to port 3000 that Linux understands although guard's parser gives up on it.
fn understood_by_linux(site: &Site) -> Vec<u8> {
    let source = ip(site.cell.pick("203.0.113.9", "2001:db8:9::9"));
    let frame = match source.is_ipv4() {
        true => site.ethernet().vlan(0).vlan(0).vlan(0).ip(source, site.address()),
        false => {
            let nine_headers = |frame: Frame, _| frame.layer(Extension::destination(&[]));
            (0..9).fold(site.packet(source), nine_headers)
        }
    };
    frame.udp(1234, 3000).build()
}

#[test]
fn malformed_packets_pass_only_where_nothing_is_enforced() {
    in_each_cell(|cell| {
        for (own_mode, row) in [("enforce", "- drop malformed"), ("monitor", "- monitor malformed")] {
            let site = Site::with_silent_peer(cell);
            let guard = site.guard(&format!(
                r#"
                mode = "monitor"
                allow.ips = ["192.0.2.1"]
                service = [{{ name = "own", ports = ["udp/3000"], mode = "{own_mode}" }}]
                "#
            ));
            Probe::new(&site, &guard).expect([(own_mode, understood_by_linux(&site), row)]);
        }
    });
}
