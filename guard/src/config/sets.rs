//! Named sets: files with one prefix a line, which `@name` stands for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::policy::{Entries, Origin};

use super::data_files::DataFile;
use super::faults::{Quoted, Report};
use super::item::{List, Located, Piece, Scope};
use super::read::{Lines, ReadError};

/// Every set by name.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: HashMap<String, Set>,
    /// Sets may be defined that are not known here, so that an unknown name is no fault.
    incomplete: bool,
}

#[derive(Debug, Default)]
struct Set {
    entries: Entries,
    faulty: bool,
    /// None if it could not be read.
    file: Option<DataFile>,
}

/// A list with its sets put in.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub(super) entries: Entries,
    /// Where `any` stands, if it does.
    pub(super) any: Option<Origin>,
    /// Some items were refused, here or in a set: too few entries say nothing.
    pub(super) faulty: bool,
}

impl Sets {
    /// Reads each set's file.
    pub(super) fn read(files: &[Located<(String, PathBuf)>], incomplete: bool, report: &mut Report) -> Self {
        let sets = files.iter().map(|file| {
            let (name, path) = &file.value;
            (name.clone(), Set::read(name, path, &file.origin, report))
        });
        Self { sets: sets.collect(), incomplete }
    }

    /// Returns the files that were read.
    pub(super) fn files(&self) -> Vec<DataFile> {
        self.sets.values().filter_map(|set| set.file.clone()).collect()
    }

    /// Puts the sets into a list; a name without a set is a fault.
    pub(super) fn expand(&self, list: &List, report: &mut Report) -> Expanded {
        let mut expanded = Expanded { faulty: list.faulty, ..Expanded::default() };
        for piece in &list.pieces {
            match piece {
                Piece::Prefixes(entries) => expanded.entries.append(entries, None),
                Piece::Any(origin) => expanded.any = Some(origin.clone()),
                Piece::Set { name, origin, comment } => match self.sets.get(name) {
                    Some(set) => {
                        expanded.entries.append(&set.entries, comment.as_deref());
                        expanded.faulty |= set.faulty;
                    }
                    None => {
                        expanded.faulty = true;
                        self.undefined(name, origin, report);
                    }
                },
            }
        }
        expanded
    }

    fn undefined(&self, name: &str, origin: &Origin, report: &mut Report) {
        if !self.incomplete {
            report.fault(origin, format_args!("set `@{name}` is not defined under [sets] in guard.toml"));
        }
    }
}

impl Set {
    fn read(name: &str, path: &Path, origin: &Origin, report: &mut Report) -> Self {
        let mut list = List::default();
        let file = read_lines(name, path, &mut list, report)
            .map_err(|error| {
                report.fault(origin, format_args!("set `{name}`: {}: {error}", Quoted(&path.to_string_lossy())));
                list.faulty = true;
            })
            .ok();
        if list.is_empty() && !list.faulty {
            report.warn(&Origin::File { path: path.into() }, format_args!("set `{name}` is empty"));
        }
        // A set nests no other, so that expanding its list finds prefixes alone.
        let Expanded { entries, faulty, .. } = Sets::default().expand(&list, report);
        Self { entries, faulty, file }
    }
}

fn read_lines(name: &str, path: &Path, list: &mut List, report: &mut Report) -> Result<DataFile, ReadError> {
    let mut lines = Lines::open(path)?;
    let file = DataFile::new(path, lines.metadata());
    let mut place = Origin::Set { path: path.into(), line: 0, name: name.into() };
    while let Some((number, line)) = lines.read()? {
        let (prefix, comment) = line.split_once('#').map_or((line, ""), |(prefix, comment)| (prefix, comment));
        if prefix.trim().is_empty() {
            continue;
        }
        place.move_to(number);
        let comment = Some(comment.trim()).filter(|comment| !comment.is_empty());
        list.read(prefix, comment, &place, Scope::Set, report);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn expand(file: Option<&str>, item: &str) -> (Expanded, Result<Vec<String>, String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("office.txt");
        if let Some(text) = file {
            fs::write(&path, text).unwrap();
        }
        let mut report = Report::default();
        let origin = Origin::Line { path: Path::new("guard.toml").into(), line: 4 };
        let file = Located { value: ("office".to_owned(), path), origin: origin.clone() };
        let sets = Sets::read(&[file], false, &mut report);
        let mut list = List::default();
        list.read(item, None, &origin, Scope::Service, &mut report);
        let expanded = sets.expand(&list, &mut report);
        let shown = |text: String| text.replace(&format!("{}/", dir.path().display()), "");
        let warnings = report.finish().map_err(|faults| shown(faults.to_string()));
        (expanded, warnings.map(|warnings| warnings.iter().map(|warning| shown(warning.to_string())).collect()))
    }

    #[test]
    fn a_name_stands_for_its_prefixes() {
        let text = "# the office\n10.0.0.0/8\n\n  192.168.1.5 # printer\r\n2001:db8::/48#\n";
        let (expanded, warnings) = expand(Some(text), "@office");
        assert_eq!(warnings, Ok(vec![]));
        let shown: Vec<String> = expanded.entries.prefixes().map(|prefix| prefix.to_string()).collect();
        assert_eq!(shown, ["10.0.0.0/8", "192.168.1.5/32", "2001:db8::/48"]);
        let entries: Vec<_> = expanded.entries.iter().collect();
        assert!(entries[1].origin.to_string().ends_with("office.txt:4 (@office)"));
        assert_eq!(entries[1].comment, Some("printer"));
        assert_eq!(entries[2].comment, None);
        assert!(!expanded.faulty);
    }

    #[test]
    fn prefixes_and_any_stand_for_themselves() {
        let (expanded, _) = expand(Some("10.0.0.1"), "192.0.2.0/24");
        assert_eq!(expanded.entries.iter().next().unwrap().origin.to_string(), "guard.toml:4");
        let (expanded, _) = expand(Some("10.0.0.1"), "any");
        assert!(expanded.entries.is_empty() && expanded.any.is_some());
    }

    #[test]
    fn an_empty_set_is_said() {
        let (expanded, warnings) = expand(Some("# nobody yet\n"), "@office");
        assert!(expanded.entries.is_empty() && !expanded.faulty);
        assert_eq!(warnings, Ok(vec!["office.txt: set `office` is empty".to_owned()]));
    }

    #[test]
    fn every_bad_line_is_refused() {
        let (expanded, faults) = expand(Some("10.0.0.0/33\nany\n@home\n10.0.0.1 10.0.0.2\n10.0.0.1\n"), "@office");
        assert!(expanded.faulty);
        assert_eq!(
            faults.unwrap_err(),
            "office.txt:1 (@office): prefix `10.0.0.0/33`: length over 32\n\
             office.txt:2 (@office): `any` may stand only in the `allow` of a [[service]], which makes it public\n\
             office.txt:3 (@office): `@home` in a set: sets do not nest\n\
             office.txt:4 (@office): prefix `10.0.0.1 10.0.0.2`: neither an IPv4 nor an IPv6 address"
        );
    }

    #[test]
    fn a_missing_file_and_a_missing_set_are_refused() {
        let (expanded, faults) = expand(None, "@office");
        assert!(expanded.faulty);
        assert_eq!(faults.unwrap_err(), "guard.toml:4: set `office`: `office.txt`: no such file");
        let (expanded, faults) = expand(Some("10.0.0.1"), "@ofice");
        assert!(expanded.faulty);
        assert_eq!(faults.unwrap_err(), "guard.toml:4: set `@ofice` is not defined under [sets] in guard.toml");
    }
}
