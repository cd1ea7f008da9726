//! Services that send back what they get.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::{connections::Connections, datagrams::UdpServer};
use crate::host::Host;

/// A TCP service that sends back every byte, on connections that stay open until the client or the server ends.
pub struct TcpEcho {
    connections: Connections,
}

impl TcpEcho {
    /// Serves on a port of the host, over IPv4 and IPv6; port 0 is any that is free.
    pub fn start(host: &Host, port: u16) -> Self {
        Self { connections: Connections::accept(host, port, send_back) }
    }

    /// The port served.
    pub fn port(&self) -> u16 {
        self.connections.port()
    }
}

fn send_back(mut stream: &TcpStream) {
    let mut chunk = [0; 16 << 10];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        if stream.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
}

/// A UDP service that sends back every datagram.
pub struct UdpEcho(UdpServer);

impl UdpEcho {
    /// Serves on a port of the host, over IPv4 and IPv6; port 0 is any that is free. The kernel picks the answer's
    /// source address, so the host should have one address of each family that its clients can reach.
    pub fn start(host: &Host, port: u16) -> Self {
        Self(UdpServer::start_everywhere(host, port, |datagram| Some(datagram.to_vec())))
    }

    /// Serves at one address of the host.
    pub fn start_at(host: &Host, address: SocketAddr) -> Self {
        Self(UdpServer::start(host, address, |datagram| Some(datagram.to_vec())))
    }

    /// The port served.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// How many datagrams have come in.
    pub fn datagrams(&self) -> usize {
        self.0.datagrams()
    }
}
