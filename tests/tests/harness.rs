//! The harness itself: hosts are apart, wires carry what is sent, and nothing is left.

use std::{
    env, fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt,
    panic,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use guard_tests::{
    Host, Interface, Link, Sniffer, Switch, Wire,
    client::{self, Outcome},
    frame::{Arp, BROADCAST, Frame, SYN},
    process::Process,
    server::{HttpServer, TcpEcho, UdpEcho},
    wait,
};
use nix::mount::{self, MsFlags};

const SOON: Duration = Duration::from_secs(5);
const SHORTLY: Duration = Duration::from_millis(300);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A client and a server on one wire, each with an address of both families, and everything else routed to the other.
fn two_hosts() -> Link {
    let link = Link::between(&Host::new("server"), "eth0", &Host::new("client"), "eth0");
    link.left.add_addresses(["10.0.0.1/24", "2001:db8::1/64"]);
    link.right.add_addresses(["10.0.0.2/24", "2001:db8::2/64"]);
    link.left.route_everything();
    link.right.route_everything();
    link
}

fn numbered_frames(link: &Link, count: u32) -> Vec<Vec<u8>> {
    let from_each = |number: u32| {
        let source = 0xc612_0000 + number % 300;
        Frame::ethernet(link.right.mac(), link.left.mac())
            .ipv4(source, [10, 0, 0, 1])
            .udp(1234, 3000)
            .payload(number.to_be_bytes())
            .build()
    };
    (0..count).map(from_each).collect()
}

fn is_udp_to_3000(frame: &[u8]) -> bool {
    frame.get(23) == Some(&17) && frame.get(36..38) == Some(&3000_u16.to_be_bytes())
}

#[test]
fn a_server_answers_clients_of_both_families() {
    let link = two_hosts();
    let server = HttpServer::start(link.left.host(), 3000);
    link.right.add_addresses(["203.0.113.9/32", "2001:db8:9::9/128"]);
    for (source, server) in [
        ("10.0.0.2", "10.0.0.1"),
        ("203.0.113.9", "10.0.0.1"),
        ("2001:db8::2", "2001:db8::1"),
        ("2001:db8:9::9", "2001:db8::1"),
    ] {
        let destination = SocketAddr::new(ip(server), 3000);
        let body = client::http_get(link.right.host(), ip(source), destination, SOON).unwrap();
        assert_eq!(body, source);
    }
    assert_eq!(server.requests(), 4);
    assert_eq!(server.clients()[3], ip("2001:db8:9::9"));
}

#[test]
fn an_outcome_tells_silence_from_refusal() {
    let link = two_hosts();
    let server = HttpServer::start(link.left.host(), 0);
    let client = link.right.host();
    let source = ip("10.0.0.2");
    let at = |address, port| SocketAddr::new(ip(address), port);
    assert_eq!(client::connects(client, source, at("10.0.0.1", server.port()), SOON), Outcome::Connected);
    assert_eq!(client::connects(client, source, at("10.0.0.1", 1), SOON), Outcome::Refused);
    assert_eq!(client::connects(client, source, at("198.51.100.1", 80), SHORTLY), Outcome::TimedOut);
}

#[test]
fn many_clients_connect_at_once() {
    let link = two_hosts();
    let server = HttpServer::start(link.left.host(), 3000);
    let sources: Vec<IpAddr> = (0..100).map(|number| IpAddr::from([172, 16, 0, number])).collect();
    link.right.add_addresses(sources.iter().map(|source| format!("{source}/32")));
    let destination = SocketAddr::new(ip("10.0.0.1"), server.port());
    let outcomes = client::connects_each(link.right.host(), &sources, destination, SOON);
    assert_eq!(outcomes, vec![Outcome::Connected; 100]);
}

#[test]
fn echoes_come_back() {
    let link = two_hosts();
    let (tcp, udp) = (TcpEcho::start(link.left.host(), 7), UdpEcho::start(link.left.host(), 7));
    for (source, server) in [("10.0.0.2", "10.0.0.1"), ("2001:db8::2", "2001:db8::1")] {
        let (source, destination) = (ip(source), SocketAddr::new(ip(server), 7));
        let mut stream = client::connect(link.right.host(), source, destination, SOON).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
        let answer = client::udp_exchange(link.right.host(), source, destination, b"hi", SOON).unwrap();
        assert_eq!(answer.as_deref(), Some(&b"hi"[..]));
    }
    assert_eq!(udp.datagrams(), 2);
    drop((tcp, udp));
    let destination = SocketAddr::new(ip("10.0.0.1"), 7);
    assert_eq!(client::connects(link.right.host(), ip("10.0.0.2"), destination, SOON), Outcome::Refused);
}

#[test]
fn raw_frames_are_answered() {
    let link = two_hosts();
    let wire = Wire::open(link.right.host(), "eth0");
    let own = (link.right.mac(), [10, 0, 0, 2].into());
    wire.send(Frame::ethernet(own.0, BROADCAST).layer(Arp::request(own, [10, 0, 0, 1])).build());
    let expected =
        Frame::ethernet(link.left.mac(), own.0).layer(Arp::reply((link.left.mac(), [10, 0, 0, 1].into()), own)).build();
    let answer = wire.receive_where(SOON, |frame| frame.get(12..14) == Some(&[0x08, 0x06]));
    assert_eq!(answer, Some(expected));
}

#[test]
fn frames_arrive_byte_for_byte() {
    let link = two_hosts();
    link.set_mtu(9000);
    let (sender, receiver) = (Wire::open(link.right.host(), "eth0"), Wire::open(link.left.host(), "eth0"));
    let base = || Frame::ethernet(link.right.mac(), link.left.mac());
    let ip = |frame: Frame| frame.ipv4([10, 0, 0, 2], [10, 0, 0, 1]).tcp(1, 3000, SYN);
    let cases = [
        ("plain", ip(base()).build()),
        ("one tag", ip(base().vlan(5)).build()),
        ("two tags", ip(base().service_vlan(7).vlan(5)).build()),
        ("three tags", ip(base().vlan(1).vlan(2).vlan(3)).build()),
        ("jumbo", ip(base()).payload(vec![0x5a; 8000]).build()),
        ("header only", base().build()),
    ];
    for (case, frame) in cases {
        sender.send(&frame);
        let arrived = receiver.receive_where(SOON, |arrived| arrived.starts_with(&frame[..13]) && arrived[12] != 0x86);
        assert_eq!(arrived.as_ref(), Some(&frame), "{case}");
    }
}

#[test]
fn a_hundred_thousand_frames_take_seconds_and_are_accounted_for() {
    let link = two_hosts();
    let frames = numbered_frames(&link, 100_000);
    let sniffer = Sniffer::start(link.left.host(), "eth0", is_udp_to_3000);
    let sender = Wire::open(link.right.host(), "eth0");
    let start = Instant::now();
    sender.send_all(&frames);
    let took = start.elapsed();
    wait::eventually("every frame is received or counted as lost", SOON, || {
        sniffer.count() + link.right.lost_frames() >= 100_000
    });
    let lost = link.right.lost_frames();
    println!("100,000 frames in {took:?}, {lost} lost");
    assert_eq!(sniffer.stop() + lost, 100_000);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_switch_connects_many_hosts() {
    let switch = Switch::new("switch");
    let server = Host::new("server");
    let guarded = switch.connect(&server, "eth0");
    guarded.add_addresses(["10.0.0.1/24", "2001:db8::1/64"]);
    let http = HttpServer::start(&server, 3000);
    for number in 2..5 {
        let client = Host::new(&format!("client{number}"));
        let interface = switch.connect(&client, "eth0");
        interface.add_addresses([format!("10.0.0.{number}/24"), format!("2001:db8::{number}/64")]);
        for prefix in ["10.0.0.", "2001:db8::"] {
            let (source, destination) =
                (ip(&format!("{prefix}{number}")), SocketAddr::new(ip(&format!("{prefix}1")), 3000));
            assert_eq!(client::http_get(&client, source, destination, SOON).unwrap(), source.to_string());
        }
    }
    assert_eq!(http.requests(), 6);
}

#[test]
fn an_interface_can_go_and_come_back() {
    let link = two_hosts();
    let mac = link.left.mac();
    link.left.delete();
    let again = Link::between(link.left.host(), "eth0", link.right.host(), "eth0");
    assert_eq!(again.left.mac(), mac);
    assert!(again.left.index() > 1);
    again.left.set_down();
    again.left.set_up();
}

#[test]
fn a_host_sees_only_itself() {
    let (one, other) = (Host::new("one"), Host::new("other"));
    let names = |host: &Host| {
        let mut names: Vec<_> = fs::read_dir(host.outside("/sys/class/net"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let _link = Link::between(&one, "eth7", &other, "eth8");
    assert!(names(&one).contains(&"eth7".into()) && !names(&one).contains(&"eth8".into()));
    assert!(names(&other).contains(&"eth8".into()));
    let listed = one.enter(|| fs::read_dir("/sys/class/net").unwrap().count());
    assert_eq!(listed, names(&one).len());
    assert!(one.ip(&["-brief", "link"]).contains("eth7"));

    one.write("notes/a.txt", "hello");
    assert_eq!(one.read("notes/a.txt"), "hello");
    assert_eq!(one.command("cat").arg(one.directory().join("notes/a.txt")).output().unwrap().stdout, b"hello");
    assert!(!other.outside("notes/a.txt").exists() && !one.directory().exists());

    fs::create_dir(one.outside("/sys/fs/bpf/pins")).unwrap();
    assert!(one.outside("/sys/fs/bpf/pins").exists() && !other.outside("/sys/fs/bpf/pins").exists());
    assert!(!Path::new("/sys/fs/bpf/pins").exists());
    assert_eq!(
        one.outside("/sys/fs/cgroup").read_dir().unwrap().count(),
        Path::new("/sys/fs/cgroup").read_dir().unwrap().count()
    );
}

#[test]
fn programs_get_no_environment_but_the_search_path() {
    let output = Host::new("bare").command("env").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("PATH=") && text.lines().count() == 1, "{text}");
}

#[test]
fn programs_outlive_the_thread_that_started_them() {
    let host = Host::new("host");
    let mut script = host.command("sh");
    script.args(["-c", "echo up; read -r line < /run/go; echo \"went $line\" >&2; exit 3"]);
    host.command("mkfifo").arg("/run/go").status().unwrap();
    let mut process = thread::scope(|scope| scope.spawn(|| Process::start(script)).join().unwrap());
    process.wait_for_line("up", SOON);
    thread::sleep(SHORTLY);
    assert_eq!(process.exited(), None);
    fs::write(host.outside("/run/go"), "on\n").unwrap();
    assert_eq!(process.wait(SOON).code(), Some(3));
    assert_eq!((process.stdout(), process.stderr()), (vec!["up".into()], vec!["went on".into()]));
}

#[test]
fn a_panic_inside_a_host_is_a_panic_outside() {
    let host = Host::new("host");
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| host.enter(|| panic!("as planned")))).unwrap_err();
    assert_eq!(panicked.downcast_ref(), Some(&"as planned"));
    let refused = panic::catch_unwind(panic::AssertUnwindSafe(|| host.ip(&["link", "add", "nonsense"]))).unwrap_err();
    assert!(refused.downcast_ref::<String>().unwrap().contains("ip link add nonsense"));
}

#[test]
fn nothing_shows_where_hosts_are_made() {
    // A machine of its own whose mounts propagate, as those of a machine run by systemd do.
    let machine = Host::new("machine");
    machine.enter(|| {
        let none = None::<&str>;
        mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).unwrap();
        let mounts = || fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let interfaces = || fs::read_dir("/sys/class/net").unwrap().count();
        let before = (mounts(), interfaces());
        assert!(before.0.contains("shared:"));
        let link = two_hosts();
        assert_eq!((mounts(), interfaces()), before);
        drop(link);
        assert_eq!((mounts(), interfaces()), before);
        assert!(!Path::new("/run/netns").exists());
    });
}

/// Not a test of its own: the process that `a_killed_test_leaves_nothing` kills.
#[test]
#[ignore = "run by another test"]
fn stays_until_killed() {
    let link = two_hosts();
    let _server = HttpServer::start(link.left.host(), 3000);
    let mut program = link.left.host().command("sleep");
    program.arg("60");
    let program = Process::start(program);
    println!("\nstarted {}", program.id());
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_test_leaves_nothing() {
    let outer = Host::new("outer");
    let mut command = outer.command(env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "stays_until_killed", "--nocapture"]);
    let mut test = Process::start(command);
    let line = test.wait_for_line("started ", SOON);
    let program = Path::new("/proc").join(line.trim_start_matches("started "));
    let network = fs::metadata(program.join("ns/net")).unwrap().ino();
    assert_ne!(network, fs::metadata("/proc/self/ns/net").unwrap().ino());
    test.kill();
    wait::eventually("the program dies with the test", SOON, || !program.exists());
    let in_network =
        |process: fs::DirEntry| fs::metadata(process.path().join("ns/net")).is_ok_and(|ns| ns.ino() == network);
    assert!(!fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(in_network));
}

#[test]
fn addresses_come_and_go() {
    let link = two_hosts();
    let show = |interface: &Interface| interface.host().ip(&["-brief", "addr", "show", "dev", interface.name()]);
    link.left.add_address("192.0.2.1/24");
    assert!(show(&link.left).contains("192.0.2.1/24"));
    link.left.remove_address("192.0.2.1/24");
    assert!(!show(&link.left).contains("192.0.2.1/24"));
    link.left.add_route("192.0.2.0/24");
}
