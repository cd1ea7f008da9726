//! What the kernel's connection tracker holds, by ctnetlink.
//!
//! Which flows were opened by or through this host the tracker does not say: it knows who sent the first packet, not on
//! which side of the host that was.

mod decode;

use std::{net::SocketAddr, path::Path};

use nix::sys::socket::SockProtocol;

use super::{Connection, NetworkError, dump::dump};

/// There while the kernel has a tracker. To ask one that is not there would have the kernel load it.
const TRACKER: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// Lists the tracker's entries: the subsystem in the upper byte, the message in the lower.
const GET: u16 = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;

/// The header of every message of netfilter: family, version, resource (`struct nfgenmsg`).
const HEADER_LEN: usize = 4;
const EVERY_FAMILY: [u8; HEADER_LEN] = [0; HEADER_LEN];

/// A flow of the tracker, as it is before any translation of addresses and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tracked {
    /// IANA's number.
    pub(crate) protocol: u8,
    /// As the first packet came, before translation. Of an ICMP echo the source's port is the identifier.
    pub(crate) original: Direction,
    /// As an answer comes, before it is translated back. Of an ICMP echo the destination's port is the identifier.
    pub(crate) reply: Direction,
}

/// Where packets of one direction come from and go to. Of protocols without ports, the ports are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

impl Tracked {
    /// The flow as it is on the wire, outside of any translation, if it was opened by or through this host.
    pub(crate) fn outward(&self) -> Connection {
        Connection { protocol: self.protocol, local: self.reply.destination, remote: self.reply.source }
    }
}

/// Reads the flows that are tracked in this network namespace and not about to end, none where nothing is tracked. Flows
/// that come or go meanwhile may be missing. It blocks while the kernel looks at them all.
///
/// # Errors
///
/// Without CAP_NET_ADMIN the kernel does not tell: [`std::io::ErrorKind::PermissionDenied`].
pub(crate) fn read() -> Result<Vec<Tracked>, NetworkError> {
    let mut flows = Vec::new();
    if Path::new(TRACKER).exists() {
        dump(SockProtocol::NetlinkNetFilter, GET, &EVERY_FAMILY, |message| {
            flows.extend(decode::tracked(message)?);
            Ok(())
        })
        .map_err(|source| NetworkError::Dump { what: "tracked flows", source })?;
    }
    Ok(flows)
}

#[cfg(test)]
mod tests;
