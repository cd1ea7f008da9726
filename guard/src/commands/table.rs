//! A list as a table, a page at a time: columns get wider where a later page needs it, so that none must be known before.

use std::{fmt::Write as _, iter::zip};

use jiff::Timestamp;

use crate::{
    listing::{Listed, Page},
    live::List,
};

/// What stands for nothing.
const ABSENT: &str = "-";

/// What stands for no service in particular.
const ALL: &str = "all";

/// What has been printed so far, and how wide.
pub(super) struct Table {
    columns: Vec<Column>,
    now: Timestamp,
}

struct Column {
    heading: &'static str,
    cell: fn(&Listed, Timestamp) -> Option<String>,
    width: usize,
}

impl Table {
    pub(super) fn new(list: List, now: Timestamp) -> Self {
        let column = |heading: &'static str, cell| Column { heading, cell, width: heading.len() };
        let of_allow = [
            column("services", |entry, _| {
                Some(if entry.services.is_empty() { ALL.to_owned() } else { entry.services.join(",") })
            }),
            column("last used", |entry, now| entry.last_used.map(|used| ago(used, now))),
        ];
        let mut columns = vec![
            column("prefix", |entry, _| Some(entry.ip.to_string())),
            column("ends", |entry, now| entry.expires.map(|ends| left(ends, now))),
            column("added", |entry, now| entry.added.map(|added| ago(added, now))),
            column("name", |entry, _| entry.name.as_deref().map(escape)),
            column("source", |entry, _| Some(escape(&entry.source))),
            column("comment", |entry, _| {
                let why = || entry.ban.as_ref().map(ToString::to_string);
                entry.comment.clone().or_else(why).as_deref().map(escape)
            }),
        ];
        if list == List::Allow {
            columns.splice(1..1, of_allow);
        }
        Self { columns, now }
    }

    /// Returns the line of headings, once the first page has made the columns as wide as it needs them.
    pub(super) fn headings(&self) -> String {
        line(self.columns.iter().map(|column| (column.heading, column.width)))
    }

    /// Returns a line for each entry.
    pub(super) fn rows(&mut self, page: &Page) -> String {
        let row = |entry: &Listed| -> Vec<String> {
            let cells = self.columns.iter().map(|column| (column.cell)(entry, self.now));
            cells.map(|cell| cell.unwrap_or_else(|| ABSENT.to_owned())).collect()
        };
        let rows: Vec<Vec<String>> = page.entries.iter().map(row).collect();
        for row in &rows {
            for (column, cell) in zip(&mut self.columns, row) {
                column.width = column.width.max(cell.chars().count());
            }
        }
        let widths = || self.columns.iter().map(|column| column.width);
        rows.iter().map(|row| line(zip(row.iter().map(String::as_str), widths()))).collect()
    }
}

fn line<'a>(cells: impl Iterator<Item = (&'a str, usize)>) -> String {
    let mut line = String::new();
    for (cell, width) in cells {
        let _ = write!(line, "{cell:width$}  ");
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// Says how long ago it was.
fn ago(time: Timestamp, now: Timestamp) -> String {
    match now.duration_since(time).as_secs() {
        // A clock that was set back, too.
        ..=0 => "now".to_owned(),
        seconds => format!("{} ago", about(seconds)),
    }
}

/// Says how long it is until then.
fn left(time: Timestamp, now: Timestamp) -> String {
    match time.duration_since(now).as_secs() {
        ..=0 => "now".to_owned(),
        seconds => format!("{} left", about(seconds)),
    }
}

/// Rounds down to the largest unit.
fn about(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let unit = UNITS.iter().find(|(unit, _)| seconds >= *unit);
    unit.map_or_else(|| "0s".to_owned(), |(unit, letter)| format!("{}{letter}", seconds / unit))
}

/// Keeps what others wrote from moving the cursor, and from looking like something else.
fn escape(text: &str) -> String {
    if text.contains(|c: char| c.is_control() || reorders(c)) {
        text.escape_debug().to_string()
    } else {
        text.to_owned()
    }
}

/// Tells whether a character changes the direction or the place of those behind it (Unicode's Bidi_Control, and line separators).
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
