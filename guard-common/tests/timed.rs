//! Prefixes of bans and grants: their keys, the bits of their lengths, and how an address finds those that hold.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use guard_common::{
    address::Address,
    policy::Ban,
    timed::{
        ANY_SERVICE, EVERY_SERVICE, Kind, LENGTH_WORDS, PrefixKey, Until, length_at, length_bit, length_words,
        strongest,
    },
};
use proptest::prelude::*;

const KINDS: [Kind; 3] = [Kind::Ban, Kind::Grant, Kind::ServiceGrant];
const NOW_NS: u64 = 1_000;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().expect("a test names good addresses").into()
}

fn lengths_of(version: u8) -> std::ops::RangeInclusive<u8> {
    0..=if version == 4 { 32 } else { 128 }
}

#[test]
fn a_ban_by_hand_may_be_followed_by_the_machines() {
    const SECOND_NS: u64 = 1_000_000_000;
    let both = Until { machine_s: 2, ..by_hand(SECOND_NS) };
    for (name, until, bans) in [
        ("by hand", by_hand(SECOND_NS), [Ban::ByHand, Ban::None, Ban::None, Ban::None]),
        ("by machine", by_machine(SECOND_NS), [Ban::ByMachine, Ban::None, Ban::None, Ban::None]),
        ("both", both, [Ban::ByHand, Ban::ByMachine, Ban::ByMachine, Ban::None]),
        ("of no end", Until { machine_s: u32::MAX, ..by_hand(u64::MAX) }, [Ban::ByHand; 4]),
    ] {
        let times = [SECOND_NS - 1, SECOND_NS, 3 * SECOND_NS - 1, 3 * SECOND_NS];
        assert_eq!(times.map(|now_ns| until.holds_at(now_ns)), bans, "{name}");
    }
}

#[test]
fn a_key_has_no_bits_behind_its_prefix() {
    for (text, version, length, expected) in [
        ("192.0.2.129", 4, 32, "192.0.2.129"),
        ("192.0.2.129", 4, 31, "192.0.2.128"),
        ("192.0.2.129", 4, 24, "192.0.2.0"),
        ("192.0.2.129", 4, 1, "128.0.0.0"),
        ("192.0.2.129", 4, 0, "0.0.0.0"),
        ("2001:db8::ffff:1", 6, 128, "2001:db8::ffff:1"),
        ("2001:db8::ffff:1", 6, 127, "2001:db8::ffff:0"),
        ("2001:db8:1:2:8000::1", 6, 65, "2001:db8:1:2:8000::"),
        ("2001:db8:1:2:8000::1", 6, 64, "2001:db8:1:2::"),
        ("2001:db8:1:2:8000::1", 6, 63, "2001:db8:1:2::"),
        ("2001:db8:1:3::1", 6, 63, "2001:db8:1:2::"),
        ("ffff::1", 6, 1, "8000::"),
        ("ffff::1", 6, 0, "::"),
    ] {
        let key = PrefixKey::of(address(text), version, length, EVERY_SERVICE);
        assert_eq!(key.address, address(expected).octets(), "{text}/{length}");
        assert_eq!((key.length, key.version, key.reserved), (length, version, 0), "{text}/{length}");
    }
}

#[test]
fn every_kind_and_length_has_a_bit_of_its_own_among_its_words() {
    let mut taken = BTreeSet::new();
    for kind in KINDS {
        for version in [4, 6] {
            let words = length_words(kind, version);
            for length in lengths_of(version) {
                let (word, bit) = length_bit(kind, version, length);
                let case = format!("{kind:?}, {version}, {length}: {word}, {bit:#x}");
                assert!(words.contains(&word) && word < LENGTH_WORDS && bit.is_power_of_two(), "{case}");
                assert!(taken.insert((word, bit)), "{case}");
                assert_eq!(length_at(word as u64, bit.trailing_zeros()), (version, length), "{case}");
            }
        }
    }
}

/// A table with the words of its lengths; counts how often it is asked.
#[derive(Default)]
struct Table {
    entries: BTreeMap<PrefixKey, Until>,
    words: [u64; LENGTH_WORDS],
    asked: RefCell<Vec<u8>>,
}

impl Table {
    fn add(&mut self, kind: Kind, (text, length): (&str, u8), service: u8, until: Until) {
        let ip: IpAddr = text.parse().expect("a test names good addresses");
        self.insert(kind, if ip.is_ipv4() { 4 } else { 6 }, ip.into(), length, service, until);
    }

