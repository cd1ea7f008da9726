//! The list file, `[allow] file` or `ALLOWED_IPS_FILE`: a JSON array, or an object that holds one as `allowedIps`.
//!
//! An element is a string, or an object with `ip` and, where wanted, `comment`, `services` and `expires`. With `services` it
//! is no part of `allow`, but of these services' sets; with `expires` it is no part of any set, but a grant.

mod elements;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::policy::Origin;

use super::data_files::DataFile;
use super::faults::{Quoted, Report};
use super::item::{List, Located};
use super::json::{place_of, without_place};
use super::read::{ReadError, Text};
use elements::Reading;

/// Where the list is looked for, below the state directory, if nothing names it.
const DEFAULT_PLACE: &str = "data/allowed_ips.json";

/// What a list file says.
#[derive(Debug, Default)]
pub(super) struct ListFile {
    /// What belongs to `allow`.
    pub(super) allow: List,
    /// What belongs to services, by their names.
    pub(super) services: BTreeMap<String, ForService>,
    /// What holds for a time.
    pub(super) expiring: Vec<Expiring>,
}

/// An element that ends.
#[derive(Debug)]
pub(super) struct Expiring {
    /// What it lets in.
    pub(super) list: List,
    /// Which services it lets in to; to all if there is none.
    pub(super) services: Vec<String>,
    pub(super) expires: Timestamp,
    pub(super) origin: Origin,
}

/// What belongs to one service.
#[derive(Debug)]
pub(super) struct ForService {
    pub(super) list: List,
    /// Where the first element is that names it.
    pub(super) first: Origin,
    /// The indices of all that do, refused ones too.
    pub(super) elements: Vec<u32>,
}

impl ListFile {
    /// Reads the file that was named, or the one at its default place, which alone may be missing; or what is staged to
    /// take its place.
    pub(super) fn read(
        named: Option<&Located<PathBuf>>,
        state_dir: &Path,
        staged: Option<&Path>,
        report: &mut Report,
    ) -> (Self, DataFile) {
        let path: Arc<Path> = state_dir.join(named.map_or(Path::new(DEFAULT_PLACE), |named| &named.value)).into();
        let (file, text) = DataFile::open(&path, staged);
        let list = match (text, named) {
            (Ok(Some(text)), _) => Self::parse(text, path, report),
            (Ok(None), None) => Self::default(),
            (Ok(None) | Err(ReadError::Missing), Some(named)) => {
                let (path, error) = (path.to_string_lossy(), ReadError::Missing);
                Self::refused(report, &named.origin, format_args!("list file {}: {error}", Quoted(&path)))
            }
            (Err(error), _) => Self::refused(report, &Origin::File { path }, error),
        };
        (list, file)
    }

    fn parse(mut text: Text, path: Arc<Path>, report: &mut Report) -> Self {
        let file = Origin::File { path: path.clone() };
        let first = Origin::Element { path: path.clone(), index: 0 };
        // What is found in the elements of something that turns out to be no list would only hide that.
        let mut found = Report::default();
        let error = match Reading::new(first, &mut found).read(&mut text) {
            Ok(Ok(list)) => {
                report.join(found);
                return list;
            }
            Ok(Err(shape)) => return Self::refused(report, &file, shape),
            Err(error) => error,
        };
        if error.is_io() {
            return Self::refused(report, &file, ReadError::from(std::io::Error::from(error)));
        }
        if error.is_eof() && text.is_blank() {
            return Self::refused(report, &file, "an empty file is no list: write `[]` for one without entries");
        }
        Self::refused(report, &place_of(&error, &path), format_args!("not JSON: {}", without_place(&error)))
    }

    fn refused(report: &mut Report, place: &Origin, message: impl std::fmt::Display) -> Self {
        report.fault(place, message);
        Self { allow: List { faulty: true, ..List::default() }, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::item::Piece;
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
        let (list, _) = ListFile::read(named.as_ref(), dir, None, &mut report);
        let shown = format!("{}/", dir.display());
        match report.finish() {
            Ok(_) => Ok(list),
            Err(faults) => {
                let faulty = list.allow.faulty || list.services.values().any(|service| service.list.faulty);
                assert!(faulty, "a refused list must be known as such");
                Err(faults.to_string().replace(&shown, ""))
            }
        }
    }

    fn prefixes(list: &List) -> Vec<String> {
        let shown = |piece: &Piece| match piece {
            Piece::Prefixes(entries) => entries.prefixes().map(|prefix| prefix.to_string()).collect(),
            Piece::Set { name, .. } => vec![format!("@{name}")],
            Piece::Any(_) => vec!["any".to_owned()],
        };
        list.pieces.iter().flat_map(shown).collect()
    }

    fn places(list: &List) -> Vec<String> {
        let shown = |piece: &Piece| match piece {
            Piece::Prefixes(entries) => entries.iter().map(|entry| entry.origin.to_string()).collect(),
            Piece::Set { origin, .. } | Piece::Any(origin) => vec![origin.to_string()],
        };
        list.pieces.iter().flat_map(shown).collect()
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
            assert!(places(&list.allow)[1].ends_with("data/allowed_ips.json[1]"));
        }
        for text in ["[]", r#"{"allowedIps": []}"#] {
            assert!(read(text).unwrap().allow.is_empty(), "{text}");
        }
    }

