//! Where the binaries under test are.

use std::path::PathBuf;

use crate::built::built;

/// The `guard` of the same build.
///
/// Panics if it has not been built.
pub fn binary() -> PathBuf {
    built("guard", "cargo build")
}

/// The `guard` whose tables have another layout, which `cargo xtask test` puts beside the other.
///
/// Panics if it has not been built.
pub fn other_layout() -> PathBuf {
    built("guard-other-layout", "cargo xtask other-layout")
}
