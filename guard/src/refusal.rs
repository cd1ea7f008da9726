//! Why a policy without a fault does not come into force: it does not fit the host, or what is in force.

use thiserror::Error;

/// Every reason at once, a line each.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What is wrong with the interfaces that the policy names.
    #[error("{}", .0.join("\n"))]
    Interfaces(Vec<String>),
    /// Changes that can't be made, or not by a running daemon, or not unforced.
    #[error("{}", .0.join("\n"))]
    Changes(Vec<String>),
    /// What is wrong with files that an edit would change.
    #[error("{}", .0.join("\n"))]
    Files(Vec<String>),
}
