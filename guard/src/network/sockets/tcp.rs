//! TCP connections by their sockets: which there are at some ports, how long each has been silent, and their end.

mod filter;

use std::{collections::BTreeSet, io, mem::offset_of, net::SocketAddr, os::fd::OwnedFd, time::Duration};

use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, INET_DIAG_INFO, SOCK_DESTROY, TCP_CLOSE_WAIT, TCP_ESTABLISHED,
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use nix::{errno::Errno, sys::socket::SockProtocol};
use rtnetlink::packet_core::{DecodeError, Emitable as _, NlasIterator, Parseable as _};

use super::{
    super::{
        NetworkError,
        dump::{open, order},
    },
    TCP, encode, read_with,
};

/// A connection's socket in this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpSocket {
    id: SocketId,
    /// Whether no process has it any more, while the kernel brings it to its end.
    pub(crate) is_orphan: bool,
    /// How long ago the last segment came or left, but for what only keeps the connection alive; none unless it was asked for.
    pub(crate) silent_for: Option<Duration>,
}

/// What is asked of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Which there are.
    Ends,
    /// How long each has been silent as well.
    Silence,
}

/// What became of a socket that was to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destroyed {
    Closed,
    /// It was gone.
    Gone,
    /// The kernel was built without `CONFIG_INET_DIAG_DESTROY`.
    Unsupported,
}

/// Reads the connections of local ports that are established and not closed, those that one side has ended included. Sockets that
/// come or go meanwhile may be missing. It blocks while the kernel looks at all of this network namespace.
pub(crate) fn read(ports: &BTreeSet<u16>, detail: Detail) -> Result<Vec<TcpSocket>, NetworkError> {
    let mut sockets = Vec::new();
    if ports.is_empty() {
        return Ok(sockets);
    }
    let extensions = match detail {
        Detail::Ends => ExtensionFlags::empty(),
        Detail::Silence => ExtensionFlags::INFO,
    };
    // That of a SYN that was sent is not there yet.
    let states = TCP.open - StateFlags::SYN_SENT;
    read_with(&TCP, states, extensions, &filter::attribute(ports), |message| {
        let socket = TcpSocket::parse(message)?;
        if ports.contains(&socket.local().port()) {
            sockets.push(socket);
        }
        Ok(())
    })?;
    Ok(sockets)
}

impl TcpSocket {
    fn parse(message: &[u8]) -> Result<Self, DecodeError> {
        let header = InetResponseHeader::parse(message)?;
        let mut silent_for = None;
        for attribute in NlasIterator::new(&message[header.buffer_len()..]) {
            let attribute = attribute?;
            if attribute.kind() == INET_DIAG_INFO {
                silent_for = silence(attribute.value());
            }
        }
        let is_ending = !matches!(header.state, TCP_ESTABLISHED | TCP_CLOSE_WAIT);
        Ok(Self { id: header.socket_id, is_orphan: is_ending && header.inode == 0, silent_for })
    }

    /// The number by which BPF programs know it as well (`bpf_get_socket_cookie`); no two sockets of this boot share one.
    pub(crate) fn cookie(&self) -> u64 {
        // Two words, the lower first, whatever the byte order (`sock_diag_save_cookie`).
        let [a, b, c, d, e, f, g, h] = self.id.cookie;
        u64::from(u32::from_ne_bytes([a, b, c, d])) | u64::from(u32::from_ne_bytes([e, f, g, h])) << 32
    }

    /// This host's end; never an IPv4-mapped address.
    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.id.source_address.to_canonical(), self.id.source_port)
    }

    /// The other end; never an IPv4-mapped address.
    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.id.destination_address.to_canonical(), self.id.destination_port)
    }

    /// Returns one that a process has.
    #[cfg(test)]
    pub(crate) fn sample(cookie: u32, local: SocketAddr, remote: SocketAddr) -> Self {
        let mut words = [0; 8];
        words[..4].copy_from_slice(&cookie.to_ne_bytes());
        let id = SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: local.ip(),
            destination_address: remote.ip(),
            interface_id: 0,
            cookie: words,
        };
        Self { id, is_orphan: false, silent_for: None }
    }
}

/// Returns how long ago data was sent, and data or an acknowledgement came, whichever was last.
fn silence(tcp_info: &[u8]) -> Option<Duration> {
    let at = [
        offset_of!(libc::tcp_info, tcpi_last_data_sent),
        offset_of!(libc::tcp_info, tcpi_last_data_recv),
        offset_of!(libc::tcp_info, tcpi_last_ack_recv),
    ];
    let milliseconds = |at: usize| tcp_info.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    // What a kernel does not tell is not guessed.
    let [sent, received, acknowledged] = at.map(milliseconds);
    Some(Duration::from_millis(sent?.min(received?).min(acknowledged?).into()))
}

/// A way to have the kernel close sockets.
pub(crate) struct Destroyer(OwnedFd);

impl Destroyer {
    pub(crate) fn open() -> io::Result<Self> {
        open(SockProtocol::NetlinkSockDiag).map(Self)
    }

    /// Closes a socket, whoever has it: both ends are told at once.
    ///
    /// One that no process has is to be left alone: older kernels take from it what it still has to send, and never free it then
    /// (mended by "tcp: fix forever orphan socket caused by tcp_abort").
    pub(crate) fn destroy(&self, socket: &TcpSocket) -> io::Result<Destroyed> {
        let family = if socket.id.source_address.is_ipv4() { AF_INET } else { AF_INET6 };
        let request = InetRequest {
            family,
            protocol: TCP.protocol,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: socket.id.clone(),
        };
        match order(&self.0, SOCK_DESTROY, &encode(&request)) {
            Ok(()) => Ok(Destroyed::Closed),
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT | Errno::ESTALE) => Ok(Destroyed::Gone),
                Some(Errno::EOPNOTSUPP) => Ok(Destroyed::Unsupported),
                _ => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests;
