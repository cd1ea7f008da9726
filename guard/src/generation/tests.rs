//! Policies compiled, and read back.

mod connections;
mod limits;
mod sets;

use std::net::IpAddr;

use guard_common::policy::Mode as KernelMode;

use super::*;
use crate::samples::{self, port, prefixes};

fn read(compiled: &Compiled) -> Generation<'_, &[Line]> {
    Generation { head: &compiled.head, far: &compiled.far }
}

/// The policy's limits, their places counted from 0.
fn rows(policy: &Policy) -> LimitRows {
    limit_rows(&limits(policy).into_iter().zip(0..).collect::<Vec<_>>(), 4_000_000).unwrap()
}

fn compile_anew(policy: &Policy) -> Compiled {
    compile::<&[Line]>(policy, 1, rows(policy), None)
}

fn policy() -> Policy {
    let web_ports = [port(Protocol::Tcp, 3000), port(Protocol::Tcp, 65_535)];
    let services = vec![
        samples::service("web", &web_ports, Mode::Enforce, &prefixes(&["192.168.1.0/24"])),
        samples::service("dns", &[port(Protocol::Udp, 53)], Mode::Monitor, &prefixes(&["::/0"])),
    ];
    let allow = ["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "2001:db8::/48", "255.255.255.255/32"];
    let policy = samples::policy(&prefixes(&allow), &prefixes(&["10.9.9.9/32"]), services);
    Policy { default: DefaultVerdict::Pass, ..policy }
}

#[test]
fn what_is_compiled_is_what_the_reader_says() {
    let compiled = compile::<&[Line]>(&policy(), 7, rows(&policy()), None);
    let generation = read(&compiled);
    assert_eq!(generation.number(), 7);
    assert!(generation.passes_by_default());
    assert_eq!(generation.malformed_mode(), KernelMode::Enforce);
    for (service, mode) in [(0, KernelMode::Enforce), (1, KernelMode::Enforce), (2, KernelMode::Monitor)] {
        assert_eq!(generation.mode(service), mode, "service {service}");
    }
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
        (Set::Deny, "2001:db8::", false),
        (Set::Service(1), "192.168.1.0", true),
        (Set::Service(1), "10.0.0.1", false),
        // One family's set says nothing about the other's addresses, although IPv4 is held as mapped.
        (Set::Service(2), "10.0.0.1", false),
        (Set::Service(2), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        (Set::Service(3), "192.168.1.0", false),
        (Set::AnyService, "192.168.1.255", true),
        (Set::AnyService, "192.168.2.0", false),
        (Set::AnyService, "10.0.0.1", false),
        (Set::Trusted, "10.0.0.1", false),
    ] {
        let ip: IpAddr = ip.parse().unwrap();
        let version = if ip.is_ipv4() { 4 } else { 6 };
        assert_eq!(generation.contains(set, version, ip.into()), member, "{set:?} {ip}");
    }
}

#[test]
fn malformed_packets_are_monitored_where_nothing_is_enforced() {
    let of = |mode, service_modes: &[Mode]| {
        let services = service_modes.iter().map(|mode| samples::service("s", &[], *mode, &[])).collect();
        let policy = Policy { mode, ..samples::policy(&[], &[], services) };
        read(&compile_anew(&policy)).malformed_mode()
    };
    assert_eq!(of(Mode::Monitor, &[]), KernelMode::Monitor);
    assert_eq!(of(Mode::Monitor, &[Mode::Monitor]), KernelMode::Monitor);
    assert_eq!(of(Mode::Monitor, &[Mode::Monitor, Mode::Enforce]), KernelMode::Enforce);
    assert_eq!(of(Mode::Enforce, &[Mode::Monitor]), KernelMode::Enforce);
}

#[test]
fn reading_back_finds_every_difference() {
    let policy = sets::large_policy();
    let compiled = compile_anew(&policy);
    assert_eq!(read_back(&policy, &compiled, &read(&compiled)), Ok(()));
    let bytes = compiled.head.as_bytes();
    for byte in [0, 8, 63, 64, 700, 66_000, bytes.len() - 1] {
        let mut broken = bytes.to_vec();
        broken[byte] ^= 0x10;
        let mut head = Head::new_box_zeroed().unwrap();
        head.as_mut_bytes().copy_from_slice(&broken);
        let broken = Generation { head: &head, far: compiled.far.as_slice() };
        assert_eq!(read_back(&policy, &compiled, &broken), Err(ReadBackError::Head { number: 1 }), "byte {byte}");
    }
    let last = compiled.far.len() - 1;
    for line in [0, last / 2, last] {
        let mut far = compiled.far.clone();
        far[line][3] ^= 1 << 40;
        let broken = Generation { far: &far[..], ..read(&compiled) };
        assert_eq!(read_back(&policy, &compiled, &broken), Err(ReadBackError::Line { number: 1, line }));
    }
    let short = Generation { far: &compiled.far[..last], ..read(&compiled) };
    assert_eq!(read_back(&policy, &compiled, &short), Err(ReadBackError::Line { number: 1, line: last }));
}

#[test]
fn a_compiler_that_forgets_an_entry_is_found_out() {
    let wanted = policy();
    let error = |forgetful: Policy| {
        let compiled = compile_anew(&forgetful);
        read_back(&wanted, &compiled, &read(&compiled)).unwrap_err().to_string()
    };

    let mut forgetful = policy();
    forgetful.services[0].allow = samples::service("web", &[], Mode::Enforce, &[]).allow;
    assert!(error(forgetful).contains("192.168.1.0/24"));

    let mut forgetful = policy();
    forgetful.services[0].ports.pop();
    assert!(error(forgetful).contains("tcp/65535"));

    let shorter = samples::policy(&prefixes(&["10.0.0.0/9"]), &[], Vec::new());
    assert!(error(Policy { services: policy().services, ..shorter }).contains("10."));
}

#[test]
fn a_compiler_that_admits_a_stranger_is_found_out() {
    for (wanted, written) in [("192.168.1.0/24", "192.168.0.0/23"), ("2001:db8::/64", "2001:db8::/63")] {
        let policy = |prefix| samples::policy(&prefixes(&[prefix]), &[], Vec::new());
        let compiled = compile_anew(&policy(written));
        let error = read_back(&policy(wanted), &compiled, &read(&compiled)).unwrap_err().to_string();
        assert!(error.contains("next to what is listed"), "{error}");
    }
}
