//! What the program notes of packets that it lets in.

use std::{
    collections::BTreeMap,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use guard_common::records::{USED_PER_TICK, USED_SAMPLE};
use nix::{
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};

use super::*;
use crate::{
    kernel::{
        tests::{
            frames::Sent,
            machine::{Machine, policy},
        },
        tick_ns,
    },
    samples::prefixes,
};

fn install(machine: &mut Machine) {
    machine.install(policy(&prefixes(&["10.0.0.0/8", "2001:db8:7::/48"]), &[], &[]));
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Waits until another tick has begun, in which packets may be noted again.
fn next_tick() {
    thread::sleep(Duration::from_nanos(2 * tick_ns()));
}

fn read(machine: &Machine) -> BTreeMap<IpAddr, Duration> {
    let used = machine.used.read().unwrap();
    let sources: BTreeMap<_, _> = used.iter().copied().collect();
    assert_eq!(sources.len(), used.len(), "{used:?}");
    sources
}

#[test]
fn a_connection_is_noted_and_again_when_the_next_one_comes() {
    Machine::run(|machine| {
        install(machine);
        for source in ["10.1.2.3", "2001:db8:7::9"].map(ip) {
            assert_eq!(read(machine).get(&source), None);
            next_tick();
            let start = Instant::now();
            assert!(machine.passes(source));
            assert!(read(machine)[&source] <= start.elapsed(), "{source}");
            thread::sleep(Duration::from_millis(200));
            assert!(read(machine)[&source] >= Duration::from_millis(200), "{source}");
            let start = Instant::now();
            assert!(machine.passes(source));
            assert!(read(machine)[&source] <= start.elapsed(), "{source}");
        }
    });
}

#[test]
fn only_what_is_let_in_by_a_list_is_a_use() {
    Machine::run(|machine| {
        install(machine);
        for (sent, source) in
            [(Sent::Syn, "198.51.100.9"), (Sent::SynTo(22), "198.51.100.9"), (Sent::Syn, "2001:db8:8::9")]
        {
            next_tick();
            machine.send(sent, ip(source), USED_SAMPLE as u32);
            assert_eq!(read(machine), BTreeMap::new(), "{sent:?} from {source}");
        }
    });
}

/// Each CPU counts for itself.
fn stay_on_this_cpu() {
    let mut set = CpuSet::new();
    set.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

#[test]
fn of_other_packets_one_in_a_while_is_noted() {
    Machine::run(|machine| {
        install(machine);
        let source = ip("10.1.2.3");
        stay_on_this_cpu();
        next_tick();
        machine.send(Sent::Segment(60), source, USED_SAMPLE as u32 - 1);
        assert_eq!(read(machine), BTreeMap::new());
        machine.send(Sent::Segment(60), source, 1);
        assert_eq!(read(machine).into_keys().collect::<Vec<_>>(), [source]);
    });
}

#[test]
fn a_tick_has_room_for_a_few() {
    Machine::run(|machine| {
        install(machine);
        let start = Instant::now();
        for nth in 0..=255 {
            assert!(machine.passes(IpAddr::from([10, 1, 2, nth])));
        }
        let ticks = start.elapsed().as_nanos() as u64 / tick_ns() + 2;
        let noted = read(machine).len() as u64;
        // This thread may have come to another CPU, with ticks of its own.
        println!("{noted} noted in {ticks} ticks");
        assert!(noted <= 2 * USED_PER_TICK * ticks && noted >= USED_PER_TICK, "{noted} in {ticks} ticks");
    });
}

#[test]
fn what_is_known_outlives_a_restart() {
    Machine::run(|machine| {
        install(machine);
        next_tick();
        assert!(machine.passes(ip("10.1.2.3")));
        drop(machine.restart());
        assert_eq!(read(machine).into_keys().collect::<Vec<_>>(), [ip("10.1.2.3")]);
    });
}

#[test]
fn what_is_known_is_not_older_than_the_boot() {
    Machine::run(|machine| {
        let booted = Clock::now().wall_at(Duration::ZERO);
        let ago = |machine: &Machine| Timestamp::now().duration_since(machine.used.since()).as_secs();
        assert!((0..60).contains(&ago(machine)), "{}", ago(machine));
        // As if the wall clock had been set once a time server could be asked.
        let state = machine.pins.as_ref().expect("the machine is the last one").path("state");
        let touched = Command::new("touch").args(["-d", "@1000"]).arg(state.join("USED_1")).status().unwrap();
        assert!(touched.success());
        drop(machine.restart());
        let early = booted.duration_since(machine.used.since());
        assert!(early.abs().as_secs() < 60, "{early}");
    });
}
