//! Limits through the program. Where the clock must not matter, windows are hours long.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use guard_common::policy::Reason;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

use super::{
    frames::{SERVICE_PORT, Sent},
    machine::Machine,
};
use crate::{
    policy::{Limit, Mode, Per, Policy, Protocol, Unit},
    samples::{self, Family},
};

const PER_SERVICE: Per = Per::Service;
/// Sources in other IPv4 /24s and IPv6 /56s.
const CLIENTS: [&str; 4] = ["198.51.100.9", "2001:db8:7::9", "203.0.113.5", "2001:db8:8::5"];

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Everybody may reach the service, within the limits.
pub(crate) fn policy(limits: &[Limit]) -> Policy {
    let ports = [Protocol::Tcp, Protocol::Udp].map(|protocol| samples::port(protocol, SERVICE_PORT));
    let everyone = Family::BOTH.map(|family| family.net(0, 0));
    let mut service = samples::service("service", &ports, Mode::Enforce, &everyone);
    service.limits = limits.to_vec();
    samples::policy(&[], &[], vec![service])
}

/// So many at once, and then one in a time that no test takes.
pub(crate) fn hourly(unit: Unit, depth: u64, per: Per) -> Limit {
    Limit { window: Duration::from_secs(3_600), per, ..samples::limit(unit, 1, depth - 1) }
}

/// Returns how many of so many packets pass.
pub(crate) fn passes(machine: &Machine, sent: Sent, source: &str, count: usize) -> usize {
    (0..count).filter(|_| machine.lets_in(sent, ip(source))).count()
}

#[test]
fn nginx_lets_six_through_at_once_and_then_one_a_second() {
    Machine::run(|machine| {
        // rate=1r/s burst=5 nodelay
        machine.install(policy(&[samples::limit(Unit::Packets, 1, 5)]));
        for client in &CLIENTS[..2] {
            let start = Instant::now();
            let mut passed = passes(machine, Sent::Syn, client, 20);
            assert!(start.elapsed() < Duration::from_secs(1), "this machine is too slow to tell");
            assert_eq!(passed, 6, "{client}");
            for second in 1..=2 {
                let due = Duration::from_secs(second);
                thread::sleep((due + Duration::from_millis(30)).saturating_sub(start.elapsed()));
                passed += passes(machine, Sent::Syn, client, 20);
                assert!(start.elapsed() < due + Duration::from_millis(990), "this machine is too slow to tell");
                assert_eq!(passed, 6 + second as usize, "{client} after {second} s");
            }
        }
        assert_eq!(machine.counted(Reason::Allowed), 16);
        assert_eq!(machine.counted(Reason::RatePackets), 2 * 60 - 16);
    });
}

#[test]
fn a_short_burst_is_measured_by_the_precise_clock() {
    Machine::run(|machine| {
        // A cell takes 100 us, far less than a tick.
        machine.install(policy(&[samples::limit(Unit::Packets, 10_000, 1)]));
        let before = machine.counted(Reason::Allowed);
        let (start, cpu_start) = (Instant::now(), cpu_time());
        machine.send(Sent::Segment(60), ip(CLIENTS[0]), 2_000_000);
        let [allowed, used] = [start.elapsed(), cpu_time() - cpu_start].map(|time| 2.0 + 10_000.0 * time.as_secs_f64());
        let passed = (machine.counted(Reason::Allowed) - before) as f64;
        println!("{passed} of {allowed:.0} allowed, {used:.0} while this thread had the CPU");
        assert!(passed <= allowed, "{passed} passed, {allowed:.0} allowed");
        // By a clock of ticks of a millisecond two in ten would, and by one of longer ticks less.
        assert!(passed > 0.4 * used, "{passed} passed, {used:.0} could");
    });
}

/// How long this thread has had a CPU.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn connections_are_syns_and_first_datagrams() {
    Machine::run(|machine| {
        for client in &CLIENTS[..2] {
            machine.install(policy(&[]));
            machine.install(policy(&[hourly(Unit::Connections, 5, Per::SOURCE)]));
            assert_eq!(passes(machine, Sent::Segment(500), client, 20), 20, "{client}: segments");
            assert_eq!(passes(machine, Sent::Syn, client, 2), 2, "{client}: connections");
            for port in 1_001..=1_003 {
                assert_eq!(passes(machine, Sent::Datagram(port), client, 20), 20, "{client}: a flow from {port}");
            }
            assert_eq!(passes(machine, Sent::Datagram(1_004), client, 20), 0, "{client}: one flow too many");
            assert_eq!(passes(machine, Sent::Syn, client, 20), 0, "{client}: one connection too many");
            assert_eq!(passes(machine, Sent::Datagram(1_002), client, 20), 20, "{client}: a flow that is known");
            assert_eq!(passes(machine, Sent::Segment(500), client, 20), 20, "{client}: a connection that is open");
        }
        assert_eq!(machine.counted(Reason::RateConnections), 2 * 40);
    });
}

