//! Wires between hosts: veth pairs, on which XDP runs natively as well as generically.

use std::{
    collections::BTreeSet,
    fmt::Display,
    fs,
    io::Write,
    net::Ipv6Addr,
    process::{Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::{frame::Mac, host::Host, wait};

/// How long the kernel may take over an interface or an address.
const SOON: Duration = Duration::from_secs(10);

/// A network interface of a host.
#[derive(Debug, Clone)]
pub struct Interface {
    host: Host,
    name: String,
    mac: Mac,
}

/// A veth pair: what one end sends, the other receives.
#[derive(Debug)]
pub struct Link {
    /// The end in the host named first.
    pub left: Interface,
    /// The end in the host named second.
    pub right: Interface,
}

impl Link {
    /// Connects an interface of one host with one of another; both come up, without addresses but the link-local one.
    pub fn between(left: &Host, left_name: &str, right: &Host, right_name: &str) -> Self {
        let link = Self { left: Interface::of(left, left_name), right: Interface::of(right, right_name) };
        let (left_mac, right_mac) = (text(link.left.mac), text(link.right.mac));
        let network = right.network();
        let network = network.to_str().expect("a path below /proc is ASCII");
        let (left_index, right_index) = (unused_index(), unused_index());
        left.ip(&[
            &["link", "add", left_name, "index", &left_index, "address", &left_mac, "type", "veth"][..],
            &["peer", "name", right_name, "index", &right_index, "address", &right_mac, "netns", network],
        ]
        .concat());
        link.left.set_up();
        link.right.set_up();
        link.left.wait_until_running();
        link.right.wait_until_running();
        link
    }

    /// Sets the largest packet of both ends, in bytes without the Ethernet header.
    pub fn set_mtu(&self, bytes: u32) {
        self.left.set_mtu(bytes);
        self.right.set_mtu(bytes);
    }
}

impl Interface {
    /// Names an interface that is there or about to be made, with the MAC address that follows from host and name.
    pub(crate) fn of(host: &Host, name: &str) -> Self {
        Self { host: host.clone(), name: name.into(), mac: mac_of(host.name(), name) }
    }

    /// The host that the interface is in.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's own address, the same in every run for the same names of host and interface.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The interface's index in its host.
    pub fn index(&self) -> u32 {
        self.attribute("ifindex").parse().expect("an interface index is a number")
    }

    /// Adds an address with its prefix length, such as `10.0.0.1/24`; it can be used at once.
    pub fn add_address(&self, address: impl Display) {
        self.add_addresses([address]);
    }

    /// Adds many addresses with their prefix lengths by one call; they can be used at once.
    pub fn add_addresses(&self, addresses: impl IntoIterator<Item = impl Display>) {
        let addresses: BTreeSet<String> = addresses.into_iter().map(|address| address.to_string()).collect();
        self.batch(addresses.iter().map(|address| format!("addr add {address} dev {} nodad\n", self.name)).collect());
        self.wait_for_routes(&addresses);
    }

    /// Waits until the kernel takes what is sent to new IPv6 addresses: a worker puts in their routes.
    fn wait_for_routes(&self, addresses: &BTreeSet<String>) {
        let without_length = |address: &String| address.split('/').next().map(str::parse::<Ipv6Addr>);
        let v6: Vec<String> =
            addresses.iter().filter_map(without_length).flatten().map(|address| address.to_string()).collect();
        if v6.is_empty() || self.attribute("operstate") != "up" {
            return;
        }
        wait::eventually("the kernel takes packets to a new address", SOON, || {
            let routes = self.host.ip(&["-6", "route", "show", "table", "local"]);
            let routes: BTreeSet<&str> = routes.split_whitespace().collect();
            v6.iter().all(|address| routes.contains(address.as_str()))
        });
    }

    /// Takes an address away.
    pub fn remove_address(&self, address: impl Display) {
        self.host.ip(&["addr", "del", &address.to_string(), "dev", &self.name]);
    }

    /// Takes a prefix for directly reachable through this interface.
    pub fn add_route(&self, prefix: impl Display) {
        self.host.ip(&["route", "add", &prefix.to_string(), "dev", &self.name]);
    }

    /// Takes every address of both families for directly reachable through this interface, so that a peer may use any.
    pub fn route_everything(&self) {
        self.batch(format!("route add 0.0.0.0/0 dev {0}\nroute add ::/0 dev {0}\n", self.name));
    }

    /// Sets the largest packet in bytes without the Ethernet header.
    pub fn set_mtu(&self, bytes: u32) {
        self.host.ip(&["link", "set", &self.name, "mtu", &bytes.to_string()]);
    }

    /// Takes the interface up.
    pub fn set_up(&self) {
        self.host.ip(&["link", "set", &self.name, "up"]);
    }

    /// Takes the interface down.
    pub fn set_down(&self) {
        self.host.ip(&["link", "set", &self.name, "down"]);
    }

    /// Removes the interface, and with it the other end of its wire.
    pub fn delete(&self) {
        self.host.ip(&["link", "del", &self.name]);
    }

    /// How many frames were lost on their way out of this interface, before its peer saw them.
    pub fn lost_frames(&self) -> u64 {
        self.attribute("statistics/tx_dropped").parse().expect("a statistic is a number")
    }

    /// How many frames have come in, those that XDP dropped included.
    pub fn received_frames(&self) -> u64 {
        self.attribute("statistics/rx_packets").parse().expect("a statistic is a number")
    }

    /// Waits until the kernel has put the interface into service: between that and its coming up it drops frames.
    pub(crate) fn wait_until_running(&self) {
        let what = format!("interface `{}` of host `{}` runs", self.name, self.host.name());
        wait::eventually(&what, SOON, || self.attribute("operstate") == "up");
    }

    fn attribute(&self, name: &str) -> String {
        let path = self.host.outside(format!("/sys/class/net/{}/{name}", self.name));
        let value = fs::read_to_string(&path);
        let value = value.unwrap_or_else(|error| panic!("`{name}` of `{}` in {:?}: {error}", self.name, self.host));
        value.trim().into()
    }

    fn batch(&self, lines: String) {
        let mut command = self.host.command("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ip = command.spawn().expect("iproute2's `ip` can be started");
        let mut stdin = ip.stdin.take().expect("standard input is piped");
        stdin.write_all(lines.as_bytes()).expect("`ip -batch -` reads to the end");
        drop(stdin);
        let Output { status, stderr, .. } = ip.wait_with_output().expect("a child can be waited for");
        let complaint = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "`ip -batch` on `{}` in {:?}: {complaint}", self.name, self.host);
    }
}

/// An index that no interface has had. Where both ends have the same one, as first interfaces of two hosts would, the
/// kernel takes the link for no virtual one and puts it into service only after a second (`linkwatch_urgent_event`).
fn unused_index() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// A locally administered address from the 32-bit FNV-1a hash of the names.
fn mac_of(host: &str, interface: &str) -> Mac {
    let bytes = host.bytes().chain([b'/']).chain(interface.bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    [0x02, 0x00, a, b, c, d]
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
