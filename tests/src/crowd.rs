//! Many TCP clients at once, on one thread.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr},
    os::fd::AsFd,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{host::Host, wait};

/// Sockets that were made to connect. Dropping it closes them all.
pub struct Crowd {
    connecting: Vec<Socket>,
    connected: Vec<Socket>,
    refused: usize,
}

impl Crowd {
    /// Begins to connect once from each of the sources, all at the same time, to an address.
    pub fn start(host: &Host, sources: impl IntoIterator<Item = IpAddr>, destination: SocketAddr) -> Self {
        let sources: Vec<IpAddr> = sources.into_iter().collect();
        let connecting = host.enter(|| sources.into_iter().map(|source| begin(source, destination)).collect());
        Self { connecting, connected: Vec::new(), refused: 0 }
    }

    /// How many are connected by now.
    pub fn connected(&mut self) -> usize {
        let writable = self.connecting.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLOUT));
        let mut polled: Vec<PollFd<'_>> = writable.collect();
        poll(&mut polled, PollTimeout::ZERO).expect("sockets can be polled");
        let decided: Vec<bool> = polled.iter().map(|polled| polled.any() == Some(true)).collect();
        let former = std::mem::take(&mut self.connecting);
        for (socket, decided) in former.into_iter().zip(decided) {
            match (decided, socket.take_error().expect("a socket tells its error")) {
                (false, _) => self.connecting.push(socket),
                (true, None) => self.connected.push(socket),
                (true, Some(_)) => self.refused += 1,
            }
        }
        self.connected.len()
    }

    /// How many were refused by the other end, or have given up, instead of being ignored.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Waits until so many are connected, and panics where it is not that within the limit.
    #[track_caller]
    pub fn wait_connected(&mut self, wanted: usize, limit: Duration) {
        let met = wait::until(limit, || (self.connected() >= wanted).then_some(()));
        let (connected, connecting, refused) = (self.connected.len(), self.connecting.len(), self.refused);
        assert!(met.is_some(), "{connected} connected, {connecting} not yet, {refused} refused; wanted {wanted}");
    }

    /// Ends the attempts that have come to nothing so far, and returns how many those were.
    pub fn give_up(&mut self) -> usize {
        self.connected();
        self.connecting.drain(..).count()
    }

    /// Closes so many of the connected.
    pub fn close(&mut self, count: usize) {
        self.connected.drain(..count);
    }

    /// Resets so many of the connected.
    pub fn reset(&mut self, count: usize) {
        for socket in self.connected.drain(..count) {
            socket.set_linger(Some(Duration::ZERO)).expect("a TCP socket can linger");
        }
    }

    /// Shuts so many of the connected for sending, at the end of which the server does the same.
    pub fn shut(&mut self, count: usize) {
        for socket in &self.connected[..count] {
            socket.shutdown(Shutdown::Write).expect("it is connected");
        }
    }

    /// Sends a byte on every connection.
    pub fn say(&self, byte: u8) {
        for mut socket in &self.connected {
            // Whether that can be sent is for the test to see by what comes.
            let _ = socket.write(&[byte]);
        }
    }

    /// Takes out the connections that have ended by the other end's doing, and returns how many those are.
    pub fn ended(&mut self) -> usize {
        let before = self.connected.len();
        self.connected.retain(drain);
        before - self.connected.len()
    }

    /// Tells whether every byte that is sent now on every connection comes back within the limit.
    pub fn echoes(&self, limit: Duration) -> bool {
        self.connected.iter().all(|mut socket| {
            drain(socket);
            socket.write_all(b"?").is_ok()
                && wait::until(limit, || matches!(socket.read(&mut [0; 64]), Ok(1..)).then_some(())).is_some()
        })
    }
}

fn begin(source: IpAddr, destination: SocketAddr) -> Socket {
    let begin = || {
        let socket = Socket::new(Domain::for_address(destination), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        match socket.connect(&destination.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
            _ => Ok(socket),
        }
    };
    begin().unwrap_or_else(|error| panic!("begin to connect from {source} to {destination}: {error}"))
}

/// Reads what there is; false where the connection has ended.
fn drain(mut socket: &Socket) -> bool {
    loop {
        match socket.read(&mut [0; 4096]) {
            Ok(1..) => {}
            Ok(0) => return false,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
