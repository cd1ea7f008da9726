//! An Ethernet switch: several hosts on one wire, so that a guarded host has one interface and many peers.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{
    host::Host,
    link::{Interface, Link},
};

const BRIDGE: &str = "br0";

/// A Linux bridge in a host of its own. It passes every frame, tags included, but those to the reserved group addresses
/// 01:80:c2:00:00:0x, which no bridge passes: LLDP is tried on a [`Link`].
#[derive(Debug)]
pub struct Switch {
    host: Host,
    ports: AtomicU32,
}

impl Switch {
    /// Makes a switch without ports.
    pub fn new(name: &str) -> Self {
        let host = Host::new(name);
        host.ip(&["link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "mcast_snooping", "0"]);
        // The switch itself must answer nothing and send nothing.
        host.sysctl("net/ipv6/conf/all/disable_ipv6", "1");
        host.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        host.ip(&["link", "set", BRIDGE, "up"]);
        Self { host, ports: AtomicU32::new(0) }
    }

    /// Connects a host by a new interface and returns it, up.
    pub fn connect(&self, host: &Host, interface: &str) -> Interface {
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        let link = Link::between(host, interface, &self.host, &port);
        self.host.ip(&["link", "set", &port, "master", BRIDGE]);
        link.left
    }

    /// The host that holds the bridge, whose ports are `port0` and on.
    pub fn host(&self) -> &Host {
        &self.host
    }
}
