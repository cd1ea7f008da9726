//! IPv4: the root, an index block for each octet that needs one, and boundaries.

use std::ops::Range;

use guard_common::prefix::{
    BLOCK_LINES, BUCKET_BITS, Bucket, KEYS_PER_FEW, KEYS_PER_WORD, Line, NO_KEY_V4, Octet, ROOT_LINES, WORDS_PER_LINE,
    spread_few,
};

use super::push_words;

const OCTET_BITS: u32 = 24;
const BUCKETS_PER_OCTET: u32 = 1 << (OCTET_BITS - BUCKET_BITS);
/// A lane of 32 bits without a boundary: above every offset in an octet.
const NO_KEY_FEW: u32 = 1 << 31;
/// Boundaries of a bucket in a line.
const KEYS_PER_LINE: usize = (KEYS_PER_WORD * WORDS_PER_LINE) as usize;

/// Builds a set; one without a range has no lines.
pub(crate) fn build(ranges: &[(u32, u32)]) -> Vec<Line> {
    if ranges.is_empty() {
        return Vec::new();
    }
    let octets = parts(ranges, 0..256, OCTET_BITS);
    // Index blocks follow the root, so where everything behind them begins is known before they are written.
    let blocks = octets.iter().filter(|octet| octet.is_crowded()).count() as u32;
    let mut body = Body { first_line: ROOT_LINES + blocks * BLOCK_LINES, lines: Vec::new() };
    let mut root = Vec::with_capacity(256);
    let mut index = Vec::with_capacity((blocks * BUCKETS_PER_OCTET) as usize);
    for (octet, part) in (0..).zip(&octets) {
        root.push(match part {
            Part::None => Octet::NONE,
            Part::All => Octet::ALL,
            Part::Mixed(mixed) if part.is_crowded() => {
                let block = ROOT_LINES + index.len() as u32 / BUCKETS_PER_OCTET * BLOCK_LINES;
                let first = octet * BUCKETS_PER_OCTET;
                let buckets = parts(&ranges[mixed.ranges.clone()], first..first + BUCKETS_PER_OCTET, BUCKET_BITS);
                Octet::deeper(block, body.push_region(&buckets, &mut index))
            }
            Part::Mixed(mixed) => body.push_few(&mixed.boundaries),
        });
    }
    let mut lines = Vec::with_capacity(body.first_line as usize + body.lines.len());
    push_words(&mut lines, &root.iter().map(|octet| octet.0).collect::<Vec<_>>());
    let four =
        |some: &[Bucket]| (0..).zip(some).fold(0, |word, (lane, bucket)| word | u64::from(bucket.0) << (16 * lane));
    push_words(&mut lines, &index.chunks(4).map(four).collect::<Vec<_>>());
    lines.append(&mut body.lines);
    lines
}

/// What a set holds of one part of the address space.
enum Part {
    None,
    All,
    Mixed(Mixed),
}

/// A part of which only some addresses are members.
struct Mixed {
    /// The ranges that reach into it.
    ranges: Range<usize>,
    /// Where membership changes, from the part's first address on.
    boundaries: Vec<u32>,
}

impl Part {
    /// Tells whether an octet has so many boundaries that it needs an index block.
    fn is_crowded(&self) -> bool {
        matches!(self, Self::Mixed(mixed) if mixed.boundaries.len() > KEYS_PER_FEW as usize)
    }
}

/// Cuts the address space, or some neighbouring parts of it, into parts of `bits` bits.
fn parts(ranges: &[(u32, u32)], numbers: Range<u32>, bits: u32) -> Vec<Part> {
    let mut first = 0;
    let part = |number: u32| {
        let start = number << bits;
        let end = start | ((1 << bits) - 1);
        first += ranges[first..].iter().take_while(|range| range.1 < start).count();
        let reaching = ranges[first..].iter().take_while(|range| range.0 <= end).count();
        match &ranges[first..first + reaching] {
            [] => Part::None,
            [(from, to)] if *from <= start && *to >= end => Part::All,
            reaching_in => {
                let boundaries = reaching_in.iter().flat_map(|(from, to)| {
                    let first_outside = (*to < end).then(|| to + 1 - start);
                    [Some(from.saturating_sub(start)), first_outside]
                });
                let boundaries = boundaries.flatten().collect();
                Part::Mixed(Mixed { ranges: first..first + reaching, boundaries })
            }
        }
    };
    numbers.map(part).collect()
}

