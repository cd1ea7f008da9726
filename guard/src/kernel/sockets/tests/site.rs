//! A client and a server on a wire, and the cgroup of the server's sockets.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    num::NonZeroU32,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use guard_common::{
    connections::{ConnectionKey, HalfOpen},
    names,
};
use guard_tests::{
    Cgroup, Family, Host, Link,
    client::{self, Outcome},
    frame::{Frame, SYN, Tcp},
    wire::Wire,
};
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, sendto, setsockopt, socket,
        sockopt,
    },
    time::{ClockId, clock_gettime},
};

use crate::{
    kernel::{
        bpf,
        tests::{frames::SERVICE_PORT, machine::Machine},
    },
    policy::{ConnectionPolicy, Limit, Mode, Policy, Protocol, Service},
    samples,
};

/// A service of which no connection is known.
pub(super) const UNTRACKED_PORT: u16 = 5_000;
/// The port of a SYN that is sent by hand.
pub(super) const CLIENT_PORT: u16 = 1_234;

const WIRE: &str = "eth0";
/// How long who is refused waits: shorter than until a SYN is sent again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Somebody at the client's end.
#[derive(Clone, Copy)]
pub(super) struct Client {
    family: Family,
    pub(super) ip: IpAddr,
}

impl Client {
    fn of(family: Family, number: u8) -> Self {
        let ip = family.pick(format!("198.51.100.{number}"), format!("2001:db8:7:{number}::9"));
        Self { family, ip: ip.parse().expect("it is an address") }
    }

    pub(super) fn key(self) -> ConnectionKey {
        ConnectionKey::new(self.ip.into(), self.family.pick(4, 6), 1)
    }

    fn server(self, port: u16) -> SocketAddr {
        let ip = self.family.pick("198.51.100.1", "2001:db8:7::1");
        SocketAddr::new(ip.parse().expect("it is an address"), port)
    }
}

/// The place.
pub(super) struct Site {
    pub(super) client: Host,
    pub(super) server: Host,
    wire: Link,
    by_hand: Wire,
    cgroup: Cgroup,
}

/// Runs a test in each family, for a machine that is attached to the server's end of a wire and follows no socket yet.
pub(super) fn in_each_family(test: impl Fn(&mut Machine, &Site, Client) + Sync) {
    for family in Family::ALL {
        let site = Site::new();
        site.server.enter(|| {
            let mut machine = Machine::instance();
            machine.install(site.capped(0, 0));
            let index = if_nametoindex(WIRE).unwrap();
            machine.attach(index);
            machine.egress.attach(index).unwrap();
            test(&mut machine, &site, Client::of(family, 9));
        });
    }
}

impl Site {
    fn new() -> Self {
        let [client, server] = ["client", "server"].map(Host::new);
        let wire = Link::between(&client, WIRE, &server, WIRE);
        let lengths = [(Family::V4, 24), (Family::V6, 48)];
        for (family, length) in lengths {
            wire.right.add_addresses([format!("{}/{length}", Client::of(family, 9).server(0).ip())]);
            wire.left.add_addresses([9, 10].map(|number| format!("{}/{length}", Client::of(family, number).ip)));
        }
        // A stack that sees the answer to a SYN that it did not send would reset the connection.
        let quiet = "table inet quiet { chain out { type filter hook output priority 0; tcp flags & (rst | ack) == rst drop; }; }";
        let rules = client.write("quiet.nft", quiet);
        let loaded = client.command("nft").arg("-f").arg(rules).status().expect("nft is installed");
        assert!(loaded.success(), "nft refuses the rules");
        let by_hand = Wire::open(&client, WIRE);
        Self { client, server, wire, by_hand, cgroup: Cgroup::new() }
    }

    /// Has the machine follow the sockets of the server.
    pub(super) fn follow(&self, machine: &Machine) {
        machine.sockets.attach(self.cgroup.path(), || Ok(())).unwrap();
    }

    /// Listens at a port of the server, on which this thread is, in its cgroup; a connection is of the cgroup that its listener is of.
    pub(super) fn listen(&self, port: u16) -> TcpListener {
        let _inside = Inside::enter(self.cgroup.path());
        TcpListener::bind(("::", port)).expect("the port is free")
    }

    /// Connects to a port of the server.
    pub(super) fn connect(&self, client: Client, port: u16) -> io::Result<TcpStream> {
        client::connect(&self.client, client.ip, client.server(port), PATIENCE)
    }

