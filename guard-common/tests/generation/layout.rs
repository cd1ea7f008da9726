//! Headers, services and ports, written and read again.

use guard_common::{
    address::Address,
    generation::{
        FamilySets, Generation, Header, LAYOUT, Live, SERVICES_FIRST_LINE, SLOTS, Service, port_byte, port_place,
    },
    packet::{Packet, protocol},
    policy::{Mode, SERVICES_MAX, Set, Target},
    prefix::{self, SetRef},
};
use proptest::prelude::*;

use crate::lines::{JUNK, Table};

const LINES: usize = SERVICES_FIRST_LINE as usize + SERVICES_MAX;

/// Returns a generation without ports whose other lines hold junk.
fn empty(header: &Header) -> Table {
    let mut lines = vec![JUNK; LINES];
    lines[0] = header.to_line();
    lines[1..SERVICES_FIRST_LINE as usize].fill([0; 8]);
    Table(lines)
}

fn open(table: &Table) -> Generation<'_, Table> {
    Generation::open(table).expect("the table has a first line")
}

fn contains(table: &Table, set: Set, packet: &Packet) -> bool {
    prefix::contains(table, open(table).set(set, packet.version), packet.source)
}

fn write_port(table: &mut Table, tcp: bool, port: u16, target: Target) {
    let (line, byte) = port_place(tcp, port);
    table.0[line as usize][byte as usize / 8] |= u64::from(port_byte(target)) << (byte % 8 * 8);
}

fn header(mode: Mode, passes_by_default: bool) -> Header {
    let sets = |nth: u32| FamilySets {
        v4: SetRef { first_line: nth, boundaries: nth + 1 },
        v6: SetRef { first_line: nth + 2, boundaries: nth + 3 },
    };
    let malformed_mode = Mode::Enforce;
    let (deny, allow, any) = (sets(10), sets(20), sets(30));
    Header { number: 7, mode, malformed_mode, passes_by_default, services: 63, deny, allow, any }
}

/// Every port of each protocol, as [`Generation::target`] is asked.
fn all_ports() -> impl Iterator<Item = (bool, u16)> {
    [true, false].into_iter().flat_map(|tcp| (0..=u16::MAX).map(move |port| (tcp, port)))
}

fn targets() -> impl Iterator<Item = Target> {
    (1..=SERVICES_MAX as u8).map(Target::Service).chain([Target::Failsafe, Target::Unnamed])
}

