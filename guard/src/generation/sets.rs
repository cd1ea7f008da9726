//! The sets of a generation: each built or copied once, and their lines put one behind another.

use guard_common::{
    generation::{FirstLines, Head, NEAR_LINES, set_index},
    policy::Set,
    prefix::{Line, Lines},
};

use super::table::{build_v4, build_v6};
use crate::policy::{Entries, Ranges};

/// Where the tables of sets lie, one a family, each with how many lines it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory(Vec<Place>);

#[derive(Clone, Debug)]
struct Place {
    set: Set,
    version: u8,
    first_line: u32,
    length: u32,
}

/// A generation from which sets may be copied.
pub(crate) struct Previous<'a, L> {
    /// Its sets, as [`super::sets`] gives them.
    pub(crate) sets: Vec<(Set, Vec<&'a Entries>)>,
    pub(crate) directory: &'a Directory,
    pub(crate) lines: L,
}

/// The tables of one or more sets that are unions of the same lists.
struct Piece<'a> {
    sets: Vec<Set>,
    lists: Vec<&'a Entries>,
    v4: Vec<Line>,
    v6: Vec<Line>,
}

/// Gathers sets, and writes them out.
#[derive(Default)]
pub(super) struct SetWriter<'a> {
    pieces: Vec<Piece<'a>>,
}

impl<'a> SetWriter<'a> {
    /// Takes a set, the union of some lists.
    pub(super) fn add<L: Lines>(&mut self, set: Set, lists: &[&'a Entries], previous: Option<&Previous<'_, L>>) {
        let lists = distinct(lists);
        if let Some(piece) = self.pieces.iter_mut().find(|piece| are_same(&piece.lists, &lists)) {
            piece.sets.push(set);
            return;
        }
        let [v4, v6] = previous.and_then(|previous| previous.copy(set, &lists)).unwrap_or_else(|| {
            let ranges = Ranges::of(lists.iter().flat_map(|list| list.prefixes()));
            [build_v4(&ranges.v4), build_v6(&ranges.v6)]
        });
        self.pieces.push(Piece { sets: vec![set], lists, v4, v6 });
    }

    /// Writes the sets' places and first lines into the head; returns the lines that are left.
    pub(super) fn finish(self, head: &mut Head) -> (Vec<Line>, Directory) {
        head.sets.fill(FirstLines::NOWHERE);
        let tables = self.pieces.iter().flat_map(|Piece { sets, v4, v6, .. }| [(sets, 4, v4), (sets, 6, v6)]);
        let mut tables: Vec<_> = tables.filter(|(_, _, lines)| !lines.is_empty()).collect();
        // Small ones lie in the head as wholes; `trusted`, which only limits ask, keeps none of the others out.
        tables.sort_by_key(|(sets, _, lines)| (sets.as_slice() == [Set::Trusted], lines.len()));
        let mut directory = Directory::default();
        let mut far = Vec::new();
        let mut next_line = 0;
        for (sets, version, lines) in tables {
            for set in sets {
                let place = Place { set: *set, version, first_line: next_line as u32, length: lines.len() as u32 };
                place.write(head);
                directory.0.push(place);
            }
            let near = lines.len().min(NEAR_LINES.saturating_sub(next_line));
            head.near[next_line.min(NEAR_LINES)..][..near].copy_from_slice(&lines[..near]);
            far.extend_from_slice(&lines[near..]);
            next_line += lines.len();
        }
        (far, directory)
    }
}

impl Place {
    fn write(&self, head: &mut Head) {
        let FirstLines { v4, v6 } = &mut head.sets[set_index(self.set)];
        *(if self.version == 4 { v4 } else { v6 }) = self.first_line;
        head.header.fill(self.set, self.version);
    }
}

impl<L: Lines> Previous<'_, L> {
    /// Returns a set's lines if it held the same.
    fn copy(&self, set: Set, lists: &[&Entries]) -> Option<[Vec<Line>; 2]> {
        let (_, before) = self.sets.iter().find(|(before, _)| *before == set)?;
        if !are_same(&distinct(before), lists) {
            return None;
        }
        let table = |version| match self.directory.0.iter().find(|place| place.set == set && place.version == version) {
            Some(Place { first_line, length, .. }) => {
                (*first_line..first_line + length).map(|line| self.lines.line(line).copied()).collect()
            }
            None => Some(Vec::new()),
        };
        Some([table(4)?, table(6)?])
    }
}

/// Leaves out of a union what adds nothing: empty lists, and those that are there already.
fn distinct<'a>(lists: &[&'a Entries]) -> Vec<&'a Entries> {
    let mut distinct: Vec<&Entries> = Vec::with_capacity(lists.len());
    for list in lists {
        if !list.is_empty() && !distinct.iter().any(|other| other.has_prefixes_of(list)) {
            distinct.push(list);
        }
    }
    distinct
}

/// Tells whether two unions are of lists that hold the same prefixes in the same order.
fn are_same(some: &[&Entries], others: &[&Entries]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| one.has_prefixes_of(other))
}
