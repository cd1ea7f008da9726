//! The limits that the guarded applications' own variables ask for, with web clients.

use std::net::IpAddr;

use guard_tests::{Cell, Counters, Guard, Options, Site, client, in_each_family, server::HttpServer};

use super::scene::{SHORTLY, SOON, quiet, source};

const ALLOWED: (&str, &str) = ("ALLOWED_IPS", "198.51.100.0/22,2001:db8:51::/48");

/// A guarded host with a policy by environment, and a client with three addresses.
fn scene(cell: Cell, config: Option<&str>, env: &[(&str, &str)]) -> (Site, Guard, [IpAddr; 3]) {
    let site = Site::new(cell);
    let sources = [1, 2, 3].map(|number| source(cell, number));
    site.add_sources(sources);
    let guard = Guard::run(site.host(), Options { config, env, ..Options::default() });
    (site, guard, sources)
}

/// Makes so many requests over a connection each, and tells how many were answered before the first that was not.
fn answered(site: &Site, source: IpAddr, port: u16, requests: usize) -> usize {
    let fetch = |_: &usize| client::http_get(site.peer(), source, site.at(port), SHORTLY).is_ok();
    (0..requests).take_while(fetch).count()
}

#[test]
fn auth_and_data_have_limits_of_their_own() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let env = [ALLOWED, ("AUTH_RATE_LIMIT_MAX", "10"), ("DATA_RATE_LIMIT_MAX", "100")];
        let config = "interfaces = ['eth0']\n\
            [[service]]\nname = 'auth'\nports = ['tcp/8001']\n\
            [[service]]\nname = 'data'\nports = ['tcp/8002']\n\
            [[service]]\nname = 'other'\nports = ['tcp/8003']\n";
        let (site, guard, [first, second, _]) = scene(cell, Some(config), &env);
        let servers = [8001, 8002, 8003].map(|port| HttpServer::start(site.host(), port));
        for source in [first, second] {
            let passed =
                [(8001, 12), (8002, 102), (8003, 120)].map(|(port, requests)| answered(&site, source, port, requests));
            println!("{cell}: of 12, 102 and 120 connections passed {passed:?}, expected [10, 100, 120]");
            assert_eq!(passed, [10, 100, 120], "{cell}");
        }
        assert_eq!(servers.map(|server| server.requests()), [20, 200, 240], "{cell}");
        let counters = Counters::read(&guard);
        let dropped = ["auth", "data", "other"].map(|name| counters.packets(&format!("{name} drop rate_connections")));
        assert_eq!(dropped, [2, 2, 0], "{cell}: {counters:?}");
        let line = guard.wait_for_eve(|line| line["guard"]["service"] == "auth" && line["event_type"] == "drop");
        assert_eq!(line["guard"]["reason"], "rate_connections", "{cell}: {line}");
    });
}

#[test]
fn so_many_requests_in_a_window() {
    let _quiet = quiet();
    in_each_family(|cell| {
        // The application's 100, in a window so long that nothing comes back while the test runs.
        let limit = [("RATE_LIMIT_MAX_REQUESTS", "100"), ("RATE_LIMIT_WINDOW_MS", "900000")];
        let env = [[ALLOWED, ("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000")].as_slice(), &limit].concat();
        let (site, guard, [first, second, third]) = scene(cell, None, &env);
        let server = HttpServer::start(site.host(), 3000);
        // A connection that is there goes on, whatever becomes of new ones.
        let mut open = client::connect(site.peer(), third, site.at(3000), SOON).unwrap();
        for (source, expected) in [(first, 100), (second, 100), (third, 99)] {
            let passed = answered(&site, source, 3000, 120);
            println!("{cell}: of 120 connections from {source} passed {passed}, expected {expected}");
            assert_eq!(passed, expected, "{cell}: {source}");
        }
        client::http_get_on(&mut open, site.at(3000), SOON).expect("an open connection goes on");
        assert_eq!(server.requests(), 300, "{cell}");
        let counters = Counters::read(&guard);
        let dropped = counters.with_verdict("drop");
        assert_eq!(
            dropped.into_iter().map(|(row, packets)| (row.ends_with(" rate_connections"), packets)).collect::<Vec<_>>(),
            [(true, 3)],
            "{cell}"
        );
    });
}
