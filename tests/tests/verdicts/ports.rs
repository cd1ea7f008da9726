//! What a port belongs to: a service with a list of its own, no service, or the way in that stays open.

use guard_tests::{Site, in_each_cell, server::TcpEcho};

use crate::scene::{Attempt, expect, ip};

const POLICY: &str = r#"
    allow.ips = ["192.0.2.1", "192.0.2.66", "2001:db8:1::1", "2001:db8:1::66"]
    deny.ips = ["192.0.2.66", "2001:db8:1::66"]
    [[service]]
    name = "web"
    ports = ["tcp/3000", "tcp/3001"]
    allow = ["198.51.100.7", "2001:db8:2::7"]
    [[service]]
    name = "api"
    ports = ["tcp/4000"]
    [[service]]
    name = "public"
    ports = ["tcp/6000"]
    allow = ["any"]
"#;
const PORTS: [u16; 6] = [22, 3000, 3001, 4000, 5000, 6000];

/// Name, source, port, row of the drop where the default is to pass, and where it is to drop.
const CASES: &[(&str, Source, u16, [Option<&str>; 2])] = &[
    ("listed, to a service", Source::Listed, 3000, [None, None]),
    ("listed, to a service's other port", Source::Listed, 3001, [None, None]),
    ("listed, to another service", Source::Listed, 4000, [None, None]),
    ("listed, to a public service", Source::Listed, 6000, [None, None]),
    ("listed, to no service", Source::Listed, 5000, [None, None]),
    ("listed, to the failsafe port", Source::Listed, 22, [None, None]),
    ("of one service, to it", Source::OfWeb, 3000, [None, None]),
    ("of one service, to its other port", Source::OfWeb, 3001, [None, None]),
    ("of one service, to another", Source::OfWeb, 4000, [Some("api drop not_allowed"); 2]),
    ("of one service, to a public one", Source::OfWeb, 6000, [None, None]),
    ("of one service, to no service", Source::OfWeb, 5000, [None, Some("- drop not_allowed")]),
    ("of one service, to the failsafe port", Source::OfWeb, 22, [None, None]),
    ("unlisted, to a service", Source::Unlisted, 3000, [Some("web drop not_allowed"); 2]),
    ("unlisted, to a service's other port", Source::Unlisted, 3001, [Some("web drop not_allowed"); 2]),
    ("unlisted, to another service", Source::Unlisted, 4000, [Some("api drop not_allowed"); 2]),
    ("unlisted, to a public service", Source::Unlisted, 6000, [None, None]),
    ("unlisted, to no service", Source::Unlisted, 5000, [None, Some("- drop not_allowed")]),
    ("unlisted, to the failsafe port", Source::Unlisted, 22, [None, None]),
    ("denied, to a service", Source::Denied, 3000, [Some("web drop blocked"); 2]),
    ("denied, to a public service", Source::Denied, 6000, [Some("public drop blocked"); 2]),
    ("denied, to no service", Source::Denied, 5000, [Some("- drop blocked"); 2]),
    ("denied, to the failsafe port", Source::Denied, 22, [Some("- drop blocked"); 2]),
];

#[derive(Clone, Copy)]
enum Source {
    Listed,
    OfWeb,
    Unlisted,
    Denied,
}

#[test]
fn a_port_is_open_to_whom_its_service_or_the_default_lets_in() {
    in_each_cell(|cell| {
        for (which, default) in ["pass", "drop"].into_iter().enumerate() {
            let site = Site::new(cell);
            let _servers = PORTS.map(|port| TcpEcho::start(site.host(), port));
            let guard = site.guard(&format!("default = \"{default}\"\n{POLICY}"));
            let attempt = |&(name, source, port, rows): &(_, _, _, [_; 2])| -> Attempt {
                let (v4, v6) = match source {
                    Source::Listed => ("192.0.2.1", "2001:db8:1::1"),
                    Source::OfWeb => ("198.51.100.7", "2001:db8:2::7"),
                    Source::Unlisted => ("203.0.113.9", "2001:db8:9::9"),
                    Source::Denied => ("192.0.2.66", "2001:db8:1::66"),
                };
                (name, ip(cell.pick(v4, v6)), port, rows[which])
            };
            expect(&site, &guard, &CASES.iter().map(attempt).collect::<Vec<_>>());
        }
    });
}
