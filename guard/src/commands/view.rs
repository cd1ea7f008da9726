//! `guard allow list` and `guard block list`: pages are printed as they come.

use std::{
    fmt::Display,
    io::{self, BufWriter, ErrorKind, Write},
    process::ExitCode,
};

use jiff::Timestamp;
use serde::Serialize;

use super::table::Table;
use crate::{
    cli::Output,
    control,
    instance::Instance,
    listing::{InLockdown, Page, Use},
    live::List,
};

/// Prints a list. Who reads no further, as `head` does, has had enough.
pub(super) fn print(instance: &Instance, list: List, output: &Output) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut view = View::new(list, output, Timestamp::now());
    let printed = control::list(instance, list, |page| Ok(view.print(&page, &mut out)?));
    unless_read_no_further(printed.and_then(|()| Ok(out.flush()?)))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a text as a line or several. Who reads no further has had enough.
pub(crate) fn say(text: impl Display) -> anyhow::Result<()> {
    unless_read_no_further(writeln!(io::stdout(), "{text}").map_err(Into::into))
}

fn unless_read_no_further(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_broken_pipe = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    match printed {
        Err(error) if error.downcast_ref().is_some_and(is_broken_pipe) => Ok(()),
        printed => printed,
    }
}

/// A list that is being printed.
enum View {
    Json {
        /// How many entries are printed.
        printed: usize,
    },
    Text {
        table: Table,
        is_first: bool,
    },
}

/// What JSON has beside the entries.
#[derive(Serialize)]
struct Head<'a> {
    list: List,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockdown: Option<&'a InLockdown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_use: Option<Use>,
}

impl View {
    fn new(list: List, output: &Output, now: Timestamp) -> Self {
        match output.json {
            true => Self::Json { printed: 0 },
            false => Self::Text { table: Table::new(list, now), is_first: true },
        }
    }

    fn print(&mut self, page: &Page, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Json { printed } => print_json(page, printed, out),
            Self::Text { table, is_first } => {
                let is_first = std::mem::replace(is_first, false);
                print_text(page, table, is_first, out)
            }
        }
    }
}

/// Prints one object, an entry a line.
fn print_json(page: &Page, printed: &mut usize, out: &mut impl Write) -> io::Result<()> {
    if *printed == 0 {
        let Page { list, generation, lockdown, last_use, .. } = page;
        let head = Head { list: *list, generation: *generation, lockdown: lockdown.as_ref(), last_use: *last_use };
        let head = serde_json::to_string(&head)?;
        let fields = head.strip_suffix('}').expect("an object ends so");
        write!(out, "{fields},\"entries\":[")?;
    }
    for entry in &page.entries {
        out.write_all(if *printed == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, entry)?;
        *printed += 1;
    }
    if page.last { writeln!(out, "\n]}}") } else { Ok(()) }
}

fn print_text(page: &Page, table: &mut Table, is_first: bool, out: &mut impl Write) -> io::Result<()> {
    if is_first && let Some(lockdown) = &page.lockdown {
        writeln!(out, "{lockdown}\n")?;
    }
    let rows = table.rows(page);
    match (is_first, page.entries.is_empty()) {
        (true, true) => writeln!(out, "no entries")?,
        (true, false) => out.write_all(table.headings().as_bytes())?,
        (false, _) => {}
    }
    out.write_all(rows.as_bytes())?;
    match page.last_use {
        Some(Use { since, .. }) if page.last && !page.entries.is_empty() => {
            writeln!(
                out,
                "\nlast used: seen in a sample of the packets that were let in since {since}; `-` is not seen"
            )
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
