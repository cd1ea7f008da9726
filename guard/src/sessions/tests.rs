//! Sessions in networks of their own.

use std::{
    fs,
    net::TcpListener,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::symlink,
    },
    slice::from_ref,
    time::Duration,
};

use guard_tests::{Connection, Host, Link, client, wait::until};
use procfs::process::{FDTarget, Process};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn login(traces: Vec<Trace>, host: Option<IpAddr>) -> Login {
    Login { what: "a session".to_owned(), traces, host }
}

fn session(peer: &str, local: &str) -> Session {
    Session { peer: peer.parse().unwrap(), local: local.parse().unwrap(), what: "a session".to_owned() }
}

/// A server, and its peer at the other end of a link.
fn hosts() -> (Host, Host, Link) {
    let (server, peer) = (Host::new("server"), Host::new("peer"));
    let link = Link::between(&server, "eth0", &peer, "eth0");
    link.left.add_addresses(["10.0.0.1/24"]);
    link.right.add_addresses(["10.0.0.2/24"]);
    (server, peer, link)
}

/// The only child of a process, once it has one.
fn child(pid: u32) -> u32 {
    let children = move || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?.trim().parse().ok();
    until(LIMIT, children).expect("a shell starts a program")
}

#[test]
fn a_session_is_the_connection_that_its_traces_lead_to() {
    let (server, peer, _link) = hosts();
    let listen = |at: &str| server.enter(|| TcpListener::bind(at).unwrap());
    let connect = |at: &str| client::connect(&peer, "10.0.0.2".parse().unwrap(), at.parse().unwrap(), LIMIT).unwrap();
    let ssh = listen("10.0.0.1:22");
    let (_to_ssh, (of_ssh, _)) = (connect("10.0.0.1:22"), ssh.accept().unwrap());
    let other = listen("10.0.0.1:2222");
    let (_to_other, (of_other, peer_of_other)) = (connect("10.0.0.1:2222"), other.accept().unwrap());
    let service = peer.enter(|| TcpListener::bind("10.0.0.2:80").unwrap());
    let forwarded =
        client::connect(&server, "10.0.0.1".parse().unwrap(), "10.0.0.2:80".parse().unwrap(), LIMIT).unwrap();

    let this = Process::myself().unwrap();
    let inode = |fd| match this.fd_from_fd(fd).unwrap().target {
        FDTarget::Socket(inode) => Trace::Socket(inode),
        target => panic!("a socket is a {target:?}"),
    };
    let [of_ssh, of_other, forwarded, listening] =
        [of_ssh.as_raw_fd(), of_other.as_raw_fd(), forwarded.as_raw_fd(), ssh.as_raw_fd()].map(inode);
    let elsewhere = inode(service.as_raw_fd());
    let claim = |peer: SocketAddr, local: &str| Trace::Claim(Ends { peer, local: local.parse().unwrap() });
    let open = claim(peer_of_other, "10.0.0.1:2222");
    let over = claim("10.0.0.2:1".parse().unwrap(), "10.0.0.1:2222");
    let in_another_network = claim("10.0.0.2:1".parse().unwrap(), "10.0.9.9:2222");

    let host = Some("10.0.0.2".parse().unwrap());
    let (on_22, on_2222) = (session("10.0.0.2", "10.0.0.1:22"), session("10.0.0.2", "10.0.0.1:2222"));
    for (case, login, expected) in [
        ("nothing", login(vec![], None), vec![]),
        ("its socket", login(vec![of_other], None), vec![&on_2222]),
        ("its socket rather than the peer", login(vec![of_other], host), vec![&on_2222]),
        ("its socket and a forwarded one", login(vec![forwarded, of_other], None), vec![&on_2222]),
        ("a listening socket", login(vec![listening], None), vec![]),
        ("a socket of another network", login(vec![elsewhere], None), vec![]),
        ("two sockets", login(vec![of_ssh, of_other], None), vec![&on_22, &on_2222]),
        ("an open connection in its environment", login(vec![open], None), vec![&on_2222]),
        ("one that is over", login(vec![over], None), vec![]),
        ("one of another network", login(vec![in_another_network], None), vec![]),
        ("its peer", login(vec![], host), vec![&on_22]),
        ("another peer", login(vec![], Some("10.0.0.3".parse().unwrap())), vec![]),
    ] {
        let found = server.enter(|| login.sessions(Some(&Connections::read().unwrap())));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{case}");
    }
    drop(other);
    let found = server.enter(|| login(vec![of_other], None).sessions(Some(&Connections::read().unwrap())));
    assert_eq!(found, [on_2222], "nothing listens any more");
    let found = login(vec![of_other, over], host).sessions(None);
    assert_eq!(found, [session("10.0.0.2", "10.0.0.1:2222")], "without the connections, what is claimed");
}