#[test]
fn every_port_has_a_place_of_its_own() {
    let mut taken = vec![[false; 64]; SERVICES_FIRST_LINE as usize];
    for (tcp, port) in all_ports() {
        let (line, byte) = port_place(tcp, port);
        assert!(line > 0 && line < SERVICES_FIRST_LINE, "TCP {tcp}, port {port}: line {line}");
        let place = &mut taken[line as usize][byte as usize];
        assert!(!*place, "TCP {tcp}, port {port}: line {line}, byte {byte}");
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
            let mut table = empty(&header(Mode::Enforce, false));
            write_port(&mut table, tcp, port, target);
            let generation = open(&table);
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
    let target = |tcp: bool, port: u16| {
        let nth = usize::from(port) * 2 + usize::from(tcp);
        targets().nth(nth % targets().count()).expect("the place is below the count")
    };
    let mut table = empty(&header(Mode::Enforce, false));
    for (tcp, port) in all_ports() {
        write_port(&mut table, tcp, port, target(tcp, port));
    }
    for (tcp, port) in all_ports() {
        assert_eq!(open(&table).target(tcp, port), target(tcp, port), "TCP {tcp}, port {port}");
    }
}

#[test]
fn what_is_missing_is_closed() {
    assert!(Generation::open(&Table(vec![])).is_none());
    let alone = Table(vec![header(Mode::Monitor, false).to_line()]);
    let generation = open(&alone);
    assert_eq!(generation.target(true, 3_000), Target::Unnamed);
    assert_eq!(generation.mode(0), Mode::Monitor);
    assert_eq!(generation.mode(1), Mode::Enforce);
    for version in [4, 6] {
        assert_eq!(generation.set(Set::Service(1), version), SetRef::default());
    }
}

#[test]
fn another_layout_is_seen() {
    let mut table = empty(&header(Mode::Enforce, false));
    table.0[0][0] += 1;
    assert_eq!(open(&table).layout(), LAYOUT + 1);
}

#[test]
fn any_byte_of_a_port_can_be_read() {
    for byte in 0..=u8::MAX {
        let mut table = empty(&header(Mode::Enforce, false));
        let (line, place) = port_place(true, 3_000);
        table.0[line as usize][place as usize / 8] = u64::from(byte) << (place % 8 * 8);
        let generation = open(&table);
        let packet = Packet { version: 4, protocol: protocol::TCP, destination_port: 3_000, ..Packet::default() };
        if let Target::Service(service) = generation.target(true, 3_000) {
            assert!(usize::from(service) <= SERVICES_MAX, "byte {byte}: service {service}");
            generation.mode(service);
            contains(&table, Set::Service(service), &packet);
        }
    }
}

#[test]
fn a_service_zero_has_no_set_of_its_own() {
    let table = Table(vec![JUNK; LINES]);
    for version in [4, 6] {
        assert_eq!(open(&table).set(Set::Service(0), version), SetRef::default());
    }
}

#[test]
fn the_live_word_names_a_slot() {
    for slot in 0..SLOTS as u32 {
        assert_eq!(Live::new(slot).slot(), slot);
        assert_eq!(Live(Live::new(slot).0 | 0xffff_ffff_ffff_ff00).slot(), slot, "with bits of a later use");
    }
}

#[test]
fn a_packet_is_looked_up_in_its_versions_half() {
    let mapped = Address::from_v4([192, 0, 2, 1]);
    let mut table = empty(&header(Mode::Enforce, false));
    let everything = table.push_set(&[Address::UNSPECIFIED]);
    let halves = FamilySets { v4: everything, v6: SetRef::default() };
    table.0[0] = Header { deny: halves, ..header(Mode::Enforce, false) }.to_line();
    table.0[SERVICES_FIRST_LINE as usize] = Service { mode: Mode::Enforce, allow: halves }.to_line();
    for (version, expected) in [(4, true), (6, false)] {
        let packet = Packet { version, source: mapped, ..Packet::default() };
        assert_eq!(contains(&table, Set::Deny, &packet), expected, "version {version}");
        assert_eq!(contains(&table, Set::Service(1), &packet), expected, "version {version}");
    }
}

proptest! {
    #[test]
    fn headers_read_as_they_were_written(header in headers()) {
        let table = Table(vec![header.to_line()]);
        let generation = open(&table);
        prop_assert_eq!((table.0[0][0] >> 32) & 0xff, u64::from(header.services));
        prop_assert_eq!(generation.layout(), LAYOUT);
        prop_assert_eq!(generation.number(), header.number);
        prop_assert_eq!(generation.mode(0), header.mode);
        prop_assert_eq!(generation.malformed_mode(), header.malformed_mode);
        prop_assert_eq!(generation.passes_by_default(), header.passes_by_default);
        for (set, sets) in [(Set::Deny, header.deny), (Set::Allow, header.allow), (Set::Any, header.any)] {
            prop_assert_eq!(generation.set(set, 4), sets.v4, "{:?}", set);
            prop_assert_eq!(generation.set(set, 6), sets.v6, "{:?}", set);
        }
    }

    #[test]
    fn services_read_as_they_were_written(header in headers(), services in prop::collection::vec(services(), SERVICES_MAX)) {
        let mut table = empty(&header);
        for (line, service) in table.0[SERVICES_FIRST_LINE as usize..].iter_mut().zip(&services) {
            *line = service.to_line();
        }
        for (number, service) in (1..).zip(services) {
            prop_assert_eq!(open(&table).mode(number), service.mode, "service {}", number);
            prop_assert_eq!(open(&table).set(Set::Service(number), 4), service.allow.v4, "service {}", number);
            prop_assert_eq!(open(&table).set(Set::Service(number), 6), service.allow.v6, "service {}", number);
        }
    }
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Enforce), Just(Mode::Monitor)]
}

fn family_sets() -> impl Strategy<Value = FamilySets> {
    let set = || any::<(u32, u32)>().prop_map(|(first_line, boundaries)| SetRef { first_line, boundaries });
    (set(), set()).prop_map(|(v4, v6)| FamilySets { v4, v6 })
}

fn services() -> impl Strategy<Value = Service> {
    (modes(), family_sets()).prop_map(|(mode, allow)| Service { mode, allow })
}

fn headers() -> impl Strategy<Value = Header> {
    (any::<(u64, bool, u8)>(), (modes(), modes()), [family_sets(), family_sets(), family_sets()]).prop_map(
        |((number, passes_by_default, services), (mode, malformed_mode), [deny, allow, any])| Header {
            number,
            mode,
            malformed_mode,
            passes_by_default,
            services,
            deny,
            allow,
            any,
        },
    )
}
