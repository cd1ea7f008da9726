//! The list file, `[allow] file` or `ALLOWED_IPS_FILE`: a JSON array, or an object that holds one as `allowedIps`.
//!
//! An element is a string, or an object with `ip` and, where wanted, `comment` and `services`: then it is no part of
//! `allow`, but of these services' sets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::policy::Origin;

use super::faults::{Quoted, Report};
use super::item::{List, Located, Scope};
use super::json::Json;
use super::read::{ReadError, read_if_present, read_text};

/// Where the list is looked for, below the state directory, if nothing names it.
const DEFAULT_PLACE: &str = "data/allowed_ips.json";

/// What a list file says.
#[derive(Debug, Default)]
pub(super) struct ListFile {
    /// What belongs to `allow`.
    pub(super) allow: List,
    /// What belongs to services, by their names.
    pub(super) services: Vec<ForServices>,
}

/// One element for some services.
#[derive(Debug)]
pub(super) struct ForServices {
    pub(super) services: Vec<String>,
    pub(super) list: List,
    pub(super) origin: Origin,
}

const SHAPE: &str = "another shape: a list file is a JSON array, or `{\"allowedIps\": [...]}`";

impl ListFile {
    /// Reads the file that was named, or the one at its default place, which alone may be missing.
    pub(super) fn read(named: Option<&Located<PathBuf>>, state_dir: &Path, report: &mut Report) -> Self {
        let path: Arc<Path> = state_dir.join(named.map_or(Path::new(DEFAULT_PLACE), |named| &named.value)).into();
        let file = Origin::File { path: path.clone() };
        let text = if named.is_some() { read_text(&path).map(Some) } else { read_if_present(&path) };
        let text = match (text, named) {
            (Ok(Some(text)), _) => text,
            (Ok(None), _) => return Self::default(),
            (Err(error @ ReadError::Missing), Some(named)) => {
                let path = path.to_string_lossy();
                return Self::refused(report, &named.origin, format_args!("list file {}: {error}", Quoted(&path)));
            }
            (Err(error), _) => return Self::refused(report, &file, error),
        };
        if text.trim().is_empty() {
            return Self::refused(report, &file, "an empty file is no list: write `[]` for one without entries");
        }
        match serde_json::from_str(&text) {
            Ok(json) => Self::from_json(json, path, report),
            Err(error) => {
                let (line, column) = (error.line() as u32, error.column() as u32);
                let message = error.to_string();
                let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
                Self::refused(report, &Origin::Column { path, line, column }, format_args!("not JSON: {message}"))
            }
        }
    }

    fn refused(report: &mut Report, place: &Origin, message: impl std::fmt::Display) -> Self {
        report.fault(place, message);
        Self { allow: List { faulty: true, ..List::default() }, services: Vec::new() }
    }

    fn from_json(json: Json, path: Arc<Path>, report: &mut Report) -> Self {
        let file = Origin::File { path: path.clone() };
        let elements = match json {
            Json::Array(elements) => elements,
            Json::Object(mut keys) => match (keys.pop(), keys.as_slice()) {
                (Some((key, Json::Array(elements))), []) if key == "allowedIps" => elements,
                _ => return Self::refused(report, &file, SHAPE),
            },
            other => return Self::refused(report, &file, format_args!("{SHAPE}, not {}", other.kind())),
        };
        let mut list = Self::default();
        for (index, element) in (0..).zip(elements) {
            list.read_element(element, &Origin::Element { path: path.clone(), index }, report);
        }
        list
    }

    fn read_element(&mut self, element: Json, origin: &Origin, report: &mut Report) {
        let element = match element {
            Json::String(ip) => Some(Element { ip, ..Element::default() }),
            Json::Object(keys) => Element::from_keys(keys, origin, report),
            other => {
                report.fault(origin, format_args!("{} is neither a string nor an object", other.kind()));
                None
            }
        };
        let Some(Element { ip, comment, services }) = element else {
            self.allow.faulty = true;
            return;
        };
        match services {
            None => self.allow.read_commented(&ip, comment, origin, Scope::List, report),
            Some(services) => {
                let mut list = List::default();
                list.read_commented(&ip, comment, origin, Scope::List, report);
                self.services.push(ForServices { services, list, origin: origin.clone() });
            }
        }
    }
}

/// One element's keys.
#[derive(Debug, Default)]
struct Element {
    ip: String,
    comment: Option<String>,
    services: Option<Vec<String>>,
}

