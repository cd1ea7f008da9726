//! The daemon's own log, on standard error; `LOG_LEVEL` says how much.

use std::io;

use tracing::warn;
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
};

use crate::cli::Run;

const DEFAULT: &str = "info";

/// What the kernel program's log needs to be seen at any level of the daemon's own.
const KERNEL: &str = "guard_ebpf=debug";

/// Starts logging at `level`, a level for guard itself or a filter of one's own; one that can't be understood is said and
/// the default is used.
pub(crate) fn start(level: Option<&str>, options: &Run) {
    let level = level.unwrap_or(DEFAULT);
    let (mut filter, fault) = match parse(level) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT), Some(error)),
    };
    if options.kernel_log {
        filter = filter.add_directive(KERNEL.parse().expect("it is a directive"));
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        // It would be told on standard error as well, whose reader is just what may be gone.
        .log_internal_errors(false)
        .init();
    if let Some(error) = fault {
        warn!("LOG_LEVEL `{level}`: {error}; logging at `{DEFAULT}`");
    }
}

/// The libraries' own talk is left out unless a filter asks for it.
fn parse(level: &str) -> Result<EnvFilter, ParseError> {
    match level.parse::<LevelFilter>() {
        Ok(level) => EnvFilter::try_new(format!("warn,guard={level}")),
        Err(_) => EnvFilter::try_new(level),
    }
}
