//! The scene of these tests: a guarded host that lets an office in, and a peer that may be anybody.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use guard_tests::{
    Cell, Connection, Counters, Guard, Host, Site,
    process::{Finished, Process},
};

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long is waited for what must not come.
pub(crate) const SHORTLY: Duration = Duration::from_millis(400);

/// Lets the office in, and nobody else but to port 22.
pub(crate) const DROP: &str = r#"
    default = "drop"
    allow.ips = ["192.0.2.0/24", "2001:db8:1::/48"]
    service = [{ name = "web", ports = ["tcp/3000", "tcp/3001", "udp/3000"] }]
"#;

/// Lets only the office reach the service, and everybody everything else.
pub(crate) const PASS: &str = r#"
    default = "pass"
    allow.ips = ["192.0.2.0/24", "2001:db8:1::/48"]
    service = [{ name = "web", ports = ["tcp/3000", "tcp/3001", "udp/3000"] }]
"#;

pub(crate) struct Scene {
    pub(crate) site: Site,
    /// An address of the peer that no list names.
    pub(crate) outside: IpAddr,
    /// An address of the peer that is the office's.
    pub(crate) office: IpAddr,
    /// A stranger's, also the peer's, with which the guarded host never speaks.
    pub(crate) stranger: IpAddr,
}

impl Scene {
    pub(crate) fn new(cell: Cell) -> Self {
        let scene = Self::at(Site::new(cell));
        scene.site.add_sources([scene.outside, scene.office, scene.stranger]);
        scene
    }

    /// A scene whose peer says nothing by itself, and which the guarded host need not look for.
    pub(crate) fn silent(cell: Cell) -> Self {
        let scene = Self::at(Site::with_silent_peer(cell));
        let mac = scene.site.link.right.mac().map(|octet| format!("{octet:02x}")).join(":");
        for address in [scene.outside, scene.office, scene.stranger] {
            scene.site.host().ip(&["neigh", "add", &address.to_string(), "lladdr", &mac, "dev", "eth0"]);
        }
        scene
    }

    fn at(site: Site) -> Self {
        let [outside, office, stranger] = site
            .cell
            .pick(["203.0.113.9", "192.0.2.1", "198.51.100.66"], ["2001:db8:9::9", "2001:db8:1::1", "2001:db8:66::66"])
            .map(|text| text.parse().expect("an address"));
        Self { site, outside, office, stranger }
    }

    pub(crate) fn host(&self) -> &Host {
        self.site.host()
    }

    pub(crate) fn peer(&self) -> &Host {
        self.site.peer()
    }

    /// A port at the peer's address outside.
    pub(crate) fn outside_at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.outside, port)
    }

    /// A connection that the guarded host opens to a port outside, from a port of its own or, for 0, any.
    pub(crate) fn connection_out(&self, from: u16, to: u16) -> Connection {
        Connection::open(self.host(), self.site.at(from), self.peer(), self.outside_at(to))
    }

    /// A connection that an address of the peer opens to a port of the guarded host, at which something listens on.
    pub(crate) fn connection_in(&self, from: IpAddr, to: u16) -> Connection {
        Connection::open(self.peer(), SocketAddr::new(from, 0), self.host(), self.site.at(to))
    }

    /// A UDP socket of the guarded host that knows only a port outside.
    pub(crate) fn datagrams_to(&self, from: u16, to: u16) -> UdpSocket {
        let socket = self.host().enter(|| UdpSocket::bind(self.site.at(from))).expect("the port is free");
        socket.connect(self.outside_at(to)).expect("there is a route");
        socket.set_read_timeout(Some(SOON)).expect("a socket takes a time limit");
        socket
    }

    /// Two UDP sockets that know only each other: the guarded host's, and the peer's outside.
    pub(crate) fn datagrams_out(&self, from: u16, to: u16) -> [UdpSocket; 2] {
        datagrams(self.host(), self.site.at(from), self.peer(), self.outside_at(to))
    }
}

/// Two UDP sockets that know only each other.
pub(crate) fn datagrams(left: &Host, left_at: SocketAddr, right: &Host, right_at: SocketAddr) -> [UdpSocket; 2] {
    let ends = [(left, left_at), (right, right_at)].map(|(host, at)| {
        host.enter(|| UdpSocket::bind(at)).unwrap_or_else(|error| panic!("a socket at {at} of {host:?}: {error}"))
    });
    let [at_left, at_right] = ends.each_ref().map(|end| end.local_addr().expect("a bound socket has an address"));
    ends[0].connect(at_right).expect("there is a route");
    ends[1].connect(at_left).expect("there is a route");
    ends
}

/// Ends what goes on beside a closure, also where that panics.
pub(crate) struct End<'a>(pub(crate) &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Tells whether a datagram arrives in time.
pub(crate) fn arrives(from: &UdpSocket, to: &UdpSocket, limit: Duration) -> bool {
    from.send(b"datagram").expect("a datagram can be sent");
    to.set_read_timeout(Some(limit)).expect("a socket takes a time limit");
    to.recv(&mut [0; 64]).is_ok()
}

/// Runs a program in a host, which must do.
pub(crate) fn run(host: &Host, program: &str, arguments: &[&str]) -> Finished {
    let mut command = host.command(program);
    command.args(arguments);
    let finished = Process::finish(command, SOON);
    assert!(finished.status.success(), "`{program} {}`: {finished:?}", arguments.join(" "));
    finished
}

/// The packets under a row.
pub(crate) fn packets(guard: &Guard, row: &str) -> u64 {
    Counters::read(guard).packets(row)
}
