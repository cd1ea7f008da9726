//! The control socket: one JSON request and one JSON answer a line.

mod client;
mod server;

use serde::{Deserialize, Serialize};

pub(crate) use client::{Unreachable, daemon_pid, reload, status};
pub(crate) use server::{Control, Question};

/// The version of the protocol.
const VERSION: u32 = 1;

/// The longest request.
const REQUEST_MAX: usize = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    version: u32,
    request: Kind,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    Status,
    Reload {
        /// Whether lists may lose most of their entries.
        force: bool,
    },
}

/// An answer: the result, or what was wrong with the request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    Ok(T),
    Error(String),
}
