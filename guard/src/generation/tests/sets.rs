//! Several sets in one generation: where they lie, which share lines, which are copied.

use std::cell::Cell;

use guard_common::{
    generation::{NEAR_LINES, set_index},
    prefix::ROOT_LINES,
};

use super::*;
use crate::samples::{ByLength, Family, Random, Shape, some_telling_addresses};

/// Telling addresses of a large list that are asked, about.
const ASKED: usize = 3_000;

fn list(family: Family, size: usize) -> Vec<IpNet> {
    Shape::Usual.list(family, size, &mut Random::new(size as u64))
}

/// Lists of services, from one that lies in the head to one that does not even begin there.
fn lists() -> Vec<Vec<IpNet>> {
    let both = |size| [list(Family::V4, size), list(Family::V6, size)].concat();
    vec![both(3), list(Family::V6, 40), list(Family::V4, 300), both(5_000), list(Family::V4, 12_000)]
}

fn services(lists: &[Vec<IpNet>]) -> Vec<Service> {
    let service = |(number, list): (u8, &Vec<IpNet>)| {
        let ports = [port(Protocol::Tcp, number.into())];
        Service { number, ..samples::service(&number.to_string(), &ports, Mode::Enforce, list) }
    };
    (1..).zip(lists).map(service).collect()
}

pub(super) fn large_policy() -> Policy {
    samples::policy(&list(Family::V6, 700), &list(Family::V4, 900), services(&lists()))
}

/// Checks every set that is not empty, against the list that it stands for.
fn check(name: &str, compiled: &Compiled, sets: &[(Set, Vec<IpNet>)]) {
    let generation = read(compiled);
    for (set, list) in sets {
        let model = ByLength::of(list);
        for ip in some_telling_addresses(list, ASKED) {
            let version = Family::of(ip).version();
            assert_eq!(generation.contains(*set, version, ip.into()), model.contains(ip), "{name}: {set:?}, {ip}");
        }
    }
}

/// The sets of the large policy, written down once more.
fn sets_of_large() -> Vec<(Set, Vec<IpNet>)> {
    let common = [
        (Set::Allow, list(Family::V6, 700)),
        (Set::Deny, list(Family::V4, 900)),
        (Set::AnyService, lists().concat()),
        (Set::Trusted, Vec::new()),
    ];
    (1..).zip(lists()).map(|(service, list)| (Set::Service(service), list)).chain(common).collect()
}

#[test]
fn sets_lie_near_far_and_across_the_border() {
    let compiled = compile_anew(&large_policy());
    check("large policy", &compiled, &sets_of_large());
    let halves = compiled.head.sets.iter().flat_map(|place| [place.v4, place.v6]);
    let mut firsts: Vec<usize> = halves.map(|line| line as usize).collect();
    firsts.extend([0, NEAR_LINES + compiled.far.len()]);
    firsts.sort_unstable();
    firsts.dedup();
    let places = || firsts.windows(2).map(|ends| (ends[0], ends[1]));
    assert!(places().filter(|(_, end)| *end <= NEAR_LINES).count() > 3, "near: {firsts:?}");
    assert!(places().any(|(first, end)| first < NEAR_LINES && end > NEAR_LINES), "across the border: {firsts:?}");
    assert!(places().any(|(first, _)| first > NEAR_LINES), "far: {firsts:?}");
}

#[test]
fn the_border_cuts_a_set_anywhere() {
    // IPv4 sets of 66 lines or a few more, with two index blocks, push the IPv6 set behind them over the border, in its top, its nodes,
    // leaves or boundaries.
    let address = |nth: u32, of: u32| Family::V4.net((0x0a00_0000 + ((of % 2) << 24) + nth * 64 + of).into(), 32);
    let small = |nth: u32| -> Vec<IpNet> { (0..24).map(|of| address(nth, of)).collect() };
    for before in [45, 50, 56, 58, 59] {
        let mut lists: Vec<Vec<IpNet>> = (0..before).map(small).collect();
        lists.push(list(Family::V6, 3_000));
        let compiled = compile_anew(&samples::policy(&[], &[], services(&lists)));
        let any_service = (Set::AnyService, lists.concat());
        let first = compiled.head.sets[before as usize + 1].v6 as usize;
        assert!(first < NEAR_LINES && !compiled.far.is_empty(), "{before} before: from line {first} on");
        let sets: Vec<_> = (1..).map(Set::Service).zip(lists).chain([any_service]).collect();
        check(&format!("{before} before"), &compiled, &sets);
    }
}

#[test]
fn every_service_has_a_set() {
    let lists: Vec<Vec<IpNet>> = (0..63).map(|nth| list(Family::BOTH[nth % 2], nth + 1)).collect();
    let compiled = compile_anew(&samples::policy(&[], &[], services(&lists)));
    let sets: Vec<_> = (1..).map(Set::Service).zip(lists.clone()).chain([(Set::AnyService, lists.concat())]).collect();
    check("63 services", &compiled, &sets);
}

