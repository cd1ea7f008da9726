//! Random lists of every shape and many sizes.

use ipnet::IpNet;
use proptest::{prelude::*, sample::select};

use super::{check, check_some};
use crate::samples::{Family, Random, Shape};

/// Telling addresses of a large list that are asked.
const ASKED: usize = 6_000;

#[test]
fn every_shape_in_many_sizes() {
    for shape in Shape::ALL {
        for family in Family::BOTH {
            for size in [1, 2, 3, 5, 10, 20, 50, 100, 200, 1_000, 4_000] {
                let list = shape.list(family, size, &mut Random::new(size as u64));
                check_some(&format!("{shape:?}, {family:?}, {size}"), &list, ASKED);
            }
        }
    }
}

#[test]
fn three_hundred_thousand() {
    let mut random = Random::new(1);
    let mut list = Vec::new();
    for family in Family::BOTH {
        for (shape, size) in [(Shape::Usual, 120_000), (Shape::Packed, 20_000), (Shape::Scattered, 10_000)] {
            list.extend(shape.list(family, size, &mut random));
        }
    }
    // Without what swallows most of the rest.
    list.retain(|prefix| prefix.prefix_len() > 10);
    check_some("300,000 prefixes", &list, 3 * ASKED);
}

fn lists() -> impl Strategy<Value = Vec<IpNet>> {
    let parts = (select(Shape::ALL.to_vec()), select(Family::BOTH.to_vec()), 0..60_usize, any::<u64>());
    let part = parts.prop_map(|(shape, family, size, seed)| shape.list(family, size, &mut Random::new(seed)));
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn mixtures(list in lists()) {
        check("mixture", &list);
    }
}