    /// Connects from [`CLIENT_PORT`].
    pub(super) fn connect_by_hand(&self, client: Client, port: u16) -> nix::Result<OwnedFd> {
        self.client.enter(|| {
            let socket = bound(client)?;
            connect(socket.as_raw_fd(), &SockaddrStorage::from(client.server(port)))?;
            Ok(socket)
        })
    }

    /// Connects from [`CLIENT_PORT`] and has the SYN carry data (RFC 7413).
    pub(super) fn connect_with_data(&self, client: Client, port: u16, data: &[u8]) -> nix::Result<OwnedFd> {
        self.client.enter(|| {
            let socket = bound(client)?;
            let flags = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
            sendto(socket.as_raw_fd(), data, &SockaddrStorage::from(client.server(port)), flags)?;
            Ok(socket)
        })
    }

    /// Tries to connect, and closes what comes of it.
    pub(super) fn try_to_connect(&self, client: Client, port: u16) -> Outcome {
        client::connects(&self.client, client.ip, client.server(port), PATIENCE)
    }

    /// Sends a SYN from [`CLIENT_PORT`] that is never followed by anything.
    pub(super) fn send_syn(&self, client: Client, port: u16, data: &[u8]) {
        let ethernet = Frame::ethernet(self.wire.left.mac(), self.wire.right.mac());
        let frame = ethernet.ip(client.ip, client.server(port).ip()).layer(Tcp::new(CLIENT_PORT, port).flags(SYN));
        self.by_hand.send(frame.payload(data).build());
    }

    /// Returns another client of the same family.
    pub(super) fn another(&self, client: Client) -> Client {
        Client::of(client.family, 10)
    }

    /// Everybody may reach both services; the first's connections are held to caps.
    pub(super) fn capped(&self, max: u32, max_per_source: u32) -> Policy {
        let [max, max_per_source] = [max, max_per_source].map(NonZeroU32::new);
        policy(ConnectionPolicy { max, max_per_source, ..ConnectionPolicy::default() }, &[])
    }

    /// Everybody may reach both services; who goes beyond a limit of the first is to be banned.
    pub(super) fn banning(&self, limits: &[Limit]) -> Policy {
        policy(ConnectionPolicy { ban: Some(samples::ban()), ..ConnectionPolicy::default() }, limits)
    }

    /// Returns how many handshakes of a client with the first service are counted.
    pub(super) fn half_open(&self, machine: &Machine, client: Client) -> u64 {
        let mut word = [0; 8];
        let is_there = bpf::look_up(machine.map(names::HALF_OPEN), &client.key(), &mut word).unwrap();
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).unwrap());
        if is_there { HalfOpen(u64::from_ne_bytes(word)).count(now.as_nanos() as u64) } else { 0 }
    }
}

/// Returns a socket at [`CLIENT_PORT`] of this thread's host.
fn bound(client: Client) -> nix::Result<OwnedFd> {
    let family = client.family.pick(AddressFamily::Inet, AddressFamily::Inet6);
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(client.ip, CLIENT_PORT)))?;
    Ok(socket)
}

fn policy(connections: ConnectionPolicy, limits: &[Limit]) -> Policy {
    let everyone = samples::Family::BOTH.map(|family| family.net(0, 0));
    let service = |name, port, connections, limits: &[Limit]| Service {
        connections,
        limits: limits.to_vec(),
        ..samples::service(name, &[samples::port(Protocol::Tcp, port)], Mode::Enforce, &everyone)
    };
    samples::policy(
        &[],
        &[],
        vec![
            service("first", SERVICE_PORT, connections, limits),
            service("untracked", UNTRACKED_PORT, ConnectionPolicy::default(), &[]),
        ],
    )
}

/// Returns a socket's cookie.
pub(super) fn cookie(stream: &TcpStream) -> u64 {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which is as long.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    assert_eq!(answer, 0, "{}", io::Error::last_os_error());
    cookie
}

/// This process in a cgroup, for as long as the value lives; others wait.
struct Inside {
    before: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Inside {
    fn enter(cgroup: &Path) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let own = fs::read_to_string("/proc/self/cgroup").expect("the kernel tells cgroups");
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("a cgroup of the v2 hierarchy");
        let before = cgroup.parent().expect("it lies below the root of the hierarchy").join(own);
        put_into(cgroup);
        Self { before, _alone: alone }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        put_into(&self.before);
    }
}

fn put_into(cgroup: &Path) {
    let entered = fs::write(cgroup.join("cgroup.procs"), process::id().to_string());
    entered.unwrap_or_else(|error| panic!("enter {}: {error}", cgroup.display()));
}
