//! Whether a directory is a cgroup (v2) whose sockets can be watched.

use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use crate::policy::Origin;

use super::document::Document;

/// Where systemd mounts the v2 hierarchy, unless there is one of v1 beside it.
const DEFAULT: &str = "/sys/fs/cgroup";

/// The cgroup whose sockets' connections are counted.
#[derive(Clone, Debug)]
pub(super) struct Cgroup {
    pub(super) path: PathBuf,
    /// Where it was named.
    pub(super) origin: Option<Origin>,
    /// Why its sockets cannot be watched.
    pub(super) trouble: Option<String>,
}

impl Cgroup {
    /// Looks at the one that is named, or else at the default one.
    pub(super) fn look(document: &Document) -> Self {
        let named = document.cgroup.as_ref();
        let path = named.map_or_else(|| PathBuf::from(DEFAULT), |named| named.value.clone());
        // What cannot be read may name another; what does not begin with `/` is refused already.
        let is_settled = document.unknown || path.is_relative();
        let trouble = if is_settled { None } else { trouble(&path) };
        Self { path, origin: named.map(|named| named.origin.clone()), trouble }
    }
}

fn trouble(path: &Path) -> Option<String> {
    let shown = path.display();
    match statfs(path) {
        Ok(found) if found.filesystem_type() == CGROUP2_SUPER_MAGIC && path.is_dir() => return None,
        Ok(_) => {}
        Err(error) => return Some(format!("`{shown}`: {}", error.desc())),
    }
    let remedy = match mounted() {
        Some(place) => format!("one is mounted at `{place}`: `cgroup = \"{place}\"` at the top of guard.toml takes it"),
        None => "none is mounted".to_owned(),
    };
    Some(format!("`{shown}` is no directory of a cgroup v2 hierarchy; {remedy}"))
}

/// Returns where the v2 hierarchy is mounted.
fn mounted() -> Option<String> {
    // Without the table of mounts the refusal says less.
    let mounts = procfs::mounts().unwrap_or_default();
    mounts.into_iter().find(|mount| mount.fs_vfstype == "cgroup2").map(|mount| mount.fs_file)
}
