//! What a line says of a packet.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use guard_tests::{
    Guard, Host, Link, Options, Wire,
    frame::{ACK, Extension, Frame, Icmp, Ipv4, PSH, SYN, Tcp},
};
use serde_json::{Value, json};

use super::scene::{env_and, ip, silent_peer};

const SERVER: [&str; 2] = ["10.0.0.1", "2001:db8::1"];

/// The line for a packet, with what all lines here have in common put in.
fn line(mut endpoints: Value, drop: Value, guard: Value) -> Value {
    let line = endpoints.as_object_mut().expect("endpoints are an object");
    line.insert("event_type".into(), "drop".into());
    line.insert("in_iface".into(), "eth0".into());
    line.insert("drop".into(), drop);
    line.insert("guard".into(), guard);
    endpoints
}

fn flags(set: &[&str], mut drop: Value) -> Value {
    for flag in ["syn", "ack", "psh", "rst", "urg", "fin"] {
        drop[flag] = set.contains(&flag).into();
    }
    drop
}

fn guard(service: Option<&str>, reason: &str) -> Value {
    let mut guard = json!({ "reason": reason, "count": 1, "generation": 1, "mode": "enforce" });
    if let Some(service) = service {
        guard["service"] = service.into();
    }
    guard
}

/// Frames by name, each with its line without the time. No two are of one source.
fn cases(link: &Link) -> Vec<(&'static str, Vec<u8>, Value)> {
    let ethernet = || Frame::ethernet(link.right.mac(), link.left.mac());
    let v4 = |source: &str| ethernet().ip(ip(source), ip(SERVER[0]));
    let v6 = |source: &str| ethernet().ip(ip(source), ip(SERVER[1]));
    let portless =
        |source: &str, server: &str, proto: &str| json!({ "src_ip": source, "dest_ip": server, "proto": proto });
    let port = |source: &str, server: &str, proto: &str| {
        let mut endpoints = portless(source, server, proto);
        endpoints["src_port"] = 1234.into();
        endpoints["dest_port"] = 3000.into();
        endpoints
    };
    let drop = |length: u32, reason: &str| json!({ "len": length, "ttl": 64, "reason": reason });
    let not_allowed = |length| drop(length, "not_allowed");
    vec![
        (
            "TCP over IPv4",
            v4("203.0.113.1").tcp(1234, 3000, SYN).build(),
            line(
                port("203.0.113.1", SERVER[0], "TCP"),
                flags(&["syn"], not_allowed(40)),
                guard(Some("default"), "not_allowed"),
            ),
        ),
        (
            "TCP over IPv6",
            v6("2001:db8:9::1").tcp(1234, 3000, ACK | PSH).payload("hello").build(),
            line(
                port("2001:db8:9::1", SERVER[1], "TCP"),
                flags(&["ack", "psh"], not_allowed(65)),
                guard(Some("default"), "not_allowed"),
            ),
        ),
        (
            "UDP over IPv4, in a VLAN",
            ethernet().vlan(5).ip(ip("203.0.113.2"), ip(SERVER[0])).udp(1234, 3000).build(),
            line(port("203.0.113.2", SERVER[0], "UDP"), not_allowed(28), guard(Some("default"), "not_allowed")),
        ),
        (
            "UDP over IPv6",
            v6("2001:db8:9::2").udp(1234, 3000).payload("hello").build(),
            line(port("2001:db8:9::2", SERVER[1], "UDP"), not_allowed(53), guard(Some("default"), "not_allowed")),
        ),
        (
            "ICMP",
            v4("203.0.113.3").layer(Icmp::echo_request_v4(1, 1)).build(),
            line(portless("203.0.113.3", SERVER[0], "ICMP"), not_allowed(28), guard(None, "not_allowed")),
        ),
        (
            "ICMPv6",
            v6("2001:db8:9::3").layer(Icmp::echo_request_v6(1, 1)).build(),
            line(portless("2001:db8:9::3", SERVER[1], "IPv6-ICMP"), not_allowed(48), guard(None, "not_allowed")),
        ),
        (
            "a protocol without a name",
            ethernet().layer(Ipv4::new([203, 0, 113, 4], [10, 0, 0, 1]).protocol(99)).build(),
            line(portless("203.0.113.4", SERVER[0], "099"), not_allowed(20), guard(None, "not_allowed")),
        ),
        (
            "a later fragment over IPv4",
            ethernet()
                .layer(Ipv4::new([203, 0, 113, 5], [10, 0, 0, 1]).fragment(100, false, 7).protocol(17))
                .payload([0; 16])
                .build(),
            line(portless("203.0.113.5", SERVER[0], "UDP"), drop(36, "fragment"), guard(None, "fragment")),
        ),
        (
            "a later fragment over IPv6",
            v6("2001:db8:9::5").layer(Extension::fragment(100, false, 7).next_header(17)).payload([0; 16]).build(),
            line(portless("2001:db8:9::5", SERVER[1], "UDP"), drop(64, "fragment"), guard(None, "fragment")),
        ),
        (
            "a source that can't be",
            v4("127.0.0.1").udp(1234, 3000).build(),
            line(port("127.0.0.1", SERVER[0], "UDP"), drop(28, "spoofed"), guard(Some("default"), "spoofed")),
        ),
        (
            "a frame that ends before its IP header",
            ethernet().layer(Ipv4::new([203, 0, 113, 6], [10, 0, 0, 1])).build()[..20].to_vec(),
            line(json!({}), json!({ "reason": "malformed" }), guard(None, "malformed")),
        ),
        (
            "a TCP header that says it is shorter than it can be",
            v4("203.0.113.7").layer(Tcp::new(1234, 3000).data_offset(4)).build(),
            line(port("203.0.113.7", SERVER[0], "TCP"), flags(&[], drop(40, "malformed")), guard(None, "malformed")),
        ),
    ]
}

