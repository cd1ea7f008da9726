//! When prefixes were last used, by addresses in order: what lies in a prefix lies side by side.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

/// An address in an order that keeps the families apart.
type Place = (bool, u128);

/// How long ago packets came from addresses.
pub(super) struct LastUse {
    addresses: Vec<Place>,
    /// A tree: the leaf of address `i` at `len + i`, and at each `n` from 1 the less of `2 n` and `2 n + 1`. So the least
    /// of any range takes a step a level.
    ago: Vec<Duration>,
}

impl LastUse {
    pub(super) fn new(used: &[(IpAddr, Duration)]) -> Self {
        let mut used: Vec<(Place, Duration)> = used.iter().map(|(address, ago)| (place(*address), *ago)).collect();
        used.sort_unstable();
        let len = used.len();
        let mut ago = vec![Duration::MAX; 2 * len];
        for (leaf, (_, used)) in ago[len..].iter_mut().zip(&used) {
            *leaf = *used;
        }
        for node in (1..len).rev() {
            ago[node] = ago[2 * node].min(ago[2 * node + 1]);
        }
        Self { addresses: used.into_iter().map(|(address, _)| address).collect(), ago }
    }

    /// Returns how long ago the last packet came from an address of the prefix, if one did.
    pub(super) fn of(&self, prefix: &IpNet) -> Option<Duration> {
        let (first, last) = (place(prefix.network()), place(prefix.broadcast()));
        let len = self.addresses.len();
        let mut from = len + self.addresses.partition_point(|address| *address < first);
        let mut to = len + self.addresses.partition_point(|address| *address <= last);
        let mut least = None;
        let mut take =
            |node: usize| least = Some(least.map_or(self.ago[node], |least: Duration| least.min(self.ago[node])));
        while from < to {
            if from % 2 == 1 {
                take(from);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                take(to);
            }
            (from, to) = (from / 2, to / 2);
        }
        least
    }
}

fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, address.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::samples::{Family, Random, Shape};

    use super::*;

    #[test]
    fn the_last_use_of_a_prefix_is_that_of_its_latest_address() {
        let seconds = Duration::from_secs;
        let used: Vec<(IpAddr, Duration)> = [
            ("10.0.0.1", 50),
            ("10.0.0.2", 5),
            ("10.0.1.0", 70),
            ("0.0.0.0", 90),
            ("255.255.255.255", 80),
            ("2001:db8::1", 7),
            ("::a00:2", 3),
        ]
        .map(|(address, ago)| (address.parse().unwrap(), seconds(ago)))
        .into();
        let last_use = LastUse::new(&used);
        for (prefix, expected) in [
            ("10.0.0.1/32", Some(50)),
            ("10.0.0.0/31", Some(50)),
            ("10.0.0.0/24", Some(5)),
            ("10.0.0.0/8", Some(5)),
            ("10.0.1.0/24", Some(70)),
            ("10.0.2.0/24", None),
            ("11.0.0.0/8", None),
            ("0.0.0.0/32", Some(90)),
            ("255.255.255.255/32", Some(80)),
            ("0.0.0.0/0", Some(5)),
            ("::/0", Some(3)),
            ("2001:db8::/32", Some(7)),
            ("2001:db9::/32", None),
        ] {
            assert_eq!(last_use.of(&prefix.parse().unwrap()), expected.map(seconds), "{prefix}");
        }
        assert_eq!(LastUse::new(&[]).of(&"::/0".parse().unwrap()), None);
    }
    #[test]
    fn it_is_what_a_look_at_every_address_tells() {
        for family in Family::BOTH {
            for shape in Shape::ALL {
                let random = &mut Random::new(5);
                let prefixes = shape.list(family, 200, random);
                // Addresses of other lists' ends, and of this one's, which tell most.
                let ends = |prefix: &IpNet| [prefix.network(), prefix.broadcast()];
                let mut addresses: Vec<IpAddr> = prefixes.iter().step_by(3).flat_map(ends).collect();
                addresses.extend(shape.list(family, 50, random).iter().flat_map(ends));
                let used: HashMap<IpAddr, Duration> =
                    addresses.into_iter().map(|address| (address, Duration::from_nanos(random.number()))).collect();
                let used: Vec<(IpAddr, Duration)> = used.into_iter().collect();
                let last_use = LastUse::new(&used);
                for prefix in prefixes {
                    let inside = used.iter().filter(|(address, _)| prefix.contains(address));
                    let expected = inside.map(|(_, ago)| *ago).min();
                    assert_eq!(last_use.of(&prefix), expected, "{shape:?} {prefix}");
                }
            }
        }
    }
}
