//! What is wrong with a configuration, gathered whole: a run ends with every fault, not with the first.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::policy::Origin;

/// How many faults are shown, and how many faults and warnings are kept of one file: a list of a million bad lines has
/// as many.
const SHOWN_MAX: usize = 200;

/// Something that guard refuses to run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where it stands; none where something is missing everywhere.
    pub(crate) place: Option<Origin>,
    /// What is wrong, with the value named.
    pub(crate) message: String,
}

/// The faults of a configuration, at least one; displayed one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    kept: Vec<Fault>,
    left_out: usize,
}

/// Something that guard runs with, but that the operator may not have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) place: Option<Origin>,
    pub(crate) message: String,
}

/// Collects faults and warnings while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    faults: First<Fault>,
    warnings: First<Warning>,
}

/// The first of what is found in each file, and how much is left out.
#[derive(Debug)]
struct First<T> {
    kept: Vec<T>,
    /// How many were found in each file; under the empty path, those whose place is in none: the environment's.
    found: BTreeMap<PathBuf, usize>,
}

/// A value as a message shows it: in backticks, on one line, cut at a length that fits one.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Faults {
    /// Returns how many there are, shown or not.
    pub(crate) fn count(&self) -> usize {
        self.kept.len() + self.left_out
    }
}

impl Report {
    /// Notes a fault at a place.
    pub(super) fn fault(&mut self, place: &Origin, message: impl fmt::Display) {
        self.faults.note(place, || Fault { place: Some(place.clone()), message: message.to_string() });
    }

    /// Notes that something is missing, which has no place.
    pub(super) fn missing(&mut self, message: impl fmt::Display) {
        self.faults.kept.push(Fault { place: None, message: message.to_string() });
    }

    /// Notes a warning at a place.
    pub(super) fn warn(&mut self, place: &Origin, message: impl fmt::Display) {
        self.warnings.note(place, || Warning { place: Some(place.clone()), message: message.to_string() });
    }

    /// Notes a warning about the policy as a whole.
    pub(super) fn warn_overall(&mut self, message: impl fmt::Display) {
        self.warnings.kept.push(Warning { place: None, message: message.to_string() });
    }

    /// Adds what another report holds.
    pub(super) fn join(&mut self, other: Self) {
        self.faults.join(other.faults);
        self.warnings.join(other.warnings);
    }

    /// Returns the warnings, or the faults if there is one: those of the environment first, then each file's from its
    /// top to its end, and last what is missing.
    pub(super) fn finish(self) -> Result<Vec<Warning>, Faults> {
        if self.faults.kept.is_empty() {
            return Ok(self.warnings.finish());
        }
        let left_out = self.faults.left_out().map(|(_, left_out)| left_out).sum();
        let mut kept = self.faults.kept;
        let mut files = HashMap::new();
        for file in kept.iter().filter_map(|fault| fault.place.as_ref()?.file()) {
            let found_before = files.len();
            files.entry(file.to_owned()).or_insert(found_before);
        }
        kept.sort_by_cached_key(|fault| {
            let place = fault.place.as_ref();
            (place.is_none(), place.and_then(|place| files.get(place.file()?)).copied(), place.map(Origin::position))
        });
        // One slip in a file's syntax may be found twice.
        kept.dedup();
        Err(Faults { kept, left_out })
    }
}

impl<T> First<T> {
    fn note(&mut self, place: &Origin, finding: impl FnOnce() -> T) {
        let file = place.file().unwrap_or(Path::new(""));
        let found = match self.found.get_mut(file) {
            Some(found) => found,
            None => self.found.entry(file.to_owned()).or_default(),
        };
        *found += 1;
        if *found <= SHOWN_MAX {
            self.kept.push(finding());
        }
    }

    fn join(&mut self, other: Self) {
        self.kept.extend(other.kept);
        for (file, found) in other.found {
            *self.found.entry(file).or_default() += found;
        }
    }

    /// The files of which something is left out, and how much.
    fn left_out(&self) -> impl Iterator<Item = (&Path, usize)> {
        let over = |(file, found): (_, &usize)| (file, found.saturating_sub(SHOWN_MAX));
        self.found.iter().map(|(file, found)| (file.as_path(), found)).map(over).filter(|(_, left_out)| *left_out > 0)
    }
}

