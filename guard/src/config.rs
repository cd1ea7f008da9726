//! The configuration: the environment, `--env-file`, `guard.toml`, list files and sets in, a policy or every fault
//! out.
//!
//! Nothing fails open: what cannot be understood is refused, and all of it at once. This module knows text and files;
//! it must not know the kernel, nor act on what it reads. It never reads the process environment by itself.
//!
//! A variable's value wins over the file's, lists are joined with the file's, and the process environment wins over
//! the env-file for the same name. Relative paths of data (list files, the EVE file) are below the state directory,
//! those of sets beside `guard.toml`.

mod amounts;
mod application_connections;
mod application_limits;
mod basis;
mod cgroup;
mod checks;
mod compose;
mod data_files;
mod document;
mod env_file;
mod environment;
mod faults;
mod interfaces;
mod item;
mod json;
mod list_file;
mod live_file;
mod prefix;
mod read;
mod sets;
mod settings;
#[cfg(test)]
mod tests;
mod width;
mod words;

use std::ffi::OsString;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::clock::Moment;
use crate::live::Live;
use crate::policy::{Policy, Timed};

use checks::Wide;
use compose::{Composed, Parts, compose};
use data_files::DataFile;
use faults::Report;
use list_file::ListFile;
use live_file::LiveFile;
use sets::Sets;
use settings::Settings;

pub(crate) use basis::Basis;
pub(crate) use data_files::{DataFiles, Stamp};
pub(crate) use faults::{Faults, Warning};
pub(crate) use read::ReadError;

/// Where a configuration is read from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// `--config`; a file that was named must exist.
    pub(crate) config: Option<PathBuf>,
    /// `guard.toml` where none is named; read where it exists.
    pub(crate) default_config: PathBuf,
    /// `--env-file`; a file that was named must exist.
    pub(crate) env_file: Option<PathBuf>,
    /// The process environment, as `std::env::vars_os` gives it; what is not UTF-8 is a fault where guard would read
    /// it.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// `--state-dir`, below which data files lie.
    pub(crate) state_dir: PathBuf,
}

/// Files that are to take the place of data files, and are read as if they had. What is wrong with them is reported under the
/// names that they will have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) list_file: Option<PathBuf>,
    pub(crate) entries: Option<PathBuf>,
}

/// A configuration without a fault.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What to enforce.
    pub(crate) policy: Policy,
    /// What holds for a time beside it; nothing that ended before it was read.
    pub(crate) timed: Vec<Timed>,
    /// What was added by command, of which the policy and `timed` are made as well.
    pub(crate) live: Live,
    /// What the operator may not have meant.
    pub(crate) warnings: Vec<Warning>,
    /// `LOG_LEVEL` as it stands, for the daemon's own log.
    pub(crate) log_level: Option<String>,
    /// What a change of data files does not read again.
    pub(crate) basis: Arc<Basis>,
    /// The data files that were read.
    pub(crate) files: DataFiles,
}

/// Reads and checks the whole configuration.
///
/// # Errors
/// Every fault, with its place.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, Faults> {
    load_data(&Arc::new(Basis::read(sources)), &Staged::default())
}

/// Checks the whole configuration with the settings as they were read, and data files as they are, or as they are staged.
///
/// # Errors
/// Every fault, with its place.
pub(crate) fn load_data(basis: &Arc<Basis>, staged: &Staged) -> Result<Loaded, Faults> {
    load_at(basis, staged, &Moment::now())
}

fn load_at(basis: &Arc<Basis>, staged: &Staged, now: &Moment) -> Result<Loaded, Faults> {
    let mut report = Report::default();
    let mut settings = Settings::read(&basis.variables(&mut report), &mut report);
    let log_level = settings.log_level.take();
    let document = basis.document(&mut report);
    let (list_file, list) = match settings.list_file.as_ref().or(document.list_file.as_ref()) {
        // A file that cannot be read may name another list than the default one.
        None if document.unknown => (ListFile::default(), DataFile::none()),
        named => ListFile::read(named, &basis.state_dir, staged.list_file.as_deref(), &mut report),
    };
    let entries = basis.state_dir.join(live_file::PLACE).into();
    let (live_file, entries) = LiveFile::read(&entries, staged.entries.as_deref(), now, &mut report);
    let sets = Sets::read(&document.sets, document.unknown, &mut report);
    let files = DataFiles { list_file: list, entries, sets: sets.files() };
    let cgroup = basis.cgroup(&document);
    let parts = Parts { settings, document, sets, list_file, live_file, cgroup };
    let composed = compose(parts, &basis.state_dir, &now.clock, &mut report);
    let warnings = report.finish()?;
    let Composed { policy, timed, live } = composed.expect("without a policy there is a fault");
    Ok(Loaded { policy, timed, live, warnings, log_level, basis: basis.clone(), files })
}

/// Checks what is let in for a time as a start would.
///
/// # Errors
/// It is too wide, and the settings do not accept that.
pub(crate) fn check_grants(basis: &Basis, timed: &[Timed]) -> Result<(), Faults> {
    // That the settings have no fault is known.
    let wide = Wide::of(&basis.document(&mut Report::default()));
    let mut report = Report::default();
    checks::grants(timed, wide, &mut report);
    report.finish().map(drop)
}

/// Reads an address or a prefix as lists have it; host bits and a zone are left out.
///
/// # Errors
/// Why it is none.
pub(crate) fn parse_prefix(text: &str) -> Result<IpNet, String> {
    prefix::parse(text).map(|reading| reading.prefix).map_err(|error| error.to_string())
}

/// Reads for how long an entry holds: 1 s to 366 days.
///
/// # Errors
/// Why it is no such duration.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, String> {
    amounts::parse_ttl(text).map_err(|error| error.to_string())
}

/// Reads what was added by command as its file has it now.
///
/// # Errors
/// Every fault in the file.
pub(crate) fn read_live(files: &DataFiles, now: &Moment) -> Result<Live, Faults> {
    let mut report = Report::default();
    let (live_file, _) = LiveFile::read(&files.entries().into(), None, now, &mut report);
    report.finish()?;
    Ok(live_file.into_live())
}

/// Returns a file's text as it is, byte order mark included, and what the file was when it was opened; none if there is no
/// file.
///
/// # Errors
/// Why it cannot be read as configuration.
pub(crate) fn read_as_it_is(path: &Path) -> Result<Option<(String, Metadata)>, ReadError> {
    read::if_present(path, read::read_as_it_is(path))
}
