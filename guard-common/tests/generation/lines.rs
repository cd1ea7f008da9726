//! Tables in memory.

use guard_common::{
    address::Address,
    prefix::{BOUNDARIES_PER_LINE, Line, Lines, SetRef},
};

/// What a reader must not take for part of anything.
pub(crate) const JUNK: Line = [0xa5a5_a5a5_a5a5_a5a5; 8];

pub(crate) struct Table(pub(crate) Vec<Line>);

impl Lines for Table {
    fn line(&self, index: u32) -> Option<&Line> {
        self.0.get(index as usize)
    }
}

impl Table {
    /// Appends a set, and junk behind it.
    pub(crate) fn push_set(&mut self, boundaries: &[Address]) -> SetRef {
        let set = SetRef { first_line: self.0.len() as u32, boundaries: boundaries.len() as u32 };
        for some in boundaries.chunks(BOUNDARIES_PER_LINE as usize) {
            let mut line = JUNK;
            for (place, boundary) in line.chunks_exact_mut(2).zip(some) {
                place.copy_from_slice(&[boundary.high, boundary.low]);
            }
            self.0.push(line);
        }
        self.0.push(JUNK);
        set
    }
}
