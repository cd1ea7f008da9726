//! Exit codes (sysexits.h), and which error ends with which.

use std::process::ExitCode;

use crate::{config::Faults, control::Unreachable, kernel::KernelError, launch::Refusal};

const FAILED: u8 = 1;
/// EX_UNAVAILABLE: the daemon does not answer.
const UNAVAILABLE: u8 = 69;
/// EX_NOPERM.
const NOT_PERMITTED: u8 = 77;
/// EX_CONFIG.
const CONFIGURATION: u8 = 78;

/// Returns the code for a daemon that answers, but does not enforce all that it should.
pub(crate) fn unavailable() -> ExitCode {
    ExitCode::from(UNAVAILABLE)
}

/// Returns the code for an error, by what lies at its root.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    let code = if error.is::<Faults>() || error.is::<Refusal>() {
        CONFIGURATION
    } else if error.is::<Unreachable>() {
        UNAVAILABLE
    } else if matches!(error.downcast_ref(), Some(KernelError::Capabilities { .. } | KernelError::NoBpffs { .. })) {
        NOT_PERMITTED
    } else {
        FAILED
    };
    ExitCode::from(code)
}