impl Element {
    fn from_keys(keys: Vec<(String, Json)>, origin: &Origin, report: &mut Report) -> Option<Self> {
        let (mut ip, mut comment, mut services) = (None, None, None);
        let mut faulty = false;
        for (key, value) in keys {
            let result = match (key.as_str(), value) {
                ("ip", Json::String(text)) => set(&mut ip, text),
                ("comment", Json::String(text)) => set(&mut comment, text),
                ("services", Json::Array(names)) => service_names(names).and_then(|names| set(&mut services, names)),
                ("ip" | "comment", other) => Err(format!("is {}, not a string", other.kind())),
                ("services", other) => Err(format!("is {}, not an array of service names", other.kind())),
                ("expires", _) => Err("is not supported by this version".to_owned()),
                _ => Err("is unknown".to_owned()),
            };
            if let Err(message) = result {
                report.fault(origin, format_args!("key {} {message}", Quoted(&key)));
                faulty |= true;
            }
        }
        if ip.is_none() && !faulty {
            report.fault(origin, "an element without `ip`");
        }
        ip.filter(|_| !faulty).map(|ip| Self { ip, comment, services })
    }
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("is given twice".to_owned()),
    }
}

fn service_names(names: Vec<Json>) -> Result<Vec<String>, String> {
    if names.is_empty() {
        return Err("names no service: leave it out to mean every service".to_owned());
    }
    let name = |name| match name {
        Json::String(name) => Ok(name),
        other => Err(format!("holds {}, not a service's name", other.kind())),
    };
    names.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::item::Pattern;
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<ListFile, String> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        fs::write(dir.path().join(DEFAULT_PLACE), text).unwrap();
        read_in(dir.path(), None)
    }

    fn read_in(dir: &Path, named: Option<&str>) -> Result<ListFile, String> {
        let origin = Origin::Variable { name: "ALLOWED_IPS_FILE".into(), item: None };
        let named = named.map(|name| Located { value: PathBuf::from(name), origin });
        let mut report = Report::default();
        let list = ListFile::read(named.as_ref(), dir, &mut report);
        let shown = format!("{}/", dir.display());
        match report.finish() {
            Ok(_) => Ok(list),
            Err(faults) => {
                let faulty = list.allow.faulty || list.services.iter().any(|element| element.list.faulty);
                assert!(faulty, "a refused list must be known as such");
                Err(faults.to_string().replace(&shown, ""))
            }
        }
    }

    fn prefixes(list: &List) -> Vec<String> {
        let shown = |pattern: &Pattern| match pattern {
            Pattern::Prefix(prefix) => prefix.to_string(),
            other => format!("{other:?}"),
        };
        list.items.iter().map(|item| shown(&item.pattern)).collect()
    }

    #[test]
    fn reads_both_forms() {
        for text in [
            r#"["127.0.0.1", "10.0.0.0/8", "2001:db8::/48"]"#,
            r#"{"allowedIps": ["127.0.0.1", "10.0.0.0/8", "2001:db8::/48"]}"#,
            "\u{feff}[\n{\"ip\": \"127.0.0.1\"}, \"10.0.0.0/8\",\r\n {\"ip\": \"[2001:db8::]/48\", \"comment\": \"x\"}]\n",
        ] {
            let list = read(text).unwrap();
            assert_eq!(prefixes(&list.allow), ["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/48"], "{text}");
            assert!(list.allow.items[1].origin.to_string().ends_with("data/allowed_ips.json[1]"));
        }
        for text in ["[]", r#"{"allowedIps": []}"#] {
            assert!(read(text).unwrap().allow.items.is_empty(), "{text}");
        }
    }

    #[test]
    fn reads_the_whole_form() {
        let list = read(r#"[{"ip": "10.0.0.1", "comment": "printer", "services": ["web", "db"]}, "@office"]"#).unwrap();
        assert_eq!(prefixes(&list.allow), ["Set(\"office\")"]);
        let [ForServices { services, list, origin }] = list.services.as_slice() else { panic!("{list:?}") };
        assert_eq!(services, &["web", "db"]);
        assert_eq!(prefixes(list), ["10.0.0.1/32"]);
        assert_eq!(list.items[0].comment.as_deref(), Some("printer"));
        assert!(origin.to_string().ends_with("allowed_ips.json[0]"));
    }

    #[test]
    fn may_be_missing_at_its_default_place_only() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_in(dir.path(), None).unwrap().allow.items.is_empty());
        for name in [DEFAULT_PLACE, "other.json"] {
            let fault = read_in(dir.path(), Some(name)).unwrap_err();
            assert_eq!(fault, format!("environment variable ALLOWED_IPS_FILE: list file `{name}`: no such file"));
        }
        std::os::unix::fs::symlink("nowhere", dir.path().join("data")).unwrap();
        fs::create_dir(dir.path().join("nowhere")).unwrap();
        std::os::unix::fs::symlink("nothing", dir.path().join(DEFAULT_PLACE)).unwrap();
        assert_eq!(read_in(dir.path(), None).unwrap_err(), "data/allowed_ips.json: no such file");
    }

    #[test]
    fn a_name_is_relative_to_the_state_directory() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("mine.json"), r#"["10.0.0.1"]"#).unwrap();
        fs::write(elsewhere.path().join("mine.json"), r#"["10.0.0.2"]"#).unwrap();
        let absolute = elsewhere.path().join("mine.json");
        for (name, expected) in [("mine.json", "10.0.0.1/32"), (absolute.to_str().unwrap(), "10.0.0.2/32")] {
            assert_eq!(prefixes(&read_in(dir.path(), Some(name)).unwrap().allow), [expected]);
        }
    }

    #[test]
    fn refuses_what_is_no_list() {
        let shape = "data/allowed_ips.json: another shape: a list file is a JSON array, or `{\"allowedIps\": [...]}`";
        let json = "data/allowed_ips.json";
        for (text, fault) in [
            ("", format!("{json}: an empty file is no list: write `[]` for one without entries")),
            (" \n", format!("{json}: an empty file is no list: write `[]` for one without entries")),
            ("null", format!("{shape}, not null")),
            ("\"10.0.0.1\"", format!("{shape}, not a string")),
            ("7", format!("{shape}, not a number")),
            ("true", format!("{shape}, not a boolean")),
            ("{}", shape.to_owned()),
            (r#"{"ips": []}"#, shape.to_owned()),
            (r#"{"allowedIps": "10.0.0.1"}"#, shape.to_owned()),
            (r#"{"allowedIps": [], "note": 1}"#, shape.to_owned()),
            (r#"{"allowedIps": ["10.0.0.1"], "allowedIps": []}"#, shape.to_owned()),
            ("[\n\"10.0.0.1\",\n]", format!("{json}:3:1: not JSON: trailing comma")),
            ("[\"10.0.0.1\"", format!("{json}:1:11: not JSON: EOF while parsing a list")),
            ("[] []", format!("{json}:1:4: not JSON: trailing characters")),
            ("10.0.0.1", format!("{json}:1:5: not JSON: trailing characters")),
        ] {
            assert_eq!(read(text).unwrap_err(), fault, "{text}");
        }
        assert_eq!(read(b"[\n\"\xff\"]").unwrap_err(), format!("{json}: line 2 is not UTF-8"));
    }

    #[test]
    fn refuses_what_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(DEFAULT_PLACE)).unwrap();
        assert_eq!(read_in(dir.path(), None).unwrap_err(), "data/allowed_ips.json: a directory, not a file");
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("data"), "").unwrap();
        let fault = read_in(dir.path(), None).unwrap_err();
        assert!(fault.starts_with("data/allowed_ips.json: cannot be read: "), "{fault}");
    }

    #[test]
    fn refuses_every_bad_element_with_its_index() {
        let text = r#"["10.0.0.1", "10.0.0.0/33", "", 7, null, ["10.0.0.1"], {}, {"ip": 7},
            {"ip": "10.0.0.1", "expires": null}, {"ip": "10.0.0.1", "note": "x"}, {"ip": "10.0.0.1", "comment": 1},
            {"ip": "10.0.0.1", "services": "web"}, {"ip": "10.0.0.1", "services": []}, {"ip": "10.0.0.1", "services": [1]},
            {"ip": "10.0.0.1", "ip": "10.0.0.2"}, "any", {"ip": "any", "services": ["web"]}, "x\ny"]"#;
        let any = "`any` may stand only in the `allow` of a [[service]], which makes it public";
        let expected = [
            (1, "prefix `10.0.0.0/33`: length over 32"),
            (2, "prefix ``: empty"),
            (3, "a number is neither a string nor an object"),
            (4, "null is neither a string nor an object"),
            (5, "an array is neither a string nor an object"),
            (6, "an element without `ip`"),
            (7, "key `ip` is a number, not a string"),
            (8, "key `expires` is not supported by this version"),
            (9, "key `note` is unknown"),
            (10, "key `comment` is a number, not a string"),
            (11, "key `services` is a string, not an array of service names"),
            (12, "key `services` names no service: leave it out to mean every service"),
            (13, "key `services` holds a number, not a service's name"),
            (14, "key `ip` is given twice"),
            (15, any),
            (16, any),
            (17, "prefix `x\\ny`: neither an IPv4 nor an IPv6 address"),
        ];
        let expected: Vec<String> =
            expected.iter().map(|(index, message)| format!("data/allowed_ips.json[{index}]: {message}")).collect();
        assert_eq!(read(text).unwrap_err(), expected.join("\n"));
    }
}
