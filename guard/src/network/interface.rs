//! What a link message says of an interface.

use std::{collections::BTreeMap, net::IpAddr};

use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};

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
    /// Puts an interface together, with its addresses out of those of all; none where the message has no name.
    pub(super) fn read(link: &LinkMessage, bonds: &[u32], addresses: &mut BTreeMap<u32, Vec<IpAddr>>) -> Option<Self> {
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
        Some(Self { index, name, kind: Kind::read(link), addresses, xdp: xdp(link), in_bond })
    }

    /// Returns an Ethernet interface without addresses.
    #[cfg(test)]
    pub(crate) fn sample(index: u32, name: &str) -> Self {
        let (name, addresses) = (name.to_owned(), Vec::new());
        Self { index, name, kind: Kind::Ethernet, addresses, xdp: None, in_bond: false }
    }

    /// Tells whether the interface is one that `*` stands for: a card or a bond, but no bond's member.
    pub(crate) fn is_physical(&self) -> bool {
        matches!(self.kind, Kind::Physical | Kind::Bond) && !self.in_bond
    }
}

impl Kind {
    /// Tells an interface's kind.
    pub(super) fn read(link: &LinkMessage) -> Self {
        match link.header.link_layer_type {
            LinkLayerType::Loopback => return Self::Loopback,
            LinkLayerType::Ether => {}
            _ => return Self::NotEthernet,
        }
        let virtual_kind = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
                LinkInfo::Kind(kind) => Some(kind),
                _ => None,
            }),
            _ => None,
        });
        match virtual_kind {
            None => Self::Physical,
            Some(InfoKind::Bond) => Self::Bond,
            Some(_) => Self::Ethernet,
        }
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
