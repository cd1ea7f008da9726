//! The sockets of this network namespace, by sock_diag(7).
//!
//! Whether a connection was opened from here, its socket does not say.

pub(crate) mod tcp;

use std::{collections::BTreeSet, fs, io, net::SocketAddr, ops::RangeInclusive};

use guard_common::packet::protocol;
use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, SOCK_DIAG_BY_FAMILY, TCP_CLOSE, TCP_LISTEN,
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use nix::sys::socket::SockProtocol;
use rtnetlink::packet_core::{DecodeError, Emitable as _, Parseable as _};

use super::{Connection, NetworkError, dump::dump};

const EPHEMERAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// A protocol, and the states in which its sockets are of interest.
struct Transport {
    protocol: u8,
    name: &'static str,
    listening: StateFlags,
    open: StateFlags,
}

const TCP: Transport = Transport {
    protocol: protocol::TCP,
    name: "TCP sockets",
    listening: StateFlags::LISTEN,
    open: StateFlags::SYN_SENT
        .union(StateFlags::ESTABLISHED)
        .union(StateFlags::CLOSE_WAIT)
        .union(StateFlags::FIN_WAIT1)
        .union(StateFlags::FIN_WAIT2)
        .union(StateFlags::LAST_ACK)
        .union(StateFlags::CLOSING),
};

/// The kernel calls UDP established when it is connected, and else closed.
const UDP: Transport = Transport {
    protocol: protocol::UDP,
    name: "UDP sockets",
    listening: StateFlags::CLOSE,
    open: StateFlags::ESTABLISHED,
};

/// What the sockets tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sockets {
    pub(crate) listening: Listening,
    pub(crate) connections: Vec<Connection>,
}

/// Ports on which something waits for packets of strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Of listening sockets.
    pub(crate) tcp: BTreeSet<u16>,
    /// Of sockets that are bound, not connected, and outside the ephemeral range: within it such a socket is a client's,
    /// a resolver's for instance.
    pub(crate) udp: BTreeSet<u16>,
}

/// Reads what is listening and what is connected. Sockets that come or go meanwhile may be missing. It blocks while the
/// kernel looks at them all.
pub(crate) fn read() -> Result<Sockets, NetworkError> {
    read_states(|transport| transport.listening.clone() | transport.open.clone())
}

/// Reads what is listening alone, for which the kernel does not look at TCP connections.
pub(crate) fn read_listening() -> Result<Listening, NetworkError> {
    read_states(|transport| transport.listening.clone()).map(|sockets| sockets.listening)
}

/// Reads the TCP connections that are established, each with the number of its socket's inode, by which a descriptor of a process
/// names it.
pub(crate) fn read_established() -> Result<Vec<(u32, Connection)>, NetworkError> {
    let mut established = Vec::new();
    read_all(&TCP, StateFlags::ESTABLISHED, |socket| {
        established.push((socket.inode, connection(protocol::TCP, socket)));
    })?;
    Ok(established)
}

fn read_states(states: fn(&Transport) -> StateFlags) -> Result<Sockets, NetworkError> {
    let ephemeral = ephemeral_ports()?;
    let mut sockets = Sockets::default();
    for transport in [&TCP, &UDP] {
        read_all(transport, states(transport), |socket| sockets.add(transport.protocol, socket, &ephemeral))?;
    }
    Ok(sockets)
}

fn read_all(
    transport: &Transport,
    states: StateFlags,
    mut take: impl FnMut(&InetResponseHeader),
) -> Result<(), NetworkError> {
    read_with(transport, states, ExtensionFlags::empty(), &[], |message| {
        take(&InetResponseHeader::parse(message)?);
        Ok(())
    })
}

/// Gives `take` what the kernel says of each socket, with what is asked for beside the header. `attributes` stand behind the
/// request's own header.
fn read_with(
    transport: &Transport,
    states: StateFlags,
    extensions: ExtensionFlags,
    attributes: &[u8],
    mut take: impl FnMut(&[u8]) -> Result<(), DecodeError>,
) -> Result<(), NetworkError> {
    for (family, any) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let request = InetRequest {
            family,
            protocol: transport.protocol,
            extensions: extensions.clone(),
            states: states.clone(),
            socket_id: any,
        };
        let bytes = [encode(&request).as_slice(), attributes].concat();
        dump(SockProtocol::NetlinkSockDiag, SOCK_DIAG_BY_FAMILY, &bytes, &mut take)
            .map_err(|source| NetworkError::Dump { what: transport.name, source })?;
    }
    Ok(())
}

fn encode(request: &InetRequest) -> Vec<u8> {
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut bytes);
    bytes
}

fn connection(protocol: u8, socket: &InetResponseHeader) -> Connection {
    let id = &socket.socket_id;
    Connection {
        protocol,
        local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
        remote: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
    }
}

impl Sockets {
    fn add(&mut self, protocol: u8, socket: &InetResponseHeader, ephemeral: &RangeInclusive<u16>) {
        let id = &socket.socket_id;
        match (protocol, socket.state) {
            (protocol::TCP, TCP_LISTEN) => {
                self.listening.tcp.insert(id.source_port);
            }
            (protocol::UDP, TCP_CLOSE) => {
                if !ephemeral.contains(&id.source_port) {
                    self.listening.udp.insert(id.source_port);
                }
            }
            _ => self.connections.push(connection(protocol, socket)),
        }
    }
}

/// The ports from which the kernel takes one for a socket that asks for none.
pub(crate) fn ephemeral_ports() -> Result<RangeInclusive<u16>, NetworkError> {
    let read = || {
        let text = fs::read_to_string(EPHEMERAL_PORTS)?;
        parse_range(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is no range", text.trim())))
    };
    read().map_err(|source| NetworkError::Setting { path: EPHEMERAL_PORTS, source })
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests;
