//! Real connections of a client on a wire, and the kernel's tables. No program is attached, so that each connection is one that
//! the kernel did not count.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    num::NonZeroU32,
    ops::Deref,
    thread::sleep,
    time::{Duration, Instant},
};

use guard_common::connections::Socket;
use guard_tests::{Host, Link, wait::eventually};
use nix::net::if_::if_nametoindex;

use super::*;
use crate::{
    clock::Clock,
    kernel::tests::machine::Machine,
    policy::{ConnectionPolicy, Effect, Mode, Origin, Policy, Protocol, Timed},
    samples::{self, prefixes},
};

const SOON: Duration = Duration::from_secs(10);

/// The service's port; one that is no service's; and the addresses of the server.
const PORT: u16 = 3000;
const OTHER_PORT: u16 = 5000;
const SERVER: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const CLIENT: [&str; 2] = ["192.0.2.7", "2001:db8::7"];

/// A host with a service and a client, by a guarded wire.
struct Scene {
    server: Host,
    client: Host,
    _link: Link,
    /// One for each port, for both families.
    listeners: [TcpListener; 2],
    guarded: BTreeSet<u32>,
}

/// Both ends of a connection.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Scene {
    fn new() -> Self {
        let [server, client] = ["server", "client"].map(Host::new);
        let link = Link::between(&server, "eth0", &client, "eth0");
        link.left.add_addresses(["192.0.2.1/24", "2001:db8::1/64"]);
        link.right.add_addresses(["192.0.2.7/24", "2001:db8::7/64"]);
        let listeners = server.enter(|| [PORT, OTHER_PORT].map(|port| TcpListener::bind(("::", port)).unwrap()));
        let guarded = BTreeSet::from([server.enter(|| if_nametoindex("eth0").unwrap())]);
        Self { server, client, _link: link, listeners, guarded }
    }

    fn connect(&self, server: &str) -> Pair {
        let client = self.client.enter(|| TcpStream::connect((server, PORT)).unwrap());
        Pair { client, server: self.listeners[0].accept().unwrap().0 }
    }

    /// Runs a test with the kernel's tables and what looks at them, on the server.
    fn run(&self, test: impl FnOnce(Looking<'_>) + Send) {
        self.server.enter(|| {
            let machine = Machine::instance();
            let situation = self.situation(policy(ConnectionPolicy::default()), &[]);
            test(Looking { scene: self, shared: Shared::new(machine.connections.clone(), situation).unwrap() });
        });
    }

    fn situation(&self, policy: Policy, timed: &[Timed]) -> Situation {
        let rules = Arc::new(rules::Rules::of(&Arc::new(policy)));
        Situation { rules, timed: Arc::new(timed.to_vec()), guarded: Arc::new(self.guarded.clone()) }
    }
}

/// What looks at connections, on a thread of the server.
struct Looking<'a> {
    scene: &'a Scene,
    shared: Shared,
}

impl Deref for Looking<'_> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Looking<'_> {
    /// Looks until something is so.
    fn look_until(&self, what: &str, caps: ConnectionPolicy, mut is_so: impl FnMut(&Self) -> bool) {
        let situation = self.scene.situation(policy(caps), &[]);
        eventually(what, SOON, || {
            self.look(situation.clone());
            assert_eq!(*lock(&self.trouble), None);
            is_so(self)
        });
    }

    /// Looks a few times without a rest.
    fn look_on(&self, caps: ConnectionPolicy) {
        self.look_by(policy(caps));
    }

    fn look_by(&self, policy: Policy) {
        let situation = self.scene.situation(policy, &[]);
        for _ in 0..4 {
            lock(&self.looker).rests_until = None;
            self.look(situation.clone());
        }
        assert_eq!(*lock(&self.trouble), None);
    }

    fn open(&self) -> u64 {
        self.kernel.open()[1]
    }

    fn closed(&self) -> status::Closed {
        lock(&self.tally).of_service("web")
    }
}

/// A policy that lets the client in to its service.
fn policy(connections: ConnectionPolicy) -> Policy {
    let port = samples::port(Protocol::Tcp, PORT);
    let allow = prefixes(&["192.0.2.0/24", "2001:db8::/64", "127.0.0.0/8"]);
    let mut service = samples::service("web", &[port], Mode::Enforce, &allow);
    service.connections = connections;
    samples::policy(&[], &[], vec![service])
}

fn cap(max: u32) -> ConnectionPolicy {
    ConnectionPolicy { max: NonZeroU32::new(max), ..ConnectionPolicy::default() }
}

