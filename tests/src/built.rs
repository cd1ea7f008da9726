//! Programs of the same build.

use std::{env, path::PathBuf};

/// A program that cargo put beside the running one, or a directory above a running test.
///
/// Panics, naming the command that makes it, if it has not been built.
pub(crate) fn built(name: &str, command: &str) -> PathBuf {
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