/// The programs of a session, and utmp, as a login makes them.
#[test]
fn a_session_is_found_from_the_programs_in_it_and_from_utmp() {
    let (server, peer, _link) = hosts();
    let connection = Connection::open(&peer, "10.0.0.2:0".parse().unwrap(), &server, "10.0.0.1:2222".parse().unwrap());
    // Whoever asks runs below sudo, which gives on no environment, and that below a program that holds the connection.
    symlink("/bin/sh", server.outside("/run/sshd")).unwrap();
    let mut sshd = server.command("/run/sshd");
    sshd.args(["-c", "env -i sh -c 'tail --pid=$PPID -f /dev/null; :' </dev/null; exit"]);
    let mut sshd = sshd.stdin(OwnedFd::from(connection.acceptor.try_clone().unwrap())).spawn().unwrap();
    let leader = Pid::from_raw(sshd.id() as i32);
    let asking = Pid::from_raw(child(child(sshd.id())) as i32);

    let found = |asking| server.enter(|| super::sessions(asking));
    let [of_asking] = &found(Some(asking))[..] else { panic!("{:?}", found(Some(asking))) };
    let expected = (IpAddr::from([10, 0, 0, 2]), "10.0.0.1:2222".parse().unwrap());
    assert_eq!((of_asking.peer, of_asking.local), expected);
    assert_eq!(of_asking.what, format!("the SSH session that this command runs in (pid {asking})"));
    assert_eq!(found(None), []);
    assert_eq!(found(Some(Pid::this())), []);

    server.write("/run/utmp", utmp::tests::record(libc::USER_PROCESS, leader.as_raw(), "pts/0", "alice", "", [0; 16]));
    let [listed] = &found(None)[..] else { panic!("{:?}", found(None)) };
    assert_eq!((listed.peer, listed.local), expected);
    assert_eq!(listed.what, format!("the login session of alice (pts/0, pid {leader})"));
    assert_eq!(found(Some(asking)), *from_ref(of_asking), "it is told once");
    let own = |pid| server.enter(|| own_session(pid));
    assert_eq!((own(asking), own(Pid::this())), (vec![of_asking.clone()], vec![]));
    sshd.kill().unwrap();
    sshd.wait().unwrap();
    assert_eq!(found(None), [], "its program has ended");
}

/// Neither utmp nor an ancestor of whoever asks tells of it: a terminal multiplexer on a system without utmp.
#[test]
fn a_session_is_found_from_the_server_that_runs_it() {
    let (server, peer, _link) = hosts();
    let connection = Connection::open(&peer, "10.0.0.2:0".parse().unwrap(), &server, "10.0.0.1:2222".parse().unwrap());
    symlink("/bin/sh", server.outside("/run/sshd")).unwrap();
    let leads = "setsid sh -c 'tail --pid=$PPID -f /dev/null; :' </dev/null; exit";
    let leads_not = "sh -c 'tail --pid=$PPID -f /dev/null; :' </dev/null; exit";
    for (case, uid, script, is_found) in [
        ("a login", "0", leads, true),
        ("a helper of the server", "0", leads_not, false),
        ("a server that is not root's", "65534", leads, false),
    ] {
        let mut sshd = server.command("setpriv");
        sshd.args(["--reuid", uid, "/run/sshd", "-c", script]);
        let mut sshd = sshd.stdin(OwnedFd::from(connection.acceptor.try_clone().unwrap())).spawn().unwrap();
        let leader = child(sshd.id());
        // Once it has a child it is the program that it was to become.
        child(leader);
        let found = server.enter(|| super::sessions(Some(Pid::this())));
        let expected = Session {
            peer: "10.0.0.2".parse().unwrap(),
            local: "10.0.0.1:2222".parse().unwrap(),
            what: format!("an SSH session of root (pid {leader})"),
        };
        assert_eq!(found, if is_found { vec![expected] } else { vec![] }, "{case}");
        sshd.kill().unwrap();
        sshd.wait().unwrap();
    }
}

#[test]
fn each_peer_and_port_is_told_once() {
    let sessions = [
        session("10.0.0.2", "10.0.0.1:22"),
        session("10.0.0.2", "10.0.0.9:22"),
        session("127.0.0.1", "127.0.0.1:22"),
        session("::1", "[::1]:22"),
        session("10.0.0.2", "10.0.0.1:2222"),
        session("2001:db8::2", "[2001:db8::1]:22"),
    ];
    let kept = distinct(sessions.iter().cloned());
    assert_eq!(kept, [0, 4, 5].map(|at| sessions[at].clone()));
}
