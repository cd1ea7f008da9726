//! Builder and reader together, beside models and a prefix table that no one here wrote.

mod ipv4;
mod ipv6;
mod random_lists;
mod size;

use std::net::IpAddr;

use guard_common::{
    address::Address,
    prefix::{Line, contains},
};
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

use super::{build_v4, build_v6};
use crate::policy::Ranges;
use crate::samples::{ByLength, Family, is_in_any, random_addresses, some_telling_addresses};

/// Lists of which a model looks at every prefix, not at more.
const NAIVE_MAX: usize = 300;
/// Random addresses that each list is asked for.
const OTHERS: usize = 64;

/// A list as it is built: a table for each family.
struct Built {
    v4: Vec<Line>,
    v6: Vec<Line>,
}

impl Built {
    fn of(list: &[IpNet]) -> Self {
        let ranges = Ranges::of(list.iter().copied());
        Self { v4: build_v4(&ranges.v4), v6: build_v6(&ranges.v6) }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let family = Family::of(ip);
        let table = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        contains(&table.as_slice(), 0, family.version(), Address::from(ip))
    }
}

/// Checks every telling address of a list.
fn check(name: &str, list: &[IpNet]) -> Built {
    check_some(name, list, usize::MAX)
}

/// Checks about `most` telling addresses of a list, and some random ones.
fn check_some(name: &str, list: &[IpNet], most: usize) -> Built {
    let built = Built::of(list);
    let by_length = ByLength::of(list);
    let trie: JointPrefixSet<IpNet> = list.iter().copied().collect();
    for ip in some_telling_addresses(list, most).chain(random_addresses(list.len() as u64).take(OTHERS)) {
        let is_member = built.contains(ip);
        assert_eq!(is_member, by_length.contains(ip), "{name}: {ip} by length");
        assert_eq!(is_member, trie.get_lpm(&IpNet::from(ip)).is_some(), "{name}: {ip} in the other table");
        if list.len() <= NAIVE_MAX {
            assert_eq!(is_member, is_in_any(list, ip), "{name}: {ip} by every prefix");
        }
    }
    built
}
