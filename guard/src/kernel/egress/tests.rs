//! The program on the wire's end of a machine: attached, replaced and taken off, by either hook.

use std::{
    net::UdpSocket,
    process::{Command, Output},
};

use nix::net::if_::if_nametoindex;

use super::*;
use crate::kernel::{
    bpffs::PinDirectory,
    tests::machine::{Machine, in_own_namespaces, policy},
};

const WIRE: &str = "wire";

fn run(program: &str, arguments: &str) -> Output {
    let output = Command::new(program).args(arguments.split_whitespace()).output().expect("iproute2 is installed");
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Makes an interface, and returns its index.
fn lay_wire() -> u32 {
    run("ip", &format!("link add {WIRE} type veth peer name other"));
    run("ip", "link set other up");
    run("ip", &format!("link set {WIRE} up"));
    run("ip", &format!("address add 192.0.2.1/24 dev {WIRE}"));
    run("ip", &format!("neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev {WIRE}"));
    if_nametoindex(WIRE).unwrap()
}

/// Runs a test for a machine that drops by default, for each hook.
fn in_each(test: impl Fn(Machine, Hook, u32) + Sync) {
    for hook in [Hook::Tcx, Hook::Clsact] {
        in_own_namespaces(|| test(enforcing(Machine::instance()), hook, lay_wire()));
    }
}

fn enforcing(mut machine: Machine) -> Machine {
    machine.install(policy(&[], &[], &[]));
    machine
}

/// The programs that packets pass which leave the wire, by number.
fn attached() -> Vec<u32> {
    let (_, programs) = SchedClassifier::query_tcx(WIRE, TcAttachType::Egress).unwrap();
    let filters = filters::leaving(if_nametoindex(WIRE).unwrap()).unwrap();
    programs.iter().map(|program| program.id()).chain(filters.iter().map(|filter| filter.program)).collect()
}

/// What is pinned for packets that leave.
fn pinned(machine: &Machine) -> Vec<String> {
    let entries = fs::read_dir(&machine.egress.pins).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Sends a datagram to a port by the wire; tells whether a machine knows one flow more then.
fn notes(machine: &Machine, port: u16) -> bool {
    let before = machine.flows.count().unwrap();
    UdpSocket::bind("192.0.2.1:0").unwrap().send_to(b"?", ("192.0.2.9", port)).unwrap();
    machine.flows.count().unwrap() > before
}

#[test]
fn attached_it_notes_what_leaves_until_it_is_taken_off() {
    in_each(|mut machine, hook, wire| {
        assert!(!notes(&machine, 1), "{hook:?}: before");
        machine.egress.attach_by(hook, wire).unwrap();
        assert_eq!(attached(), [machine.egress.id], "{hook:?}");
        assert!(notes(&machine, 2), "{hook:?}: attached");
        assert_eq!(machine.egress.attach(wire).unwrap(), (hook, false), "{hook:?}: a second time");
        assert_eq!(attached(), [machine.egress.id], "{hook:?}: a second time");

        assert!(machine.egress.detach_others(|index| index == wire).unwrap().is_empty());
        assert_eq!(machine.egress.detach_others(|_| false).unwrap(), [wire], "{hook:?}");
        assert!(attached().is_empty() && pinned(&machine).is_empty(), "{hook:?}: taken off");
        assert!(!notes(&machine, 3), "{hook:?}: taken off");
    });
}

#[test]
fn tcx_is_what_it_takes_where_the_kernel_has_it() {
    Machine::run(|machine| {
        let wire = lay_wire();
        assert_eq!(machine.egress.attach(wire).unwrap(), (Hook::Tcx, true));
    });
}

#[test]
fn the_next_run_replaces_the_program_where_it_is() {
    in_each(|mut machine, hook, wire| {
        machine.egress.attach_by(hook, wire).unwrap();
        assert!(notes(&machine, 1));
        let before = machine.egress.id;
        let mut machine = enforcing(machine.restarted());
        assert_eq!(attached(), [before], "{hook:?}: it stays when its run ends");
        assert!(machine.egress.is_held(wire));
        assert_eq!(machine.flows.count().unwrap(), 1, "{hook:?}: the table is taken over");

        assert_eq!(machine.egress.attach(wire).unwrap(), (hook, false));
        assert_ne!(machine.egress.id, before);
        assert_eq!(attached(), [machine.egress.id], "{hook:?}");
        assert!(notes(&machine, 2), "{hook:?}: replaced");
        assert_eq!(pinned(&machine).len(), 1, "{hook:?}");
        detach_all(&machine.egress.pins).unwrap();
        assert!(attached().is_empty(), "{hook:?}: taken off, as `down` does");
    });
}

#[test]
fn others_are_left_alone() {
    in_each(|mut machine, hook, wire| {
        let mut other = enforcing(Machine::instance());
        machine.egress.attach_by(hook, wire).unwrap();
        other.egress.attach_by(hook, wire).unwrap();
        let are_attached = |programs: [u32; 2]| {
            let attached = attached();
            attached.len() == programs.len() && programs.iter().all(|program| attached.contains(program))
        };
        assert!(are_attached([machine.egress.id, other.egress.id]), "{hook:?}");
        assert!(notes(&machine, 1) && notes(&other, 2), "{hook:?}: both see what leaves");

        let mut machine = enforcing(machine.restarted());
        machine.egress.attach(wire).unwrap();
        assert!(are_attached([machine.egress.id, other.egress.id]), "{hook:?}: replaced");
        machine.egress.detach_others(|_| false).unwrap();
        assert_eq!(attached(), [other.egress.id], "{hook:?}: one is gone");
        assert!(notes(&other, 3), "{hook:?}");
        drop(machine);
        assert_eq!(attached(), [other.egress.id], "{hook:?}: it ended");
    });
}

#[test]
fn a_clsact_of_others_stays() {
    Machine::run(|machine| {
        let wire = lay_wire();
        run("tc", &format!("qdisc add dev {WIRE} clsact"));
        run("tc", &format!("filter add dev {WIRE} egress protocol ip prio 7 u32 match u32 0 0"));
        machine.install(policy(&[], &[], &[]));
        machine.egress.attach_by(Hook::Clsact, wire).unwrap();
        machine.egress.detach_others(|_| false).unwrap();
        let filters = run("tc", &format!("filter show dev {WIRE} egress")).stdout;
        let filters = String::from_utf8(filters).unwrap();
        assert!(filters.contains("u32") && !filters.contains("bpf"), "{filters}");
    });
}

#[test]
fn a_replacement_that_was_cut_short_is_finished_or_forgotten() {
    for is_replaced in [false, true] {
        in_own_namespaces(|| {
            let (mut machine, wire) = (enforcing(Machine::instance()), lay_wire());
            machine.egress.attach_by(Hook::Clsact, wire).unwrap();
            let mut machine = enforcing(machine.restarted());
            // The program is pinned for its new place; then its run is killed, before or after it has taken it.
            let [current, next] = [FILTER, NEXT_FILTER].map(|suffix| machine.egress.pin(wire, suffix));
            machine.egress.pin_program(&next).unwrap();
            if is_replaced {
                let filter = own_filter(wire, pinned_program(&current).unwrap()).unwrap().unwrap();
                let id = machine.egress.program.attach_to_link(filter_link(wire, filter).unwrap()).unwrap();
                keep(machine.egress.program.take_link(id).unwrap());
            }
            let mut machine = enforcing(machine.restarted());
            assert_eq!(machine.egress.attach(wire).unwrap(), (Hook::Clsact, false), "{is_replaced}");
            assert_eq!(attached(), [machine.egress.id], "{is_replaced}");
            assert_eq!(pinned(&machine), [format!("{wire}{FILTER}")], "{is_replaced}");
        });
    }
}

#[test]
fn an_interface_that_is_gone_leaves_nothing() {
    in_each(|mut machine, hook, wire| {
        machine.egress.attach_by(hook, wire).unwrap();
        run("ip", &format!("link delete {WIRE}"));
        let gone = machine.egress.attach(wire);
        assert!(matches!(gone, Err(EgressError::Gone(_))), "{hook:?}: {gone:?}");
        // Another one has its index now.
        run("ip", &format!("link add {WIRE} index {wire} type veth peer name other"));
        assert_eq!(machine.egress.attach(wire).unwrap(), (Hook::Tcx, true), "{hook:?}");
        run("ip", &format!("link delete {WIRE}"));
        machine.egress.detach_others(|_| false).unwrap();
        assert!(pinned(&machine).is_empty(), "{hook:?}");
    });
}

#[test]
fn one_that_was_forced_off_is_attached_again() {
    Machine::run(|machine| {
        let wire = lay_wire();
        machine.install(policy(&[], &[], &[]));
        machine.egress.attach_by(Hook::Tcx, wire).unwrap();
        detach(&machine.egress.pin(wire, "")).unwrap();
        assert!(attached().is_empty());
        assert_eq!(machine.egress.attach(wire).unwrap(), (Hook::Tcx, true));
        assert!(notes(machine, 1));

        let filters = [Hook::Clsact, Hook::Clsact].map(|hook| {
            machine.egress.detach_others(|_| false).unwrap();
            machine.egress.attach_by(hook, wire).unwrap();
            run("tc", &format!("filter delete dev {WIRE} egress"));
            machine.egress.attach(wire).unwrap()
        });
        assert_eq!(filters, [(Hook::Tcx, true); 2], "the kernel has links now");
    });
}

#[test]
fn a_start_that_fails_leaves_nothing_attached() {
    in_each(|mut machine, hook, wire| {
        machine.egress.attach_by(hook, wire).unwrap();
        let Machine { pins, .. } = machine;
        // No link holds an interface.
        drop::<Option<PinDirectory>>(pins);
        assert!(attached().is_empty(), "{hook:?}");
    });
}
