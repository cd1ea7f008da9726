//! Where a part of the policy was written, for listings and faults.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A place in the configuration. Cheap to clone: a list of 100,000 entries shares one path.
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
    /// Returns the place of the `item`th part (from 1) of a variable's value; other places have no parts.
    pub(crate) fn with_item(&self, part: u32) -> Self {
        let mut origin = self.clone();
        if let Self::Variable { item, .. } | Self::EnvFile { item, .. } = &mut origin {
            *item = Some(part);
        }
        origin
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
