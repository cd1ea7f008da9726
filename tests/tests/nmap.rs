//! What a port scanner sees from outside: an open port from a listed address, nothing from any other.

use std::time::Duration;

use guard_tests::{Site, in_each_cell, process::Process, server::HttpServer};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_scanner_finds_the_port_open_if_listed_and_filtered_if_not() {
    in_each_cell(|cell| {
        let site = Site::new(cell);
        let [listed, unlisted] = cell.pick(["192.0.2.1", "203.0.113.9"], ["2001:db8:1::1", "2001:db8:9::9"]);
        site.add_sources([listed, unlisted].map(|source| source.parse().unwrap()));
        let _server = HttpServer::start(site.host(), 3000);
        let _guard = site.guard(
            r#"
            allow.ips = ["192.0.2.1", "2001:db8:1::1"]
            service = [{ name = "web", ports = ["tcp/3000"] }]
            "#,
        );
        for (source, state) in [(listed, "open"), (unlisted, "filtered")] {
            let report = scan(&site, source);
            assert!(report.contains(&format!("3000/{state}/tcp")), "from {source}, not {state}: {report}");
        }
    });
}

/// Scans the guarded port from a source by raw SYNs, and returns the report in nmap's form for programs.
fn scan(site: &Site, source: &str) -> String {
    let mut nmap = site.peer().command("nmap");
    nmap.args(site.cell.pick(&[][..], &["-6"])).args(["-Pn", "-n", "-p", "3000", "--max-retries", "1"]);
    nmap.args(["-e", "eth0", "-S", source, "-oG", "-"]).arg(site.address().to_string());
    let finished = Process::finish(nmap, LIMIT);
    assert!(finished.status.success(), "nmap failed: {finished:?}");
    finished.stdout.join("\n")
}
