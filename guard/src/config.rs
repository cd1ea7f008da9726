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
mod application_limits;
mod checks;
mod compose;
mod document;
mod env_file;
mod environment;
mod faults;
mod interfaces;
mod item;
mod json;
mod list_file;
mod prefix;
mod read;
mod sets;
mod settings;
#[cfg(test)]
mod tests;
mod width;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::policy::Policy;

use compose::compose;
use document::Document;
use environment::Variables;
use faults::Report;
use list_file::ListFile;
use read::{if_present, read_text};
use settings::Settings;

pub(crate) use faults::{Faults, Warning};

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
    /// `--state-dir`, below which the list file is.
    pub(crate) state_dir: PathBuf,
}

/// A configuration without a fault.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What to enforce.
    pub(crate) policy: Policy,
    /// What the operator may not have meant.
    pub(crate) warnings: Vec<Warning>,
    /// `LOG_LEVEL` as it stands, for the daemon's own log.
    pub(crate) log_level: Option<String>,
}

/// Reads and checks the whole configuration.
///
/// # Errors
/// Every fault, with its place.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, Faults> {
    let mut report = Report::default();
    let variables = Variables::gather(&sources.environment, sources.env_file.as_deref(), &mut report);
    let mut settings = Settings::read(&variables, &mut report);
    let document = read_document(sources, &mut report);
    let list_file = match settings.list_file.as_ref().or(document.list_file.as_ref()) {
        // A file that cannot be read may name another list than the default one.
        None if document.unknown => ListFile::default(),
        named => ListFile::read(named, &sources.state_dir, &mut report),
    };
    let log_level = settings.log_level.take();
    let policy = compose(settings, document, list_file, &sources.state_dir, &mut report);
    let warnings = report.finish()?;
    Ok(Loaded { policy: policy.expect("without a policy there is a fault"), warnings, log_level })
}

fn read_document(sources: &Sources, report: &mut Report) -> Document {
    let (path, text) = match &sources.config {
        Some(path) => (path, read_text(path).map(Some)),
        None => (&sources.default_config, if_present(&sources.default_config, read_text(&sources.default_config))),
    };
    match text {
        Ok(Some(text)) => Document::parse(path, &text, report),
        Ok(None) => Document::default(),
        Err(error) => Document::unreadable(path, error, report),
    }
}
