use std::net::IpAddr;

use guard_common::policy::Mode as KernelMode;

use super::*;
use crate::policy::{Interfaces, LogPolicy, Origin, Service, XdpMode};

/// A compiled generation in ordinary memory.
struct Memory(Vec<Line>);

impl Lines for Memory {
    fn line(&self, index: u32) -> Option<&Line> {
        self.0.get(index as usize)
    }
}

fn entries(prefixes: &[&str]) -> Vec<Entry> {
    let entry = |prefix: &&str| Entry {
        prefix: prefix.parse().unwrap(),
        origin: Origin::Variable { name: "ALLOWED_IPS".into(), item: None },
        comment: None,
    };
    prefixes.iter().map(entry).collect()
}

fn port(protocol: Protocol, number: u16) -> Port {
    Port { protocol, number }
}

fn service(name: &str, ports: &[Port], mode: Mode, allow: &[&str]) -> Service {
    Service { name: name.to_owned(), ports: ports.to_vec(), mode, allow: entries(allow) }
}

fn policy() -> Policy {
    Policy {
        interfaces: Interfaces::Physical,
        xdp_mode: XdpMode::Auto,
        mode: Mode::Enforce,
        default: DefaultVerdict::Pass,
        failsafe_ports: vec![port(Protocol::Tcp, 22)],
        shared_addresses: Vec::new(),
        allow: entries(&["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "2001:db8::/48", "255.255.255.255/32"]),
        deny: entries(&["10.9.9.9/32"]),
        services: vec![
            service(
                "web",
                &[port(Protocol::Tcp, 3000), port(Protocol::Tcp, 65_535)],
                Mode::Enforce,
                &["192.168.1.0/24"],
            ),
            service("dns", &[port(Protocol::Udp, 53)], Mode::Monitor, &["::/0"]),
        ],
        log: LogPolicy { eve: None, stdout: true },
    }
}

#[test]
fn what_is_compiled_is_what_the_reader_says() {
    let table = Memory(compile(&policy(), 7));
    let generation = Generation::open(&table).unwrap();
    assert_eq!(generation.number(), 7);
    assert!(generation.passes_by_default());
    assert_eq!(generation.mode(0), KernelMode::Enforce);
    assert_eq!(generation.mode(1), KernelMode::Enforce);
    assert_eq!(generation.mode(2), KernelMode::Monitor);
    for (name, tcp, number, target) in [
        ("failsafe", true, 22, Target::Failsafe),
        ("first service", true, 3000, Target::Service(1)),
        ("last port", true, 65_535, Target::Service(1)),
        ("other protocol", false, 3000, Target::Unnamed),
        ("second service", false, 53, Target::Service(2)),
        ("port 0", false, 0, Target::Unnamed),
    ] {
        assert_eq!(generation.target(tcp, number), target, "{name}");
    }
    for (set, ip, member) in [
        (Set::Allow, "9.255.255.255", false),
        (Set::Allow, "10.0.0.0", true),
        (Set::Allow, "11.255.255.255", true),
        (Set::Allow, "12.0.0.0", false),
        (Set::Allow, "255.255.255.255", true),
        (Set::Allow, "2001:db8:0:ffff:ffff:ffff:ffff:ffff", true),
        (Set::Allow, "2001:db8:1::", false),
        (Set::Deny, "10.9.9.9", true),
        (Set::Service(1), "192.168.1.0", true),
        (Set::Service(1), "10.0.0.1", false),
        // One family's set says nothing about the other's addresses, although IPv4 is held as mapped.
        (Set::Service(2), "10.0.0.1", false),
        (Set::Service(2), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        (Set::Any, "192.168.1.255", true),
        (Set::Any, "192.168.2.0", false),
    ] {
        let ip: IpAddr = ip.parse().unwrap();
        let version = if ip.is_ipv4() { 4 } else { 6 };
        let place = generation.set(set, version);
        assert_eq!(prefix::contains(&table, place, ip.into()), member, "{set:?} {ip}");
    }
}

#[test]
fn neighbours_and_nested_prefixes_become_one_range() {
    let lines = compile(&policy(), 1);
    let generation = Memory(lines);
    let set = Generation::open(&generation).unwrap().set(Set::Allow, 4);
    // 10/8 with 11/8 is one range of two boundaries, the last address of all is another.
    assert_eq!(set.boundaries, 4);
}

#[test]
fn reading_back_finds_every_difference() {
    let policy = policy();
    let compiled = compile(&policy, 1);
    assert_eq!(read_back(&policy, &compiled, &Memory(compiled.clone())), Ok(()));
    for line in [0, 1, 47, SERVICES_FIRST_LINE as usize, compiled.len() - 1] {
        let mut broken = compiled.clone();
        broken[line][3] ^= 1 << 40;
        assert!(read_back(&policy, &compiled, &Memory(broken)).is_err(), "line {line}");
    }
    assert!(read_back(&policy, &compiled, &Memory(compiled[..compiled.len() - 1].to_vec())).is_err());
    assert_eq!(read_back(&policy, &compiled, &Memory(Vec::new())), Err(ReadBackError::Empty));
}

#[test]
fn a_compiler_that_forgets_an_entry_is_found_out() {
    let mut forgetful = policy();
    forgetful.services[0].allow.clear();
    let compiled = compile(&forgetful, 1);
    let error = read_back(&policy(), &compiled, &Memory(compiled.clone())).unwrap_err();
    assert!(error.to_string().contains("192.168.1.0/24"), "{error}");

    let mut forgetful = policy();
    forgetful.services[0].ports.pop();
    let compiled = compile(&forgetful, 1);
    let error = read_back(&policy(), &compiled, &Memory(compiled.clone())).unwrap_err();
    assert!(error.to_string().contains("tcp/65535"), "{error}");
}
