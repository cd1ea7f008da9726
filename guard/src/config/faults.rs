//! What is wrong with a configuration, gathered whole: a run ends with every fault, not with the first.

use std::collections::HashMap;
use std::fmt;

use crate::policy::Origin;

/// Faults that are shown; a list of a million bad lines has as many.
const SHOWN_MAX: usize = 200;

/// Something that guard refuses to run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where it stands; none where something is missing everywhere.
    pub(crate) place: Option<Origin>,
    /// What is wrong, with the value named.
    pub(crate) message: String,
}

/// Every fault of a configuration, at least one; displayed one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults(Vec<Fault>);

/// Something that guard runs with, but that the operator may not have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) place: Option<Origin>,
    pub(crate) message: String,
}

/// Collects faults and warnings while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

/// A value as a message shows it: in backticks, on one line, cut at a length that fits one.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Faults {
    /// Returns how many there are, shown or not.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Report {
    /// Notes a fault at a place.
    pub(super) fn fault(&mut self, place: &Origin, message: impl fmt::Display) {
        self.faults.push(Fault { place: Some(place.clone()), message: message.to_string() });
    }

    /// Notes that something is missing, which has no place.
    pub(super) fn missing(&mut self, message: impl fmt::Display) {
        self.faults.push(Fault { place: None, message: message.to_string() });
    }

    /// Notes a warning at a place.
    pub(super) fn warn(&mut self, place: &Origin, message: impl fmt::Display) {
        self.warnings.push(Warning { place: Some(place.clone()), message: message.to_string() });
    }

    /// Notes a warning about the policy as a whole.
    pub(super) fn warn_overall(&mut self, message: impl fmt::Display) {
        self.warnings.push(Warning { place: None, message: message.to_string() });
    }

    /// Returns the warnings, or the faults if there is one: those of the environment first, then each file's from its
    /// top to its end, and last what is missing.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, Faults> {
        if self.faults.is_empty() {
            return Ok(self.warnings);
        }
        let mut files = HashMap::new();
        for file in self.faults.iter().filter_map(|fault| fault.place.as_ref()?.file()) {
            let found_before = files.len();
            files.entry(file.to_owned()).or_insert(found_before);
        }
        self.faults.sort_by_cached_key(|fault| {
            let place = fault.place.as_ref();
            (place.is_none(), place.and_then(|place| files.get(place.file()?)).copied(), place.map(Origin::position))
        });
        // One slip in a file's syntax may be found twice.
        self.faults.dedup();
        Err(Faults(self.faults))
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
        for (n, fault) in self.0.iter().take(SHOWN_MAX).enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "\n" })?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
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
    fn quoted_values_stay_on_one_line() {
        assert_eq!(Quoted("a\nb\u{1b}[0m").to_string(), "`a\\nb\\u{1b}[0m`");
        assert_eq!(Quoted(&"x".repeat(80)).to_string(), format!("`{}`", "x".repeat(80)));
        assert_eq!(Quoted(&"x".repeat(81)).to_string(), format!("`{}...`", "x".repeat(80)));
    }
}
