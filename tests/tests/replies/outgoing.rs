//! A host whose default is to drop uses the network as before, while a scanner finds nothing but the failsafe port.

use std::{net::IpAddr, path::Path, thread, time::Duration};

use guard_tests::{
    Counters, client, in_each_family,
    process::Process,
    server::{DnsServer, HttpServer, TcpEcho, UdpEcho},
};
use nix::mount::{MsFlags, mount};
use serde_json::Value;

use crate::scene::{DROP, SOON, Scene, run};

const MEGABYTES: usize = 4 << 20;
const NAME: &str = "web.example.test";
/// How long a slow machine may take over all ports.
const SCAN: Duration = Duration::from_secs(60);

#[test]
fn the_host_is_usable_and_a_scanner_finds_only_the_failsafe_port() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let to_be_found = [22, 3000, 5000, 50_000];
        let _open = to_be_found.map(|port| TcpEcho::start(scene.host(), port));
        let outside = Outside::start(&scene);
        let guard = scene.site.guard(DROP);

        let mut rounds = 0;
        thread::scope(|scope| {
            let scan = scope.spawn(|| scan(&scene, scene.stranger, &["-p-", "--min-rate", "15000"]));
            loop {
                outside.assert_answers(&scene);
                rounds += 1;
                if scan.is_finished() {
                    break;
                }
            }
            let report = scan.join().unwrap();
            assert_eq!(open_ports(&report), [22], "{report:#?}");
        });
        println!("{cell}: {rounds} rounds of questions during the scan");
        let report = scan(&scene, scene.office, &["-p", "22,3000,5000,50000"]);
        assert_eq!(open_ports(&report), to_be_found, "what the scanner would find: {report:#?}");

        let counters = Counters::read(&guard);
        assert!(counters.packets("- pass reply") > rounds * 10, "{counters:?}");
        let dropped = counters.with_verdict("drop");
        assert!(dropped.keys().eq(["- drop not_allowed", "web drop not_allowed"]), "{counters:?}");
        assert!(dropped["- drop not_allowed"] > 65_000, "{counters:?}");
        let stranger = scene.stranger.to_string();
        guard.wait_for_eve(|event| event["src_ip"] == stranger);
        let others = |line: &&Value| line["event_type"] == "drop" && line["src_ip"] != stranger;
        assert_eq!(guard.eve().iter().find(others), None, "somebody else was blocked");
    });
}

/// Services at the peer's address outside.
struct Outside {
    _web: HttpServer,
    names: DnsServer,
    _time: UdpEcho,
}

impl Outside {
    fn start(scene: &Scene) -> Self {
        use_name_server(scene);
        Self {
            _web: HttpServer::start(scene.peer(), 8080),
            names: DnsServer::start(scene.peer(), scene.outside, NAME, scene.outside),
            _time: UdpEcho::start_at(scene.peer(), scene.outside_at(123)),
        }
    }

    fn assert_answers(&self, scene: &Scene) {
        let (own, outside) = (scene.site.address(), scene.outside);
        scene.connection_out(0, 9000).assert_carries_bytes(MEGABYTES, "a connection of the host's own");

        let time_query = [&[0x23][..], &[0; 47]].concat();
        let answer = client::udp_exchange(scene.host(), own, scene.outside_at(123), &time_query, SOON);
        assert_eq!(answer.ok().flatten(), Some(time_query), "no answer to NTP's question");
        let answered = client::ping(scene.host(), own, outside, 1, Duration::ZERO, SOON);
        assert_eq!(answered.ok(), Some(1), "no answer to an echo request");

        let queries = self.names.queries();
        let family = scene.site.cell.pick("ahostsv4", "ahostsv6");
        let resolved = run(scene.host(), "getent", &[family, NAME]);
        assert!(resolved.stdout.iter().any(|line| line.starts_with(&outside.to_string())), "{resolved:?}");
        assert!(self.names.queries() > queries, "nobody asked the name server");
        let fetched = run(scene.host(), "curl", &["--silent", "--show-error", &format!("http://{NAME}:8080/")]);
        assert_eq!(fetched.stdout, [own.to_string()], "{fetched:?}");
    }
}

/// Has the guarded host resolve names at the peer and by nothing else.
fn use_name_server(scene: &Scene) {
    scene.host().write("etc/resolv.conf", format!("nameserver {}\noptions timeout:10\n", scene.outside));
    scene.host().write("etc/nsswitch.conf", "hosts: dns\n");
    let own = scene.host().directory().join("etc");
    let none = None::<&str>;
    let mounted = scene.host().enter(|| mount(Some(&own), Path::new("/etc"), none, MsFlags::MS_BIND, none));
    mounted.expect("a host has its own mounts");
}

/// Scans the guarded host from an address of the peer by raw SYNs, and returns the report in nmap's form for programs.
fn scan(scene: &Scene, source: IpAddr, ports: &[&str]) -> Vec<String> {
    let mut nmap = scene.peer().command("nmap");
    nmap.args(scene.site.cell.pick(&[][..], &["-6"])).args(["-Pn", "-n", "--max-retries", "1", "-sS"]).args(ports);
    nmap.args(["-e", "eth0", "-S", &source.to_string(), "-oG", "-"]).arg(scene.site.address().to_string());
    let finished = Process::finish(nmap, SCAN);
    assert!(finished.status.success(), "nmap failed: {finished:?}");
    finished.stdout
}

fn open_ports(report: &[String]) -> Vec<u16> {
    let ports = report.iter().filter_map(|line| line.split_once("Ports: ")).flat_map(|(_, ports)| ports.split(", "));
    let open = ports.filter_map(|port| port.split_once("/open/")).map(|(port, _)| port);
    open.map(|port| port.parse().expect("a port is a number")).collect()
}
