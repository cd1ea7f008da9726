//! TCP flags that no stack sends.

use guard_common::{
    packet::{Fragment, Packet},
    policy::Reason,
};

use crate::model::{FAILSAFE_PORT, Family, Model, OTHER_PORT, SERVICE_PORT, Source, TCP_SERVICE_PORT};

/// Every combination of FIN, SYN, RST and ACK that a stack sends, with or without PSH and URG (RFC 9293, 3.10).
const POSSIBLE: [&str; 7] = ["S", "SA", "R", "RA", "A", "FA", "FRA"];

pub(crate) fn is_possible(flags: u8) -> bool {
    let letters = |table: [(u8, char); 4]| -> String {
        table.into_iter().filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, letter)| letter).collect()
    };
    let deciding = letters([(0, 'F'), (1, 'S'), (2, 'R'), (4, 'A')]);
    let pushes_or_urges = flags >> 3 & 1 == 1 || flags >> 5 & 1 == 1;
    POSSIBLE.contains(&deciding.as_str()) || deciding.is_empty() && pushes_or_urges
}

/// All combinations, with and without the two bits of RFC 3168, which decide nothing.
fn all_flags() -> impl Iterator<Item = u8> {
    0..=u8::MAX
}

#[test]
fn services_get_no_impossible_flags() {
    let model = Model::new(false);
    for family in Family::BOTH {
        for flags in all_flags() {
            for (port, service) in [(SERVICE_PORT, 1), (TCP_SERVICE_PORT, 2)] {
                for fragment in [Fragment::Whole, Fragment::First] {
                    let packet = Packet { tcp_flags: flags, fragment, ..family.tcp(Source::Listed, port) };
                    let decision = model.decide(&packet);
                    let expected = if is_possible(flags) { Reason::Allowed } else { Reason::Malformed };
                    assert_eq!(
                        (decision.reason, decision.service),
                        (expected, service),
                        "{family:?}, flags {flags:#04x}, {fragment:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn flags_matter_to_nothing_else() {
    let model = Model::new(true);
    for family in Family::BOTH {
        for tcp_flags in all_flags() {
            let packets = [
                ("another port", family.tcp(Source::Stranger, OTHER_PORT), Reason::Default),
                ("failsafe port", family.tcp(Source::Stranger, FAILSAFE_PORT), Reason::Failsafe),
                ("UDP", family.udp(Source::Listed, SERVICE_PORT), Reason::Allowed),
                ("no ports", family.packet(Source::Stranger), Reason::Default),
            ];
            for (name, packet, expected) in packets {
                let reason = model.reason(&Packet { tcp_flags, ..packet });
                assert_eq!(reason, expected, "{name}, {family:?}, flags {tcp_flags:#04x}");
            }
        }
    }
}

#[test]
fn two_thirds_of_all_combinations_are_impossible() {
    let possible = (0..64).filter(|&flags| is_possible(flags)).count();
    assert_eq!(possible, POSSIBLE.len() * 4 + 3);
}