    #[test]
    fn reads_the_whole_form() {
        let text = r#"[{"ip": "10.0.0.1", "comment": "printer", "services": ["web", "db"]}, "@office",
            {"services": ["web"], "ip": "@lab"}, {"ip": "10.0.0.2", "services": ["web"]}]"#;
        let ListFile { allow, services, expiring } = read(text).unwrap();
        assert!(expiring.is_empty());
        assert_eq!(prefixes(&allow), ["@office"]);
        assert!(places(&allow)[0].ends_with("allowed_ips.json[1]"));
        assert_eq!(services.keys().collect::<Vec<_>>(), ["db", "web"]);
        assert_eq!(prefixes(&services["web"].list), ["10.0.0.1/32", "@lab", "10.0.0.2/32"]);
        assert!(places(&services["web"].list)[2].ends_with("allowed_ips.json[3]"));
        assert_eq!(
            (services["web"].elements.as_slice(), services["db"].elements.as_slice()),
            (&[0, 2, 3][..], &[0][..])
        );
        let [Piece::Prefixes(printer)] = services["db"].list.pieces.as_slice() else { panic!("{services:?}") };
        assert_eq!(printer.iter().next().unwrap().comment, Some("printer"));
    }

    #[test]
    fn what_expires_is_no_part_of_a_set() {
        let text = r#"[{"ip": "10.0.0.1", "expires": "2026-11-30T18:00:00Z", "comment": "visitor"}, "10.0.0.2",
            {"ip": "@lab", "services": ["web", "db"], "expires": "2026-11-30T19:00:00+01:00"}]"#;
        let ListFile { allow, services, expiring } = read(text).unwrap();
        assert_eq!(prefixes(&allow), ["10.0.0.2/32"]);
        assert!(services.is_empty());
        let expires: Timestamp = "2026-11-30T18:00:00Z".parse().unwrap();
        for (element, ip, services, index) in
            [(&expiring[0], "10.0.0.1/32", &[][..], 0), (&expiring[1], "@lab", &["web", "db"], 2)]
        {
            assert_eq!(prefixes(&element.list), [ip]);
            assert_eq!(
                (element.services.as_slice(), element.expires),
                (&services.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], expires),
                "{ip}"
            );
            assert_eq!(element.origin.number(), index, "{ip}");
        }
        let [Piece::Prefixes(visitor)] = expiring[0].list.pieces.as_slice() else { panic!("{expiring:?}") };
        assert_eq!(visitor.iter().next().unwrap().comment, Some("visitor"));
    }

    #[test]
    fn what_is_staged_is_read_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        let staged = dir.path().join("staged");
        for text in ["[\"10.0.0.1\"]", "[7]"] {
            fs::write(&staged, text).unwrap();
            let mut report = Report::default();
            let (list, file) = ListFile::read(None, dir.path(), Some(&staged), &mut report);
            match report.finish() {
                Ok(_) => {
                    assert!(places(&list.allow)[0].ends_with("data/allowed_ips.json[0]"));
                    assert!(file.has_changed());
                    fs::rename(&staged, dir.path().join(DEFAULT_PLACE)).unwrap();
                    assert!(!file.has_changed());
                }
                Err(faults) => assert!(faults.to_string().contains("data/allowed_ips.json[0]: "), "{faults}"),
            }
        }
    }

    #[test]
    fn may_be_missing_at_its_default_place_only() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_in(dir.path(), None).unwrap().allow.is_empty());
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
            (r#"{"note": 1, "allowedIps": []}"#, shape.to_owned()),
            ("tru", format!("{json}:1:3: not JSON: EOF while parsing a value")),
            ("[\n\"10.0.0.1\",\n]", format!("{json}:3:1: not JSON: trailing comma")),
            ("[\"10.0.0.1\"", format!("{json}:1:11: not JSON: EOF while parsing a list")),
            ("[] []", format!("{json}:1:4: not JSON: trailing characters")),
            ("10.0.0.1", format!("{json}:1:5: not JSON: trailing characters")),
            ("[\"10.0.0.0/33\", 10.0.0.2]", format!("{json}:1:21: not JSON: expected `,` or `]`")),
            (r#"{"allowedIps": ["10.0.0.0/33"], "note": 1}"#, shape.to_owned()),
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
            {"ip": "10.0.0.1", "expires": null}, {"ip": "10.0.0.1", "expires": "tomorrow"},
            {"ip": "@of fice", "expires": "2026-11-22T08:00:00Z"}, {"ip": "10.0.0.1", "note": "x"}, {"ip": "10.0.0.1", "comment": 1},
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
            (8, "key `expires` is null, not a string"),
            (9, "key `expires` is `tomorrow`, no time such as `2026-11-30T18:00:00Z`"),
            (10, "`@of fice` names no set: a name has 1 to 32 of A-Z, a-z, 0-9, `_`, `.` and `-`"),
            (11, "key `note` is unknown"),
            (12, "key `comment` is a number, not a string"),
            (13, "key `services` is a string, not an array of service names"),
            (14, "key `services` names no service: leave it out to mean every service"),
            (15, "key `services` holds a number, not a service's name"),
            (16, "key `ip` is given twice"),
            (17, any),
            (18, any),
            (19, "prefix `x\\ny`: neither an IPv4 nor an IPv6 address"),
        ];
        let expected: Vec<String> =
            expected.iter().map(|(index, message)| format!("data/allowed_ips.json[{index}]: {message}")).collect();
        assert_eq!(read(text).unwrap_err(), expected.join("\n"));
    }
}
