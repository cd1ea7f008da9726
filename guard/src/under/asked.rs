//! Which of the prefixes that are asked for a prefix lies in, and which lie in it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

/// The prefixes that are asked for, each with its number.
pub(super) struct Asked {
    /// In order, those that lie in another behind it.
    numbers: BTreeMap<IpNet, usize>,
    /// Which lengths there are, of IPv4 and of IPv6.
    lengths: [BTreeSet<u8>; 2],
}

/// How an entry lies to a prefix that is asked for. One that shares an address with it does either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// In it, or it is the same.
    Inside,
    /// It is longer than the entry, and lies in that.
    Around,
}

impl Asked {
    pub(super) fn of(prefixes: &[IpNet]) -> Self {
        let mut asked = Self { numbers: BTreeMap::new(), lengths: Default::default() };
        for (number, prefix) in prefixes.iter().enumerate() {
            asked.numbers.insert(*prefix, number);
            asked.lengths[family(prefix)].insert(prefix.prefix_len());
        }
        asked
    }

    /// Calls `found` for each that an entry touches.
    pub(super) fn touching(&self, entry: &IpNet, mut found: impl FnMut(usize, Relation)) {
        let len = entry.prefix_len();
        for length in self.lengths[family(entry)].range(..=len) {
            let shorter = IpNet::new(entry.addr(), *length).expect("it is of the same family, and no longer").trunc();
            if let Some(number) = self.numbers.get(&shorter) {
                found(*number, Relation::Inside);
            }
        }
        let last = IpNet::from(entry.broadcast());
        for (prefix, number) in self.numbers.range(*entry..=last) {
            if prefix.prefix_len() > len {
                found(*number, Relation::Around);
            }
        }
    }
}

fn family(prefix: &IpNet) -> usize {
    match prefix {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Family, Random, Shape};

    fn touching(asked: &Asked, entry: &IpNet) -> Vec<(usize, Relation)> {
        let mut touching = Vec::new();
        asked.touching(entry, |number, relation| touching.push((number, relation)));
        touching.sort_by_key(|(number, _)| *number);
        touching
    }

    #[test]
    fn what_touches_is_what_a_look_at_every_prefix_tells() {
        let named =
            ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.255/32", "::/0", "2001:db8::/64", "2001:db8::/128"];
        let mut lists: Vec<Vec<IpNet>> = vec![named.iter().map(|prefix| prefix.parse().unwrap()).collect()];
        for family in Family::BOTH {
            for shape in Shape::ALL {
                lists.push(shape.list(family, 200, &mut Random::new(3)));
            }
        }
        for prefixes in &mut lists {
            prefixes.sort_unstable();
            prefixes.dedup();
        }
        for prefixes in &lists {
            let asked = Asked::of(prefixes);
            for entry in lists.iter().flatten().step_by(3) {
                let relation = |prefix: &IpNet| match () {
                    () if prefix.contains(entry) => Some(Relation::Inside),
                    () if entry.contains(prefix) => Some(Relation::Around),
                    () => None,
                };
                let expected: Vec<_> =
                    prefixes.iter().enumerate().filter_map(|(at, prefix)| Some((at, relation(prefix)?))).collect();
                assert_eq!(touching(&asked, entry), expected, "{entry}");
            }
        }
    }
}
