//! What was open before guard came, who must not come back, and where what leaves is noted: a host that drops by default, with a
//! container behind it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use guard_tests::{Guard, Host, Link, Options, wait::eventually};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);
/// Far longer than a packet takes, and than the daemon takes to look at ports again.
const SILENCE: Duration = Duration::from_millis(2_500);

const OWN: &str = "192.0.2.1";
const FAR: &str = "192.0.2.9";
const CONTAINER: &str = "172.17.0.2";

const RULES: &str = r#"
table ip test {
    chain in { type nat hook prerouting priority dstnat; iifname "eth0" tcp dport 8081 dnat to 172.17.0.2:80; }
    chain out { type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }
}"#;

/// A guarded host, its container, and somebody far away.
struct Scene {
    host: Host,
    container: Host,
    far: Host,
    _wires: [Link; 2],
}

impl Scene {
    fn new() -> Self {
        let [host, container, far] = ["host", "container", "far"].map(Host::new);
        let inner = Link::between(&host, "bridge", &container, "eth0");
        let outer = Link::between(&host, "eth0", &far, "eth0");
        inner.left.add_address("172.17.0.1/16");
        inner.right.add_address(format!("{CONTAINER}/16"));
        outer.left.add_address(format!("{OWN}/24"));
        outer.right.add_address(format!("{FAR}/24"));
        container.ip(&["route", "add", "default", "via", "172.17.0.1"]);
        host.sysctl("net/ipv4/ip_forward", "1");
        let rules = host.write("rules.nft", RULES);
        let loaded = host.command("nft").arg("-f").arg(rules).output().expect("nft can be started");
        assert!(loaded.status.success(), "nft: {}", String::from_utf8_lossy(&loaded.stderr));
        Self { host, container, far, _wires: [inner, outer] }
    }

    fn guard(&self, allow: &str) -> Guard {
        Guard::run(&self.host, Options { config: Some(&config(allow)), ..Options::default() })
    }

    fn reload(&self, guard: &Guard, config: &str) {
        self.host.write("default.toml", config);
        let answer = guard.ask(&["reload"]);
        assert!(answer.status.success(), "{answer:?}");
    }
}

fn config(allow: &str) -> String {
    format!(
        "interfaces = [\"eth0\"]\ndefault = \"drop\"\nallow.ips = [{allow}]\n\
         service = [{{ name = \"web\", ports = [\"tcp/3000\"] }}]\n"
    )
}

/// A connection by TCP: the one who opened it, and the other end.
struct Pair {
    opener: TcpStream,
    other: TcpStream,
}

impl Pair {
    fn open(from: &Host, listens: &Host, port: u16, by: SocketAddr) -> Self {
        let listener = listens.enter(|| TcpListener::bind(("0.0.0.0", port)).expect("the port is free"));
        let opener = from.enter(|| TcpStream::connect_timeout(&by, SOON).expect("somebody listens"));
        let other = listener.accept().expect("somebody connected").0;
        for stream in [&opener, &other] {
            stream.set_read_timeout(Some(SILENCE)).expect("a socket takes a time limit");
        }
        Self { opener, other }
    }
}

/// Tells whether what one end sends arrives at the other.
fn arrives(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_all(b"?").expect("a connection takes a byte");
    to.read(&mut [0]).is_ok_and(|length| length == 1)
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

/// Where what leaves is noted, as the status has it.
fn exits(guard: &Guard) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let exits = guard.status()["exits"].as_array().expect("a list").clone();
    exits.iter().map(|exit| format!("{} {}", text(&exit["name"]), text(&exit["hook"]))).collect()
}

#[test]
fn what_was_opened_before_goes_on_and_what_strangers_opened_does_not() {
    let scene = Scene::new();
    let Scene { host, container, far, .. } = &scene;
    let mut own = Pair::open(host, far, 7001, at(FAR, 7001));
    let mut forwarded = Pair::open(container, far, 7002, at(FAR, 7002));
    let mut stranger = Pair::open(far, host, 9001, at(OWN, 9001));
    let mut published = Pair::open(far, container, 80, at(OWN, 8081));
    let asked = far.enter(|| UdpSocket::bind((FAR, 5300)).unwrap());
    let asking = host.enter(|| UdpSocket::bind((OWN, 0)).unwrap());
    asking.connect(at(FAR, 5300)).unwrap();
    asking.set_read_timeout(Some(SILENCE)).unwrap();

    let mut guard = scene.guard("\"198.51.100.1\"");
    assert_eq!(exits(&guard), ["eth0 tcx"]);
    for run in ["the first run", "the next one"] {
        assert!(arrives(&mut own.other, &mut own.opener), "{run}: an answer to the host");
        assert!(arrives(&mut forwarded.other, &mut forwarded.opener), "{run}: an answer to the container");
        asked.send_to(b"!", asking.local_addr().unwrap()).unwrap();
        assert!(asking.recv(&mut [0]).is_ok(), "{run}: an answer by UDP");
        assert!(!arrives(&mut stranger.opener, &mut stranger.other), "{run}: a stranger's");
        assert!(!arrives(&mut published.opener, &mut published.other), "{run}: a stranger's by a published port");
        // What leaves there opens no way in.
        published.other.write_all(b"!").unwrap();
        stranger.other.write_all(b"!").unwrap();
        assert!(!arrives(&mut stranger.opener, &mut stranger.other), "{run}: a stranger's, answered");
        assert!(!arrives(&mut published.opener, &mut published.other), "{run}: by a published port, answered");
        let flows = guard.status()["flows"].as_u64().expect("a number");
        assert!((3..10).contains(&flows), "{run}: {flows} flows");
        guard.kill();
        guard = scene.guard("\"198.51.100.1\"");
    }
    assert_eq!(Pair::open(host, far, 7003, at(FAR, 7003)).other.peer_addr().unwrap().ip().to_string(), OWN);
}