    fn insert(&mut self, kind: Kind, version: u8, address: Address, length: u8, service: u8, until: Until) {
        self.entries.insert(PrefixKey::of(address, version, length, service), until);
        let (word, bit) = length_bit(kind, version, length);
        self.words[word] |= bit;
    }

    /// Asks for each word of a kind, as the kernel program does.
    fn holds(&self, kind: Kind, version: u8, address: Address, service: u8) -> Ban {
        let ask = |word: usize, bit: u32| {
            let (version, length) = length_at(word as u64, bit);
            self.asked.borrow_mut().push(length);
            let key = PrefixKey::of(address, version, length, service);
            self.entries.get(&key).map_or(Ban::None, |until| until.holds_at(NOW_NS)) as u32
        };
        let answers = length_words(kind, version).map(|word| strongest(self.words[word], |bit| ask(word, bit)));
        match answers.fold(0, |held, answer| if held == 1 { held } else { held | answer }) {
            0 => Ban::None,
            by_hand if by_hand & Ban::ByHand as u32 != 0 => Ban::ByHand,
            _ => Ban::ByMachine,
        }
    }
}

const fn by_hand(ends_ns: u64) -> Until {
    Until { ends_ns, by_machine: 0, machine_s: 0 }
}

const fn by_machine(ends_ns: u64) -> Until {
    Until { by_machine: 1, ..by_hand(ends_ns) }
}

#[test]
fn what_has_not_ended_holds_for_all_in_the_prefix() {
    let later = NOW_NS + 1;
    for (name, entries, ip, expected) in [
        ("nothing", vec![], "192.0.2.1", Ban::None),
        ("an address", vec![("192.0.2.1", 32, by_hand(later))], "192.0.2.1", Ban::ByHand),
        ("its neighbour", vec![("192.0.2.1", 32, by_hand(later))], "192.0.2.2", Ban::None),
        ("a prefix", vec![("192.0.2.0", 24, by_hand(later))], "192.0.2.255", Ban::ByHand),
        ("everything", vec![("0.0.0.0", 0, by_hand(later))], "203.0.113.1", Ban::ByHand),
        ("ended just now", vec![("192.0.2.1", 32, by_hand(NOW_NS))], "192.0.2.1", Ban::None),
        (
            "an ended longer one",
            vec![("192.0.2.1", 32, by_hand(1)), ("192.0.2.0", 24, by_hand(later))],
            "192.0.2.1",
            Ban::ByHand,
        ),
        (
            "an ended shorter one",
            vec![("192.0.2.0", 24, by_hand(1)), ("192.0.2.1", 32, by_hand(later))],
            "192.0.2.1",
            Ban::ByHand,
        ),
        ("by machine", vec![("192.0.2.1", 32, by_machine(later))], "192.0.2.1", Ban::ByMachine),
        ("by machine, ended", vec![("192.0.2.1", 32, by_machine(NOW_NS))], "192.0.2.1", Ban::None),
        (
            "a longer one by machine",
            vec![("192.0.2.1", 32, by_machine(later)), ("192.0.2.0", 24, by_hand(later))],
            "192.0.2.1",
            Ban::ByHand,
        ),
        (
            "a shorter one by machine",
            vec![("192.0.2.0", 24, by_machine(later)), ("192.0.2.1", 32, by_hand(later))],
            "192.0.2.1",
            Ban::ByHand,
        ),
        ("the other family's everything", vec![("::", 0, by_hand(later))], "192.0.2.1", Ban::None),
        ("IPv6: an address", vec![("2001:db8::1", 128, by_hand(later))], "2001:db8::1", Ban::ByHand),
        ("IPv6: its neighbour", vec![("2001:db8::1", 128, by_hand(later))], "2001:db8::", Ban::None),
        ("IPv6: a /64", vec![("2001:db8::", 64, by_hand(later))], "2001:db8::ffff:1", Ban::ByHand),
        ("IPv6: the next /64", vec![("2001:db8::", 64, by_hand(later))], "2001:db8:0:1::1", Ban::None),
        ("IPv6: a /63", vec![("2001:db8::", 63, by_hand(later))], "2001:db8:0:1::1", Ban::ByHand),
        (
            "IPv6: several words",
            vec![
                ("2001:db8::1", 128, by_machine(later)),
                ("2001:db8::", 65, by_hand(1)),
                ("2001::", 16, by_hand(later)),
            ],
            "2001:db8::1",
            Ban::ByHand,
        ),
        ("IPv6: everything", vec![("::", 0, by_hand(later))], "ffff::1", Ban::ByHand),
        ("IPv6: the other family's everything", vec![("0.0.0.0", 0, by_hand(later))], "2001:db8::1", Ban::None),
    ] {
        let mut table = Table::default();
        for (text, length, until) in entries {
            table.add(Kind::Ban, (text, length), EVERY_SERVICE, until);
        }
        let version = if ip.contains(':') { 6 } else { 4 };
        assert_eq!(table.holds(Kind::Ban, version, address(ip), EVERY_SERVICE), expected, "{name}");
    }
}