impl First<Warning> {
    fn finish(mut self) -> Vec<Warning> {
        let say = |(file, left_out): (&Path, usize)| {
            let (place, whose) = match file.as_os_str().is_empty() {
                true => (None, "about environment variables "),
                false => (Some(Origin::File { path: file.into() }), ""),
            };
            Warning { place, message: format!("warnings {whose}left out: {left_out}") }
        };
        let said: Vec<Warning> = self.left_out().map(say).collect();
        self.kept.extend(said);
        self.kept
    }
}

impl<T> Default for First<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), found: BTreeMap::new() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self.place.as_ref(), &self.message, f)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self.place.as_ref(), &self.message, f)
    }
}

fn display(place: Option<&Origin>, message: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match place {
        Some(place) => write!(f, "{place}: {message}"),
        None => f.write_str(message),
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.kept.iter().take(SHOWN_MAX).enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "\n" })?;
        }
        match self.count().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 80;
        f.write_str("`")?;
        for c in self.0.chars().take(LONGEST) {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        f.write_str(if self.0.chars().nth(LONGEST).is_some() { "...`" } else { "`" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_stand_one_a_line_with_their_place() {
        let mut report = Report::default();
        report.fault(&Origin::Variable { name: "ALLOWED_IPS".into(), item: Some(2) }, "prefix `x`: not an address");
        report.missing("no interface");
        report.warn_overall("a warning does not hide faults");
        let faults = report.finish().unwrap_err();
        assert_eq!(
            faults.to_string(),
            "environment variable ALLOWED_IPS item 2: prefix `x`: not an address\nno interface"
        );
    }

    #[test]
    fn faults_stand_once_in_the_order_of_their_files() {
        let line = |path: &str, line| Origin::Line { path: std::path::Path::new(path).into(), line };
        let mut report = Report::default();
        report.missing("a");
        for (path, at) in [("guard.toml", 9), ("office.txt", 1), ("guard.toml", 2), ("guard.toml", 9)] {
            report.fault(&line(path, at), "b");
        }
        report.fault(&Origin::Variable { name: "X".into(), item: None }, "c");
        let lines = report.finish().unwrap_err().to_string();
        assert_eq!(lines, "environment variable X: c\nguard.toml:2: b\nguard.toml:9: b\noffice.txt:1: b\na");
    }

    #[test]
    fn of_a_great_many_the_first_of_each_file_are_kept() {
        let line = |path: &str, line| Origin::Line { path: std::path::Path::new(path).into(), line };
        let report = || {
            let mut report = Report::default();
            for at in 1..=1000 {
                report.warn(&line("big.txt", at), "host bits");
                report.warn(&Origin::Variable { name: "X".into(), item: Some(at) }, "host bits");
            }
            report.warn(&line("small.txt", 1), "host bits");
            report.warn_overall("overall");
            report
        };
        let warnings: Vec<String> = report().finish().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 404);
        assert_eq!(warnings[398], "big.txt:200: host bits");
        assert_eq!(
            warnings[400..],
            [
                "small.txt:1: host bits",
                "overall",
                "warnings about environment variables left out: 800",
                "big.txt: warnings left out: 800",
            ]
        );

        let mut report = report();
        for at in 1..=1000 {
            report.fault(&line("big.txt", at), "bad");
        }
        report.fault(&line("small.txt", 7), "bad");
        report.missing("nothing");
        let faults = report.finish().unwrap_err();
        assert_eq!((faults.count(), faults.kept.len()), (1002, 202));
        let lines = faults.to_string();
        assert_eq!(lines.lines().count(), 201);
        assert!(lines.ends_with("big.txt:200: bad\nand 802 more"), "{lines}");
    }

    #[test]
    fn quoted_values_stay_on_one_line() {
        assert_eq!(Quoted("a\nb\u{1b}[0m").to_string(), "`a\\nb\\u{1b}[0m`");
        assert_eq!(Quoted(&"x".repeat(80)).to_string(), format!("`{}`", "x".repeat(80)));
        assert_eq!(Quoted(&"x".repeat(81)).to_string(), format!("`{}...`", "x".repeat(80)));
    }
}
