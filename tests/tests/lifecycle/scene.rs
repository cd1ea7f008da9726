//! The scene of these tests: a guarded server with one service, and a client with listed and unlisted addresses.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use guard_tests::{
    Guard, Host, Interface, Link, Options,
    client::{self, Outcome},
    server::TcpEcho,
};
use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long silence must be to be taken for a dropped packet.
const SILENCE: Duration = Duration::from_millis(500);

pub(crate) const PORT: u16 = 3000;
pub(crate) const SERVER: [&str; 2] = ["10.0.0.1", "2001:db8::1"];
pub(crate) const LISTED: [&str; 2] = ["10.0.0.2", "2001:db8::2"];
pub(crate) const UNLISTED: [&str; 2] = ["203.0.113.9", "2001:db8:9::9"];

/// The policy of the scene: both listed addresses may use the service, nobody else.
pub(crate) const ENV: [(&str, &str); 3] =
    [("ALLOWED_IPS", "10.0.0.2,2001:db8::2"), ("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000,udp/3000")];

/// The policy of the scene, as options.
pub(crate) fn options() -> Options<'static> {
    Options { env: &ENV, ..Options::default() }
}

/// The policy of the scene with one variable more, or another value.
pub(crate) fn env_with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    ENV.into_iter().filter(|(other, _)| *other != name).chain([(name, value)]).collect()
}

/// A server and a client on one wire, where the client may use any address.
pub(crate) fn two_hosts() -> Link {
    connect(&Host::new("server"), "eth0", &Host::new("client"), "eth0")
}

/// Connects an interface of a server with one of a client, with the scene's addresses on both.
pub(crate) fn connect(server: &Host, server_name: &str, client: &Host, client_name: &str) -> Link {
    let link = Link::between(server, server_name, client, client_name);
    equip(&link);
    link
}

/// Gives the ends of a wire the scene's addresses.
pub(crate) fn equip(link: &Link) {
    link.left.add_addresses(["10.0.0.1/24", "2001:db8::1/64"]);
    link.right.add_addresses(["10.0.0.2/24", "2001:db8::2/64", "203.0.113.9/32", "2001:db8:9::9/128"]);
    link.left.route_everything();
}

/// What the address of each family gets from the service, which is waited for so long.
fn outcomes(link: &Link, sources: [&str; 2], limit: Duration) -> [Outcome; 2] {
    let attempts: Vec<(IpAddr, SocketAddr)> =
        sources.iter().zip(SERVER).map(|(source, server)| (ip(source), SocketAddr::new(ip(server), PORT))).collect();
    let client = link.right.host();
    let outcomes = client.enter_each(attempts, |(source, server)| client::connects(client, source, server, limit));
    outcomes.try_into().expect("two attempts have two outcomes")
}

/// Asserts that the service answers the listed addresses and nobody else.
#[track_caller]
pub(crate) fn assert_guarded(link: &Link, case: &str) {
    assert_answers_only(link, LISTED, UNLISTED, case);
}

/// Asserts that the service answers both of some addresses, and neither of others.
#[track_caller]
pub(crate) fn assert_answers_only(link: &Link, answered: [&str; 2], unanswered: [&str; 2], case: &str) {
    let _service = TcpEcho::start(link.left.host(), PORT);
    assert_eq!(outcomes(link, answered, SOON), [Outcome::Connected; 2], "{case}: {answered:?}");
    assert_eq!(outcomes(link, unanswered, SILENCE), [Outcome::TimedOut; 2], "{case}: {unanswered:?}");
}

/// Asserts that the service answers everybody.
#[track_caller]
pub(crate) fn assert_open(link: &Link, case: &str) {
    let _service = TcpEcho::start(link.left.host(), PORT);
    for sources in [LISTED, UNLISTED] {
        assert_eq!(outcomes(link, sources, SOON), [Outcome::Connected; 2], "{case}: {sources:?}");
    }
}

/// Asserts that nothing of any guard is in the kernel.
#[track_caller]
pub(crate) fn assert_nothing_left(interface: &Interface, case: &str) {
    assert_eq!(guard_tests::xdp::program_on(interface), None, "{case}: a program is attached");
    let pins = pins(interface.host());
    assert!(!pins.exists(), "{case}: pins are left in {}", pins.display());
}

/// Where guards of a host have their pins, as this process sees it.
pub(crate) fn pins(host: &Host) -> PathBuf {
    host.outside("/sys/fs/bpf/guard")
}

/// The packets that one of a status's counters shows for the scene's service.
pub(crate) fn packets(status: &Value, verdict: &str) -> u64 {
    let rows = status["counters"].as_array().expect("a status has counters");
    let of_service = rows.iter().filter(|row| row["service"] == "default" && row["verdict"] == verdict);
    of_service.map(|row| row["packets"].as_u64().expect("a counter is a number")).sum()
}

/// The names of the guarded interfaces, with their modes.
pub(crate) fn guarded(guard: &Guard) -> Vec<(String, String)> {
    let status = guard.status();
    let text = |value: &Value| value.as_str().expect("a name is a string").to_owned();
    let interfaces = status["interfaces"].as_array().expect("a status lists interfaces");
    interfaces.iter().map(|interface| (text(&interface["name"]), text(&interface["xdp_mode"]))).collect()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
