//! Random lists through the program, beside a model that knows neither tables nor the program.

use std::net::IpAddr;

use ipnet::IpNet;

use super::machine::{Machine, policy};
use crate::samples::{ByLength, Family, Random, Shape, random_addresses, some_telling_addresses};

/// Telling addresses of a large list that are asked, about.
const ASKED: usize = 3_000;
/// Random addresses that each list is asked for.
const OTHERS: usize = 64;

/// Prefixes of each family.
const SIZES: [usize; 10] = [1, 2, 5, 10, 30, 100, 400, 2_000, 7_000, 20_000];

/// Lists under one policy, and what it says of a source.
struct Lists {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    service: Vec<IpNet>,
}

impl Lists {
    /// The `nth` random lists: any set of the policy may be the one that matters.
    fn random(nth: usize) -> Self {
        let mut random = Random::new(nth as u64);
        let which = random.below(4);
        // Over the lists each size meets each shape.
        let size = SIZES[(nth + nth / SIZES.len()) % SIZES.len()];
        let shapes = [nth, nth + nth / Shape::ALL.len() + 3].map(|nth| Shape::ALL[nth % Shape::ALL.len()]);
        let mut list = |size: usize| {
            let families = Family::BOTH.into_iter().zip(shapes);
            families.flat_map(|(family, shape)| shape.list(family, size, &mut random)).collect::<Vec<IpNet>>()
        };
        let everyone = || Family::BOTH.map(|family| family.net(0, 0)).to_vec();
        match which {
            0 => Self { allow: list(size), deny: Vec::new(), service: Vec::new() },
            1 => Self { allow: Vec::new(), deny: Vec::new(), service: list(size) },
            2 => Self { allow: everyone(), deny: list(size), service: Vec::new() },
            _ => Self { allow: list(size / 2 + 1), deny: list(size / 10 + 1), service: list(size / 3 + 1) },
        }
    }

    fn all(&self) -> Vec<IpNet> {
        [&self.allow[..], &self.deny, &self.service].concat()
    }
}

/// Tells whether no packet on the wire comes from the address, so that the program drops it whatever the lists say.
fn is_impossible(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast(),
        // ::/96 holds the unspecified address, loopback and the IPv4-compatible ones.
        IpAddr::V6(v6) => v6.is_multicast() || v6.to_ipv4_mapped().is_some() || v6.segments()[..6] == [0; 6],
    }
}

/// Installs random lists, one after another, and asks about each. Returns how many frames were dropped, and how many passed.
fn check(machine: &mut Machine, numbers: impl Iterator<Item = usize>) -> [usize; 2] {
    let mut verdicts = [0; 2];
    for nth in numbers {
        let lists = Lists::random(nth);
        machine.install(policy(&lists.allow, &lists.deny, &lists.service));
        let [allow, deny, service] = [&lists.allow, &lists.deny, &lists.service].map(|list| ByLength::of(list));
        let all = lists.all();
        let others = random_addresses(nth as u64).take(OTHERS);
        for ip in some_telling_addresses(&all, ASKED).chain(others) {
            let expected = !is_impossible(ip) && !deny.contains(ip) && (allow.contains(ip) || service.contains(ip));
            assert_eq!(machine.passes(ip), expected, "lists {nth} of {} prefixes: {ip}", all.len());
            verdicts[usize::from(expected)] += 1;
        }
    }
    verdicts
}

fn run(count: usize) {
    Machine::run(|machine| {
        let [drops, passes] = check(machine, 0..count);
        println!("{count} lists: {drops} frames dropped, {passes} passed");
        // Else the lists say nothing.
        assert!(drops > 300 * count && passes > 100 * count, "{drops} dropped, {passes} passed");
    });
}

#[test]
fn twenty_random_lists() {
    run(20);
}

#[test]
#[ignore = "takes minutes; `cargo xtask test --long` runs it"]
fn a_thousand_random_lists() {
    run(1_000);
}