/// The lines behind the root and the index blocks.
struct Body {
    /// Where they begin in the set.
    first_line: u32,
    lines: Vec<Line>,
}

impl Body {
    /// Writes the boundaries of an octet, at most [`KEYS_PER_FEW`], into a line of their own.
    fn push_few(&mut self, boundaries: &[u32]) -> Octet {
        let key = |nth: usize| boundaries.get(nth).copied().unwrap_or(NO_KEY_FEW);
        let line = self.next_line();
        self.lines.push(std::array::from_fn(|word| spread_few(key(2 * word), key(2 * word + 1))));
        Octet::few(line)
    }

    /// Writes the region of an octet, and what its index block says of its buckets; returns the region's first line.
    ///
    /// No bucket begins a second line, so a place in the region takes no more than the 12 bits that there are for it.
    fn push_region(&mut self, buckets: &[Part], index: &mut Vec<Bucket>) -> u32 {
        let region = self.lines.len();
        let region_line = self.next_line();
        let mut free_words = 0;
        let mut crowded = Vec::new();
        for bucket in buckets {
            index.push(match bucket {
                Part::None => Bucket::NONE,
                Part::All => Bucket::ALL,
                Part::Mixed(Mixed { boundaries, .. }) if boundaries.len() > KEYS_PER_LINE => {
                    crowded.push((self.lines.len(), boundaries));
                    self.lines.push([0; WORDS_PER_LINE as usize]);
                    free_words = 0;
                    Bucket::deeper((self.lines.len() - 1 - region) as u32)
                }
                Part::Mixed(Mixed { boundaries, .. }) => {
                    let words = words(boundaries);
                    if free_words < words.len() {
                        self.lines.push([0; WORDS_PER_LINE as usize]);
                        free_words = WORDS_PER_LINE as usize;
                    }
                    let start = WORDS_PER_LINE as usize - free_words;
                    free_words -= words.len();
                    let line = self.lines.len() - 1;
                    self.lines[line][start..start + words.len()].copy_from_slice(&words);
                    Bucket::words(((line - region) * WORDS_PER_LINE as usize + start) as u32, words.len() as u32)
                }
            });
        }
        for (place, boundaries) in crowded {
            let chunks = boundaries.chunks(KEYS_PER_LINE);
            let first = u64::from(self.next_line());
            self.lines[place][..2].copy_from_slice(&[chunks.len() as u64, first]);
            for chunk in chunks {
                let words = words(chunk);
                let no_keys = word_of(|_| NO_KEY_V4);
                self.lines.push(std::array::from_fn(|nth| words.get(nth).copied().unwrap_or(no_keys)));
            }
        }
        region_line
    }

    /// The line, from the set's first, that is pushed next.
    fn next_line(&self) -> u32 {
        self.first_line + self.lines.len() as u32
    }
}

/// Packs boundaries of a bucket.
fn words(boundaries: &[u32]) -> Vec<u64> {
    let chunks = boundaries.chunks(KEYS_PER_WORD as usize);
    chunks.map(|chunk| word_of(|lane| chunk.get(lane).copied().unwrap_or(NO_KEY_V4))).collect()
}

/// Makes a word of four lanes.
fn word_of(key: impl Fn(usize) -> u32) -> u64 {
    (0..KEYS_PER_WORD as usize).fold(0, |word, lane| word | u64::from(key(lane)) << (16 * lane))
}
