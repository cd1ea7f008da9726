//! Whole configurations in, a policy or every fault out.

mod connections;
mod data;
mod limits;
mod refusals;
mod whole;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::policy::{Entries, Entry};

use super::{Faults, Loaded, Sources, load};

/// A directory with a `guard.toml`, which is the state directory too, and an environment.
struct Setup {
    dir: TempDir,
    config: Option<PathBuf>,
    env_file: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
}

impl Setup {
    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, config: None, env_file: None, environment: Vec::new() }
    }

    fn toml(text: &str) -> Self {
        let setup = Self::empty().file("guard.toml", text);
        Self { config: Some(setup.path("guard.toml")), ..setup }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn env_file(self, text: &str) -> Self {
        let setup = self.file("guard.env", text);
        Self { env_file: Some(setup.path("guard.env")), ..setup }
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Loads it, with the faults' lines as if the directory were the current one.
    fn load(&self) -> Result<Loaded, Vec<String>> {
        load(&self.sources()).map_err(|faults| self.lines(&faults))
    }

    fn sources(&self) -> Sources {
        Sources {
            config: self.config.clone(),
            default_config: self.path("default.toml"),
            env_file: self.env_file.clone(),
            environment: self.environment.clone(),
            state_dir: self.dir.path().to_owned(),
        }
    }

    fn lines(&self, faults: &Faults) -> Vec<String> {
        shown(faults, self.dir.path()).lines().map(str::to_owned).collect()
    }

    /// The warnings' lines, the same way.
    fn warnings(&self) -> Vec<String> {
        self.load().unwrap().warnings.iter().map(|warning| shown(warning, self.dir.path())).collect()
    }

    /// The entries of a list with their origins, the same way.
    fn entries(&self, list: impl Fn(&Loaded) -> &Entries) -> Vec<String> {
        let loaded = self.load().unwrap();
        let entry = |entry: Entry<'_>| format!("{} from {}", entry.prefix, shown(&entry.origin, self.dir.path()));
        list(&loaded).iter().map(entry).collect()
    }
}

fn shown(text: impl ToString, dir: &Path) -> String {
    text.to_string().replace(&format!("{}/", dir.display()), "")
}

/// Where the v2 hierarchy is mounted on the host that tests.
fn cgroup() -> String {
    let mounts = procfs::mounts().unwrap();
    let mount = mounts.into_iter().find(|mount| mount.fs_vfstype == "cgroup2");
    mount.expect("a cgroup v2 hierarchy is mounted").fs_file
}

/// A `guard.toml` whose first line names it.
fn in_cgroup(text: &str) -> Setup {
    Setup::toml(&format!("cgroup = '{}'\n{text}", cgroup()))
}
