//! What guard counted, by the name of each row of its status.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::guard::Guard;

/// How much came under a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    /// Of whole frames.
    pub bytes: u64,
}

/// Counts by row: `web drop not_allowed` for a service, `- pass default` where no service is named, and `link arp` for
/// frames that carried no IP packet, which `- pass not_ip` counts as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, Count>);

impl Counters {
    /// Asks a running guard.
    pub fn read(guard: &Guard) -> Self {
        Self::of(&guard.status())
    }

    /// Takes the counts out of the answer to `guard status --json`.
    pub fn of(status: &Value) -> Self {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let number = |row: &Value, key: &str| row[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in {row}"));
        let count = |row: &Value| Count { packets: number(row, "packets"), bytes: number(row, "bytes") };
        let decision = |row: &Value| {
            (format!("{} {} {}", text(row, "service"), text(row, "verdict"), text(row, "reason")), count(row))
        };
        let link_type = |row: &Value| (format!("link {}", text(row, "name")), count(row));
        let rows = |key: &str| status[key].as_array().unwrap_or_else(|| panic!("no `{key}` in {status}"));
        let named = rows("counters").iter().map(decision).chain(rows("link_types").iter().map(link_type));
        Self(named.filter(|(_, count)| *count != Count::default()).collect())
    }

    /// The packets under a row.
    pub fn packets(&self, row: &str) -> u64 {
        self.0.get(row).copied().unwrap_or_default().packets
    }

    /// The packets under each row of a verdict, such as `drop`.
    pub fn with_verdict(&self, verdict: &str) -> BTreeMap<String, u64> {
        let wanted = self.0.iter().filter(|(row, _)| row.split(' ').nth(1) == Some(verdict));
        wanted.map(|(row, count)| (row.clone(), count.packets)).collect()
    }

    /// Takes one frame under a row for counted.
    pub fn add(&mut self, row: &str, bytes: usize) {
        let count = self.0.entry(row.to_owned()).or_default();
        count.packets += 1;
        count.bytes += bytes as u64;
    }

    /// What has come since an earlier reading; panics if a count has gone back.
    pub fn since(&self, earlier: &Self) -> Self {
        let grown = |(row, now): (&String, &Count)| {
            let before = earlier.0.get(row).copied().unwrap_or_default();
            let subtract = |now: u64, before: u64| {
                now.checked_sub(before).unwrap_or_else(|| panic!("`{row}` went back from {before} to {now}"))
            };
            let grown =
                Count { packets: subtract(now.packets, before.packets), bytes: subtract(now.bytes, before.bytes) };
            (grown != Count::default()).then(|| (row.clone(), grown))
        };
        Self(self.0.iter().filter_map(grown).collect())
    }
}
