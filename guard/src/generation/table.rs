//! The builder of prefix sets: ranges in, the lines that `guard_common::prefix` reads out.
//!
//! Ranges are inclusive, in order, and neither overlap nor touch. Nothing here knows policies or generations.

mod v4;
mod v6;

use guard_common::prefix::{Line, WORDS_PER_LINE};

pub(crate) use v4::build as build_v4;
pub(crate) use v6::build as build_v6;

/// Appends words as lines, the last of them filled up with zeros.
fn push_words(lines: &mut Vec<Line>, words: &[u64]) {
    for chunk in words.chunks(WORDS_PER_LINE as usize) {
        let mut line = [0; WORDS_PER_LINE as usize];
        line[..chunk.len()].copy_from_slice(chunk);
        lines.push(line);
    }
}

#[cfg(test)]
mod tests;
