//! The variables guard knows, gathered from the process environment and `--env-file`.
//!
//! The process environment wins over the env-file. An empty value counts as not given, wherever it stands, so that
//! the `${NAME:-}` of a compose file is no setting.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::policy::Origin;

use super::env_file;
use super::faults::{Quoted, Report};
use super::item::Located;
use super::read::{ReadError, read_text};

/// The variables that `settings` reads.
const READ: &[&str] = &[
    "ALLOWED_IPS",
    "ALLOWED_IPS_FILE",
    "AUTH_RATE_LIMIT_MAX",
    "DATA_RATE_LIMIT_MAX",
    "GUARD_DEFAULT",
    "GUARD_EVE_FILE",
    "GUARD_INTERFACE",
    "GUARD_MODE",
    "GUARD_PORTS",
    "GUARD_XDP_MODE",
    "LOG_LEVEL",
    "RATE_LIMIT_MAX_REQUESTS",
    "RATE_LIMIT_WINDOW_MS",
    "TCP_CONNECTION_TIMEOUT",
    "TCP_MAX_CONNECTIONS",
    "TRUST_PROXY",
    "WS_CONNECTION_TIMEOUT",
    "WS_MAX_CONNECTIONS",
];

/// The variables of the guarded applications that a later version will act on.
pub(super) const NOT_ENFORCED: &[&str] = &[
    "ALLOW_PRIVATE_NETWORKS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
    "PROMETHEUS_ENABLED",
    "PROMETHEUS_PORT",
];

/// An env-file as it was read.
#[derive(Debug)]
pub(super) struct EnvFile {
    path: PathBuf,
    text: Result<String, ReadError>,
}

/// Known variables that have a value, by name.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<&'static str, Located<String>>);

impl EnvFile {
    pub(super) fn read(path: &Path) -> Self {
        Self { path: path.to_owned(), text: read_text(path) }
    }
}

impl Variables {
    /// Gathers the known variables; a `GUARD_*` name that is not known is a fault, every other name is someone
    /// else's.
    pub(super) fn gather(process: &[(OsString, OsString)], env_file: Option<&EnvFile>, report: &mut Report) -> Self {
        let mut variables = env_file.map_or_else(Self::default, |file| Self::from_file(file, report));
        variables.0.extend(Self::from_process(process, report).0);
        variables
    }

    /// Returns a variable that was given.
    pub(super) fn get(&self, name: &'static str) -> Option<&Located<String>> {
        debug_assert!(is_known(name), "{name} is never gathered");
        self.0.get(name)
    }

    fn from_process(process: &[(OsString, OsString)], report: &mut Report) -> Self {
        let mut variables = BTreeMap::new();
        for (name, value) in process {
            let name = name.to_string_lossy();
            let origin = Origin::Variable { name: Arc::from(&*name), item: None };
            let Some(name) = known(&name, &origin, report) else { continue };
            match value.to_str() {
                Some(value) if is_empty(value) => {}
                Some(value) => {
                    variables.insert(name, Located { value: value.to_owned(), origin });
                }
                None => {
                    report.fault(&origin, format_args!("value {} is not UTF-8", Quoted(&value.to_string_lossy())));
                }
            }
        }
        Self(variables)
    }

    fn from_file(EnvFile { path, text }: &EnvFile, report: &mut Report) -> Self {
        let path: Arc<Path> = path.as_path().into();
        let mut variables = BTreeMap::new();
        let text = text.as_deref().unwrap_or_else(|error| {
            report.fault(&Origin::File { path: path.clone() }, format_args!("the env-file: {error}"));
            ""
        });
        for (line, assignment) in env_file::lines(text) {
            let place = Origin::Line { path: path.clone(), line };
            let (name, value) = match assignment {
                Ok((name, value)) => (name.replace('-', "_"), value),
                Err(error) => {
                    report.fault(&place, error);
                    continue;
                }
            };
            let Some(name) = known(&name, &place, report) else { continue };
            match variables.entry(name) {
                Entry::Vacant(entry) => {
                    let origin = Origin::EnvFile { path: path.clone(), line, name: name.into(), item: None };
                    entry.insert(Located { value, origin });
                }
                Entry::Occupied(first) => {
                    report.fault(&place, format_args!("{name} is given twice, first at {}", first.get().origin));
                }
            }
        }
        variables.retain(|_, variable| !is_empty(&variable.value));
        Self(variables)
    }
}

