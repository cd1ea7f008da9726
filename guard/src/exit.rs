//! Exit codes (sysexits.h), and which error ends with which.

use std::{io, process::ExitCode};

use crate::{
    config::Faults, control::Unreachable, export::WriterError, kernel::KernelError, refusal::Refusal, reload::Refused,
};

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
    let code = if is_configuration(error) {
        CONFIGURATION
    } else if is_refused_by_kernel(error) {
        NOT_PERMITTED
    } else if error.is::<Unreachable>() {
        UNAVAILABLE
    } else {
        FAILED
    };
    ExitCode::from(code)
}

/// Tells whether an error is what the operator wrote, one fault a line.
pub(crate) fn is_configuration(error: &anyhow::Error) -> bool {
    let refused_reload = error.downcast_ref::<Refused>().is_some_and(|refused| refused.configuration);
    let interfaces = matches!(error.downcast_ref(), Some(Refusal::Interfaces(_)));
    refused_reload || interfaces || error.is::<Faults>() || error.is::<WriterError>()
}

/// Tells whether an error is a lack of privilege.
fn is_refused_by_kernel(error: &anyhow::Error) -> bool {
    let cause = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(KernelError::Capabilities { .. } | KernelError::NoBpffs { .. }), _) => return true,
        (Some(KernelError::Pin { error, .. }), _) | (_, Some(Unreachable::Silent { error, .. })) => error,
        _ => return false,
    };
    cause.kind() == io::ErrorKind::PermissionDenied
}
