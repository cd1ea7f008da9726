//! Rate limits as a generation holds them.

/// Limits that a service can have.
pub const LIMITS_MAX: usize = 4;
