//! A flow's key, as both directions have it.

use std::collections::BTreeSet;

use guard_common::{
    address::Address,
    flow::FlowKey,
    packet::{Fragment, Packet, echo_reply, echo_request, protocol},
};
use proptest::{prelude::*, sample::select};

use crate::host::{answer, is_control, later};

/// Any packet that the parser could hand on.
fn packets() -> impl Strategy<Value = Packet> {
    let protocols = select(vec![protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6, 47, 132]);
    let fragments = select(vec![Fragment::Whole, Fragment::Whole, Fragment::First, Fragment::Later]);
    (
        (select(vec![4, 6]), protocols, fragments),
        any::<[(u64, u64); 2]>(),
        any::<[u16; 2]>(),
        (any::<u8>(), select(vec![0, 3, 8, 128, 129, 135]), any::<u16>()),
    )
        .prop_map(|((version, protocol, fragment), addresses, ports, (tcp_flags, message_type, detail))| {
            let [source, destination] = addresses.map(|(high, low)| Address { high, low });
            let packet = Packet { source, destination, version, protocol, tcp_flags, ..Packet::default() };
            let packet = if is_control(&packet) {
                Packet { message_type, detail, ..packet }
            } else if packet.has_ports() {
                Packet { source_port: ports[0], destination_port: ports[1], ..packet }
            } else {
                packet
            };
            if fragment == Fragment::Later { later(&packet) } else { Packet { fragment, ..packet } }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn an_answer_has_the_key_of_what_it_answers(packet in packets()) {
        let asks = !is_control(&packet) || packet.is_later_fragment() || packet.message_type == echo_request(packet.version);
        let key = FlowKey::of_outgoing(&packet);
        prop_assert_eq!(key.is_some(), asks);
        if asks {
            prop_assert_eq!(FlowKey::of_answer(&answer(&packet, packet.tcp_flags)), key);
        }
    }

    #[test]
    fn an_answer_to_a_question_is_no_question(packet in packets()) {
        let reply = answer(&packet, 0);
        if is_control(&packet) && !packet.is_later_fragment() && packet.message_type == echo_request(packet.version) {
            prop_assert_eq!(FlowKey::of_outgoing(&reply), None);
            prop_assert_eq!(FlowKey::of_answer(&packet), None);
            prop_assert_eq!(reply.message_type, echo_reply(packet.version));
        }
    }

    #[test]
    fn whatever_differs_makes_another_flow(packet in packets(), bit in 0..128_u32, small in 1..=u16::MAX) {
        let Some(key) = FlowKey::of_outgoing(&packet) else { return Ok(()) };
        let reply = answer(&packet, 0);
        let changed = |address: Address| Address::from_octets((u128::from_be_bytes(address.octets()) ^ 1 << bit).to_be_bytes());
        let mut others = vec![
            Packet { source: changed(reply.source), ..reply },
            Packet { destination: changed(reply.destination), ..reply },
            Packet { protocol: 50, ..reply },
        ];
        if packet.has_ports() {
            others.push(Packet { source_port: reply.source_port ^ small, ..reply });
            others.push(Packet { destination_port: reply.destination_port ^ small, ..reply });
        }
        if is_control(&packet) && !packet.is_later_fragment() {
            others.push(Packet { detail: reply.detail ^ small, ..reply });
        }
        if !packet.is_later_fragment() {
            others.push(later(&reply));
        }
        for other in others {
            prop_assert_ne!(FlowKey::of_answer(&other), Some(key), "{:?}", other);
        }
    }

    #[test]
    fn later_fragments_of_an_answer_have_the_flows_other_key(packet in packets()) {
        let Some(key) = FlowKey::of_outgoing(&packet) else { return Ok(()) };
        prop_assert_eq!(FlowKey::of_answer(&later(&answer(&packet, 0))), Some(key.of_fragments()));
        let keys = BTreeSet::from([key, key.of_fragments(), key.of_fragments().of_fragments()]);
        prop_assert_eq!(keys.len(), if packet.is_later_fragment() { 1 } else { 2 });
    }
}