#[test]
fn grants_are_for_their_service() {
    let mut table = Table::default();
    for service in [3, ANY_SERVICE] {
        table.add(Kind::ServiceGrant, ("192.0.2.0", 24), service, by_hand(NOW_NS + 1));
    }
    for (service, expected) in
        [(3, Ban::ByHand), (4, Ban::None), (EVERY_SERVICE, Ban::None), (ANY_SERVICE, Ban::ByHand)]
    {
        assert_eq!(table.holds(Kind::ServiceGrant, 4, address("192.0.2.9"), service), expected, "{service}");
    }
}

#[test]
fn only_lengths_in_use_are_asked_for() {
    let mut table = Table::default();
    for length in [0, 24, 32] {
        table.add(Kind::Ban, ("192.0.2.1", length), EVERY_SERVICE, by_hand(1));
    }
    table.holds(Kind::Ban, 4, address("192.0.2.1"), EVERY_SERVICE);
    assert_eq!(table.asked.take(), [0, 24, 32]);
    table.holds(Kind::Ban, 6, address("2001:db8::1"), EVERY_SERVICE);
    table.holds(Kind::Grant, 4, address("192.0.2.1"), EVERY_SERVICE);
    assert_eq!(table.asked.take(), []);
    for length in [0, 63, 64, 127, 128] {
        table.add(Kind::Ban, ("2001:db8::1", length), EVERY_SERVICE, by_hand(1));
    }
    table.holds(Kind::Ban, 6, address("2001:db8::1"), EVERY_SERVICE);
    assert_eq!(table.asked.take(), [0, 63, 64, 127, 128]);
}

/// Addresses that share prefixes of many lengths with each other.
fn addresses(version: u8) -> impl Strategy<Value = Address> {
    (0..=128_u32, any::<u128>()).prop_map(move |(kept, random)| {
        let base = 0x2001_0db8_5555_5555_5555_5555_5555_5555_u128;
        let mask = if kept == 0 { 0 } else { u128::MAX << (128 - kept) };
        let bits = base & mask | random & !mask;
        if version == 4 {
            Address::from_v4((bits as u32).to_be_bytes())
        } else {
            Address::from_octets(bits.to_be_bytes())
        }
    })
}

/// Tells whether two addresses have their first bits in common, one bit after another.
fn shares(version: u8, length: u8, one: Address, other: Address) -> bool {
    let skipped = if version == 4 { 96 } else { 0 };
    let bits = |address: Address| {
        address.octets().into_iter().flat_map(|byte| (0..8).rev().map(move |nth| byte >> nth & 1)).skip(skipped)
    };
    bits(one).zip(bits(other)).take(length.into()).all(|(one, other)| one == other)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn an_address_finds_the_strongest_of_its_prefixes(
        (version, entries, asked) in prop_oneof![Just(4_u8), Just(6)].prop_flat_map(|version| {
            let entry = (addresses(version), lengths_of(version), any::<bool>(), 0..4_u64);
            (Just(version), prop::collection::vec(entry, 0..12), addresses(version))
        }),
    ) {
        let mut table = Table::default();
        for (address, length, is_machines, ahead) in entries.clone() {
            let until = Until { ends_ns: NOW_NS - 1 + ahead, by_machine: is_machines.into(), machine_s: 0 };
            table.insert(Kind::Ban, version, address, length, EVERY_SERVICE, until);
        }
        // Of entries with the same prefix the last one counts.
        let mut left = entries;
        left.reverse();
        let mut held = Vec::new();
        let mut seen: Vec<(Address, u8)> = Vec::new();
        for (address, length, is_machines, ahead) in left {
            if !seen.iter().any(|&(other, of)| of == length && shares(version, length, address, other)) {
                seen.push((address, length));
                if ahead > 1 && shares(version, length, address, asked) {
                    held.push(is_machines);
                }
            }
        }
        let expected = if held.contains(&false) {
            Ban::ByHand
        } else if held.contains(&true) {
            Ban::ByMachine
        } else {
            Ban::None
        };
        prop_assert_eq!(table.holds(Kind::Ban, version, asked, EVERY_SERVICE), expected);
    }
}
