//! The scene of these tests: a guarded server, a peer that sends what it likes, and the sums of the log.

use std::{net::IpAddr, time::Duration};

use guard_tests::{Guard, Host, Link, frame::Frame, wait};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A policy that lets one address of each family in, and that alone.
pub(crate) const ENV: [(&str, &str); 4] = [
    ("ALLOWED_IPS", "10.0.0.2,2001:db8::2"),
    ("GUARD_INTERFACE", "eth0"),
    ("GUARD_PORTS", "tcp/3000,udp/3000"),
    ("GUARD_DEFAULT", "drop"),
];

/// The policy with more variables.
pub(crate) fn env_and<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    ENV.iter().chain(more).copied().collect()
}

/// A wire from a server to a peer that is silent by itself, so that every packet is the test's own.
pub(crate) fn silent_peer() -> Link {
    let (server, peer) = (Host::new("server"), Host::new("peer"));
    for host in [&server, &peer] {
        host.sysctl("net/ipv6/conf/all/disable_ipv6", "1");
        host.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    }
    Link::between(&server, "eth0", &peer, "eth0")
}

/// A datagram to the service from an unlisted source: of IPv6 where the number is odd, else of IPv4.
pub(crate) fn datagram(link: &Link, source: u32) -> Vec<u8> {
    let frame = Frame::ethernet(link.right.mac(), link.left.mac());
    let low = source / 2;
    let frame = match source % 2 {
        0 => frame.ipv4(0xc612_0000 + low, [10, 0, 0, 1]),
        _ => {
            let [high, low] = [(low >> 16) as u16, low as u16];
            frame.ipv6([0x2001, 0xdb8, 0xbad, 0, 0, 0, high, low], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])
        }
    };
    frame.udp(1234, 3000).build()
}

/// The packets that the guard dropped, by its own counters.
pub(crate) fn dropped(guard: &Guard) -> u64 {
    let status = guard.status();
    let rows = status["counters"].as_array().expect("a status has counters");
    rows.iter().filter(|row| row["verdict"] == "drop").map(|row| number(&row["packets"])).sum()
}

/// Waits until so many packets are dropped, whichever the wire did not lose.
pub(crate) fn wait_until_dropped(guard: &Guard, link: &Link, packets: u64) -> u64 {
    let expected = packets - link.right.lost_frames();
    wait::eventually(&format!("{expected} packets are dropped"), SOON, || dropped(guard) == expected);
    expected
}

/// What a whole log adds up to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) lines: u64,
    /// The packets that lines stand for.
    pub(crate) counted: u64,
    pub(crate) merged: u64,
    pub(crate) lost: u64,
}

impl Sums {
    /// Adds up lines whose last is the one of stats with which a daemon ends.
    pub(crate) fn of(log: &[Value]) -> Self {
        let (last, rest) = log.split_last().expect("a log ends with stats");
        assert_eq!(last["event_type"], "stats", "the last line: {last}");
        let drops = rest.iter().filter(|line| line["event_type"] == "drop");
        let counts: Vec<u64> = drops.map(|line| number(&line["guard"]["count"])).collect();
        Self {
            lines: counts.len() as u64,
            counted: counts.iter().sum(),
            merged: number(&last["guard"]["merged"]),
            lost: number(&last["guard"]["lost"]),
        }
    }

    /// Every packet that was dropped.
    pub(crate) fn all(&self) -> u64 {
        self.counted + self.merged + self.lost
    }
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("`{value}` is no number"))
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The CPUs that this process may use.
pub(crate) fn cpus() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("the kernel tells a thread's CPUs");
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).expect("the number is below the count")).collect()
}

/// Keeps the calling thread on one CPU, and so the packets that it sends.
pub(crate) fn stay_on(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu).expect("the CPU is one of this machine");
    sched_setaffinity(Pid::from_raw(0), &only).expect("a thread may use the CPUs that it has");
}
