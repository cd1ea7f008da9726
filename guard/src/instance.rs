//! One guard among several: its name, and where its files, pins and socket lie.

use std::path::{Path, PathBuf};

use crate::kernel::LINKS;

/// Where the bpf file system is mounted.
pub(crate) const BPFFS: &str = "/sys/fs/bpf";

/// A guard's name and directories.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) runtime_dir: PathBuf,
}

impl Instance {
    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime_dir.join(format!("{}.sock", self.name))
    }

    /// The log of every change.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.state_dir.join("audit.jsonl")
    }

    /// The journal of bans by the machine.
    pub(crate) fn bans_journal(&self) -> PathBuf {
        self.state_dir.join("data/bans.jsonl")
    }

    /// A command for this instance, as an operator types it.
    pub(crate) fn command(&self, subcommand: &str) -> String {
        match self.name.as_str() {
            "default" => format!("guard {subcommand}"),
            name => format!("guard --instance {name} {subcommand}"),
        }
    }

    /// The pin of the link that keeps the program on an interface.
    pub(crate) fn link(&self, interface: u32) -> PathBuf {
        self.pins().join(LINKS).join(interface.to_string())
    }

    /// The directory of everything pinned, on the bpf file system.
    pub(crate) fn pins(&self) -> PathBuf {
        all_pins().join(&self.name)
    }
}

/// The directory that holds every instance's pins.
pub(crate) fn all_pins() -> PathBuf {
    Path::new(BPFFS).join("guard")
}

/// Accepts a name that is a file name on the bpf file system, which refuses dots.
pub(crate) fn parse_name(name: &str) -> Result<String, String> {
    let fits = (1..=32).contains(&name.len());
    if fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        Ok(name.to_owned())
    } else {
        Err("an instance's name is 1 to 32 letters, digits, `-` or `_`".to_owned())
    }
}
