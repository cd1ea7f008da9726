//! Where the binary under test is.

use std::{env, path::PathBuf};

/// The `guard` of the same build: cargo puts it beside the running program, or a directory above a running test.
///
/// Panics if it has not been built.
pub fn binary() -> PathBuf {
    let program = env::current_exe().expect("the kernel names the running program");
    let directory = program.parent().expect("a program lies in a directory");
    let directory = match directory.file_name() {
        Some(name) if name == "deps" => directory.parent().expect("cargo's `deps` lies in a directory"),
        _ => directory,
    };
    let binary = directory.join("guard");
    assert!(binary.is_file(), "{} does not exist: run `cargo build` first", binary.display());
    binary
}
