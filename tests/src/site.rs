//! The place where most end-to-end tests happen: a guarded host and a peer on one wire, in one cell of the matrix.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    cell::Cell,
    frame::Frame,
    guard::{Guard, Options},
    host::Host,
    link::{Interface, Link},
};

const ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// A host to guard, with one address of each family on `eth0`, and a peer that may be anybody.
pub struct Site {
    pub cell: Cell,
    /// The guarded host's end is the left one.
    pub link: Link,
}

impl Site {
    /// A site whose peer has every address that [`Site::add_sources`] gives it.
    pub fn new(cell: Cell) -> Self {
        let site = Self::with_peer(cell, &Host::new("peer"));
        site.link.right.route_everything();
        site
    }

    /// A site whose peer says nothing by itself, so that every frame on the wire is the test's own.
    pub fn with_silent_peer(cell: Cell) -> Self {
        let peer = Host::new("peer");
        peer.sysctl("net/ipv6/conf/all/disable_ipv6", "1");
        peer.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        Self::with_peer(cell, &peer)
    }

    fn with_peer(cell: Cell, peer: &Host) -> Self {
        let link = Link::between(&Host::new("guarded"), "eth0", peer, "eth0");
        link.left.add_addresses([format!("{ADDRESS_V4}/24"), format!("{ADDRESS_V6}/64")]);
        link.left.route_everything();
        Self { cell, link }
    }

    /// Starts a guard on `eth0` in the cell's XDP mode. `config` is the rest of its `guard.toml`.
    pub fn guard(&self, config: &str) -> Guard {
        let config = self.config(config);
        let guard = Guard::run(self.host(), Options { config: Some(&config), ..Options::default() });
        assert_eq!(guard.status()["interfaces"][0]["xdp_mode"], self.cell.xdp_mode, "attached in another mode");
        guard
    }

    /// A whole `guard.toml` for `eth0` in the cell's XDP mode, out of the rest of it.
    pub fn config(&self, rest: &str) -> String {
        format!("interfaces = [\"eth0\"]\nxdp_mode = \"{}\"\n{rest}", self.cell.xdp_mode)
    }

    /// The guarded host.
    pub fn host(&self) -> &Host {
        self.guarded().host()
    }

    /// The guarded interface.
    pub fn guarded(&self) -> &Interface {
        &self.link.left
    }

    /// The peer's host.
    pub fn peer(&self) -> &Host {
        self.link.right.host()
    }

    /// Lets the peer send from more addresses, of either family; one given twice is one.
    pub fn add_sources(&self, sources: impl IntoIterator<Item = IpAddr>) {
        let sources: BTreeSet<IpAddr> = sources.into_iter().collect();
        let alone = |source: &IpAddr| format!("{source}/{}", if source.is_ipv4() { 32 } else { 128 });
        self.link.right.add_addresses(sources.iter().map(alone));
    }

    /// The guarded host's address of the cell's family.
    pub fn address(&self) -> IpAddr {
        self.cell.pick(ADDRESS_V4.into(), ADDRESS_V6.into())
    }

    /// A port at [`Site::address`].
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(), port)
    }

    /// A frame from the peer to the guarded host.
    pub fn ethernet(&self) -> Frame {
        Frame::ethernet(self.link.right.mac(), self.link.left.mac())
    }

    /// A frame with an IP packet from a source to [`Site::address`].
    pub fn packet(&self, source: IpAddr) -> Frame {
        self.ethernet().ip(source, self.address())
    }
}
