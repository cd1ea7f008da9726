//! IPv6: a tree of /64s for each half of the address space, and the boundaries inside /64s that are members in part.

use guard_common::prefix::{
    Description, FANOUT, KEYS_PER_LEAF, LEVELS_MAX, Leaf, Line, NO_KEY_V6, State, TOP_LINES, WORDS_PER_LINE,
    boundaries_word,
};

use super::push_words;

/// Builds a set; one without a range has no lines.
pub(crate) fn build(ranges: &[(u128, u128)]) -> Vec<Line> {
    if ranges.is_empty() {
        return Vec::new();
    }
    let Cut { intervals, parts, boundaries, .. } = Cut::of(ranges);
    let upper = intervals.partition_point(|interval| interval.start < NO_KEY_V6);
    // What holds at the end of the lower half goes on into the upper one.
    let running = intervals[..upper].last().map_or(State::None, Interval::running);
    let trees = [Tree::new(State::None, &intervals[..upper]), Tree::new(running, &intervals[upper..])];

    let mut next_line = TOP_LINES;
    let mut take = |lines: usize| {
        let first = next_line;
        next_line += lines as u32;
        first
    };
    let descriptions = trees.each_ref().map(|tree| tree.describe(&mut take));
    let first_leaves = trees.each_ref().map(|tree| take(tree.leaves.len()));
    let first_part = take(parts.len().div_ceil(WORDS_PER_LINE as usize)) * WORDS_PER_LINE;
    let first_boundary = take(0) * WORDS_PER_LINE;

    let mut lines = Vec::new();
    for ((tree, description), first_leaf) in trees.iter().zip(descriptions).zip(first_leaves) {
        lines.push(Description { first_leaf, ..description }.to_line());
        lines.push(tree.levels.first().map_or([NO_KEY_V6; 8], |root| root[0]));
    }
    for tree in &trees {
        tree.levels.iter().skip(1).for_each(|level| lines.extend(level));
    }
    let mut next_part = u64::from(first_part);
    for leaf in trees.iter().flat_map(|tree| &tree.leaves) {
        lines.push(leaf.to_line(&mut next_part));
    }
    let word = |part: &Part| match part {
        Part::One(low_half) => *low_half,
        Part::Boundaries { first, count } => boundaries_word(first_boundary + first, *count),
    };
    push_words(&mut lines, &parts.iter().map(word).collect::<Vec<_>>());
    push_words(&mut lines, &boundaries);
    lines
}

/// Some /64s in a row, up to the next interval's.
#[derive(Clone, Copy)]
struct Interval {
    /// The upper half of its first address.
    start: u64,
    state: State,
}

impl Interval {
    /// Returns what holds from the second /64 on.
    fn running(&self) -> State {
        match self.state {
            State::None | State::One | State::Part => State::None,
            State::All => State::All,
        }
    }
}

/// What is a member of a /64 that is one in part.
enum Part {
    One(u64),
    /// Some of the boundaries.
    Boundaries {
        first: u32,
        count: u32,
    },
}

/// Ranges cut at the borders of /64s.
#[derive(Default)]
struct Cut {
    /// In order; before the first, nothing is a member.
    intervals: Vec<Interval>,
    /// One for each interval that needs one.
    parts: Vec<Part>,
    /// Lower halves of the addresses at which membership changes inside a /64.
    boundaries: Vec<u64>,
    /// The /64 that is being gathered, and where its boundaries begin.
    open: Option<(u64, usize)>,
}

impl Cut {
    fn of(ranges: &[(u128, u128)]) -> Self {
        let mut cut = Self::default();
        for (from, to) in ranges {
            cut.add(*from, *to);
        }
        cut.close_part();
        cut
    }

    /// Takes the next range.
    fn add(&mut self, from: u128, to: u128) {
        let (mut first, from_low) = halves(from);
        let (last, to_low) = halves(to);
        if first == last && (from_low, to_low) != (0, u64::MAX) {
            return self.add_part(first, from_low, to_low);
        }
        if from_low > 0 {
            self.add_part(first, from_low, u64::MAX);
            first += 1;
        }
        if to_low == u64::MAX {
            self.add_whole(first, last);
        } else {
            if first < last {
                self.add_whole(first, last - 1);
            }
            self.add_part(last, 0, to_low);
        }
    }

