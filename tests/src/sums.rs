//! What a block log adds up to.

use serde_json::Value;

/// What a whole log adds up to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub lines: u64,
    /// The packets that lines stand for.
    pub counted: u64,
    pub merged: u64,
    pub lost: u64,
}

impl Sums {
    /// Adds up lines whose last is the one of stats with which a daemon ends.
    pub fn of(log: &[Value]) -> Self {
        let (last, rest) = log.split_last().expect("a log ends with stats");
        assert_eq!(last["event_type"], "stats", "the last line: {last}");
        let drops = rest.iter().filter(|line| line["event_type"] == "drop");
        let counts: Vec<u64> = drops.map(|line| number(&line["guard"]["count"])).collect();
        Self {
            lines: counts.len() as u64,
            counted: counts.iter().sum(),
            merged: number(&last["guard"]["merged"]),
            lost: number(&last["guard"]["lost"]),
        }
    }

    /// Every packet that was dropped.
    pub fn all(&self) -> u64 {
        self.counted + self.merged + self.lost
    }
}

/// A number in a line; panics where it is none.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("`{value}` is no number"))
}