#[test]
fn every_kind_of_packet() {
    for mode in ["native", "generic"] {
        let link = silent_peer();
        let env = env_and(&[("GUARD_XDP_MODE", mode)]);
        let guard = Guard::run(link.left.host(), Options { env: &env, ..Options::default() });
        let wire = Wire::open(link.right.host(), "eth0");
        for (case, frame, expected) in cases(&link) {
            wire.send(&frame);
            let mut line =
                guard.wait_for_eve(|line| line["src_ip"] == expected["src_ip"] && line["event_type"] == "drop");
            let timestamp = line["timestamp"].take();
            assert_recent(link.left.host(), &timestamp, case);
            line.as_object_mut().expect("a line is an object").remove("timestamp");
            assert_eq!(line, expected, "{mode}: {case}");
        }
    }
}

#[test]
fn a_monitored_packet_is_called_so() {
    let link = silent_peer();
    let env = env_and(&[("GUARD_MODE", "monitor")]);
    let guard = Guard::run(link.left.host(), Options { env: &env, ..Options::default() });
    let behind = Wire::open(link.left.host(), "eth0");
    let (_, frame, _) = cases(&link).swap_remove(0);
    Wire::open(link.right.host(), "eth0").send(&frame);
    let line = guard.wait_for_eve(|line| line["event_type"] == "drop");
    assert_eq!((&line["guard"]["mode"], &line["drop"]["reason"]), (&json!("monitor"), &json!("not_allowed")), "{line}");
    assert!(behind.receive_where(Duration::from_secs(5), |passed| passed == frame).is_some(), "it passes");
}

/// Asserts that a timestamp has EVE's form, and is that of a moment ago.
#[track_caller]
fn assert_recent(host: &Host, timestamp: &Value, case: &str) {
    let text = timestamp.as_str().unwrap_or_else(|| panic!("{case}: timestamp {timestamp}"));
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(form, "9999-99-99T99:99:99.999999+9999", "{case}: {text}");
    let parsed = host.command("date").args(["--date", text, "+%s"]).output().expect("coreutils' `date` can be started");
    let seconds: u64 = String::from_utf8_lossy(&parsed.stdout).trim().parse().expect("`date` parses the timestamp");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs();
    assert!(now.abs_diff(seconds) <= 5, "{case}: {text} is not now");
}
