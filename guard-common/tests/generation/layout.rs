//! Heads, headers and ports, written and read again.

use guard_common::{
    address::Address,
    generation::{
        FirstLines, Generation, Head, Header, Live, NEAR_LINES, SETS, SLOTS, port_byte, port_index, set_index,
    },
    policy::{Mode, SERVICES_MAX, Set, Target},
    prefix::{Line, Lines as _, Octet, ROOT_LINES, spread_few},
};
use proptest::prelude::*;
use zerocopy::FromZeros as _;

use crate::lines::JUNK;

/// A generation of nothing, whose near lines hold junk.
fn empty() -> Box<Head> {
    let mut head = Box::new(Head::new_zeroed());
    head.near.fill(JUNK);
    head
}

fn open(head: &Head) -> Generation<'_, &'static [Line]> {
    Generation { head, far: &[] }
}

/// Every port of each protocol, as [`Generation::target`] is asked.
fn all_ports() -> impl Iterator<Item = (bool, u16)> {
    [true, false].into_iter().flat_map(|tcp| (0..=u16::MAX).map(move |port| (tcp, port)))
}

fn targets() -> impl Iterator<Item = Target> {
    (1..=SERVICES_MAX as u8).map(Target::Service).chain([Target::Failsafe, Target::Unnamed])
}

fn all_sets() -> impl Iterator<Item = Set> {
    let common = [Set::Deny, Set::Allow, Set::AnyService, Set::Trusted];
    (1..=SERVICES_MAX as u8).map(Set::Service).chain(common)
}

#[test]
fn every_port_has_a_place_of_its_own() {
    let mut taken = vec![false; empty().ports.len()];
    for (tcp, port) in all_ports() {
        let place = &mut taken[port_index(tcp, port)];
        assert!(!*place, "TCP {tcp}, port {port}");
        *place = true;
    }
}

#[test]
fn every_target_has_a_byte_of_its_own() {
    let bytes: Vec<u8> = targets().map(port_byte).collect();
    for (nth, byte) in bytes.iter().enumerate() {
        assert!(!bytes[..nth].contains(byte), "{byte}");
    }
}

#[test]
fn a_port_reads_as_its_target_and_no_other_port_does() {
    for target in targets() {
        for (tcp, port) in
            [(true, 0), (true, 22), (true, 3_000), (true, 65_535), (false, 0), (false, 53), (false, 65_535)]
        {
            let mut head = empty();
            head.ports[port_index(tcp, port)] = port_byte(target);
            let generation = open(&head);
            assert_eq!(generation.target(tcp, port), target, "TCP {tcp}, port {port}");
            let neighbours = [(tcp, port.wrapping_sub(1)), (tcp, port.wrapping_add(1)), (!tcp, port), (tcp, port ^ 64)];
            for (tcp, port) in neighbours {
                assert_eq!(generation.target(tcp, port), Target::Unnamed, "{target:?}, TCP {tcp}, port {port}");
            }
        }
    }
}

#[test]
fn all_ports_at_once() {
    let targets: Vec<Target> = targets().collect();
    let target = |tcp: bool, port: u16| targets[(usize::from(port) * 2 + usize::from(tcp)) % targets.len()];
    let mut head = empty();
    for (tcp, port) in all_ports() {
        head.ports[port_index(tcp, port)] = port_byte(target(tcp, port));
    }
    for (tcp, port) in all_ports() {
        assert_eq!(open(&head).target(tcp, port), target(tcp, port), "TCP {tcp}, port {port}");
    }
}

#[test]
fn any_byte_of_a_port_can_be_read() {
    for byte in 0..=u8::MAX {
        let mut head = empty();
        head.ports[port_index(true, 3_000)] = byte;
        if let Target::Service(service) = open(&head).target(true, 3_000) {
            assert!(usize::from(service) <= SERVICES_MAX, "byte {byte}: service {service}");
            assert!(!open(&head).has(Set::Service(service), 4), "byte {byte}: service {service}");
        }
    }
}

#[test]
fn every_set_has_a_place_of_its_own() {
    let mut taken = [false; SETS];
    for set in all_sets() {
        assert_ne!(set_index(set), 0, "{set:?} has the place that stands for none");
        let place = &mut taken[set_index(set)];
        assert!(!*place, "{set:?}");
        *place = true;
    }
}

#[test]
fn lines_are_near_or_far() {
    let mut head = empty();
    for (nth, line) in head.near.iter_mut().enumerate() {
        *line = [nth as u64; 8];
    }
    let far: Vec<Line> = (0..5).map(|nth| [(NEAR_LINES + nth) as u64; 8]).collect();
    let generation = Generation { head: &head, far: &far[..] };
    for index in 0..NEAR_LINES as u32 + 5 {
        assert_eq!(generation.line(index), Some(&[u64::from(index); 8]), "line {index}");
    }
    for index in [NEAR_LINES as u32 + 5, NEAR_LINES as u32 + 6, u32::MAX] {
        assert_eq!(generation.line(index), None, "line {index}");
    }
}