/// Tells whether guard closed a connection: both ends say so.
fn is_cut(pair: &mut Pair) -> bool {
    let failure = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        stream.read(&mut [0]).expect_err("nobody sends anything").kind()
    };
    match [failure(&mut pair.server), failure(&mut pair.client)] {
        [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset] => true,
        [ErrorKind::WouldBlock, ErrorKind::WouldBlock] => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connections_that_the_kernel_did_not_count_count_and_uncount() {
    let scene = Scene::new();
    let [first, second] = SERVER.map(|server| scene.connect(server));
    let other = scene.client.enter(|| TcpStream::connect((SERVER[0], OTHER_PORT)).unwrap());
    let own = scene.server.enter(|| TcpStream::connect((SERVER[0], PORT)).unwrap());
    scene.run(|looking| {
        looking.look_on(cap(100));
        assert_eq!((looking.open(), looking.kernel.open()[0]), (2, 2), "no stranger's port, and nobody's own");
        let counted: Vec<_> = looking.kernel.of_sources().unwrap().into_values().collect();
        assert_eq!(counted, [1, 1], "of each source");
        drop(first);
        looking.look_until("it is gone", cap(100), |looking| looking.open() == 1);
        drop(second);
        looking.look_until("so is the other", cap(100), |looking| looking.kernel.open()[0] == 0);
        assert_eq!(looking.kernel.of_sources().unwrap().len(), 0);
        assert_eq!(looking.closed(), status::Closed::default());
    });
    drop((other, own));
}

#[test]
fn connections_that_do_not_come_by_a_guarded_interface_do_not_count() {
    let mut scene = Scene::new();
    scene.guarded.clear();
    let pair = scene.connect(SERVER[0]);
    scene.run(|looking| {
        looking.look_on(cap(100));
        assert_eq!(looking.open(), 0);
    });
    drop(pair);
}

#[test]
fn who_may_not_reach_the_service_does_not_count() {
    let scene = Scene::new();
    let pair = scene.connect(SERVER[0]);
    scene.run(|looking| {
        looking.look_by(Policy { deny: samples::entries(&prefixes(&["192.0.2.7/32"])), ..policy(cap(100)) });
        assert_eq!(looking.open(), 0);
    });
    drop(pair);
}

#[test]
fn connections_beyond_a_cap_are_closed() {
    let scene = Scene::new();
    let mut pairs: Vec<_> = (0..5).map(|turn| scene.connect(SERVER[turn % 2])).collect();
    scene.run(|looking| {
        looking.look_until("the overshoot is gone", cap(3), |looking| looking.open() == 3);
        assert_eq!(looking.closed(), status::Closed { cap: 2, ..Default::default() });
        looking.look_on(cap(3));
        assert_eq!((looking.open(), looking.closed().cap), (3, 2), "nothing else");
    });
    assert_eq!(pairs.iter_mut().map(is_cut).filter(|is_cut| *is_cut).count(), 2);
}

#[test]
fn silent_connections_are_closed_in_time() {
    let scene = Scene::new();
    let timeout = Duration::from_secs(1);
    let idle = ConnectionPolicy { idle_timeout: Some(timeout), ..ConnectionPolicy::default() };
    scene.run(|looking| {
        let connected = Instant::now();
        let mut pairs = SERVER.map(|server| scene.connect(server));
        looking.look_on(idle);
        assert_eq!(looking.open(), 2);
        looking.look_until("both are closed", idle, |looking| looking.closed().idle == 2);
        let took = connected.elapsed();
        // The kernel counts in ticks, and looks rest.
        assert!(took >= timeout - Duration::from_millis(20) && took < timeout * 3, "{took:?}");
        assert!(pairs.iter_mut().all(is_cut));
        assert_eq!(looking.kernel.open()[0], 0);

        let lines = lock(&looking.tally).take_lines();
        let lines: Vec<_> = lines.iter().map(|line| serde_json::to_value(line).unwrap()).collect();
        assert!(
            lines.iter().all(|line| line["guard"]["cause"] == "idle" && line["guard"]["service"] == "web"),
            "{lines:?}"
        );
        let sources: BTreeSet<_> = lines.iter().map(|line| line["src_ip"].as_str().unwrap()).collect();
        assert_eq!(sources, BTreeSet::from(CLIENT));
    });
}

#[test]
fn connections_that_talk_are_not_closed() {
    let scene = Scene::new();
    let idle = ConnectionPolicy { idle_timeout: Some(Duration::from_millis(600)), ..ConnectionPolicy::default() };
    let mut pairs = SERVER.map(|server| scene.connect(server));
    scene.run(|looking| {
        for _ in 0..10 {
            sleep(Duration::from_millis(150));
            pairs[0].client.write_all(b"x").unwrap();
            pairs[1].server.write_all(b"x").unwrap();
            looking.look_on(idle);
        }
        assert_eq!((looking.open(), looking.closed()), (2, status::Closed::default()));
    });
}

#[test]
fn whose_way_in_is_gone_is_cut_off() {
    let scene = Scene::new();
    let [v4, v6] =
        CLIENT.map(|client| prefixes(&[&format!("{client}/{}", if client.contains(':') { 128 } else { 32 })]));
    let timed = |effect, prefix, ends| {
        let origin = Origin::Variable { name: "ALLOWED_IPS".into(), item: None };
        [Timed { effect, prefix, ends, origin, comment: None }]
    };
    let now = Clock::now().boot;
    let (past, later) = (now.saturating_sub(Duration::from_secs(1)), now + Duration::from_secs(60));
    let base = || policy(ConnectionPolicy::default());
    let removed =
        || samples::policy(&[], &[], vec![samples::service("web", &base().services[0].ports, Mode::Enforce, &v6)]);
    let monitored = {
        let mut policy = removed();
        policy.services[0].mode = Mode::Monitor;
        policy
    };
    let grant = || Effect::Grant { services: vec!["web".to_owned()] };
    for (case, policy, timed, expected) in [
        ("nothing changed", base(), Vec::new(), [false, false]),
        ("denied", Policy { deny: samples::entries(&v4), ..base() }, Vec::new(), [true, false]),
        ("removed", removed(), Vec::new(), [true, false]),
        ("removed where nothing is enforced", monitored, Vec::new(), [false, false]),
        ("granted", removed(), timed(grant(), v4[0], later).to_vec(), [false, false]),
        ("the grant has ended", removed(), timed(grant(), v4[0], past).to_vec(), [true, false]),
        ("banned by hand", base(), timed(Effect::Ban, v6[0], later).to_vec(), [false, true]),
    ] {
        let mut pairs = SERVER.map(|server| scene.connect(server));
        let mut own = scene.server.enter(|| TcpStream::connect(("127.0.0.1", PORT)).unwrap());
        let own_server = scene.listeners[0].accept().unwrap().0;
        scene.run(|looking| {
            let closed = looking.close_removed(&scene.situation(policy, &timed)).unwrap();
            let count = expected.iter().filter(|cut| **cut).count();
            assert_eq!(closed, Closed { closed: count, left: 0 }, "{case}");
            assert_eq!(looking.closed().removed, count as u64, "{case}");
        });
        assert_eq!(pairs.each_mut().map(is_cut), expected, "{case}");
        own.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        assert_eq!(
            own.read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "{case}: a host does not cut itself off"
        );
        drop(own_server);
    }
}

#[test]
fn who_is_banned_is_cut_off_and_who_is_elsewhere_is_told_of() {
    let scene = Scene::new();
    let mut pairs = SERVER.map(|server| scene.connect(server));
    scene.run(|looking| {
        let client: IpAddr = CLIENT[0].parse().unwrap();
        let elsewhere = Socket {
            source: guard_common::address::Address::from(client).octets(),
            namespace: looking.namespace + 1,
            since_ns: 1,
            source_port: 40_000,
            local_port: 80,
            service: 1,
            version: 4,
            ..Socket::default()
        };
        looking.kernel.add(u64::MAX, &elsewhere).unwrap();
        let situation = scene.situation(policy(cap(100)), &[]);
        let ban = || {
            looking.close_cut(&situation, &situation.rules.ports(), Cause::Banned, |source, port| {
                assert_eq!(port, PORT);
                source == client
            })
        };
        assert_eq!(ban().unwrap(), Closed { closed: 1, left: 1 });
        assert_eq!(ban().unwrap(), Closed::default(), "it is not news any more");
        assert_eq!(looking.closed(), status::Closed { banned: 1, ..Default::default() });
        looking.look_on(cap(100));
        assert_eq!(lock(&looking.found).elsewhere, BTreeMap::from([(1, 1)]));
        assert_eq!(lock(&looking.found).left.len(), 1);
        assert_eq!(looking.open(), 2, "the one that stays, and the one elsewhere");
        looking.kernel.remove(u64::MAX).unwrap();
        looking.look_on(cap(100));
        assert!(lock(&looking.found).left.is_empty() && lock(&looking.found).elsewhere.is_empty());
    });
    assert_eq!(pairs.each_mut().map(is_cut), [true, false]);
}

#[test]
fn miscounts_are_made_good() {
    let scene = Scene::new();
    let pairs = SERVER.map(|server| scene.connect(server));
    scene.run(|looking| {
        looking.look_on(cap(100));
        let right = (looking.kernel.open(), looking.kernel.of_sources().unwrap());
        assert_eq!(looking.open(), 2);
        let key = *right.1.keys().next().unwrap();
        looking.kernel.correct_open(1, 3);
        looking.kernel.correct_open(0, -1);
        looking.kernel.correct(&key, 2).unwrap();
        assert_ne!((looking.kernel.open(), looking.kernel.of_sources().unwrap()), right);
        looking.look_until("all are right", cap(100), |looking| {
            (looking.kernel.open(), looking.kernel.of_sources().unwrap()) == right
        });
    });
    drop(pairs);
}
