//! The host's interfaces and addresses, by netlink.
//!
//! Knows nothing of policy: what is worth guarding is decided by the daemon.

use std::{collections::BTreeMap, io, net::IpAddr};

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use nix::{errno::Errno, net::if_::if_indextoname};
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_route::{
        address::{AddressAttribute, AddressFlags, AddressMessage},
        link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached},
    },
};
use thiserror::Error;
use tokio::task::JoinHandle;

/// What netlink would not do.
#[derive(Debug, Error)]
pub(crate) enum NetworkError {
    #[error("opening a netlink socket")]
    Open(#[source] io::Error),
    #[error("listing interfaces and addresses")]
    List(#[source] rtnetlink::Error),
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) addresses: Vec<IpAddr>,
    /// The XDP program that is attached.
    pub(crate) xdp: Option<AttachedXdp>,
    /// The bond that it is a member of.
    in_bond: bool,
}

/// What an interface is, as far as guarding it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Loopback,
    /// A network card.
    Physical,
    Bond,
    /// A virtual interface whose frames begin with an Ethernet header.
    Ethernet,
    /// One whose frames begin with something else, where an XDP program would take IP for "not IP".
    NotEthernet,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttachedXdp {
    /// The kernel's number of it.
    pub(crate) program: u32,
    pub(crate) mode: AttachedMode,
}

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttachedMode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl AttachedMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl Interface {
    /// Tells whether the interface is one that `*` stands for: a card or a bond, but no bond's member.
    pub(crate) fn is_physical(&self) -> bool {
        matches!(self.kind, Kind::Physical | Kind::Bond) && !self.in_bond
    }
}

/// Tells whether an interface has this index.
pub(crate) fn exists(index: u32) -> bool {
    if_indextoname(index) != Err(Errno::ENXIO)
}

/// A connection to the kernel's routing tables.
pub(crate) struct Network {
    handle: Handle,
    /// One item for each change of a link or an address; says only that there was one.
    pub(crate) changes: BoxStream<'static, ()>,
    connection: JoinHandle<()>,
}

impl Network {
    /// Opens the connection and subscribes to changes.
    pub(crate) fn open() -> Result<Self, NetworkError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, messages) = new_multicast_connection(&groups).map_err(NetworkError::Open)?;
        Ok(Self { handle, changes: messages.map(|_| ()).boxed(), connection: tokio::spawn(connection) })
    }

    /// Lists all interfaces with their addresses.
    pub(crate) async fn interfaces(&self) -> Result<Vec<Interface>, NetworkError> {
        let links: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.map_err(NetworkError::List)?;
        let mut addresses = self.addresses().await?;
        let bonds: Vec<u32> =
            links.iter().filter(|link| kind(link) == Kind::Bond).map(|link| link.header.index).collect();
        Ok(links.iter().filter_map(|link| interface(link, &bonds, &mut addresses)).collect())
    }

    async fn addresses(&self) -> Result<BTreeMap<u32, Vec<IpAddr>>, NetworkError> {
        let mut messages = self.handle.address().get().execute();
        let mut addresses: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
        while let Some(message) = messages.try_next().await.map_err(NetworkError::List)? {
            if !is_usable(&message) {
                continue;
            }
            // IFA_LOCAL is the host's own; on point-to-point links IFA_ADDRESS is the peer's.
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(ip) => Some(*ip),
                _ => None,
            });
            let address = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            });
            if let Some(ip) = local.or(address) {
                addresses.entry(message.header.index).or_default().push(ip);
            }
        }
        Ok(addresses)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Tells whether an address is the host's: one whose duplicate was found, or may yet be, is another host's as well.
fn is_usable(message: &AddressMessage) -> bool {
    let unproven = AddressFlags::Tentative | AddressFlags::Dadfailed;
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    !flags.is_some_and(|flags| flags.intersects(unproven))
}

fn interface(link: &LinkMessage, bonds: &[u32], addresses: &mut BTreeMap<u32, Vec<IpAddr>>) -> Option<Interface> {
    let index = link.header.index;
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let in_bond = link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::Controller(controller) => bonds.contains(controller),
        _ => false,
    });
    let addresses = addresses.remove(&index).unwrap_or_default();
    Some(Interface { index, name, kind: kind(link), addresses, xdp: xdp(link), in_bond })
}

fn kind(link: &LinkMessage) -> Kind {
    match link.header.link_layer_type {
        LinkLayerType::Loopback => return Kind::Loopback,
        LinkLayerType::Ether => {}
        _ => return Kind::NotEthernet,
    }
    let virtual_kind = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
            LinkInfo::Kind(kind) => Some(kind),
            _ => None,
        }),
        _ => None,
    });
    match virtual_kind {
        None => Kind::Physical,
        Some(InfoKind::Bond) => Kind::Bond,
        Some(_) => Kind::Ethernet,
    }
}

fn xdp(link: &LinkMessage) -> Option<AttachedXdp> {
    let attributes = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(attributes) => Some(attributes),
        _ => None,
    })?;
    let program = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(program) => Some(*program),
        _ => None,
    })?;
    let generic = attributes.contains(&LinkXdp::Attached(XdpAttached::SocketBuffer));
    Some(AttachedXdp { program, mode: if generic { AttachedMode::Generic } else { AttachedMode::Native } })
}