#[test]
fn a_handful_of_prefixes_lies_in_the_head() {
    let allow = prefixes(&["127.0.0.1/32", "192.168.1.5/32", "10.0.0.0/8", "172.16.0.0/12", "203.0.113.0/24"]);
    let allow = [allow, prefixes(&["::1/128", "2001:db8::/48", "fd00::/8", "2001:db8:1::1/128", "fe80::/10"])].concat();
    let compiled = compile_anew(&samples::policy(&allow, &[], Vec::new()));
    assert!(compiled.far.is_empty());
    let used = compiled.head.near.iter().rposition(|line| *line != [0; 8]).unwrap() + 1;
    assert!(used <= 48, "{used} lines");
}

#[test]
fn empty_sets_have_no_lines() {
    let compiled = compile_anew(&samples::policy(&[], &[], services(&[vec![], vec![]])));
    assert!(compiled.far.is_empty());
    assert!(compiled.head.near.iter().all(|line| *line == [0; 8]));
    assert_eq!((compiled.head.header.own_sets, compiled.head.header.common_sets), ([0; 2], [0; 2]));
}

#[test]
fn equal_sets_share_lines() {
    let one = list(Family::V4, 50);
    let alone = compile_anew(&samples::policy(&one, &[], Vec::new()));
    let shared = compile_anew(&samples::policy(&one, &one, services(&[one.clone(), one.clone()])));
    let place = |set| shared.head.sets[set_index(set)];
    for set in [Set::Deny, Set::Service(1), Set::Service(2), Set::AnyService] {
        assert_eq!(place(set), place(Set::Allow), "{set:?}");
    }
    assert_eq!(alone.head.near, shared.head.near);
    assert_eq!(alone.far, shared.far);
}

#[test]
fn merged_prefixes_take_one_range() {
    let split = samples::policy(&prefixes(&["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8"]), &[], Vec::new());
    let merged = samples::policy(&prefixes(&["10.0.0.0/7"]), &[], Vec::new());
    assert_eq!(compile_anew(&split).head.near, compile_anew(&merged).head.near);
}

/// Lines of which some may be missing, and how many were read.
#[derive(Clone, Copy)]
struct Watched<'a> {
    generation: Generation<'a, &'a [Line]>,
    missing: Option<u32>,
    reads: &'a Cell<usize>,
}

impl Lines for Watched<'_> {
    fn line(&self, index: u32) -> Option<&Line> {
        self.reads.set(self.reads.get() + 1);
        self.generation.line(index).filter(|_| self.missing != Some(index))
    }
}

#[test]
fn copied_sets_read_as_built_ones() {
    let before = large_policy();
    let compiled_before = compile_anew(&before);
    let total = NEAR_LINES + compiled_before.far.len();
    let more = |list: &[IpNet]| [list, &prefixes(&["198.51.100.0/24"])].concat();
    let mut lists = lists();
    let unchanged = services(&lists);
    lists[2] = more(&lists[2]);
    let one_more = services(&lists);
    lists.remove(0);
    let one_less = services(&lists);
    let cases = [
        ("nothing changed", large_policy(), total..total + 1),
        ("a service's list", Policy { services: one_more, ..large_policy() }, 1_000..total),
        ("a service gone", Policy { services: one_less, ..large_policy() }, 30..total),
        (
            "deny",
            samples::policy(&list(Family::V6, 700), &more(&list(Family::V4, 900)), unchanged.clone()),
            1_000..total,
        ),
        ("everything", samples::policy(&[], &[], services(&[list(Family::V4, 5)])), 0..1),
    ];
    for (name, policy, expected_reads) in cases {
        let anew = compile_anew(&policy);
        for missing in [None, Some(0), Some(ROOT_LINES + 3), Some(NEAR_LINES as u32), Some(total as u32 - 1)] {
            let reads = Cell::new(0);
            let lines = Watched { generation: read(&compiled_before), missing, reads: &reads };
            let previous = Previous { sets: sets(&before), directory: &compiled_before.directory, lines };
            let copied = compile(&policy, 1, rows(&policy), Some(&previous));
            assert!(copied.head.as_bytes() == anew.head.as_bytes(), "{name}, {missing:?} missing: head");
            assert!(copied.far == anew.far, "{name}, {missing:?} missing: far lines");
            if missing.is_none() {
                // Lines that no set uses are not read; what is copied is not read twice.
                let reads = reads.get();
                assert!(expected_reads.contains(&reads), "{name}: {reads} of {total} lines read");
            }
        }
    }
}
