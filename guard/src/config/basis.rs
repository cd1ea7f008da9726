//! What is read only at the start and by `reload`: `guard.toml`, the env-file, the environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::Sources;
use super::cgroup::Cgroup;
use super::document::Document;
use super::environment::{EnvFile, Variables};
use super::faults::Report;
use super::read::{ReadError, if_present, read_text};

/// The settings as they were read, so that what changes data files does not take up a `guard.toml` that is being edited.
#[derive(Debug)]
pub(crate) struct Basis {
    config: PathBuf,
    /// None if there is no file where none was named.
    text: Result<Option<String>, ReadError>,
    env_file: Option<EnvFile>,
    environment: Vec<(OsString, OsString)>,
    /// Below which data files lie.
    pub(super) state_dir: PathBuf,
    /// As it was when somebody first asked.
    cgroup: OnceLock<Cgroup>,
}

impl Basis {
    pub(super) fn read(sources: &Sources) -> Self {
        let (config, text) = match &sources.config {
            Some(path) => (path, read_text(path).map(Some)),
            None => (&sources.default_config, if_present(&sources.default_config, read_text(&sources.default_config))),
        };
        Self {
            config: config.clone(),
            text,
            env_file: sources.env_file.as_deref().map(EnvFile::read),
            environment: sources.environment.clone(),
            state_dir: sources.state_dir.clone(),
            cgroup: OnceLock::new(),
        }
    }

    pub(super) fn variables(&self, report: &mut Report) -> Variables {
        Variables::gather(&self.environment, self.env_file.as_ref(), report)
    }

    pub(super) fn document(&self, report: &mut Report) -> Document {
        match &self.text {
            Ok(Some(text)) => Document::parse(&self.config, text, report),
            Ok(None) => Document::default(),
            Err(error) => Document::unreadable(&self.config, error, report),
        }
    }

    /// Returns the cgroup that the settings name. That it is looked at only once lets a change of data files be, should it go
    /// away meanwhile.
    pub(super) fn cgroup(&self, document: &Document) -> Cgroup {
        self.cgroup.get_or_init(|| Cgroup::look(document)).clone()
    }
}
