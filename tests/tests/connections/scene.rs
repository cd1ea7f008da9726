//! What these tests wait for.

use std::time::Duration;

use guard_tests::{
    Guard,
    counted::{connections, open},
    wait,
};

/// How long anything may take that must come.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long a wire must be silent for everything to have come.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// Waits until so many connections to `web` are open.
#[track_caller]
pub(crate) fn wait_open(guard: &Guard, case: &str, wanted: u64, limit: Duration) {
    let met = wait::until(limit, || (open(guard) == wanted).then_some(()));
    assert!(met.is_some(), "{case}: {} are open after {limit:?}, not {wanted}", open(guard));
}

/// How many connections to a service were closed for a cause.
pub(crate) fn closed(guard: &Guard, service: &str, cause: &str) -> u64 {
    connections(guard, service)["closed"][cause].as_u64().unwrap_or_default()
}

/// How many lines of the log tell of a connection that was closed for a cause.
pub(crate) fn close_lines(guard: &Guard, cause: &str) -> usize {
    let of_cause = |line: &&serde_json::Value| line["event_type"] == "close" && line["guard"]["cause"] == cause;
    guard.eve().iter().filter(of_cause).count()
}
