//! The host's interfaces, addresses and routes, and what it has open, by netlink.
//!
//! Knows nothing of policy: what is worth guarding is decided by the daemon.

pub(crate) mod conntrack;
mod dump;
pub(crate) mod filters;
mod interface;
pub(crate) mod reach;
mod routes;
pub(crate) mod sockets;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future, io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use nix::{errno::Errno, net::if_::if_indextoname};
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressFlags, AddressMessage},
        link::LinkMessage,
        route::RouteMessage,
    },
};
use thiserror::Error;
use tokio::task::JoinHandle;

pub(crate) use self::interface::{AttachedMode, Interface, Kind};

/// What netlink would not do.
#[derive(Debug, Error)]
pub(crate) enum NetworkError {
    #[error("opening a netlink socket")]
    Open(#[source] io::Error),
    #[error("listing interfaces and addresses")]
    List(#[source] rtnetlink::Error),
    #[error("listing routes")]
    Routes(#[source] rtnetlink::Error),
    #[error("listing {what}")]
    Dump { what: &'static str, source: io::Error },
    #[error("reading {path}")]
    Setting { path: &'static str, source: io::Error },
}

/// Two ends of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Connection {
    /// IANA's number.
    pub(crate) protocol: u8,
    /// This host's end. Of an ICMP echo the port is the identifier; of protocols without ports 0.
    pub(crate) local: SocketAddr,
    /// The other end. Of an ICMP echo and of protocols without ports the port is 0.
    pub(crate) remote: SocketAddr,
}

/// Tells whether an interface has this index.
pub(crate) fn exists(index: u32) -> bool {
    name_of(index) != Err(Errno::ENXIO)
}

/// Returns the name of the interface that has this index.
pub(crate) fn name_of(index: u32) -> Result<String, Errno> {
    let name = if_indextoname(index)?;
    // nix takes the null pointer that stands for an error for a name.
    if name.is_empty() { Err(Errno::last()) } else { name.into_string().map_err(|_| Errno::EILSEQ) }
}

/// A connection to the kernel's routing tables.
pub(crate) struct Network {
    handle: Handle,
    /// One item for each change of a link, an address or a route to a gateway; says only that there was one.
    pub(crate) changes: BoxStream<'static, ()>,
    connection: JoinHandle<()>,
    /// What the last look at the routes gave, and how long it took.
    routing: RefCell<Option<Routing>>,
}

struct Routing {
    interfaces: BTreeSet<u32>,
    read: Instant,
    took: Duration,
}

/// A look at the routes that takes longer than this, as with a full table of the world's routes, holds for so many times as long as
/// it took.
const LONG_LOOK: Duration = Duration::from_millis(50);
const LONG_LOOK_HOLDS: u32 = 20;

impl Network {
    /// Opens the connection and subscribes to changes.
    pub(crate) fn open() -> Result<Self, NetworkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let (connection, handle, messages) = new_multicast_connection(&groups).map_err(NetworkError::Open)?;
        let changes =
            messages.filter_map(|(message, _)| future::ready(routes::may_concern_us(&message).then_some(()))).boxed();
        Ok(Self { handle, changes, connection: tokio::spawn(connection), routing: RefCell::new(None) })
    }

    /// Lists all interfaces with their addresses.
    pub(crate) async fn interfaces(&self) -> Result<Vec<Interface>, NetworkError> {
        let links: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.map_err(NetworkError::List)?;
        let mut addresses = self.addresses().await?;
        let bonds: Vec<u32> =
            links.iter().filter(|link| Kind::read(link) == Kind::Bond).map(|link| link.header.index).collect();
        Ok(links.iter().filter_map(|link| Interface::read(link, &bonds, &mut addresses)).collect())
    }

    /// Lists the indices of the interfaces behind which a gateway is: those that a unicast route of any table leaves
    /// through, also as one of several next hops.
    ///
    /// Where `net.ipv4.nexthop_compat_mode` is 0, routes by a nexthop object do not show where they leave. A host with very many
    /// routes is looked at less often than this is asked.
    pub(crate) async fn routing_interfaces(&self) -> Result<BTreeSet<u32>, NetworkError> {
        if let Some(Routing { interfaces, read, took }) = &*self.routing.borrow()
            && *took > LONG_LOOK
            && read.elapsed() < *took * LONG_LOOK_HOLDS
        {
            return Ok(interfaces.clone());
        }
        let started = Instant::now();
        let interfaces = self.list_routing_interfaces().await?;
        let routing = Routing { interfaces: interfaces.clone(), read: Instant::now(), took: started.elapsed() };
        self.routing.replace(Some(routing));
        Ok(interfaces)
    }

    async fn list_routing_interfaces(&self) -> Result<BTreeSet<u32>, NetworkError> {
        let mut interfaces = BTreeSet::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut every_route = RouteMessage::default();
            every_route.header.address_family = family;
            let mut routes = self.handle.route().get(every_route).execute();
            while let Some(route) = routes.try_next().await.map_err(NetworkError::Routes)? {
                interfaces.extend(routes::towards_gateways(&route));
            }
        }
        Ok(interfaces)
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
