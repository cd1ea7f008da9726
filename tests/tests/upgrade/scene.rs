//! The scene of these tests: a guarded host that drops by default, with limits, and a silent peer that may be anybody.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
};

use guard_tests::{
    Cell, Counters, Guard, Options, Probe, Site,
    frame::{Frame, SYN},
};

/// Services with nobody else's packets: of traffic, of connections limited per source, of datagrams limited in all.
const CONFIG: &str = r#"
    default = "drop"
    allow.ips = ["192.0.2.0/24", "2001:db8:1::/48"]
    [[service]]
    name = "web"
    ports = ["udp/3000"]
    [[service]]
    name = "auth"
    ports = ["tcp/4000"]
    rate = { unit = "connections", limit = 10, window = "15m" }
    [[service]]
    name = "data"
    ports = ["udp/5000"]
    rate = { unit = "packets", limit = 10, window = "15m", per = "service" }
"#;

pub(crate) struct Scene {
    pub(crate) site: Site,
    /// An address of the peer that the policy lets in.
    pub(crate) listed: IpAddr,
    /// One that it does not, and to which the guarded host speaks.
    pub(crate) outside: IpAddr,
    /// One that it does not.
    pub(crate) stranger: IpAddr,
}

impl Scene {
    pub(crate) fn new(cell: Cell) -> Self {
        let site = Site::with_silent_peer(cell);
        let [listed, outside, stranger]: [IpAddr; 3] = cell
            .pick(["192.0.2.1", "203.0.113.9", "198.51.100.66"], ["2001:db8:1::1", "2001:db8:9::9", "2001:db8:66::66"])
            .map(|text| text.parse().expect("an address"));
        let mac = site.link.right.mac().map(|octet| format!("{octet:02x}")).join(":");
        site.host().ip(&["neigh", "add", &outside.to_string(), "lladdr", &mac, "dev", "eth0"]);
        Self { site, listed, outside, stranger }
    }

    pub(crate) fn guard(&self, binary: &Path) -> Guard {
        let config = self.site.config(CONFIG);
        Guard::run(self.site.host(), Options { config: Some(&config), binary: Some(binary), ..Options::default() })
    }

    /// Has the guarded host send a datagram outside, from a socket that does not say to whom it speaks; returns its port.
    ///
    /// Only the table of flows knows then that an answer may come.
    pub(crate) fn ask_outside(&self, port: u16) -> (UdpSocket, u16) {
        let socket = self.site.host().enter(|| UdpSocket::bind(self.site.at(0))).expect("a port is free");
        socket.send_to(b"?", SocketAddr::new(self.outside, port)).expect("there is a route");
        let own = socket.local_addr().expect("it is bound").port();
        (socket, own)
    }

    /// Of 15 connections and 15 datagrams of the listed source to the limited services, those that pass.
    pub(crate) fn pass_limits(&self, guard: &Guard) -> [u64; 2] {
        let mut probe = Probe::new(&self.site, guard);
        let syns: Vec<_> = (0..15).map(|number| self.listed_packet().tcp(20_000 + number, 4000, SYN).build()).collect();
        [probe.passed(&syns), probe.passed(&vec![self.listed_packet().udp(1234, 5000).build(); 15])]
    }

    fn listed_packet(&self) -> Frame {
        self.site.packet(self.listed)
    }
}

/// The packets under a row.
pub(crate) fn packets(guard: &Guard, row: &str) -> u64 {
    Counters::read(guard).packets(row)
}
