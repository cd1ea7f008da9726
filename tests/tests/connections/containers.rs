//! A port that is published into another network namespace, where it is another one: what is open there counts for the service, and
//! can't be closed from here.

use std::{net::SocketAddr, thread, time::Duration};

use guard_tests::{
    Cell, Counted, Counters, Handshakes, Host, KeptServer, Link,
    cgroup::Cgroup,
    counted::{WEB, connections, open},
    in_each_family,
    process::Process,
    wait::eventually,
};

use crate::scene::{QUIET, SOON, closed, wait_open};

/// How long is waited for what must not come.
const WHILE: Duration = Duration::from_millis(3500);

const PUBLISHED: &str = "table inet t { chain c { type nat hook prerouting priority -100;
    iifname eth0 tcp dport 3000 dnat ip to 192.168.9.2:80;
    iifname eth0 tcp dport 3000 dnat ip6 to [2001:db8:9::2]:80; }; }";

/// A guarded host with a container, whose port 80 is the host's [`WEB`].
pub(crate) struct Published {
    server: KeptServer,
    _link: Link,
    _container: Host,
    _cgroup: Cgroup,
    pub(crate) counted: Counted,
}

impl Published {
    pub(crate) fn of(counted: Counted) -> Self {
        let (host, container) = (counted.site.host(), Host::new("container"));
        let link = Link::between(host, "ct0", &container, "eth0");
        link.left.add_addresses(["192.168.9.1/24", "2001:db8:9::1/64"]);
        link.right.add_addresses(["192.168.9.2/24", "2001:db8:9::2/64"]);
        for gateway in ["192.168.9.1", "2001:db8:9::1"] {
            container.ip(&["route", "add", "default", "via", gateway]);
        }
        host.sysctl("net/ipv4/ip_forward", "1");
        host.sysctl("net/ipv6/conf/all/forwarding", "1");
        let mut nft = host.command("nft");
        nft.arg(PUBLISHED);
        let finished = Process::finish(nft, SOON);
        assert!(finished.status.success(), "{finished:?}");
        let cgroup = counted.cgroup.child("container");
        let server = KeptServer::start(&container, &cgroup, 80);
        Self { server, _link: link, _container: container, _cgroup: cgroup, counted }
    }

    fn new(cell: Cell) -> Self {
        Self::of(Counted::new(cell, 2))
    }
}

#[test]
fn its_connections_count_for_the_service() {
    in_each_family(|cell| {
        let mut published = Published::new(cell);
        let counted = &published.counted;
        let guard = counted.web("max_connections_per_source = 10");
        let mut crowd = counted.crowd(1, 30);
        crowd.wait_connected(10, SOON);
        wait_open(&guard, &cell.to_string(), 10, SOON);
        eventually("the rest is dropped", SOON, || Counters::read(&guard).packets("web drop connections") >= 20);
        assert_eq!((crowd.give_up(), open(&guard)), (20, 10), "{cell}");
        assert!(crowd.echoes(SOON), "{cell}");
        crowd.close(4);
        crowd.reset(2);
        wait_open(&guard, &format!("{cell}: closed"), 4, SOON);
        published.server.kill();
        wait_open(&guard, &format!("{cell}: its end"), 0, SOON);
    });
}

#[test]
fn what_is_too_much_there_stays_and_is_told() {
    in_each_family(|cell| {
        let published = Published::of(Counted::silent(cell));
        let counted = &published.counted;
        let guard = counted.web("max_connections = 10\nidle_timeout = '2s'");
        let handshakes = Handshakes::at(&counted.site, WEB);
        let clients: Vec<SocketAddr> = (1..=30).map(|number| (counted.client(number), 1234).into()).collect();
        handshakes.begin(&clients);
        let accepted = handshakes.answers(QUIET).accepted;
        handshakes.complete(accepted.values());
        wait_open(&guard, &cell.to_string(), 30, SOON);
        // Neither the cap nor the time closes any.
        thread::sleep(WHILE);
        assert_eq!((accepted.len(), open(&guard)), (30, 30), "{cell}");
        assert_eq!(["cap", "idle"].map(|cause| closed(&guard, "web", cause)), [0, 0], "{cell}");
        let told = connections(&guard, "web");
        assert_eq!(told["elsewhere"], 30, "{cell}: {told}");
        let warnings = guard.status()["warnings"].to_string();
        assert!(warnings.contains("network namespace") && warnings.contains("20"), "{cell}: {warnings}");
        assert!(warnings.contains("idle"), "{cell}: {warnings}");
        handshakes.reset(accepted.keys(), 1);
        wait_open(&guard, &format!("{cell}: reset"), 0, SOON);
    });
}

#[test]
fn a_ban_cuts_their_packets_at_once_and_says_that_they_stay() {
    in_each_family(|cell| {
        let published = Published::new(cell);
        let counted = &published.counted;
        let guard = counted.web("max_connections = 100");
        let mut crowds = [counted.crowd(1, 5), counted.crowd(2, 5)];
        crowds.iter_mut().for_each(|crowd| crowd.wait_connected(5, SOON));
        wait_open(&guard, &cell.to_string(), 10, SOON);
        let answer = guard.ask(&["block", "add", &counted.client(1).to_string(), "--for", "1h"]);
        let said = format!("{:?}{:?}", answer.stdout, answer.stderr);
        assert!(answer.status.success() && said.contains("network namespace"), "{cell}: {said}");
        assert!(!crowds[0].echoes(QUIET), "{cell}: the banned client's connections go on");
        assert!(crowds[1].echoes(SOON), "{cell}: those of another do not");
        assert_eq!((crowds[0].ended(), open(&guard)), (0, 10), "{cell}");
    });
}
