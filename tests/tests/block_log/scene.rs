//! The scene of these tests: a guarded server and a peer that sends what it likes.

use std::{net::IpAddr, time::Duration};

use guard_tests::{Guard, Host, Link, frame::Frame, sums::number, wait};

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

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