    /// Takes whole /64s, none if the second comes before the first.
    fn add_whole(&mut self, first: u64, last: u64) {
        if first <= last {
            self.close_part();
            self.begin(first, State::All);
            self.intervals.extend(last.checked_add(1).map(|start| Interval { start, state: State::None }));
        }
    }

    /// Takes a part of a /64.
    fn add_part(&mut self, start: u64, from_low: u64, to_low: u64) {
        if self.open.is_none_or(|(open, _)| open != start) {
            self.close_part();
            self.open = Some((start, self.boundaries.len()));
        }
        self.boundaries.push(from_low);
        self.boundaries.extend(to_low.checked_add(1));
    }

    /// Ends the /64 that is being gathered.
    fn close_part(&mut self) {
        let Some((start, first)) = self.open.take() else { return };
        let one = match self.boundaries[first..] {
            [low_half, end] if end == low_half + 1 => Some(low_half),
            [u64::MAX] => Some(u64::MAX),
            _ => None,
        };
        if let Some(low_half) = one {
            self.boundaries.truncate(first);
            self.parts.push(Part::One(low_half));
            self.begin(start, State::One);
        } else {
            let count = (self.boundaries.len() - first) as u32;
            self.parts.push(Part::Boundaries { first: first as u32, count });
            self.begin(start, State::Part);
        }
    }

    fn begin(&mut self, start: u64, state: State) {
        // The end of the interval before, if this one follows it at once.
        self.intervals.pop_if(|last| last.start == start);
        self.intervals.push(Interval { start, state });
    }
}

/// One half's tree.
struct Tree {
    /// Inner nodes, the root's level first.
    levels: Vec<Vec<Line>>,
    leaves: Vec<LeafPart>,
}

/// A leaf that does not know yet where the words of its parts are.
struct LeafPart {
    keys: [u64; KEYS_PER_LEAF],
    states: [State; KEYS_PER_LEAF + 1],
}

impl Tree {
    /// Makes a tree of intervals, before the first of which `running` holds.
    fn new(mut running: State, intervals: &[Interval]) -> Self {
        let mut leaves = Vec::with_capacity(intervals.len() / KEYS_PER_LEAF + 1);
        let mut leaf = |chunk: &[Interval]| {
            let mut keys = [NO_KEY_V6; KEYS_PER_LEAF];
            let mut states = [running; KEYS_PER_LEAF + 1];
            for (nth, interval) in chunk.iter().enumerate() {
                keys[nth] = interval.start & !NO_KEY_V6;
                states[nth + 1] = interval.state;
                running = interval.running();
            }
            leaves.push(LeafPart { keys, states });
        };
        intervals.chunks(KEYS_PER_LEAF).for_each(&mut leaf);
        if intervals.is_empty() {
            leaf(&[]);
        }
        let mut levels = Vec::new();
        // The leaves below one child of the level that is made.
        let mut span = 1;
        while span < leaves.len() {
            let level: Vec<Line> = (0..leaves.len())
                .step_by(span * FANOUT)
                .map(|first| {
                    let first_key =
                        |child: usize| leaves.get(first + (child + 1) * span).map_or(NO_KEY_V6, |leaf| leaf.keys[0]);
                    std::array::from_fn(first_key)
                })
                .collect();
            levels.insert(0, level);
            span *= FANOUT;
        }
        Self { levels, leaves }
    }

    /// Finds room for the levels below the root.
    fn describe(&self, take: &mut impl FnMut(usize) -> u32) -> Description {
        let mut first_nodes = [0; LEVELS_MAX - 1];
        for (first_node, level) in first_nodes.iter_mut().zip(self.levels.iter().skip(1)) {
            *first_node = take(level.len());
        }
        assert!(self.levels.len() <= LEVELS_MAX, "a set has fewer leaves than there are numbers for lines");
        Description { levels: self.levels.len() as u32, first_leaf: 0, first_nodes }
    }
}

impl LeafPart {
    /// Writes the leaf; `next_part` is the place of the next word of a part.
    fn to_line(&self, next_part: &mut u64) -> Line {
        let Self { keys, states } = *self;
        let first_part = *next_part;
        *next_part += states.iter().filter(|state| matches!(state, State::One | State::Part)).count() as u64;
        Leaf { keys, states, first_part }.to_line()
    }
}

fn halves(address: u128) -> (u64, u64) {
    ((address >> 64) as u64, address as u64)
}
