//! A TCP server that a test can put into a cgroup and kill: it keeps what it accepts, and sends back what it gets.
//!
//! `guard-test-server ADDRESS:PORT [unaccepted | asking]`: says `listening` once it does. With `unaccepted` it accepts nobody, with
//! `asking` it gives up clients that do not answer any more. A byte of [`END`] ends a connection from here, and after one of
//! [`SPEAK`] it sends by itself.

use std::{
    env,
    io::{ErrorKind, Read, Write, stdout},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use guard_tests::server::kept::{BACKLOG, END, SPEAK};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    setsockopt_impl,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::{setsockopt, sockopt::SetStruct},
    },
};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

#[derive(Clone, Copy)]
struct FastOpen;
setsockopt_impl!(FastOpen, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, i32, SetStruct<'_, i32>);

/// How often it sends by itself.
const PACE_MS: u16 = 300;
/// After how long it asks a silent client, and then gives it up.
const PATIENCE: Duration = Duration::from_secs(1);

struct Client {
    stream: TcpStream,
    speaks: bool,
}

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let address: SocketAddr = arguments.next().context("an address is needed")?.parse()?;
    let manner = arguments.next();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let listener = listen(address)?;
    writeln!(stdout(), "listening")?;
    match manner.as_deref() {
        None => serve(&listener, false),
        Some("asking") => serve(&listener, true),
        Some("unaccepted") => loop {
            thread::park();
        },
        Some(other) => bail!("`{other}` means nothing here"),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    // Nothing comes of it unless the host's settings allow it.
    setsockopt(&socket, FastOpen, &BACKLOG)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn serve(listener: &TcpListener, asks: bool) -> Result<()> {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut polled = vec![readable(listener.as_fd())];
        polled.extend(clients.iter().map(|client| readable(client.stream.as_fd())));
        let speaks = clients.iter().any(|client| client.speaks);
        poll(&mut polled, if speaks { PollTimeout::from(PACE_MS) } else { PollTimeout::NONE })?;
        let ready: Vec<bool> = polled.iter().map(|polled| polled.any() == Some(true)).collect();
        let mut of_clients = ready[1..].iter();
        clients.retain_mut(|client| {
            let is_ready = of_clients.next() == Some(&true);
            (!is_ready || client.answer()) && (!client.speaks || client.stream.write_all(b".").is_ok())
        });
        if ready[0] {
            accept_all(listener, asks, &mut clients)?;
        }
    }
}

fn accept_all(listener: &TcpListener, asks: bool, clients: &mut Vec<Client>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                if asks {
                    let socket = SockRef::from(&stream);
                    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PATIENCE).with_interval(PATIENCE))?;
                    socket.set_tcp_user_timeout(Some(PATIENCE))?;
                }
                clients.push(Client { stream, speaks: false });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // The client has given up already.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Client {
    /// Reads what has come and answers it; false at the end of the connection.
    fn answer(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(length @ 1..) => {
                let said = &chunk[..length];
                self.speaks |= said.contains(&SPEAK);
                !said.contains(&END) && self.stream.write_all(said).is_ok()
            }
            _ => false,
        }
    }
}
