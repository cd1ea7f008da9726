//! Where the binaries under test are.

use std::{env, path::PathBuf};

/// The `guard` of the same build: cargo puts it beside the running program, or a directory above a running test.
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

fn built(name: &str, command: &str) -> PathBuf {
    let program = env::current_exe().expect("the kernel names the running program");
    let directory = program.parent().expect("a program lies in a directory");
    let directory = match directory.file_name() {
        Some(name) if name == "deps" => directory.parent().expect("cargo's `deps` lies in a directory"),
        _ => directory,
    };
    let binary = directory.join(name);
    assert!(binary.is_file(), "{} does not exist: run `{command}` first", binary.display());
    binary
}
