//! IPv4 sets written by hand: one of each kind of octet and bucket.

use guard_common::{
    address::Address,
    prefix::{BLOCK_LINES, Bucket, Line, NO_KEY_V4, Octet, ROOT_LINES, WORDS_PER_LINE, spread_few},
};

use crate::lines::{JUNK, check, is_member};

const OCTET: u32 = 10;
const OCTET_START: u32 = OCTET << 24;
/// A bucket in the middle of the octet, with something of every part of an address in its number.
const BUCKET: u32 = 0x155;
const BUCKET_START: u32 = OCTET_START + (BUCKET << 15);
const BLOCK: u32 = ROOT_LINES;
const BODY: u32 = ROOT_LINES + BLOCK_LINES;

/// A set of nothing but what is said of one octet.
fn octet(octet: Octet) -> Vec<Line> {
    let mut lines = vec![[0; 8]; ROOT_LINES as usize];
    lines.as_flattened_mut()[OCTET as usize] = octet.0;
    lines
}

/// A set of nothing but what is said of one bucket.
fn bucket(bucket: Bucket) -> Vec<Line> {
    let mut lines = octet(Octet::deeper(BLOCK, BODY));
    lines.resize(BODY as usize, [0; 8]);
    lines[BLOCK as usize..].as_flattened_mut()[(BUCKET / 4) as usize] = u64::from(bucket.0) << (BUCKET % 4 * 16);
    lines
}

/// Four boundaries in a word.
fn word(keys: &[u32]) -> u64 {
    let key = |lane: usize| u64::from(keys.get(lane).copied().unwrap_or(NO_KEY_V4));
    (0..4).fold(0, |word, lane| word | key(lane) << (16 * lane))
}

/// Words of boundaries, and junk behind them up to a whole number of lines.
fn body(keys: &[u32], start: usize) -> Vec<Line> {
    let mut words = vec![JUNK[0]; start];
    words.extend(keys.chunks(4).map(word));
    words.resize(words.len().next_multiple_of(8), JUNK[0]);
    words.chunks_exact(8).map(|line| line.try_into().expect("the chunk is a line long")).collect()
}

/// What is expected of addresses around a part's ends and every boundary, all given from the part's start on.
fn around(start: u32, size: u32, keys: &[u32]) -> Vec<(Address, bool)> {
    let ends = [0, size / 2, size - 1];
    let asked = keys.iter().copied().chain(ends).flat_map(|key| [key.saturating_sub(1), key, key + 1]);
    let inside = asked.filter(|offset| *offset < size).map(|offset| (start + offset, is_member(keys, offset)));
    let outside = [0, start - 1, start.wrapping_add(size), u32::MAX].map(|address| (address, false));
    inside.chain(outside).map(|(address, is_member)| (Address::from_v4(address.to_be_bytes()), is_member)).collect()
}

#[test]
fn whole_octets_and_buckets() {
    for (name, lines, start, size, keys) in [
        ("no octet", octet(Octet::NONE), OCTET_START, 1 << 24, vec![]),
        ("an octet", octet(Octet::ALL), OCTET_START, 1 << 24, vec![0]),
        ("no bucket", bucket(Bucket::NONE), BUCKET_START, 1 << 15, vec![]),
        ("a bucket", bucket(Bucket::ALL), BUCKET_START, 1 << 15, vec![0]),
    ] {
        check(name, &lines, 4, around(start, size, &keys));
    }
}

#[test]
fn an_octets_few_boundaries() {
    let sixteen: Vec<u32> = (0..16).map(|nth| nth * 0x0f_0f0f).collect();
    let cases = [
        ("none", vec![]),
        ("the first address on", vec![0]),
        ("the last address", vec![0xff_ffff]),
        ("all but the last address", vec![0, 0xff_ffff]),
        ("two", vec![5, 6]),
        ("three", vec![5, 0x7f_ffff, 0x80_0000]),
        ("sixteen", sixteen),
    ];
    for (name, keys) in cases {
        let key = |nth: usize| keys.get(nth).copied().unwrap_or(1 << 31);
        let mut lines = octet(Octet::few(ROOT_LINES + 1));
        lines.extend([JUNK, std::array::from_fn(|nth| spread_few(key(2 * nth), key(2 * nth + 1))), JUNK]);
        check(name, &lines, 4, around(OCTET_START, 1 << 24, &keys));
    }
}

#[test]
fn a_buckets_words_anywhere_in_a_line() {
    for count in 1..=32 {
        let keys: Vec<u32> = (0..count).map(|nth| nth * 1_000 + nth % 3).collect();
        let words = count.div_ceil(4);
        for start in 0..=WORDS_PER_LINE - words {
            let mut lines = bucket(Bucket::words(start, words));
            lines.extend(body(&keys, start as usize));
            let name = format!("{count} boundaries from word {start} on");
            check(&name, &lines, 4, around(BUCKET_START, 1 << 15, &keys));
        }
    }
}

#[test]
fn a_buckets_lines() {
    for (count, step) in [(33, 900), (64, 500), (65, 500), (96, 300), (1_000, 30), (32_768, 1)] {
        let keys: Vec<u32> = (0..count).map(|nth| nth * step).collect();
        let mut padded = keys.clone();
        padded.resize(keys.len().next_multiple_of(32), NO_KEY_V4);
        // The line that says where the others are is the region's third.
        let mut lines = bucket(Bucket::deeper(2));
        lines.extend([JUNK, JUNK]);
        lines.push([u64::from(count).div_ceil(32), u64::from(BODY) + 3, 0, 0, 0, 0, 0, 0]);
        lines.extend(body(&padded, 0));
        let told = around(BUCKET_START, 1 << 15, &keys);
        // A question is repeated for each number of lines that may be missing.
        let every = told.len().div_ceil(200);
        check(&format!("{count} boundaries"), &lines, 4, told.into_iter().step_by(every));
    }
}

#[test]
fn octets_do_not_share_what_is_said_of_them() {
    let mut lines = octet(Octet::ALL);
    for (nth, octet) in [(0, Octet::ALL), (OCTET - 1, Octet::NONE), (OCTET + 1, Octet::NONE), (255, Octet::ALL)] {
        lines.as_flattened_mut()[nth as usize] = octet.0;
    }
    let expected = (0..=255_u8).map(|octet| (Address::from_v4([octet, 1, 2, 3]), [0, 10, 255].contains(&octet)));
    check("three octets", &lines, 4, expected);
}
