//! A machine's tables taken over by the next, which takes them for those of another version, also where a run is killed meanwhile.

use std::{fs, net::IpAddr, path::PathBuf, process::Command};

use guard_common::{
    flow::{Flow, FlowKey, SILENCE_NS},
    packet::protocol,
    policy::Reason,
    records::{FLOWS_MAX, RESERVED},
};
use nix::net::if_::if_nametoindex;

use super::*;
use crate::{
    kernel::{
        OBJECT,
        tests::{
            frames::Sent,
            limits::{hourly, passes, policy},
            machine::{Machine, in_own_namespaces},
        },
    },
    policy::{Per, Unit},
};

const CLIENT: &str = "198.51.100.9";
/// No version of any table.
const OTHER_VERSION: u32 = 0;

/// A machine with a limit per source and one in all, of both of which a client has used up all but one packet.
fn machine() -> Machine {
    let mut machine = Machine::instance();
    machine.install(policy(&[hourly(Unit::Packets, 5, Per::SOURCE), hourly(Unit::Connections, 5, Per::Service)]));
    assert_eq!(passes(&machine, Sent::Syn, CLIENT, 4), 4);
    machine
}

/// Where a machine's tables are pinned.
fn state_directory(machine: &Machine) -> PathBuf {
    machine.pins.as_ref().expect("the machine is the last one").path("state")
}

/// Has the tables be of another version, but for those that nothing is taken over from.
fn age(machine: &Machine) {
    let directory = state_directory(machine);
    for map in STATE_MAPS.iter().filter(|map| map.carry != Carry::Not) {
        let pin = |version| directory.join(pin_name(map.name, version));
        fs::rename(pin(map.version), pin(OTHER_VERSION)).unwrap();
    }
}

/// The names of all pins of tables, wherever they are.
fn pins(machine: &Machine) -> Vec<String> {
    let root = state_directory(machine).parent().unwrap().to_owned();
    let directories = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let of_state = directories
        .filter(|entry| ["state", "next"].iter().any(|prefix| entry.file_name().to_string_lossy().starts_with(prefix)));
    let pins = of_state.flat_map(|directory| fs::read_dir(directory.path()).unwrap());
    let mut pins: Vec<_> = pins.map(|pin| pin.unwrap().file_name().into_string().unwrap()).collect();
    pins.sort();
    pins
}

/// Asserts that there are just the tables of this version, in place.
fn assert_settled(machine: &Machine) {
    let mut expected: Vec<_> = STATE_MAPS.iter().map(|map| pin_name(map.name, map.version)).collect();
    expected.sort();
    assert_eq!(pins(machine), expected);
    assert_eq!(fs::read_dir(state_directory(machine)).unwrap().count(), STATE_MAPS.len());
}

/// Every packet that was counted.
fn counted(machine: &Machine) -> u64 {
    machine.counters.decisions().unwrap().iter().map(|total| total.count.packets).sum()
}

/// A flow from a port of this host.
fn flow(local_port: u16) -> FlowKey {
    let remote = guard_common::address::Address::from("203.0.113.9".parse::<IpAddr>().unwrap()).octets();
    FlowKey { remote, local_port, remote_port: 53, protocol: protocol::UDP, ..FlowKey::default() }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().expect("iproute2 is installed");
    assert!(status.success(), "ip {arguments}");
}

