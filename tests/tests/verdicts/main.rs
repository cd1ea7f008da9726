//! Who reaches what: every rule of the policy with real connections, and what guard counts and reports of them.

mod modes;
mod portless;
mod ports;
mod prefixes;
mod scene;

use guard_tests::{
    Counters, Site, Sniffer,
    client::{self, Outcome},
    in_each_cell,
    server::HttpServer,
    wire,
};
use scene::{SHORTLY, SOON, ip};

#[test]
fn a_listed_source_is_served_and_an_unlisted_one_gets_nothing() {
    in_each_cell(|cell| {
        let site = Site::new(cell);
        let listed = ip(cell.pick("192.0.2.1", "2001:db8:1::1"));
        let unlisted = ip(cell.pick("203.0.113.9", "2001:db8:9::9"));
        site.add_sources([listed, unlisted]);
        let server = HttpServer::start(site.host(), 3000);
        let guard = site.guard(
            r#"
            allow.ips = ["192.0.2.1", "2001:db8:1::1"]
            [[service]]
            name = "web"
            ports = ["tcp/3000"]
            "#,
        );
        let seen = Sniffer::start(site.host(), "eth0", move |frame| {
            // By ICMPv6 it asks for its neighbour.
            wire::source(frame) == Some(unlisted) && !wire::is_icmpv6(frame)
        });

        let body = client::http_get(site.peer(), listed, site.at(3000), SOON).unwrap();
        assert_eq!(body, listed.to_string());
        assert_eq!(client::connects(site.peer(), unlisted, site.at(3000), SHORTLY), Outcome::TimedOut);

        let counters = Counters::read(&guard);
        assert_eq!(counters.packets("web drop not_allowed"), 1, "{counters:?}");
        assert!(counters.packets("web pass allowed") >= 5, "{counters:?}");
        assert_eq!((seen.stop(), server.clients()), (0, vec![listed]));
        let line = guard.wait_for_eve(|event| event["event_type"] == "drop");
        assert_eq!(line["src_ip"], unlisted.to_string(), "{line}");
        assert_eq!(line["dest_ip"], site.address().to_string(), "{line}");
        assert_eq!((&line["dest_port"], &line["proto"]), (&3000.into(), &"TCP".into()), "{line}");
        assert_eq!((&line["in_iface"], &line["drop"]["syn"]), (&"eth0".into(), &true.into()), "{line}");
        assert_eq!((&line["guard"]["service"], &line["guard"]["mode"]), (&"web".into(), &"enforce".into()), "{line}");
        assert_eq!((&line["guard"]["reason"], &line["guard"]["count"]), (&"not_allowed".into(), &1.into()), "{line}");
    });
}
