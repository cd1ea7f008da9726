//! What a reload came to: told by the daemon, sent as JSON, shown as text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{config::Faults, exit, policy::ListChange};

/// The answer to a reload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Enforced(Enforced),
    Refused(Refused),
}

/// A new policy is in force.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Enforced {
    pub(crate) generation_before: u64,
    pub(crate) generation: u64,
    pub(crate) lists: Vec<ListChange>,
    pub(crate) warnings: Vec<String>,
}

/// The policy that was in force still is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// The generation in force.
    pub(crate) generation: u64,
    /// Whether the reason is what the operator wrote.
    pub(crate) configuration: bool,
    /// How many faults there are, shown or not.
    pub(crate) count: usize,
    /// The reason, as `guard run` would say it: one fault a line.
    pub(crate) faults: Vec<String>,
}

/// The last reload, as the status has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LastReload {
    /// When it ended, in RFC 3339.
    pub(crate) time: String,
    /// `command`, `signal`, `files` that hold data and are others, or a `clock` that was set.
    pub(crate) cause: String,
    /// `ok` or `refused`.
    pub(crate) outcome: String,
    /// Why it was refused; empty if it was not.
    pub(crate) faults: Vec<String>,
}

impl Refused {
    pub(crate) fn new(error: &anyhow::Error, generation: u64) -> Self {
        let faults: Vec<String> = format!("{error:#}").lines().map(str::to_owned).collect();
        Self {
            generation,
            configuration: exit::is_configuration(error),
            // Of a great many only the first are in the text.
            count: error.downcast_ref::<Faults>().map_or(faults.len(), Faults::count),
            faults,
        }
    }
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} is enforced, in place of {}", self.generation, self.generation_before)?;
        self.lists.iter().try_for_each(|change| write!(f, "\n{change}"))?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl std::error::Error for Refused {}
