//! Where a part of the policy was written, for listings and faults.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A place in the configuration. Cheap to clone: the places of one source share its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `environment variable ALLOWED_IPS item 2`; items count from 1.
    Variable { name: Arc<str>, item: Option<u32> },
    /// `guard.env:3 (ALLOWED_IPS item 2)`: the same variable, written in an env-file.
    EnvFile { path: Arc<Path>, line: u32, name: Arc<str>, item: Option<u32> },
    /// A file as a whole.
    File { path: Arc<Path> },
    /// `guard.toml:12`; lines count from 1.
    Line { path: Arc<Path>, line: u32 },
    /// `allowed_ips.json:3:14`.
    Column { path: Arc<Path>, line: u32, column: u32 },
    /// `allowed_ips.json[3]`; elements count from 0.
    Element { path: Arc<Path>, index: u32 },
    /// `office.txt:7 (@office)`.
    Set { path: Arc<Path>, line: u32, name: Arc<str> },
}

impl Origin {
    /// Returns the place of this number in the same source: an item of a variable, 0 for the whole of it, or a line or
    /// an element of a file. Other places have no number.
    pub(crate) fn at(&self, number: u32) -> Self {
        let mut origin = self.clone();
        origin.move_to(number);
        origin
    }

    /// Makes it the place of this number in the same source, which costs less than a new one.
    pub(crate) fn move_to(&mut self, number: u32) {
        match self {
            Self::Variable { item, .. } | Self::EnvFile { item, .. } => *item = (number > 0).then_some(number),
            Self::Line { line, .. } | Self::Set { line, .. } => *line = number,
            Self::Element { index, .. } => *index = number,
            Self::File { .. } | Self::Column { .. } => {}
        }
    }

    /// Returns the number that `at` sets; 0 where there is none.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Variable { item, .. } | Self::EnvFile { item, .. } => item.unwrap_or(0),
            Self::Line { line, .. } | Self::Set { line, .. } => *line,
            Self::Element { index, .. } => *index,
            Self::File { .. } | Self::Column { .. } => 0,
        }
    }

    /// Says whether both are places of one source, so that only their numbers tell them apart.
    pub(crate) fn shares_source(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Variable { name: a, .. }, Self::Variable { name: b, .. }) => a == b,
            (
                Self::EnvFile { path: a, line: line_a, name: name_a, .. },
                Self::EnvFile { path: b, line: line_b, name: name_b, .. },
            ) => (a, line_a, name_a) == (b, line_b, name_b),
            (Self::Line { path: a, .. }, Self::Line { path: b, .. })
            | (Self::Element { path: a, .. }, Self::Element { path: b, .. }) => a == b,
            (Self::Set { path: a, name: name_a, .. }, Self::Set { path: b, name: name_b, .. }) => {
                (a, name_a) == (b, name_b)
            }
            _ => self == other,
        }
    }

    /// Returns the file it is in; a variable of the process is in none.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Variable { .. } => None,
            Self::EnvFile { path, .. }
            | Self::File { path }
            | Self::Line { path, .. }
            | Self::Column { path, .. }
            | Self::Element { path, .. }
            | Self::Set { path, .. } => Some(path),
        }
    }

    /// Returns where in the file it is: the line or the element; 0 for the whole.
    pub(crate) fn position(&self) -> u32 {
        match self {
            Self::Variable { .. } | Self::File { .. } => 0,
            Self::EnvFile { line, .. }
            | Self::Line { line, .. }
            | Self::Column { line, .. }
            | Self::Set { line, .. } => *line,
            Self::Element { index, .. } => *index,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, item: None } => write!(f, "environment variable {name}"),
            Self::Variable { name, item: Some(item) } => write!(f, "environment variable {name} item {item}"),
            Self::EnvFile { path, line, name, item: None } => write!(f, "{}:{line} ({name})", path.display()),
            Self::EnvFile { path, line, name, item: Some(item) } => {
                write!(f, "{}:{line} ({name} item {item})", path.display())
            }
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Line { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Column { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Element { path, index } => write!(f, "{}[{index}]", path.display()),
            Self::Set { path, line, name } => write!(f, "{}:{line} (@{name})", path.display()),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(number: u32) -> [Origin; 7] {
        let path = || Arc::from(Path::new("file"));
        let item = (number > 0).then_some(number);
        [
            Origin::Variable { name: "X".into(), item },
            Origin::EnvFile { path: path(), line: 3, name: "X".into(), item },
            Origin::File { path: path() },
            Origin::Line { path: path(), line: number },
            Origin::Column { path: path(), line: 1, column: 2 },
            Origin::Element { path: path(), index: number },
            Origin::Set { path: path(), line: number, name: "office".into() },
        ]
    }

    #[test]
    fn a_source_and_a_number_make_a_place() {
        for (origin, expected) in origins(1).iter().zip(origins(7)) {
            assert_eq!(origin.at(7), expected);
            assert_eq!(origin.at(origin.number()), *origin);
        }
        for (origin, whole) in origins(1).iter().zip(origins(0)) {
            assert_eq!(origin.at(0), whole);
            assert_eq!(whole.number(), 0);
        }
    }

    #[test]
    fn only_the_number_may_differ_in_a_source() {
        for (a, one) in origins(1).iter().enumerate() {
            for (b, other) in origins(2).iter().enumerate() {
                assert_eq!(one.shares_source(other), a == b, "{one} and {other}");
            }
        }
        let set = |path: &str, name: &str| Origin::Set { path: Path::new(path).into(), line: 1, name: name.into() };
        assert!(!set("file", "office").shares_source(&set("file", "home")));
        assert!(!set("file", "office").shares_source(&set("other", "office")));
    }
}
