//! The kernel's table, filled and cut.

use std::{net::Ipv4Addr, time::Instant};

use guard_common::{address::Address, flow::SILENCE_NS, packet::protocol, records::FLOWS_MAX};

use super::*;
use crate::kernel::tests::machine::Machine;

/// A flow of this host to the `number`th of many others.
fn key(number: u32) -> FlowKey {
    FlowKey {
        local: Address::from_v4([192, 0, 2, 1]).octets(),
        remote: Address::from(std::net::IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))).octets(),
        local_port: 40_000,
        remote_port: 443,
        protocol: protocol::UDP,
        ..FlowKey::default()
    }
}

/// What the table says of a flow.
fn find(flows: &Flows, wanted: FlowKey) -> Option<Flow> {
    let mut found = None;
    flows
        .for_each(|key, flow| {
            if *key == wanted {
                assert_eq!(found.replace(*flow), None, "{key:?} came twice");
            }
        })
        .unwrap();
    found
}

#[test]
fn what_is_added_lasts_as_if_it_were_opened_now() {
    Machine::run(|machine| {
        let flows = &machine.flows;
        let tcp = FlowKey { protocol: protocol::TCP, ..key(1) };
        let before_ns = now_ns();
        assert_eq!(flows.add([tcp, key(2)]).unwrap(), 2);
        assert_eq!(flows.count().unwrap(), 2, "fragments are no flows");
        assert!(find(flows, tcp).unwrap().ends_ns > 1 << 62);
        for key in [key(2), key(2).of_fragments(), tcp.of_fragments()] {
            let ends_ns = find(flows, key).unwrap().ends_ns;
            assert!((before_ns + SILENCE_NS..=now_ns() + SILENCE_NS).contains(&ends_ns), "{key:?}");
        }
    });
}

#[test]
fn what_is_there_is_left_alone() {
    Machine::run(|machine| {
        let flows = &machine.flows;
        let closed = Flow { ends_ns: 1, ..Flow::CUT };
        assert!(crate::kernel::bpf::add(flows.table.as_fd(), &key(1), &closed).unwrap());
        assert_eq!(flows.add([key(1), key(2)]).unwrap(), 1);
        assert_eq!(find(flows, key(1)), Some(closed));
        assert_eq!(flows.count().unwrap(), 1, "one has ended");
    });
}

#[test]
fn those_that_are_unwanted_are_cut_and_no_others() {
    Machine::run(|machine| {
        let flows = &machine.flows;
        let asked = Flow { asked_here: 1, ..Flow::noted(&key(1_001), now_ns()) };
        assert!(crate::kernel::bpf::add(flows.table.as_fd(), &key(1_001), &asked).unwrap());
        flows.add((0..1_000).map(key)).unwrap();
        let is_odd = |key: &FlowKey| key.remote[15] % 2 == 1;
        // Each has an entry for its fragments.
        assert_eq!(flows.cut(is_odd).unwrap(), 1_000);
        assert_eq!(flows.cut(is_odd).unwrap(), 0);
        assert_eq!(flows.count().unwrap(), 501);
        assert_eq!(find(flows, key(1_001)), Some(asked), "this host asked for it");
        assert_eq!(find(flows, key(1)), Some(Flow::CUT));
        assert!(find(flows, key(2)).is_some_and(|flow| flow.is_alive(now_ns())));
        // What is read of sockets later does not bring them back.
        assert_eq!(flows.add([key(1)]).unwrap(), 0);
    });
}

#[test]
fn a_full_table_is_walked_and_cut() {
    Machine::run(|machine| {
        let flows = &machine.flows;
        let started = Instant::now();
        flows.add((0..FLOWS_MAX as u32).map(key)).unwrap();
        let added = started.elapsed();
        let started = Instant::now();
        let count = flows.count().unwrap();
        let counted = started.elapsed();
        let started = Instant::now();
        let cut = flows.cut(|_| true).unwrap();
        println!("added in {added:?}; {count} counted in {counted:?}, {cut} entries cut in {:?}", started.elapsed());
        // The kernel makes room before the very last place is taken.
        assert!(cut > FLOWS_MAX * 3 / 4, "{cut}");
        assert_eq!(flows.cut(|_| true).unwrap(), 0);
    });
}

#[test]
fn ports_are_listened_on_until_they_are_not() {
    Machine::run(|machine| {
        let flows = &machine.flows;
        let ports = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<_>>();
        let bits = |flows: &Flows| {
            let places = [true, false].into_iter().flat_map(|tcp| (0..=u16::MAX).map(move |port| (tcp, port)));
            let is_set = |(tcp, port): &(bool, u16)| {
                let (word, bit) = port_bit(*tcp, *port);
                flows.listening.load(word as usize) & bit != 0
            };
            places.filter(is_set).collect::<Vec<_>>()
        };
        let everywhere = 0..=u16::MAX;
        flows.set_listening(&ports(&[0, 22, 65_535]), &ports(&[53]), &everywhere);
        assert_eq!(bits(flows), [(true, 0), (true, 22), (true, 65_535), (false, 53)]);
        flows.set_listening(&ports(&[23]), &ports(&[53, 5353]), &everywhere);
        assert_eq!(bits(flows), [(true, 23), (false, 53), (false, 5353)]);
        flows.set_listening(&ports(&[]), &ports(&[]), &(2..=65_533));
        assert_eq!(bits(flows), [(true, 0), (true, 1), (true, 65_534), (true, 65_535)], "no client asks from there");
        flows.set_listening(&ports(&[]), &ports(&[]), &everywhere);
        assert!(bits(flows).is_empty());
    });
}
