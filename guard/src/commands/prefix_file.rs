//! A file of prefixes that is given to a command, or standard input.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::Context as _;
use thiserror::Error;

use crate::control::Prefixes;

/// What stands for standard input.
const STDIN: &str = "-";

/// How many faults are named.
const NAMED_MAX: usize = 20;

/// What stands in a file is no list of prefixes: a fault a line.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct BadFile(String);

/// Reads a file of prefixes, set apart by lines, white space or commas. What is behind a `#` is a comment.
///
/// # Errors
/// Every fault, with its line.
pub(super) fn read(path: &Path, prefixes: &mut Prefixes) -> anyhow::Result<()> {
    let (name, reader): (_, Box<dyn BufRead>) = match path.to_str() {
        Some(STDIN) => ("standard input".to_owned(), Box::new(io::stdin().lock())),
        _ => {
            let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
            (path.display().to_string(), Box::new(BufReader::new(file)))
        }
    };
    let faults = read_lines(reader, prefixes).with_context(|| format!("reading {name}"))?;
    let mut text = String::new();
    for (line, fault) in faults.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "{name}:{line}: {fault}");
    }
    if let Some(more) = faults.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more faults");
    } else if faults.is_empty() && prefixes.is_empty() {
        text = format!("{name}: no prefix stands there");
    }
    if text.is_empty() { Ok(()) } else { Err(BadFile(text.trim_end().to_owned()).into()) }
}

/// Returns each fault with the number of its line.
fn read_lines(reader: impl BufRead, prefixes: &mut Prefixes) -> io::Result<Vec<(usize, String)>> {
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(reader.lines()) {
        let line = line?;
        let listed = line.split('#').next().unwrap_or_default();
        for text in listed.split(|c: char| c == ',' || c.is_whitespace()).filter(|text| !text.is_empty()) {
            if let Err(error) = prefixes.push(text) {
                faults.push((number, format!("prefix `{}`: {error}", text.escape_debug())));
            }
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> (Prefixes, Vec<(usize, String)>) {
        let mut prefixes = Prefixes::default();
        let faults = read_lines(text.as_bytes(), &mut prefixes).unwrap();
        (prefixes, faults)
    }

    #[test]
    fn prefixes_are_set_apart_by_lines_spaces_and_commas() {
        let mut expected = Prefixes::default();
        for text in ["10.0.0.1", "10.0.0.2", "2001:db8::/48", "10.0.0.3"] {
            expected.push(text).unwrap();
        }
        for (case, text) in [
            ("lines", "10.0.0.1\n10.0.0.2\n2001:db8::/48\n10.0.0.3"),
            ("a line", "10.0.0.1 10.0.0.2\t2001:db8::/48,10.0.0.3\n"),
            ("commas", "10.0.0.1, 10.0.0.2,,\n,2001:db8::/48 ,10.0.0.3,"),
            ("Windows", "10.0.0.1\r\n10.0.0.2\r\n2001:db8::/48\r\n10.0.0.3\r\n"),
            ("comments", "# all\n\n10.0.0.1 # one, two\n  10.0.0.2#x\n[2001:db8::]/48\n#10.0.0.9\n10.0.0.3/32"),
        ] {
            assert_eq!(faults(text), (expected.clone(), Vec::new()), "{case}");
        }
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let (_, faults) = faults("10.0.0.1\n10.0.0.0/33, example.org\n\n010.0.0.1\n");
        let lines: Vec<usize> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 2, 4]);
        assert_eq!(faults[0].1, "prefix `10.0.0.0/33`: length over 32");
    }

    #[test]
    fn a_file_that_is_none_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        for (case, bytes, expected) in [
            ("empty", &b"# nothing\n"[..], "no prefix stands there"),
            ("a fault", b"10.0.0.1\nx\n", ":2: prefix `x`"),
            ("not text", b"\xff\xfe\n", "UTF-8"),
            ("many faults", &b"x\n".repeat(NAMED_MAX + 3), "and 3 more faults"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = format!("{:#}", read(&path, &mut Prefixes::default()).unwrap_err());
            assert!(error.contains(expected), "{case}: {error}");
        }
        let error = format!("{:#}", read(&dir.path().join("none"), &mut Prefixes::default()).unwrap_err());
        assert!(error.contains("opening") && error.contains("none"), "{error}");
    }
}
