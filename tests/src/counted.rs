//! A site whose servers run in a cgroup of their own, so that a guard can count their connections.

use std::net::IpAddr;

use serde_json::Value;

use crate::{
    cell::{Cell, Family},
    cgroup::Cgroup,
    crowd::Crowd,
    guard::Guard,
    server::KeptServer,
    site::Site,
};

/// The port of the service in [`Counted::web`].
pub const WEB: u16 = 3000;

/// The peer's own address, by which the guarded host reaches everybody.
const GATEWAYS: [&str; 2] = ["10.0.0.2", "2001:db8::2"];

/// A guarded host with a cgroup, and a peer.
pub struct Counted {
    pub site: Site,
    pub cgroup: Cgroup,
}

impl Counted {
    /// One whose peer is a host with the addresses of the first clients.
    pub fn new(cell: Cell, clients: u16) -> Self {
        let counted = Self::at(Site::new(cell));
        counted.site.add_sources((1..=clients).map(|number| counted.client(number)));
        counted
    }

    /// One whose peer says nothing by itself.
    pub fn silent(cell: Cell) -> Self {
        Self::at(Site::with_silent_peer(cell))
    }

    /// Has the guarded host send everything to the peer, so that it looks for none of those whom a flood pretends to be.
    fn at(site: Site) -> Self {
        let mac = site.link.right.mac().map(|octet| format!("{octet:02x}")).join(":");
        for gateway in GATEWAYS {
            site.host().ip(&["neigh", "replace", gateway, "lladdr", &mac, "dev", "eth0"]);
            let family = if gateway.contains(':') { "-6" } else { "-4" };
            site.host().ip(&[family, "route", "replace", "default", "via", gateway, "dev", "eth0"]);
        }
        Self { site, cgroup: Cgroup::new() }
    }

    /// A client that [`Counted::policy`] lets in. Of IPv6 each has a /64 of its own, and 256 of them a /56; of IPv4, 256
    /// of them a /24.
    pub fn client(&self, number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        self.site.cell.pick([198, 51, 100 + high, low].into(), [0x2001, 0xdb8, 0x51, number, 0, 0, 0, 1].into())
    }

    /// What a policy needs to let every client in and to have the cgroup followed, with these keys besides.
    pub fn policy(&self, keys: &str) -> String {
        let lists = "allow.ips = ['198.51.100.0/22', '172.16.0.0/12', '2001:db8:51::/48', '2001:db8:5200::/40']";
        format!("cgroup = {:?}\n{lists}\n{keys}", self.cgroup.path())
    }

    /// Starts a guard with these keys in its policy; again, with what the one before left.
    pub fn guard(&self, keys: &str) -> Guard {
        self.site.guard(&self.policy(keys))
    }

    /// Starts a guard whose one service, `web` on [`WEB`], has these keys.
    pub fn web(&self, keys: &str) -> Guard {
        self.guard(&service(keys))
    }

    /// Starts a server on a port.
    pub fn serve(&self, port: u16) -> KeptServer {
        KeptServer::start(self.site.host(), &self.cgroup, port)
    }

    /// Begins to connect so many times from a client to [`WEB`].
    pub fn crowd(&self, client: u16, count: usize) -> Crowd {
        Crowd::start(self.site.peer(), vec![self.client(client); count], self.site.at(WEB))
    }

    /// Changes the source of a TCP segment's frame to a listed one of no client, of IPv6 in a /64 of its own. Of 1,048,576 numbers
    /// each has another.
    pub fn spoof(&self, frame: &mut [u8], number: u64) {
        let [.., b, c, d] = number.to_be_bytes();
        match self.site.cell.family {
            Family::V4 => replace(frame, 26, &[172, 16 | b & 15, c, d], &[24, 50]),
            Family::V6 => replace(frame, 22, &[0x20, 1, 0xd, 0xb8, 0x52, b, c, d, 0, 0, 0, 0, 0, 0, 0, 1], &[70]),
        }
    }

    /// Changes the source port of a TCP segment's frame of the cell's family.
    pub fn spoof_port(&self, frame: &mut [u8], port: u16) {
        let (at, checksum) = self.site.cell.pick((34, 50), (54, 70));
        replace(frame, at, &port.to_be_bytes(), &[checksum]);
    }
}

/// Replaces bytes of a frame and mends the checksums at some places that cover them (RFC 1624, equation 3).
fn replace(frame: &mut [u8], at: usize, new: &[u8], checksums: &[usize]) {
    let word = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let old = &frame[at..at + new.len()];
    let change: u32 = old.chunks(2).zip(new.chunks(2)).map(|(old, new)| (!word(old) & 0xffff) + word(new)).sum();
    frame[at..at + new.len()].copy_from_slice(new);
    for place in checksums {
        let mut sum = (!word(&frame[*place..]) & 0xffff) + change;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        frame[*place..place + 2].copy_from_slice(&(!sum as u16).to_be_bytes());
    }
}

/// A service `web` on [`WEB`] with these keys.
pub fn service(keys: &str) -> String {
    format!("[[service]]\nname = 'web'\nports = ['tcp/{WEB}']\n{keys}\n")
}

/// What a guard's status says of the connections to a service.
pub fn connections(guard: &Guard, service: &str) -> Value {
    let status = guard.status();
    let services = status["services"].as_array().unwrap_or_else(|| panic!("no services in {status}"));
    let found = services.iter().find(|found| found["name"] == service);
    found.unwrap_or_else(|| panic!("no `{service}` in {status}"))["connections"].clone()
}

/// How many connections to `web` are open.
pub fn open(guard: &Guard) -> u64 {
    let connections = connections(guard, "web");
    connections["open"].as_u64().unwrap_or_else(|| panic!("`open` in {connections}"))
}
