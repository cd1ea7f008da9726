//! A client that is cut by a reload has no flow to come back by.

use std::{
    io::{ErrorKind, Write as _},
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use guard_tests::{Connection, Counters, Guard, Host, connection::reaches, in_each_family};

use crate::{
    containers::Container,
    scene::{End, SOON, Scene, arrives},
};

/// Time for several retransmissions, and for the daemon to look again at what listens.
const LONG: Duration = Duration::from_secs(3);
const SHORTLY: Duration = Duration::from_millis(20);

/// What the guarded host publishes of its container: a port of a service, and one of none.
const PUBLISHED: &str = "table inet t { chain c { type nat hook prerouting priority -100;
    iifname eth0 meta l4proto { tcp, udp } th dport { 3001, 8080 } dnat ip to 172.17.0.2;
    iifname eth0 meta l4proto { tcp, udp } th dport { 3001, 8080 } dnat ip6 to 2001:db8:17::2; }; }";

/// What lets the client in.
const OFFICE: &str = "allow.ips = ['192.0.2.0/24', '2001:db8:1::/48']";
const ANOTHER: &str = "allow.ips = ['192.0.2.2', '2001:db8:1::2']";
const DENIED: &str = "allow.ips = ['192.0.2.0/24', '2001:db8:1::/48']\ndeny.ips = ['192.0.2.1', '2001:db8:1::1']";

/// How another policy comes into force.
type Change = fn(&Scene, Guard, &str) -> Guard;

/// The ways to cut the client: the lists of the other policy, and how that comes into force.
const CUTS: [(&str, &str, Change); 3] =
    [("off the list", ANOTHER, reload), ("denied", DENIED, reload), ("off the next run's list", ANOTHER, restart)];

fn policy(lists: &str) -> String {
    let ports = "['tcp/3000', 'tcp/3001', 'udp/3000', 'udp/3001']";
    format!("default = 'drop'\n{lists}\nservice = [{{ name = 'web', ports = {ports} }}]\n")
}

#[test]
fn a_client_that_is_cut_stays_cut_whatever_the_servers_send() {
    in_each_family(|cell| {
        for (cut, lists, change) in CUTS {
            let container = Container::new(cell, PUBLISHED);
            let guard = container.scene.site.guard(&policy(OFFICE));
            let exchanges = exchanges(&container);
            for (case, exchange) in &exchanges {
                assert!(exchange.is_client_heard(SOON), "{cut}: {case}: before");
            }

            let ended = &AtomicBool::new(false);
            let (heard, grown) = thread::scope(|scope| {
                let _end = End(ended);
                for (_, exchange) in &exchanges {
                    scope.spawn(move || {
                        while !ended.load(Ordering::Relaxed) {
                            exchange.serve();
                            thread::sleep(SHORTLY);
                        }
                    });
                }
                let guard = change(&container.scene, guard, &policy(lists));
                // What was under way at the switch has come after this.
                thread::sleep(10 * SHORTLY);
                let before = Counters::read(&guard);
                let start = Instant::now();
                let mut heard = None;
                while start.elapsed() < LONG && heard.is_none() {
                    heard = exchanges.iter().find(|(_, exchange)| exchange.is_client_heard(SHORTLY));
                }
                (heard.map(|(case, _)| case), Counters::read(&guard).since(&before))
            });
            assert_eq!(heard, None, "{cut}: it goes on");
            let rows = ["- pass allowed", "web pass allowed", "- pass reply", "web pass reply"];
            assert!(rows.iter().all(|row| grown.packets(row) == 0), "{cut}: {grown:?}");
            let dropped = grown.with_verdict("drop").values().sum::<u64>();
            assert!(dropped > 10, "{cut}: the client says nothing: {grown:?}");
        }
    });
}

