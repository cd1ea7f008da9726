//! Where tables that outlive a run are pinned, below an instance's directory:
//!
//! - `state/<NAME>_<version>`, of runs whose program is or was attached. Of several versions of a table the one that was made
//!   last counts; of the others something may be left to take over, because a run was killed while it did.
//! - `next_<program>_<program>/<NAME>_<version>`, a run's new tables, under the numbers of its programs. Whether either is
//!   attached says whether they count; one step of the kernel's decides on that, so a kill at any moment leaves no doubt.
//! - `next/`, the same before the programs have numbers.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use tracing::warn;

use crate::kernel::{
    KernelError,
    bpf::{link_info, open_pin},
    bpffs::{EGRESS, PinDirectory},
    egress,
};

const STATE: &str = "state";
const NEXT: &str = "next";

/// What directories began with that held one version of all tables, and the one whose tables have the version 1 each.
const FORMER: &str = "state_";
const FIRST: &str = "state_3";

/// The directories of state.
pub(super) struct StatePins {
    root: PathBuf,
    pub(super) state: PathBuf,
    pub(super) next: PathBuf,
}

impl StatePins {
    /// Makes the directories, and brings what earlier runs left into `state`.
    pub(super) fn open(pins: &PinDirectory) -> Result<Self, KernelError> {
        let state = pins.directory(STATE)?;
        let root = pins.path("");
        let first = root.join(FIRST);
        if first.exists() {
            for (name, pin) in entries(&first)? {
                rename(&pin, &state.join(pin_name(&name, 1)))?;
            }
            remove_all(&first)?;
        }
        let attached = attached_programs(pins)?;
        for (name, directory) in entries(&root)?.into_iter().filter(|(name, _)| name.starts_with(NEXT)) {
            if name.split('_').filter_map(|number| number.parse().ok()).any(|program| attached.contains(&program)) {
                move_all(&directory, &state)?;
            }
            remove_all(&directory)?;
        }
        Ok(Self { next: pins.directory(NEXT)?, root, state })
    }

    /// Returns every version of a table that is there, with its pin.
    pub(super) fn versions(&self, name: &str) -> Result<Vec<(u32, PathBuf)>, KernelError> {
        let version = |pin: &str| pin.strip_prefix(name)?.strip_prefix('_')?.parse().ok();
        Ok(entries(&self.state)?.into_iter().filter_map(|(pin, path)| Some((version(&pin)?, path))).collect())
    }

    /// Notes whose the new tables are.
    pub(super) fn name_next(&mut self, programs: [u32; 2]) -> Result<(), KernelError> {
        let named = self.root.join(format!("{NEXT}_{}_{}", programs[0], programs[1]));
        rename(&self.next, &named)?;
        self.next = named;
        Ok(())
    }

    /// Has the new tables be those that count, and keeps no others than these.
    pub(super) fn settle(&self, names: &[String]) -> Result<(), KernelError> {
        move_all(&self.next, &self.state)?;
        remove_all(&self.next)?;
        for (_, pin) in entries(&self.state)?.into_iter().filter(|(name, _)| !names.contains(name)) {
            fs::remove_file(&pin).map_err(failed("removing", &pin))?;
        }
        let former = entries(&self.root)?.into_iter().filter(|(name, _)| name.starts_with(FORMER));
        former.into_iter().try_for_each(|(_, directory)| {
            warn!("what a much earlier version of guard counted and noted in {} is forgotten", directory.display());
            remove_all(&directory)
        })
    }
}

/// What the pin of a version of a table is called.
pub(super) fn pin_name(name: &str, version: u32) -> String {
    format!("{name}_{version}")
}

/// The numbers of all programs that an earlier run left attached.
fn attached_programs(pins: &PinDirectory) -> Result<BTreeSet<u32>, KernelError> {
    let mut programs = BTreeSet::new();
    for (_, pin) in entries(&pins.links())? {
        let link = open_pin(&pin).and_then(|link| link_info(link.as_fd()));
        programs.insert(link.map_err(failed("opening", &pin))?.program);
    }
    programs.extend(egress::attached_programs(&pins.path(EGRESS))?);
    Ok(programs)
}

fn move_all(from: &Path, to: &Path) -> Result<(), KernelError> {
    entries(from)?.into_iter().try_for_each(|(name, pin)| rename(&pin, &to.join(name)))
}

fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, KernelError> {
    let read = || -> io::Result<_> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        };
        fs::read_dir(directory)?.map(entry).collect()
    };
    read().map_err(failed("reading", directory))
}

fn rename(from: &Path, to: &Path) -> Result<(), KernelError> {
    fs::rename(from, to).map_err(failed("renaming", from))
}

fn remove_all(directory: &Path) -> Result<(), KernelError> {
    fs::remove_dir_all(directory).map_err(failed("removing", directory))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KernelError {
    move |error| KernelError::Pin { action, path: path.to_owned(), error }
}
