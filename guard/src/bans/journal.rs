//! `bans.jsonl`: bans by the machine, and those that are remembered, so that a restart and a reboot forget none. Lines are only
//! added, until the file is written anew with what still holds.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Take, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Bans, line::Line};
use crate::{
    clock::Moment,
    config::Stamp,
    live::{StagedFile, metadata},
};

/// A file so short is left as it is.
const SHORT: u64 = 64 * 1024;

/// A file so long is none that guard wrote: twice as many lines as prefixes are remembered take half of it.
const SIZE_MAX: u64 = 256 * 1024 * 1024;

/// Broken lines that are named.
const NAMED_MAX: usize = 10;

/// The journal's file.
pub(crate) struct Journal {
    path: PathBuf,
    /// Absent if the next line takes a file that is written anew.
    file: Option<File>,
    lines: usize,
    size: u64,
}

impl Journal {
    /// Has bans be what the file at a path says; there may be none. Returns what is to be told of broken lines.
    ///
    /// # Errors
    /// It can't be read, and so must not be written anew.
    pub(crate) fn restore(path: PathBuf, bans: &Bans, now: &Moment) -> io::Result<(Self, Vec<String>)> {
        let (mut lines, mut size, mut broken, mut more) = (0, 0, Vec::new(), 0);
        let (mut text, mut line) = (open(&path)?, Vec::new());
        while let Some(text) = &mut text
            && text.read_until(b'\n', &mut line)? > 0
        {
            (lines, size) = (lines + 1, size + line.len() as u64);
            match Line::parse(&line) {
                Ok(line) => bans.restore(line, now),
                // It was being written when the machine, or guard, stopped.
                Err(_) if !line.ends_with(b"\n") => {}
                Err(error) if broken.len() < NAMED_MAX => {
                    broken.push(format!("{}:{lines}: {error}: the line is passed over", path.display()));
                }
                Err(_) => more += 1,
            }
            line.clear();
        }
        if more > 0 {
            broken.push(format!("{}: {more} more lines are passed over", path.display()));
        }
        Ok((Self { path, file: None, lines, size }, broken))
    }

    /// Tells whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Tells whether most of it says nothing any more.
    fn is_long(&self, bans: &Bans) -> bool {
        self.size > SHORT && self.lines > 2 * bans.remembered()
    }

    /// Adds lines that say what bans are by now, or writes it anew with all.
    pub(super) fn append(&mut self, lines: &[Line], bans: &Bans) -> io::Result<()> {
        if self.is_long(bans) {
            return self.rewrite(bans);
        }
        let Some(file) = &mut self.file else { return self.rewrite(bans) };
        let text = text(lines);
        if let Err(error) = file.write_all(&text) {
            self.file = None;
            return Err(self.named(error));
        }
        self.lines += lines.len();
        self.size += text.len() as u64;
        Ok(())
    }

    /// Writes it anew with what bans are by now.
    pub(super) fn rewrite(&mut self, bans: &Bans) -> io::Result<()> {
        self.file = None;
        let lines = bans.lines(&Moment::now());
        let text = String::from_utf8(text(&lines)).expect("JSON is UTF-8");
        let before = metadata(&self.path).map_err(|error| self.named(error))?;
        let mut staged = StagedFile::write(&self.path, &text, before.as_ref())?;
        staged.put().and_then(|()| staged.sync()).map_err(|error| self.named(error))?;
        (self.lines, self.size) = (lines.len(), text.len() as u64);
        self.file = Some(OpenOptions::new().append(true).open(&self.path).map_err(|error| self.named(error))?);
        Ok(())
    }

    /// Makes sure that what was added stays, in the file that is at the path.
    pub(super) fn sync(&mut self, bans: &Bans) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let is_there = Stamp::at(&self.path)
            .is_some_and(|there| file.metadata().is_ok_and(|open| there.is_same_file(&Stamp::of(&open))));
        if !is_there {
            return self.rewrite(bans);
        }
        // What became of pages that could not be written, nobody knows.
        let synced = file.sync_data().map_err(|error| self.named(error));
        synced.inspect_err(|_| self.file = None)
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

/// Opens the file; none if there is none.
fn open(path: &Path) -> io::Result<Option<BufReader<Take<File>>>> {
    if metadata(path)?.is_none() {
        return Ok(None);
    }
    // A pipe is not waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        Err(io::Error::other("not a regular file"))
    } else if found.len() > SIZE_MAX {
        Err(io::Error::other(format!("{} bytes, more than the {SIZE_MAX} that a journal may have", found.len())))
    } else {
        Ok(Some(BufReader::new(file.take(SIZE_MAX))))
    }
}

fn text(lines: &[Line]) -> Vec<u8> {
    let mut text = Vec::new();
    lines.iter().for_each(|line| line.write(&mut text));
    text
}