/// What a client of the office's has to do with a server, by name.
fn exchanges(container: &Container) -> [(&'static str, Exchange); 9] {
    let Container { scene, host, .. } = container;
    let own = |port| (scene.host(), scene.site.at(port), scene.site.at(port));
    let published = |port| (host, container.at(port), scene.site.at(port));
    let tcp = |(host, at, reached_at)| Exchange::by_tcp(scene, host, at, reached_at);
    let udp = |(host, at, reached_at)| Exchange::by_udp(scene, host, at, reached_at);
    [
        ("a service's port", tcp(own(3000))),
        ("a port of no service", tcp(own(5000))),
        ("a service's published port", tcp(published(3001))),
        ("a published port of no service", tcp(published(8080))),
        ("a container that is routed to", tcp((host, container.at(82), container.at(82)))),
        ("a service's port, by UDP", udp(own(3000))),
        ("a port of no service, by UDP", udp(own(5000))),
        ("a service's published port, by UDP", udp(published(3001))),
        ("a published port of no service, by UDP", udp(published(8080))),
    ]
}

/// A client and what serves it.
enum Exchange {
    Tcp(Connection),
    Udp { server: UdpSocket, client: UdpSocket, client_at: SocketAddr },
}

impl Exchange {
    fn by_tcp(scene: &Scene, server: &Host, at: SocketAddr, reached_at: SocketAddr) -> Self {
        let client = SocketAddr::new(scene.office, 0);
        Self::Tcp(Connection::open_through(scene.peer(), client, reached_at, server, at))
    }

    fn by_udp(scene: &Scene, server: &Host, at: SocketAddr, reached_at: SocketAddr) -> Self {
        let server = server.enter(|| UdpSocket::bind(at)).expect("the port is free");
        let client = scene.peer().enter(|| UdpSocket::bind((scene.office, 0))).expect("a port is free");
        client.connect(reached_at).expect("there is a route");
        client.send(b"question").expect("it can be sent");
        server.set_read_timeout(Some(SOON)).expect("a socket takes a time limit");
        let (_, client_at) = server.recv_from(&mut [0; 64]).expect("the client is let in");
        Self::Udp { server, client, client_at }
    }

    /// Has the server send, as one does that knows of nothing. What is not acknowledged, the kernel sends again.
    fn serve(&self) {
        let sent = match self {
            Self::Tcp(Connection { acceptor, .. }) => {
                acceptor.set_write_timeout(Some(SHORTLY)).expect("a socket takes a time limit");
                (&mut &*acceptor).write(&[0x33; 100])
            }
            Self::Udp { server, client_at, .. } => server.send_to(b"answer", client_at),
        };
        if let Err(error) = sent {
            // Those to services' ports are closed as soon as the client is cut.
            assert!(
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe),
                "{error}"
            );
        }
    }

    /// Tells whether what the client sends arrives in time.
    fn is_client_heard(&self, limit: Duration) -> bool {
        match self {
            Self::Tcp(Connection { opener, acceptor, .. }) => reaches(opener, acceptor, limit),
            Self::Udp { server, client, .. } => arrives(client, server, limit),
        }
    }
}

#[test]
fn a_reload_that_cuts_another_leaves_a_client_alone() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let guard = scene.site.guard(&policy("allow.ips = ['192.0.2.0/24', '2001:db8:1::/48', '198.51.100.0/24']"));
        let [client, own] = [scene.connection_in(scene.office, 3000), scene.connection_out(0, 8000)];
        let _guard = reload(&scene, guard, &policy(OFFICE));
        client.assert_carries("a client that stays");
        own.assert_carries("a flow of the host's own");
    });
}

fn reload(scene: &Scene, guard: Guard, policy: &str) -> Guard {
    scene.host().write("default.toml", scene.site.config(policy));
    let answer = guard.ask(&["reload", "--force"]);
    assert!(answer.status.success(), "{answer:?}");
    guard
}

fn restart(scene: &Scene, mut guard: Guard, policy: &str) -> Guard {
    guard.kill();
    scene.site.guard(policy)
}
