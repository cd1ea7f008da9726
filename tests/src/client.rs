//! Clients: what somebody at a source address gets from a service.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::host::Host;

/// What an attempt to connect came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The handshake completed.
    Connected,
    /// The destination answered with a reset.
    Refused,
    /// Nothing came back: what a dropped packet looks like.
    TimedOut,
}

/// Connects from a source address of the host. The stream's reads and writes have the same limit, each.
pub fn connect(host: &Host, source: IpAddr, destination: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    host.enter(|| connect_here(source, destination, limit))
}

/// Tries to connect from a source address of the host; panics where the attempt could not be made at all.
pub fn connects(host: &Host, source: IpAddr, destination: SocketAddr, limit: Duration) -> Outcome {
    host.enter(|| connects_here(source, destination, limit))
}

/// Tries to connect from many sources at the same time, and returns the outcomes in the sources' order.
pub fn connects_each(host: &Host, sources: &[IpAddr], destination: SocketAddr, limit: Duration) -> Vec<Outcome> {
    host.enter_each(sources, |source| connects_here(*source, destination, limit))
}

/// Fetches `/` by HTTP and returns the body; fails as well if the answer is not whole and `200` within the limit.
pub fn http_get(host: &Host, source: IpAddr, destination: SocketAddr, limit: Duration) -> io::Result<String> {
    let deadline = Instant::now() + limit;
    let mut stream = connect(host, source, destination, limit)?;
    http_get_on(&mut stream, destination, deadline.saturating_duration_since(Instant::now()))
}

/// Fetches `/` by HTTP over a connection that is open, as its last request; fails as [`http_get`] does.
pub fn http_get_on(stream: &mut TcpStream, destination: SocketAddr, limit: Duration) -> io::Result<String> {
    let deadline = Instant::now() + limit;
    write!(stream, "GET / HTTP/1.1\r\nHost: {destination}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut chunk)? {
            0 => break,
            length => answer.extend_from_slice(&chunk[..length]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("the answer is `{head}`")));
    }
    Ok(body.into())
}

/// Sends a datagram and returns the answer, or none if there is none in time.
pub fn udp_exchange(
    host: &Host,
    source: IpAddr,
    destination: SocketAddr,
    datagram: &[u8],
    limit: Duration,
) -> io::Result<Option<Vec<u8>>> {
    let socket = host.enter(|| UdpSocket::bind((source, 0)))?;
    socket.set_read_timeout(Some(limit))?;
    socket.connect(destination)?;
    socket.send(datagram)?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    match socket.recv(&mut answer) {
        Ok(length) => {
            answer.truncate(length);
            Ok(Some(answer))
        }
        Err(error) if is_timeout(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends echo requests, so long apart, through the kernel's own ping socket (icmp(7), `ping_group_range`), and returns how
/// many are answered before the last one's limit is over.
pub fn ping(
    host: &Host,
    source: IpAddr,
    destination: IpAddr,
    requests: u16,
    apart: Duration,
    limit: Duration,
) -> io::Result<u16> {
    host.sysctl("net/ipv4/ping_group_range", "0 0");
    let (domain, protocol, kind) = match destination {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
    };
    let socket = host.enter(|| Socket::new(domain, Type::DGRAM, Some(protocol)))?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&SocketAddr::new(destination, 0).into())?;
    for sequence in 0..requests {
        // The kernel fills in the checksum and the identifier.
        let [high, low] = sequence.to_be_bytes();
        socket.send(&[kind, 0, 0, 0, 0, 0, high, low])?;
        thread::sleep(apart);
    }
    socket.set_read_timeout(Some(limit))?;
    let mut answered = 0;
    while answered < requests {
        match (&socket).read(&mut [0; 64]) {
            Ok(_) => answered += 1,
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answered)
}

fn connects_here(source: IpAddr, destination: SocketAddr, limit: Duration) -> Outcome {
    match connect_here(source, destination, limit) {
        Ok(_) => Outcome::Connected,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Outcome::Refused,
        Err(error) if is_timeout(&error) => Outcome::TimedOut,
        Err(error) => panic!("cannot try to connect from {source} to {destination}: {error}"),
    }
}

fn connect_here(source: IpAddr, destination: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(destination), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&destination.into(), limit)?;
    socket.set_read_timeout(Some(limit))?;
    socket.set_write_timeout(Some(limit))?;
    Ok(socket.into())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}
