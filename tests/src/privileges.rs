//! What a test needs of the machine. A test that lacks it fails and says so; it never passes by leaving early.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

/// Directories that hold `ip` and its kin, which a root shell without a login may lack in its `PATH`.
const SYSTEM_DIRECTORIES: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"];

/// Panics unless the process is root, which making network namespaces and loading programs take.
pub fn require_root() {
    assert!(Uid::effective().is_root(), "this test makes network namespaces and loads XDP programs: run it as root");
}

/// Finds a program in the search path and panics, naming it, when it is not installed.
pub fn require_tool(name: &str) -> PathBuf {
    env::split_paths(&search_path())
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
        .unwrap_or_else(|| panic!("this test needs `{name}`, which is not installed: run `cargo xtask setup`"))
}

/// The `PATH` of every program started in a host: the process's own, and after it the system's directories.
pub(crate) fn search_path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let system = SYSTEM_DIRECTORIES.iter().map(PathBuf::from);
    env::join_paths(env::split_paths(&own).chain(system)).expect("a part of a path list holds no separator")
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