#[test]
fn bytes_are_those_from_the_ip_header_on() {
    Machine::run(|machine| {
        machine.install(policy(&[hourly(Unit::Bytes, 10_000, Per::SOURCE)]));
        for client in &CLIENTS[..2] {
            assert_eq!(passes(machine, Sent::Segment(1_200), client, 20), 8, "{client}");
            assert_eq!(passes(machine, Sent::Segment(401), client, 20), 0, "{client}");
            assert_eq!(passes(machine, Sent::Segment(400), client, 20), 1, "{client}");
            assert_eq!(passes(machine, Sent::Syn, client, 20), 0, "{client}");
        }
        assert_eq!(machine.counted(Reason::RateBytes), 2 * (12 + 20 + 19 + 20));
    });
}

#[test]
fn sources_are_those_that_the_limit_tells_apart() {
    let wide = Per::Prefix { v4: 24, v6: 56 };
    let all = Per::Prefix { v4: 0, v6: 0 };
    Machine::run(|machine| {
        for (name, per, first, second, share) in [
            ("another address", Per::SOURCE, "198.51.100.9", "198.51.100.8", false),
            ("another address of the /64", Per::SOURCE, "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("another /64", Per::SOURCE, "2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("another address of the /24", wide, "198.51.100.9", "198.51.100.250", true),
            ("another /24", wide, "198.51.100.9", "198.51.101.9", false),
            ("another /64 of the /56", wide, "2001:db8:0:1::1", "2001:db8:0:ff::1", true),
            ("another /56", wide, "2001:db8:0:ff::1", "2001:db8:0:100::1", false),
            ("anybody of IPv4", all, "198.51.100.9", "1.2.3.4", true),
            ("anybody of IPv6", all, "2001:db8::1", "2a00::1", true),
            ("the other family", all, "2001:db8::1", "198.51.100.9", false),
            ("anybody", PER_SERVICE, "198.51.100.9", "1.2.3.4", true),
            ("anybody of the other family", PER_SERVICE, "198.51.100.9", "2001:db8::1", true),
        ] {
            machine.install(policy(&[]));
            machine.install(policy(&[hourly(Unit::Packets, 4, per)]));
            assert_eq!(passes(machine, Sent::Syn, first, 3), 3, "{name}");
            assert_eq!(passes(machine, Sent::Syn, second, 9), if share { 1 } else { 4 }, "{name}");
        }
    });
}

#[test]
fn whom_a_limit_is_not_for() {
    Machine::run(|machine| {
        let trusted = samples::prefixes(&["198.51.100.0/24", "2001:db8:7::/48"]);
        let mut policy = policy(&[hourly(Unit::Packets, 2, PER_SERVICE)]);
        policy.trusted = samples::entries(&trusted);
        policy.echo_rate = Some(hourly(Unit::Packets, 3, Per::SOURCE));
        machine.install(policy);
        for client in &CLIENTS[..2] {
            assert_eq!(passes(machine, Sent::Syn, client, 20), 20, "{client} is trusted");
            assert_eq!(passes(machine, Sent::Echo, client, 20), 20, "{client} is trusted");
        }
        assert_eq!(passes(machine, Sent::Syn, CLIENTS[2], 20), 2);
        for client in &CLIENTS[2..] {
            assert_eq!(passes(machine, Sent::Echo, client, 20), 3, "{client}");
        }
        assert_eq!(machine.counted(Reason::RateEcho), 2 * 17);
    });
}

#[test]
fn a_source_sends_so_many_errors_and_no_more() {
    Machine::run(|machine| {
        let mut policy = policy(&[]);
        policy.allow = samples::entries(&Family::BOTH.map(|family| family.net(0, 0)));
        machine.install(policy);
        for client in &CLIENTS[..2] {
            let before = machine.counted(Reason::Allowed);
            let start = Instant::now();
            machine.send(Sent::Unreachable, ip(client), 20_000);
            let passed = machine.counted(Reason::Allowed) - before;
            // With as much again for a tick.
            let most = 1_001 + 1 + (1_000.0 * start.elapsed().as_secs_f64()) as u64 + 20;
            assert!((1_001..=most).contains(&passed), "{client}: {passed} errors, of {most} at most");
        }
        assert!(machine.counted(Reason::RateErrors) > 20_000);
    });
}

#[test]
fn a_packet_is_charged_to_all_limits_or_to_none() {
    Machine::run(|machine| {
        for mut limits in [[0, 1, 2], [2, 1, 0], [1, 2, 0]].map(|order| {
            let all = [
                hourly(Unit::Packets, 3, Per::SOURCE),
                hourly(Unit::Bytes, 10 * 40, PER_SERVICE),
                hourly(Unit::Connections, 1_000, PER_SERVICE),
            ];
            order.map(|nth: usize| all[nth])
        }) {
            machine.install(policy(&[]));
            machine.install(policy(&limits));
            let clients = ["192.0.2.77", "192.0.2.78", "192.0.2.79", "192.0.2.80", "192.0.2.81"];
            // What one source is refused for its own packets takes nothing from the others' bytes.
            let passed = clients.map(|client| passes(machine, Sent::Syn, client, 50));
            assert_eq!(passed, [3, 3, 3, 1, 0], "{limits:?}");
            // And what the last were refused for the bytes takes nothing of their own packets.
            limits.iter_mut().filter(|limit| limit.unit == Unit::Bytes).for_each(|limit| limit.burst += 1_000);
            machine.install(policy(&limits));
            let passed = clients.map(|client| passes(machine, Sent::Syn, client, 50));
            assert_eq!(passed, [0, 0, 0, 2, 3], "{limits:?}");
        }
    });
}

const RATE: u64 = 50_000;
/// Four seconds' worth: kept if the CPUs are taken away meanwhile.
const BURST: u64 = 200_000;

/// Has two CPUs send as fast as they can for some time; returns how many packets passed, and in how long at least and at most.
fn hammer(machine: &Machine, client: &str) -> (u64, [Duration; 2]) {
    let cpus = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| cpus.is_set(*cpu).unwrap()).take(2).collect();
    assert_eq!(cpus.len(), 2, "this test needs two CPUs");
    let before = machine.counted(Reason::Allowed);
    let start = Instant::now();
    let exhaust = |packets| machine.send(Sent::Segment(60), ip(client), packets);
    exhaust(2 * BURST as u32);
    let first = start.elapsed();
    thread::scope(|scope| {
        for cpu in cpus {
            scope.spawn(move || {
                let mut set = CpuSet::new();
                set.set(cpu).unwrap();
                sched_setaffinity(Pid::from_raw(0), &set).unwrap();
                while start.elapsed() < first + Duration::from_millis(1_500) {
                    machine.send(Sent::Segment(60), ip(client), 2_000);
                }
            });
        }
    });
    // What came to be allowed while the threads ended.
    let last = start.elapsed();
    exhaust(2 * BURST as u32);
    (machine.counted(Reason::Allowed) - before, [last - first, start.elapsed()])
}

#[test]
fn two_cpus_pass_what_one_would() {
    Machine::run(|machine| {
        let source = samples::limit(Unit::Packets, RATE, BURST);
        let service = Limit { per: PER_SERVICE, ..source };
        let others =
            [samples::limit(Unit::Bytes, 1 << 30, 1 << 20), samples::limit(Unit::Packets, RATE + 9, BURST + 9)];
        for (name, limits, client) in [
            ("source, IPv4", vec![source], CLIENTS[0]),
            ("source, IPv6", vec![source], CLIENTS[1]),
            ("service", vec![service], CLIENTS[0]),
            ("one of three", vec![source, others[0], others[1]], CLIENTS[0]),
        ] {
            machine.install(policy(&[]));
            machine.install(policy(&limits));
            let (passed, times) = hammer(machine, client);
            let [least, most] = times.map(|time| (BURST + 1) as f64 + RATE as f64 * time.as_secs_f64());
            println!("{name}: {passed} passed of {least:.0} to {most:.0} allowed, in {times:?}");
            assert!(passed as f64 > 0.99 * least, "{name}: {passed} passed, {least:.0} allowed");
            assert!((passed as f64) < 1.01 * most, "{name}: {passed} passed, {most:.0} allowed");
        }
    });
}
