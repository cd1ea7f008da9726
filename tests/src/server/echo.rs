//! Services that send back what they get.

use std::{
    io::{Read, Write},
    net::{Ipv6Addr, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::sys::socket;

use super::connections::Connections;
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

/// A UDP service that sends back every datagram. The kernel picks the answer's source address, so the host should have
/// one address of each family that its clients can reach.
pub struct UdpEcho {
    socket: Arc<UdpSocket>,
    datagrams: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    answerer: Option<JoinHandle<()>>,
}

impl UdpEcho {
    /// Serves on a port of the host, over IPv4 and IPv6; port 0 is any that is free.
    pub fn start(host: &Host, port: u16) -> Self {
        let socket = host.enter(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)));
        let socket = Arc::new(socket.unwrap_or_else(|error| panic!("serve UDP port {port} of {host:?}: {error}")));
        let datagrams = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(AtomicBool::new(false));
        let answerer = thread::spawn({
            let (socket, datagrams, ended) = (Arc::clone(&socket), Arc::clone(&datagrams), Arc::clone(&ended));
            move || answer_datagrams(&socket, &datagrams, &ended)
        });
        Self { socket, datagrams, ended, answerer: Some(answerer) }
    }

    /// The port served.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().expect("a bound socket has an address").port()
    }

    /// How many datagrams have come in.
    pub fn datagrams(&self) -> usize {
        self.datagrams.load(Ordering::Relaxed)
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the answerer; the complaint that the socket is not connected is beside the point.
        let _ = socket::shutdown(self.socket.as_raw_fd(), socket::Shutdown::Both);
        if let Some(answerer) = self.answerer.take() {
            let _ = answerer.join();
        }
    }
}

fn answer_datagrams(socket: &UdpSocket, datagrams: &AtomicUsize, ended: &AtomicBool) {
    let mut datagram = vec![0; usize::from(u16::MAX)];
    while !ended.load(Ordering::Relaxed) {
        // An error here is the shutdown, or that of an earlier answer, such as a closed port, and concerns no one.
        if let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            datagrams.fetch_add(1, Ordering::Relaxed);
            let _ = socket.send_to(&datagram[..length], peer);
        }
    }
}
