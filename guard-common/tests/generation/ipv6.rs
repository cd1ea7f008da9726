//! IPv6 sets written by hand: trees of each height, and each state of an interval.

use guard_common::{
    address::Address,
    prefix::{
        Description, FANOUT, KEYS_PER_LEAF, LEVELS_MAX, Leaf, Line, NO_KEY_V6, State, TOP_LINES, boundaries_word,
    },
};

use crate::lines::{JUNK, check, is_member};

const UPPER: u64 = 1 << 63;

const NOTHING: Leaf =
    Leaf { keys: [NO_KEY_V6; KEYS_PER_LEAF], states: [State::None; KEYS_PER_LEAF + 1], first_part: 0 };

/// A set whose halves are a leaf each.
fn leaves(lower: Leaf, upper: Leaf) -> Vec<Line> {
    let top = |first_leaf| Description { first_leaf, ..Description::default() }.to_line();
    vec![top(TOP_LINES), JUNK, top(TOP_LINES + 1), JUNK, lower.to_line(), upper.to_line()]
}

/// A leaf with these keys, and the states of the intervals before, between and behind them.
fn leaf(keys: &[u64], states: &[State]) -> Leaf {
    let mut leaf = NOTHING;
    leaf.keys[..keys.len()].copy_from_slice(keys);
    leaf.states[..states.len()].copy_from_slice(states);
    leaf
}

fn at(high: u64, low: u64) -> Address {
    Address { high, low }
}

#[test]
fn each_half_has_a_leaf_of_its_own() {
    let everything = leaf(&[], &[State::All]);
    for (name, lines, in_lower, in_upper) in [
        ("nothing", leaves(NOTHING, NOTHING), false, false),
        ("the lower half", leaves(everything, NOTHING), true, false),
        ("the upper half", leaves(NOTHING, everything), false, true),
        ("everything", leaves(everything, everything), true, true),
    ] {
        let ends = |high: u64| [at(high, 0), at(high, u64::MAX)];
        let lower = [0, 1, UPPER - 1].into_iter().flat_map(ends).map(|address| (address, in_lower));
        let upper = [UPPER, UPPER + 1, u64::MAX].into_iter().flat_map(ends).map(|address| (address, in_upper));
        check(name, &lines, 6, lower.chain(upper));
    }
}

#[test]
fn any_number_of_keys() {
    for count in 0..=KEYS_PER_LEAF {
        let keys: Vec<u64> = (0..count as u64).map(|nth| nth * 10 + 5).collect();
        let states: Vec<State> = (0..=count).map(|nth| if nth % 2 == 1 { State::All } else { State::None }).collect();
        let lines = leaves(leaf(&keys, &states), NOTHING);
        let highs = (0..80).chain([UPPER - 1]);
        check(&format!("{count} keys"), &lines, 6, highs.map(|high| (at(high, 7), is_member(&keys, high))));
    }
}

#[test]
fn keys_at_both_ends_of_a_half() {
    let last = UPPER - 1;
    let lines = leaves(
        leaf(&[0, 1, last], &[State::None, State::All, State::None, State::All]),
        leaf(&[0, 1, last], &[State::None, State::All, State::None, State::All]),
    );
    for half in [0, UPPER] {
        let expected = [(0, true), (1, false), (2, false), (last - 1, false), (last, true)];
        check("ends", &lines, 6, expected.map(|(high, is_member)| (at(half | high, 0), is_member)));
    }
}

#[test]
fn a_64_that_is_a_member_in_part_finds_its_word() {
    // The words of five such /64s follow one another: boundaries, boundaries, no boundaries, one address, boundaries.
    let groups: [&[u64]; 4] = [&[0], &[1, 2, u64::MAX], &[], &[5, 6, 7, 1 << 63, (1 << 63) + 1]];
    let one = 6;
    let states = [State::None, State::Part, State::All, State::Part, State::Part, State::One, State::All, State::Part];
    let first_part_line = TOP_LINES + 2;
    let first_boundary = (first_part_line + 1) * 8;
    let mut words = Vec::new();
    let mut boundaries = Vec::new();
    for group in groups {
        words.push(boundaries_word(first_boundary + boundaries.len() as u32, group.len() as u32));
        boundaries.extend(group);
    }
    words.insert(3, one);
    // The leaf counts them from a word inside a line.
    let mut part_line = JUNK;
    part_line[3..].copy_from_slice(&words);
    let mut boundary_lines = [JUNK; 2];
    boundary_lines.as_flattened_mut()[..boundaries.len()].copy_from_slice(&boundaries);
    let first_part = u64::from(first_part_line * 8 + 3);
    let mut lines = leaves(Leaf { first_part, ..leaf(&[10, 11, 12, 13, 15, 16, 18], &states) }, NOTHING);
    lines.push(part_line);
    lines.extend(boundary_lines);

    let lows = [0, 1, 2, 3, 5, 6, 7, 8, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    for low in lows {
        let part = |group: usize| is_member(groups[group], low);
        let expected = [
            (9, false),
            (10, part(0)),
            (11, true),
            (12, part(1)),
            (13, part(2)),
            (14, false),
            (15, low == one),
            (16, true),
            (17, true),
            (18, part(3)),
            (19, false),
        ];
        check("parts", &lines, 6, expected.map(|(high, is_member)| (at(high, low), is_member)));
    }
}

#[test]
fn every_height_and_child() {
    for levels in 1..=LEVELS_MAX {
        for child in 0..FANOUT {
            // Every node on the way sends an address of 100 to the same child; lines before and behind are missing.
            let mut node = [101; FANOUT - 1];
            node[..child].fill(100);
            let mut position = 0_u32;
            let mut first_nodes = [0; LEVELS_MAX - 1];
            for (level, first_node) in (0_u32..).zip(first_nodes.iter_mut().take(levels - 1)) {
                position = position * FANOUT as u32 + child as u32;
                *first_node = (TOP_LINES + level).wrapping_sub(position);
            }
            position = position * FANOUT as u32 + child as u32;
            let nodes = levels as u32 - 1;
            let first_leaf = (TOP_LINES + nodes).wrapping_sub(position);
            let description = Description { levels: levels as u32, first_leaf, first_nodes };
            let nowhere = Description { first_leaf: u32::MAX / 2, ..Description::default() };
            let mut lines = vec![description.to_line(), node, nowhere.to_line(), JUNK];
            lines.resize((TOP_LINES + nodes) as usize, node);
            lines.push(leaf(&[100, 101], &[State::None, State::All, State::None]).to_line());
            let name = format!("{levels} levels, child {child}");
            check(&name, &lines, 6, [(at(100, 0), true), (at(UPPER | 100, 0), false)]);
        }
    }
}

#[test]
fn a_tree_sends_each_address_to_its_leaf() {
    // Nine leaves of two keys each, under one root.
    let keys: Vec<u64> = (0..18).map(|nth| nth * 100).collect();
    let root: [u64; FANOUT - 1] = std::array::from_fn(|nth| keys[2 * (nth + 1)]);
    let description = Description { levels: 1, first_leaf: TOP_LINES, ..Description::default() }.to_line();
    let mut lines = vec![description, root, description, root];
    lines.extend(keys.chunks(2).map(|pair| leaf(pair, &[State::None, State::All, State::None]).to_line()));
    let highs = keys.iter().flat_map(|key| [key.saturating_sub(1), *key, key + 1]);
    let expected: Vec<(Address, bool)> =
        highs.flat_map(|high| [high, UPPER | high].map(|whole| (at(whole, 0), is_member(&keys, high)))).collect();
    check("nine leaves", &lines, 6, expected);
}
