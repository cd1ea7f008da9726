//! What an edit came to: told by the daemon, sent as JSON, shown as text.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::reload::Refused;

/// The answer to an edit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EditOutcome {
    Enforced(EnforcedEdit),
    Refused(Refused),
}

/// What was asked for is in force, read back and kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnforcedEdit {
    /// The same as after it where only grants or bans changed, which stand beside generations.
    pub(crate) generation_before: u64,
    pub(crate) generation: u64,
    pub(crate) changes: Changes,
    /// What the operator may not have meant or expected.
    pub(crate) warnings: Vec<String>,
}

/// How many entries an edit changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changes {
    pub(crate) added: usize,
    pub(crate) removed: usize,
    /// Those of the same prefix and services, or of the same name, that got another end, comment, name or prefix.
    pub(crate) replaced: usize,
    /// Those that were there already.
    pub(crate) unchanged: usize,
    /// About single entries, of many only the first: what is special about them.
    pub(crate) notes: Vec<String>,
}

impl EditOutcome {
    /// Adds warnings to an edit that is enforced.
    pub(crate) fn warn(mut self, warnings: Vec<String>) -> Self {
        if let Self::Enforced(enforced) = &mut self {
            enforced.warn(warnings);
        }
        self
    }
}

impl EnforcedEdit {
    /// Puts warnings before its own.
    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        self.warnings.splice(..0, warnings);
    }

    /// Says what is in force; `what` comes first.
    pub(crate) fn describe(&self, what: &str) -> String {
        let Self { generation_before, generation, changes, warnings } = self;
        let enforced = match generation == generation_before {
            true => format!("generation {generation} stays"),
            false => format!("generation {generation} is enforced, in place of {generation_before}"),
        };
        let notes = changes.notes.iter().map(|note| format!("\nnote: {note}"));
        let warnings = warnings.iter().map(|warning| format!("\nwarning: {warning}"));
        format!("{what}; {enforced}{}", notes.chain(warnings).collect::<String>())
    }
}

impl Changes {
    /// Says what changed; of the prefix that was asked for, where it was only one.
    pub(crate) fn describe(&self, only: Option<IpNet>) -> String {
        let entries = |count: usize| match (count, only) {
            (1, Some(prefix)) => prefix.to_string(),
            (1, None) => "1 entry".to_owned(),
            (count, _) => format!("{count} entries"),
        };
        let Self { added, removed, replaced, unchanged, .. } = *self;
        let parts = [
            (added, format!("added {}", entries(added))),
            (removed, format!("removed {}", entries(removed))),
            (replaced, format!("{} in place of what was there", entries(replaced))),
            (unchanged, format!("{} there already", entries(unchanged))),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect();
        if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_says_what_changed_and_what_is_in_force() {
        let changes =
            |added, removed, replaced, unchanged| Changes { added, removed, replaced, unchanged, notes: vec![] };
        let only: Option<IpNet> = Some("10.0.0.5/32".parse().unwrap());
        for (changes, only, expected) in [
            (changes(1, 0, 0, 0), only, "added 10.0.0.5/32"),
            (changes(0, 1, 0, 0), only, "removed 10.0.0.5/32"),
            (changes(0, 0, 1, 0), only, "10.0.0.5/32 in place of what was there"),
            (changes(0, 0, 0, 1), only, "10.0.0.5/32 there already"),
            (changes(1, 2, 0, 0), only, "added 10.0.0.5/32, removed 2 entries"),
            (changes(0, 1, 0, 0), None, "removed 1 entry"),
            (changes(3, 0, 1, 2), None, "added 3 entries, 1 entry in place of what was there, 2 entries there already"),
            (changes(0, 0, 0, 0), None, "nothing changed"),
        ] {
            assert_eq!(changes.describe(only), expected);
        }
        let mut edit = EnforcedEdit { generation_before: 6, generation: 7, ..Default::default() };
        assert_eq!(edit.describe("added it"), "added it; generation 7 is enforced, in place of 6");
        edit.generation_before = 7;
        edit.changes.notes = vec!["one".to_owned(), "two".to_owned()];
        edit.warnings = vec!["its own".to_owned()];
        edit.warn(vec!["first".to_owned()]);
        assert_eq!(
            edit.describe("added it"),
            "added it; generation 7 stays\nnote: one\nnote: two\nwarning: first\nwarning: its own"
        );
    }
}
