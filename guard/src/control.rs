//! The control socket: one JSON request a line, and one JSON answer a line; a list is answered with several.

mod client;
mod peer;
mod prefixes;
mod request;
mod server;

use serde::{Deserialize, Serialize};

pub(crate) use client::{Unreachable, change, daemon_pid, list, reload, status, under};
pub(crate) use prefixes::Prefixes;
pub(crate) use request::{LockdownRequest, Request, parse_comment, parse_name};
pub(crate) use server::{Control, Question};

/// The version of the protocol. New requests, and new fields in requests and answers, leave it as it is: what a former client
/// says means what it meant.
const VERSION: u32 = 1;

/// The longest request.
const REQUEST_MAX: usize = 64 * 1024;

/// The longest request of a client that may change the policy: long lists are added at once.
const LONG_REQUEST_MAX: usize = 32 * 1024 * 1024;

/// The members of which may change the policy, besides root.
const GROUP: &str = "guard";

/// A request as it is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    version: u32,
    request: Request,
}

/// An answer: what came of a request, or why nothing did.
#[derive(Debug, Serialize, Deserialize)]
struct Answer<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<FailureKind>,
}

/// Why the daemon does nothing with a request.
#[derive(Debug)]
struct Failure {
    kind: FailureKind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FailureKind {
    /// It is none, or not one of this version.
    Request,
    NotPermitted,
    /// Too many ask for much at once.
    Busy,
    /// The daemon can't answer, or is ending.
    Unavailable,
    #[serde(other)]
    Other,
}

impl Failure {
    fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl<T> From<Result<T, Failure>> for Answer<T> {
    fn from(result: Result<T, Failure>) -> Self {
        match result {
            Ok(ok) => Self { ok: Some(ok), error: None, kind: None },
            Err(Failure { kind, message }) => Self { ok: None, error: Some(message), kind: Some(kind) },
        }
    }
}

impl<T> Answer<T> {
    fn into_result(self) -> Result<T, Failure> {
        match self {
            Self { ok: Some(ok), error: None, .. } => Ok(ok),
            Self { error: Some(message), kind, .. } => {
                Err(Failure { kind: kind.unwrap_or(FailureKind::Other), message })
            }
            Self { .. } => Err(Failure::new(FailureKind::Other, "an answer that says nothing")),
        }
    }
}
