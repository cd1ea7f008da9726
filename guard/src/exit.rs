//! Exit codes (sysexits.h), and which error ends with which.

use std::{io, process::ExitCode};

use crate::{
    commands::BadFile, config::Faults, control::Unreachable, export::WriterError, kernel::KernelError,
    refusal::Refusal, reload::Refused,
};

const FAILED: u8 = 1;
/// What clap ends with.
const USAGE: u8 = 2;
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
    } else if is_not_permitted(error) {
        NOT_PERMITTED
    } else if error.is::<BadFile>() {
        USAGE
    } else if error.downcast_ref().is_some_and(|error| !matches!(error, Unreachable::Refused { .. })) {
        UNAVAILABLE
    } else {
        FAILED
    };
    ExitCode::from(code)
}

/// Tells whether an error is what the operator wrote, one fault a line.
pub(crate) fn is_configuration(error: &anyhow::Error) -> bool {
    let refused_reload = error.downcast_ref::<Refused>().is_some_and(|refused| refused.configuration);
    let refusal = matches!(error.downcast_ref(), Some(Refusal::Interfaces(_) | Refusal::Files(_)));
    refused_reload || refusal || error.is::<Faults>() || error.is::<WriterError>()
}

/// Tells whether an error is a lack of privilege.
fn is_not_permitted(error: &anyhow::Error) -> bool {
    let cause = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(KernelError::Capabilities { .. } | KernelError::NoBpffs { .. }), _)
        | (_, Some(Unreachable::NotPermitted { .. })) => return true,
        (Some(KernelError::Pin { error, .. }), _) | (_, Some(Unreachable::Silent { error, .. })) => error,
        _ => return false,
    };
    cause.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_daemon_decides() {
        let (instance, message) = (|| "default".to_owned(), || "x".to_owned());
        let silent = |kind: io::ErrorKind| Unreachable::Silent {
            instance: instance(),
            path: "/run/guard/default.sock".into(),
            error: kind.into(),
            pinned: None,
        };
        let refused = |configuration| Refused { generation: 1, configuration, count: 1, faults: vec![message()] };
        for (case, error, expected) in [
            ("no daemon", silent(io::ErrorKind::NotFound).into(), UNAVAILABLE),
            ("a socket for others", silent(io::ErrorKind::PermissionDenied).into(), NOT_PERMITTED),
            ("busy", Unreachable::Busy { instance: instance(), message: message() }.into(), UNAVAILABLE),
            ("not for this user", Unreachable::NotPermitted { message: message() }.into(), NOT_PERMITTED),
            ("not understood", Unreachable::Refused { instance: instance(), message: message() }.into(), FAILED),
            ("refused", refused(false).into(), FAILED),
            ("refused for what was written", refused(true).into(), CONFIGURATION),
            ("anything else", anyhow::anyhow!("x"), FAILED),
        ] {
            assert_eq!(code(&error), ExitCode::from(expected), "{case}");
        }
    }
}
