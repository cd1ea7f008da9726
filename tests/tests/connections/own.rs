//! Connections that the guarded host asked for from a service's port: they are nobody's to count, and nobody's to close.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use guard_tests::{Cell, Counted, counted::open, in_each_family};
use socket2::{Domain, Protocol, Socket, Type};

use crate::scene::{SOON, wait_open};

/// Two of the service's ports, on which nobody listens.
const PORTS: [u16; 2] = [3000, 3001];
const PEERS: u16 = 6000;
/// Longer than the service's connections may be idle, and looks may take.
const WHILE: Duration = Duration::from_secs(4);

#[test]
fn they_are_left_alone() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 1);
        let outsider = outsider(cell);
        counted.site.add_sources([outsider]);
        let listener = counted.site.peer().enter(|| TcpListener::bind(("::", PEERS)).expect("a port is free"));
        let guard = counted.guard(
            "[[service]]\nname = 'web'\nports = ['tcp/3000', 'tcp/3001']\nmax_connections = 1\nidle_timeout = '1s'\n\
             [[service]]\nname = 'plain'\nports = ['tcp/4000']\n",
        );
        let ask = |port: u16, peer: IpAddr| {
            let ours = counted.site.host().enter(|| connect(port, SocketAddr::new(peer, PEERS)));
            (ours, listener.accept().expect("it is connected").0)
        };
        let mut asked: Vec<_> = [PORTS[0], PORTS[1], 4000]
            .into_iter()
            .flat_map(|port| [counted.client(1), outsider].map(|peer| ask(port, peer)))
            .collect();
        thread::sleep(WHILE);
        assert_eq!(open(&guard), 0, "{cell}");
        // Whoever is not let in is looked for again.
        let answer = guard.ask(&["allow", "add", "203.0.113.77"]);
        assert!(answer.status.success(), "{cell}: {answer:?}");
        wait_open(&guard, &cell.to_string(), 0, SOON);
        for (nth, (ours, theirs)) in asked.iter_mut().enumerate() {
            ours.write_all(b"?").unwrap_or_else(|error| panic!("{cell}: connection {nth}: {error}"));
            theirs.set_read_timeout(Some(SOON)).expect("a time is no trouble");
            theirs.read_exact(&mut [0]).unwrap_or_else(|error| panic!("{cell}: connection {nth}: {error}"));
        }
    });
}

fn outsider(cell: Cell) -> IpAddr {
    cell.pick([203, 0, 113, 1].into(), [0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 1].into())
}

/// Connects from a port.
fn connect(port: u16, to: SocketAddr) -> TcpStream {
    let connect = || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        socket.bind(&SocketAddr::new(any, port).into())?;
        socket.connect(&to.into())?;
        Ok::<_, std::io::Error>(socket.into())
    };
    connect().unwrap_or_else(|error| panic!("connect from port {port} to {to}: {error}"))
}
