//! Both ends of a TCP connection, so that a test can see what each of them gets.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::host::Host;

/// How long a slow machine may take over anything that must come.
const LIMIT: Duration = Duration::from_secs(15);
/// Enough for several segments.
const CHUNK: usize = 16 << 10;

/// A TCP connection. The listening socket lives as long as it.
pub struct Connection {
    /// The end that opened it.
    pub opener: TcpStream,
    /// The end that accepted it.
    pub acceptor: TcpStream,
    _listener: TcpListener,
}

impl Connection {
    /// Connects an address of a host, with a port or 0, to one of another at which something listens from now on.
    pub fn open(opener: &Host, from: SocketAddr, acceptor: &Host, at: SocketAddr) -> Self {
        Self::open_through(opener, from, at, acceptor, at)
    }

    /// Connects to an address that somebody on the way translates into that at which something listens.
    pub fn open_through(
        opener: &Host,
        from: SocketAddr,
        to: SocketAddr,
        acceptor: &Host,
        listens_at: SocketAddr,
    ) -> Self {
        let what = format!("connect {from} to {to}, listening at {listens_at}");
        let fail = |error: io::Error| -> ! { panic!("{what}: {error}") };
        let listener = acceptor.enter(|| listen(listens_at)).unwrap_or_else(|error| fail(error));
        let opened = opener.enter(|| connect(from, to)).unwrap_or_else(|error| fail(error));
        let (accepted, _) = listener.accept().unwrap_or_else(|error| fail(error));
        for stream in [&opened, &accepted] {
            stream.set_nodelay(true).unwrap_or_else(|error| fail(error));
            stream.set_read_timeout(Some(LIMIT)).unwrap_or_else(|error| fail(error));
            stream.set_write_timeout(Some(LIMIT)).unwrap_or_else(|error| fail(error));
        }
        Self { opener: opened, acceptor: accepted, _listener: listener }
    }

    /// Sends some bytes each way, first from the end that accepted; panics unless they arrive as they were.
    #[track_caller]
    pub fn assert_carries(&self, case: &str) {
        self.assert_carries_bytes(CHUNK, case);
    }

    /// As [`Connection::assert_carries`], with so many bytes each way.
    #[track_caller]
    pub fn assert_carries_bytes(&self, bytes: usize, case: &str) {
        for (way, from, to) in [("back", &self.acceptor, &self.opener), ("forth", &self.opener, &self.acceptor)] {
            if let Err(error) = carry(from, to, bytes) {
                panic!("{case}: {bytes} bytes {way}: {error}");
            }
        }
    }
}

/// Tells whether a byte that one end sends reaches the other within the limit. It is still sent again afterwards.
pub fn reaches(mut from: &TcpStream, mut to: &TcpStream, limit: Duration) -> bool {
    // One that has given up the connection sends nothing.
    if from.write_all(&[0x5a]).is_err() {
        return false;
    }
    to.set_read_timeout(Some(limit)).expect("a socket takes a time limit");
    let outcome = to.read(&mut [0; CHUNK]);
    to.set_read_timeout(Some(LIMIT)).expect("a socket takes a time limit");
    match outcome {
        Ok(length) => length > 0,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
        Err(error) => panic!("cannot read: {error}"),
    }
}

/// Sends so many bytes from one end to the other, and tells what went wrong.
pub fn carry(mut from: &TcpStream, mut to: &TcpStream, bytes: usize) -> io::Result<()> {
    let sent: Vec<u8> = (0..bytes).map(|place| (place ^ place >> 8) as u8).collect();
    let mut arrived = vec![0; bytes];
    thread::scope(|scope| {
        let sender = scope.spawn(|| from.write_all(&sent));
        to.read_exact(&mut arrived)?;
        sender.join().expect("sending does not panic")
    })?;
    if arrived == sent { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidData, "other bytes arrived")) }
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = stream_socket(at)?;
    socket.bind(&at.into())?;
    socket.listen(16)?;
    Ok(socket.into())
}

fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = stream_socket(from)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), LIMIT)?;
    Ok(socket.into())
}

fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A former connection of the same port may not have been forgotten yet.
    socket.set_reuse_address(true)?;
    Ok(socket)
}