#[test]
fn a_client_that_is_cut_does_not_come_back_by_a_published_port() {
    let everybody = format!("\"{FAR}\", \"198.51.100.1\"");
    let cut = "\"198.51.100.1\"";
    for way in ["reload", "restart"] {
        let scene = Scene::new();
        let mut guard = scene.guard(&everybody);
        let mut client = Pair::open(&scene.far, &scene.container, 80, at(OWN, 8081));
        assert!(arrives(&mut client.opener, &mut client.other) && arrives(&mut client.other, &mut client.opener));
        let mut own = Pair::open(&scene.host, &scene.far, 7001, at(FAR, 7001));
        match way {
            "reload" => scene.reload(&guard, &config(cut)),
            _ => {
                guard.kill();
                guard = scene.guard(cut);
            }
        }
        for _ in 0..2 {
            client.other.write_all(b"!").unwrap();
            assert!(!arrives(&mut client.opener, &mut client.other), "{way}");
        }
        // What this host opened itself goes on with its next packet out.
        assert!(arrives(&mut own.opener, &mut own.other) && arrives(&mut own.other, &mut own.opener), "{way}");
        drop(guard);
    }
}

#[test]
fn a_reload_that_turns_to_drop_knows_what_is_open() {
    let scene = Scene::new();
    let pass = config("\"198.51.100.1\"").replace("default = \"drop\"", "default = \"pass\"");
    let guard = Guard::run(&scene.host, Options { config: Some(&pass), ..Options::default() });
    let mut own = Pair::open(&scene.host, &scene.far, 7001, at(FAR, 7001));
    let mut stranger = Pair::open(&scene.far, &scene.host, 9001, at(OWN, 9001));
    assert!(arrives(&mut stranger.opener, &mut stranger.other), "other ports pass");
    assert_eq!(guard.status()["flows"], 0);
    scene.reload(&guard, &config("\"198.51.100.1\""));
    assert!(arrives(&mut own.other, &mut own.opener), "an answer");
    assert!(!arrives(&mut stranger.opener, &mut stranger.other), "a stranger's");
}

#[test]
fn what_leads_to_a_gateway_is_an_exit_while_it_does() {
    let scene = Scene::new();
    let other = Link::between(&scene.host, "eth1", &scene.far, "eth1");
    other.left.add_address("203.0.113.1/24");
    scene.host.ip(&["tuntap", "add", "dev", "tunnel", "mode", "tun"]);
    scene.host.ip(&["link", "set", "tunnel", "up"]);
    scene.host.ip(&["address", "add", "10.9.0.1/24", "dev", "tunnel"]);
    scene.host.ip(&["route", "add", "10.10.0.0/16", "via", "10.9.0.2", "dev", "tunnel"]);
    let mut guard = scene.guard("\"198.51.100.1\"");
    assert_eq!(exits(&guard), ["eth0 tcx"]);
    scene.host.ip(&["route", "add", "default", "via", "203.0.113.254"]);
    eventually("eth1 is an exit", SOON, || exits(&guard).contains(&"eth1 tcx".to_owned()));
    let text = guard.ask(&["status"]).stdout.join("\n");
    assert!(text.contains("eth0 (tcx)") && text.contains("eth1 (tcx)"), "{text}");
    scene.host.ip(&["route", "delete", "default"]);
    eventually("eth1 is none", SOON, || exits(&guard) == ["eth0 tcx"]);

    // A run that is killed leaves what is attached, and `down` finds it.
    guard.kill();
    let down = guard.ask(&["down"]);
    assert!(down.status.success(), "{down:?}");
    assert!(!scene.host.outside("/sys/fs/bpf/guard").exists());
}