#[test]
fn a_set_may_begin_near_and_end_far() {
    // 10.0.0.0/9: the root, and one line of a few boundaries.
    let mut root = [0_u64; ROOT_LINES as usize * 8];
    root[10] = Octet::few(ROOT_LINES).0;
    let mut few = [spread_few(1 << 31, 1 << 31); 8];
    few[0] = spread_few(0, 0x80_0000);
    let (lines, _) = root.as_chunks::<8>();
    let lines = [lines, &[few]].concat();
    for before in 0..=lines.len() {
        let mut head = empty();
        let first = NEAR_LINES - before;
        head.near[first..].copy_from_slice(&lines[..before]);
        head.sets[set_index(Set::Deny)].v4 = first as u32;
        head.header.fill(Set::Deny, 4);
        let generation = Generation { head: &head, far: &lines[before..] };
        for (octets, is_member) in [([10, 0, 0, 0], true), ([10, 128, 0, 0], false), ([9, 255, 255, 255], false)] {
            let address = Address::from_v4(octets);
            assert_eq!(generation.contains(Set::Deny, 4, address), is_member, "{before} near lines: {address}");
            assert!(!generation.contains(Set::Deny, 6, address), "{before} near lines: {address} of IPv6");
            assert!(!generation.contains(Set::Allow, 4, address), "{before} near lines: {address} in another set");
        }
    }
}

#[test]
fn a_set_that_the_header_calls_empty_is_not_looked_at() {
    let mut head = empty();
    head.near.fill([Octet::ALL.0; 8]);
    let anyone = Address::from_v4([192, 0, 2, 1]);
    for set in all_sets() {
        assert!(open(&head).holds(set_index(set), 4, anyone), "{set:?}");
        assert!(!open(&head).contains(set, 4, anyone), "{set:?}");
    }
    assert!(!open(&head).holds(SETS, 4, anyone));
}

#[test]
fn a_family_has_lines_of_its_own() {
    let mut head = empty();
    head.near[..ROOT_LINES as usize].fill([Octet::ALL.0; 8]);
    for set in all_sets() {
        head.sets[set_index(set)] = FirstLines { v4: 0, v6: NEAR_LINES as u32 };
        head.header.fill(set, 4);
        head.header.fill(set, 6);
        let mapped = Address::from_v4([192, 0, 2, 1]);
        assert!(open(&head).contains(set, 4, mapped), "{set:?}");
        assert!(!open(&head).contains(set, 6, mapped), "{set:?}");
    }
}

#[test]
fn the_live_word_names_a_slot() {
    for slot in 0..SLOTS as u32 {
        assert_eq!(Live::new(slot).slot(), slot);
        assert_eq!(Live(Live::new(slot).0 | 0xffff_ffff_ffff_ff00).slot(), slot, "with bits of a later use");
    }
}

proptest! {
    #[test]
    fn headers_say_which_sets_hold_something(filled in prop::collection::vec(any::<[bool; 2]>(), SERVICES_MAX + 4)) {
        let mut head = empty();
        for (set, families) in all_sets().zip(&filled) {
            for (version, _) in [4, 6].into_iter().zip(families).filter(|(_, filled)| **filled) {
                head.header.fill(set, version);
            }
        }
        for (set, [v4, v6]) in all_sets().zip(filled) {
            prop_assert_eq!(open(&head).has(set, 4), v4, "{:?}", set);
            prop_assert_eq!(open(&head).has(set, 6), v6, "{:?}", set);
        }
    }

    #[test]
    fn headers_read_as_they_were_written(
        number: u64,
        passes: bool,
        grants_hold: bool,
        monitored: u64,
        is_malformed_monitored: bool,
    ) {
        let mut head = empty();
        let malformed_mode = if is_malformed_monitored { Mode::Monitor } else { Mode::Enforce };
        head.header = Header {
            number,
            passes_by_default: passes.into(),
            grants_hold: grants_hold.into(),
            monitored,
            malformed_mode: malformed_mode as u64,
            ..Header::default()
        };
        let generation = open(&head);
        prop_assert_eq!(generation.number(), number);
        prop_assert_eq!(generation.passes_by_default(), passes);
        prop_assert_eq!(generation.grants_hold(), grants_hold);
        prop_assert_eq!(generation.malformed_mode(), malformed_mode);
        for service in 0..=SERVICES_MAX as u8 {
            let mode = if monitored >> service & 1 == 1 { Mode::Monitor } else { Mode::Enforce };
            prop_assert_eq!(generation.mode(service), mode, "service {}", service);
        }
    }
}
