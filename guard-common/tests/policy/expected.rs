//! What tables of cases expect.

use guard_common::policy::Reason;

/// A service and a reason: what is expected where the default is to drop, and where it is to pass.
pub(crate) type Expected = (u8, Reason, Reason);

/// Expects the same of both.
pub(crate) const fn always(service: u8, reason: Reason) -> Expected {
    (service, reason, reason)
}

/// Expects that a default of passing lets the packet pass.
pub(crate) const fn by_default_or(reason: Reason) -> Expected {
    (0, reason, Reason::Default)
}
