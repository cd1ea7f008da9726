//! A UDP socket whose datagrams are answered one by one.

use std::{
    net::{Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::sys::socket;

use crate::host::Host;

/// A UDP service whose answers a closure makes. Runs until dropped.
pub struct UdpServer {
    socket: Arc<UdpSocket>,
    datagrams: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    answerer: Option<JoinHandle<()>>,
}

impl UdpServer {
    /// Serves at an address of the host.
    pub fn start(host: &Host, address: SocketAddr, answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let socket = host.enter(|| UdpSocket::bind(address));
        let socket = Arc::new(socket.unwrap_or_else(|error| panic!("serve UDP at {address} of {host:?}: {error}")));
        let datagrams = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(AtomicBool::new(false));
        let answerer = thread::spawn({
            let (socket, datagrams, ended) = (Arc::clone(&socket), Arc::clone(&datagrams), Arc::clone(&ended));
            move || answer_datagrams(&socket, &datagrams, &ended, answer)
        });
        Self { socket, datagrams, ended, answerer: Some(answerer) }
    }

    /// Serves on a port at every address of the host, over IPv4 and IPv6. The kernel picks the answer's source address,
    /// so the host should have one of each family that its clients can reach.
    pub(super) fn start_everywhere(
        host: &Host,
        port: u16,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        Self::start(host, (Ipv6Addr::UNSPECIFIED, port).into(), answer)
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

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the answerer; the complaint that the socket is not connected is beside the point.
        let _ = socket::shutdown(self.socket.as_raw_fd(), socket::Shutdown::Both);
        if let Some(answerer) = self.answerer.take() {
            let _ = answerer.join();
        }
    }
}

fn answer_datagrams(
    socket: &UdpSocket,
    datagrams: &AtomicUsize,
    ended: &AtomicBool,
    answer: impl Fn(&[u8]) -> Option<Vec<u8>>,
) {
    let mut datagram = vec![0; usize::from(u16::MAX)];
    while !ended.load(Ordering::Relaxed) {
        // An error here is the shutdown, or that of an earlier answer, such as a closed port, and concerns no one.
        if let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            datagrams.fetch_add(1, Ordering::Relaxed);
            if let Some(answer) = answer(&datagram[..length]) {
                let _ = socket.send_to(&answer, peer);
            }
        }
    }
}