#[test]
fn a_changed_table_has_another_version() {
    let object = Object::parse(OBJECT).unwrap();
    let longer = 8 * RESERVED as u32;
    // Name, version, sizes of key and value, entries: who changes one of the latter raises the version.
    let expected = [
        ("COUNTERS", list::OTHER, 4, 16 + longer, 4096),
        ("SERVICES", list::OTHER, 4, 32, 64),
        ("LINK_TYPES", list::OTHER, 4, 16 + longer, 9),
        ("GATES", 1, 4, 384, 512),
        ("BUDGET", 1, 4, 8, 1),
        ("UNREPORTED", list::OTHER, 4, 16, 32),
        ("EVENTS", 1, 0, 0, 1 << 20),
        ("BUCKETS", list::OTHER, 4, 4, 1024),
        ("TOTALS", list::OTHER, 4, 64, 1024),
        ("LIMITS", list::OTHER, 4, 32, 1024),
        ("BUCKET_KEY", list::OTHER, 4, 16, 1),
        ("PENDING", list::OTHER, 24, 8, 65_536),
        ("FLOWS", list::OTHER, 40, 16 + longer, 65_536),
        ("FLOW_PORTS", list::OTHER, 4, 8, 2048),
        ("BANS", 1, 20, 16, 131_072),
        ("GRANTS", 1, 20, 16, 65_536),
        ("TIMED_LENGTHS", 1, 4, 96, 1),
        ("USED", 1, 16, 8, 16_384),
        ("HANDSHAKES", 1, 24, 40, 65_536),
        ("REFUSED", 1, 24, 8, 16_384),
        ("HALF_OPEN", 1, 24, 8, 65_536),
        ("SOCKETS", 1, 8, 40, 262_144),
        ("CONNECTIONS", 1, 24, 8, 262_144),
        ("OPEN", 1, 4, 8, 64),
        ("PROOFS", 1, 24, 32, 65_536),
        ("VIOLATIONS", 1, 0, 0, 1 << 18),
    ];
    let found = STATE_MAPS.iter().map(|map| {
        let shape = &object.maps[map.name];
        (map.name, map.version, shape.key_size(), shape.value_size(), shape.max_entries())
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn everything_of_another_version_is_taken_over() {
    in_own_namespaces(|| {
        let mut machine = machine();
        machine.flows.add([flow(40_000)]).unwrap();
        age(&machine);
        let before = counted(&machine);
        machine.restart();
        assert_settled(&machine);
        machine.install(policy(&[hourly(Unit::Packets, 5, Per::SOURCE), hourly(Unit::Connections, 5, Per::Service)]));
        assert_eq!(counted(&machine), before);
        assert_eq!(passes(&machine, Sent::Syn, CLIENT, 5), 1, "limits");
        assert_eq!(machine.flows.count().unwrap(), 1, "flows");
        assert!(machine.flows.has_port(&flow(40_000)), "their ports");
        assert_eq!(counted(&machine), before + 5);
    });
}

#[test]
fn tables_of_the_version_before_versions_are_adopted() {
    in_own_namespaces(|| {
        let mut machine = machine();
        let [state, first] = ["state", "state_3"].map(|name| state_directory(&machine).with_file_name(name));
        fs::create_dir(&first).unwrap();
        for map in &STATE_MAPS {
            fs::rename(state.join(pin_name(map.name, map.version)), first.join(map.name)).unwrap();
        }
        let before = counted(&machine);
        machine.restart();
        assert_settled(&machine);
        assert!(!first.exists());
        assert_eq!(counted(&machine), before);
        let adopted = machine.counters.decisions().unwrap();
        assert!(adopted.iter().any(|total| total.reason == Reason::Allowed), "{adopted:?}");
    });
}

#[test]
fn what_comes_meanwhile_is_taken_over() {
    in_own_namespaces(|| {
        let mut machine = machine();
        machine.flows.add([flow(1), flow(2)]).unwrap();
        age(&machine);
        let before = machine.begin_restart();
        machine.install(policy(&[]));
        assert_eq!(machine.flows.count().unwrap(), 2);
        machine.flows.cut(|key| *key == flow(2)).unwrap();
        before.flows.add([flow(3)]).unwrap();
        assert_eq!(passes(&before, Sent::Datagram(1234), CLIENT, 20), 1, "the one that the limit leaves");
        machine.state.as_ref().unwrap().catch_up();
        assert_eq!(machine.flows.count().unwrap(), 2, "one is cut and one is new");
        assert!(machine.flows.has_port(&flow(3)));
        passes(&machine, Sent::Datagram(1234), CLIENT, 7);
        before.flows.add([flow(4)]).unwrap();
        machine.take_hold();
        assert_settled(&machine);
        assert_eq!(machine.flows.count().unwrap(), 3, "and what is cut stays so");
        assert_eq!(counted(&machine), 4 + 20 + 7);
    });
}

#[test]
fn a_service_that_is_gone_leaves_its_counts_to_nobody() {
    in_own_namespaces(|| {
        let mut machine = machine();
        age(&machine);
        machine.begin_restart();
        machine.state.as_ref().unwrap().forget_service(1).unwrap();
        machine.take_hold();
        assert_eq!(counted(&machine), 0);
    });
}

#[test]
fn a_run_that_is_killed_before_it_attaches_changes_nothing() {
    in_own_namespaces(|| {
        let mut machine = machine();
        age(&machine);
        let first = machine.begin_restart();
        first.flows.add([flow(1)]).unwrap();
        assert_eq!(passes(&first, Sent::Syn, CLIENT, 1), 1, "the first goes on");
        machine.begin_restart();
        assert_eq!(machine.flows.count().unwrap(), 1, "what came after the first copy was made");
        machine.take_hold();
        assert_settled(&machine);
        assert_eq!(counted(&machine), 5);
        assert_eq!(machine.flows.count().unwrap(), 1);
    });
}

#[test]
fn a_run_that_is_killed_once_it_is_attached_is_followed_by_the_next() {
    in_own_namespaces(|| {
        ip("link add one type veth peer name other");
        let mut machine = machine();
        machine.flows.add([flow(1)]).unwrap();
        age(&machine);
        let first = machine.begin_restart();
        machine.install(policy(&[]));
        machine.egress.attach(if_nametoindex("one").unwrap()).unwrap();
        // Either goes on at some interface, and nobody takes over any more what the first does.
        machine.flows.add([flow(2)]).unwrap();
        first.flows.add([flow(3)]).unwrap();
        passes(&machine, Sent::Syn, CLIENT, 30);
        passes(&first, Sent::Datagram(1234), CLIENT, 20);
        let second = machine.begin_restart();
        passes(&second, Sent::Syn, CLIENT, 8);
        machine.take_hold();
        assert_settled(&machine);
        assert_eq!(counted(&machine), 4 + 30 + 20 + 8);
        assert_eq!(machine.flows.count().unwrap(), 3);
    });
}

#[test]
fn what_cannot_be_taken_over_begins_anew() {
    in_own_namespaces(|| {
        let mut machine = machine();
        let directory = state_directory(&machine);
        // As if flows had been kept in what services are.
        fs::remove_file(directory.join(pin_name(names::FLOWS, list::OTHER))).unwrap();
        fs::rename(
            directory.join(pin_name(names::SERVICES, list::OTHER)),
            directory.join(pin_name(names::FLOWS, OTHER_VERSION)),
        )
        .unwrap();
        machine.restart();
        assert_settled(&machine);
        assert_eq!(machine.flows.count().unwrap(), 0);
    });
}

#[test]
fn without_the_right_to_share_buckets_they_begin_anew() {
    Machine::run_unprivileged(|machine| {
        let limits = [hourly(Unit::Packets, 5, Per::SOURCE)];
        machine.install(policy(&limits));
        assert_eq!(passes(machine, Sent::Syn, CLIENT, 9), 5);
        age(machine);
        machine.restart();
        assert_settled(machine);
        machine.install(policy(&limits));
        assert_eq!(passes(machine, Sent::Syn, CLIENT, 9), 5);
        assert_eq!(counted(machine), 18);
    });
}

#[test]
fn full_tables_are_taken_over_soon() {
    in_own_namespaces(|| {
        let mut machine = Machine::instance();
        let lasts = Flow { ends_ns: u64::MAX - SILENCE_NS, ..Flow::CUT };
        let table = machine.flows.table();
        for number in 0..FLOWS_MAX as u32 {
            let key =
                FlowKey { local: [7; 16], remote_port: number as u16, local_port: (number >> 16) as u16, ..flow(0) };
            crate::kernel::bpf::set(table, &key, &lasts).unwrap();
        }
        let full = machine.flows.count().unwrap();
        age(&machine);
        let before = machine.begin_restart();
        let copied = machine.state.as_ref().unwrap().began.elapsed();
        let began = Instant::now();
        machine.state.as_ref().unwrap().catch_up();
        let caught_up = began.elapsed();
        machine.take_hold();
        let finished = began.elapsed() - caught_up;
        drop(before);
        let taken = machine.flows.count().unwrap();
        println!(
            "{taken} of {full} flows; copied and loaded within {copied:?}, caught up within {caught_up:?}, \
             finished within {finished:?}"
        );
        // An LRU hash makes room some elements before it is full.
        assert!(full > FLOWS_MAX * 95 / 100 && taken > full * 95 / 100, "{taken} of {full}");
    });
}