/// Says whether a character parts the items of a list in a variable.
pub(super) fn is_separator(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

fn is_empty(value: &str) -> bool {
    value.trim_matches(is_separator).is_empty()
}

fn is_known(name: &str) -> bool {
    READ.contains(&name) || NOT_ENFORCED.contains(&name)
}

fn known(name: &str, place: &Origin, report: &mut Report) -> Option<&'static str> {
    let known = READ.iter().chain(NOT_ENFORCED).find(|known| **known == name).copied();
    if known.is_none() && name.starts_with("GUARD_") {
        let ours: Vec<&str> = READ.iter().copied().filter(|known| known.starts_with("GUARD_")).collect();
        report.fault(place, format_args!("unknown variable {}; guard knows {}", Quoted(name), ours.join(", ")));
    }
    known
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn process(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn gather(variables: &[(&str, &str)], file: Option<&str>) -> Result<Variables, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard.env");
        fs::write(&path, file.unwrap_or_default()).unwrap();
        let mut report = Report::default();
        let file = file.is_some().then(|| EnvFile::read(&path));
        let variables = Variables::gather(&process(variables), file.as_ref(), &mut report);
        let shown = format!("{}/", dir.path().display());
        report.finish().map(|_| variables).map_err(|faults| faults.to_string().replace(&shown, ""))
    }

    fn value(variables: &Variables, name: &'static str) -> Option<String> {
        variables.get(name).map(|variable| variable.value.clone())
    }

    #[test]
    fn keeps_what_it_knows() {
        let variables = gather(&[("ALLOWED_IPS", "10.0.0.1"), ("PATH", "/bin"), ("MY_GUARD_X", "1")], None).unwrap();
        assert_eq!(value(&variables, "ALLOWED_IPS").as_deref(), Some("10.0.0.1"));
        assert_eq!(variables.0.len(), 1);
    }

    #[test]
    fn the_process_wins_over_the_file() {
        let file = "ALLOWED-IPS=10.0.0.2\nexport GUARD_MODE='monitor'\nSECRET=x\n";
        let variables = gather(&[("ALLOWED_IPS", "10.0.0.1")], Some(file)).unwrap();
        assert_eq!(value(&variables, "ALLOWED_IPS").as_deref(), Some("10.0.0.1"));
        assert_eq!(value(&variables, "GUARD_MODE").as_deref(), Some("monitor"));
        assert!(variables.get("GUARD_MODE").unwrap().origin.to_string().ends_with("guard.env:2 (GUARD_MODE)"));
    }

    #[test]
    fn empty_values_are_not_given() {
        for empty in ["", " ", ",", " , ,\n"] {
            assert_eq!(value(&gather(&[("ALLOWED_IPS", empty)], None).unwrap(), "ALLOWED_IPS"), None, "{empty:?}");
        }
    }

    #[test]
    fn refuses_unknown_names_of_its_own() {
        let known =
            "guard knows GUARD_DEFAULT, GUARD_EVE_FILE, GUARD_INTERFACE, GUARD_MODE, GUARD_PORTS, GUARD_XDP_MODE";
        assert_eq!(
            gather(&[("GUARD_PORT", "tcp/3000")], Some("A=1\nGUARD-IFACE=eth0\n")).unwrap_err(),
            format!(
                "environment variable GUARD_PORT: unknown variable `GUARD_PORT`; {known}\n\
                 guard.env:2: unknown variable `GUARD_IFACE`; {known}"
            )
        );
    }

    #[test]
    fn refuses_what_is_no_text() {
        let mut report = Report::default();
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let environment = vec![
            (bytes(b"ALLOWED_IPS"), bytes(b"10.0.0.1\xff")),
            (bytes(b"GUARD_\xff"), bytes(b"1")),
            (bytes(b"OTHER\xff"), bytes(b"\xff")),
        ];
        Variables::gather(&environment, None, &mut report);
        let faults = report.finish().unwrap_err().to_string();
        let faults: Vec<&str> = faults.lines().collect();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(faults[0], "environment variable ALLOWED_IPS: value `10.0.0.1\u{fffd}` is not UTF-8");
        assert!(faults[1].contains("unknown variable `GUARD_\u{fffd}`"), "{faults:?}");
    }

    #[test]
    fn refuses_a_bad_env_file() {
        assert_eq!(
            gather(&[], Some("ALLOWED_IPS=10.0.0.1\nnonsense\nALLOWED-IPS=10.0.0.2\nX=1\nX=2\n")).unwrap_err(),
            "guard.env:2: `nonsense` is not NAME=value\n\
             guard.env:3: ALLOWED_IPS is given twice, first at guard.env:1 (ALLOWED_IPS)"
        );
        let mut report = Report::default();
        Variables::gather(&[], Some(&EnvFile::read(Path::new("no/such.env"))), &mut report);
        assert_eq!(report.finish().unwrap_err().to_string(), "no/such.env: the env-file: no such file");
    }
}
