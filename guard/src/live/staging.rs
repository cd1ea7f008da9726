//! An edit on disk, beside what it is to take the place of: checked there as configuration, and then put in place, or gone.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use ipnet::IpNet;

use crate::bans::Bans;
use crate::clock::{Clock, Moment};
use crate::config::{self, DataFiles, Staged};
use crate::edit::Changes;
use crate::policy::{Policy, Timed};
use crate::refusal::Refusal;

use super::elements::Elements;
use super::ground::{Ground, Plan};
use super::staged_file::StagedFile;
use super::{Edit, List, Live, Who, add, record, remove};

/// Of a file that had what nobody asked to have taken away.
const GONE: &str = "it was there, and is gone";

/// What an edit is made to.
#[derive(Clone, Copy)]
pub(crate) struct InForce<'a> {
    /// As configured, also in a lockdown.
    pub(crate) policy: &'a Policy,
    pub(crate) timed: &'a [Timed],
    pub(crate) live: &'a Live,
    pub(crate) bans: &'a Bans,
    pub(crate) files: &'a DataFiles,
}

/// An edit whose new file contents are on disk, but not in place. Dropped before it is committed, it never was.
#[derive(Debug)]
pub(crate) struct StagedEdit {
    /// What is added by command once it is committed.
    pub(crate) live: Live,
    /// Prefixes whose ban by the machine is lifted by it.
    pub(crate) lifted: Vec<IpNet>,
    pub(crate) changes: Changes,
    pub(crate) warnings: Vec<String>,
    /// Whether something else changes than grants and bans of `entries.json`, and what is said of entries: a set, the list
    /// file, or what another program wrote and nobody has taken up.
    pub(crate) needs_generation: bool,
    list_file: Option<StagedFile>,
    /// Whether something is added to the list file.
    list_grows: bool,
    entries: Option<StagedFile>,
}

/// Works out an edit, and writes what it makes of the files beside them.
///
/// # Errors
/// The edit can't be made, or a file is no list, or can't be written; then nothing is changed.
pub(crate) fn stage(
    edit: &Edit,
    in_force: &InForce<'_>,
    who: Option<&Who>,
    clock: &Clock,
) -> Result<StagedEdit, Refusal> {
    let InForce { policy, timed, bans, files, .. } = *in_force;
    let now = Moment::from(*clock);
    let Current { file: entries_before, live, is_in_force } = current(in_force, &now)?;
    let list_file = files.list_file();
    let (text, list_before) = match is_list_file_needed(edit, &live) {
        true => read_list(files)?,
        false => (String::new(), None),
    };
    let elements = match text.as_str() {
        "" => Elements::none(),
        text => Elements::parse(text).map_err(|error| {
            Refusal::Files(vec![format!("{}: not a list that can be edited: {error}", list_file.display())])
        })?,
    };
    let entries = files.entries();
    let ground = Ground { policy, timed, live: &live, bans, elements: &elements, list_file, entries, clock };
    let Plan { live: planned, removed, added, lifted, changes, warnings, needs_generation } = match edit {
        Edit::Add(addition) => add::plan(addition, &ground, who)?,
        Edit::Remove(removal) => remove::plan(removal, &ground)?,
    };
    let not_written = |error: io::Error| Refusal::Changes(vec![format!("nothing is changed: {error}")]);
    let list_grows = !added.is_empty();
    let mut staged =
        StagedEdit { live, lifted, changes, warnings, needs_generation, list_file: None, list_grows, entries: None };
    staged.needs_generation |= !is_in_force;
    if !removed.is_empty() || !added.is_empty() {
        staged.needs_generation = true;
        let text = elements.edited(&removed, &added);
        let file = StagedFile::write(list_file, &text, list_before.as_ref()).map_err(not_written)?;
        staged.list_file = Some(file);
    }
    if let Some(planned) = planned {
        let (live, file) = write_entries(planned, files, entries_before.as_ref(), &now).map_err(not_written)?;
        (staged.live, staged.entries) = (live, Some(file));
    }
    Ok(staged)
}

/// Writes what is added by command beside its file, for a change that is no edit: a lockdown, what has ended, ends that are
/// other wall times now.
///
/// # Errors
/// It can't be written, or the file is not what was read.
pub(crate) fn stage_live(live: Live, files: &DataFiles, clock: &Clock) -> io::Result<StagedEdit> {
    let before = metadata(files.entries())?;
    if !files.entries_are(before.as_ref()) {
        let path = files.entries().display();
        return Err(io::Error::other(format!("{path} was changed by another program, which is not taken up yet")));
    }
    let (live, entries) = write_entries(live, files, before.as_ref(), &Moment::from(*clock))?;
    Ok(StagedEdit {
        live,
        lifted: Vec::new(),
        changes: Changes::default(),
        warnings: Vec::new(),
        needs_generation: false,
        list_file: None,
        list_grows: false,
        entries: Some(entries),
    })
}

/// Writes what is added by command beside its file, which was this `before`; returns it as it is once that is in place.
fn write_entries(
    mut live: Live,
    files: &DataFiles,
    before: Option<&Metadata>,
    now: &Moment,
) -> io::Result<(Live, StagedFile)> {
    live.lockdown.iter_mut().for_each(|lockdown| lockdown.kept = true);
    let file = StagedFile::write(files.entries(), &record::write(&live, now), before)?;
    Ok((live, file))
}

impl StagedEdit {
    /// Returns the new contents, for a look at what they come to as configuration.
    pub(crate) fn staged(&self) -> Staged {
        let path = |file: &Option<StagedFile>| file.as_ref().map(|file| file.temporary().to_owned());
        Staged { list_file: path(&self.list_file), entries: path(&self.entries) }
    }

    /// Makes its file what was read, for a change of which nothing else was loaded.
    pub(crate) fn note(&self, files: &mut DataFiles) -> io::Result<()> {
        if let Some(entries) = &self.entries {
            files.put_entries(&entries.metadata()?);
        }
        Ok(())
    }

    /// Puts the new contents in place.
    ///
    /// # Errors
    /// A file was changed by another program since the edit was worked out: then nothing is changed. Or a file could not be
    /// renamed, and only the other one has taken its place.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        self.files().try_for_each(StagedFile::check)?;
        self.in_order().into_iter().flatten().try_for_each(StagedFile::put)
    }

    /// Makes sure that they stay there, whatever becomes of the machine.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.files().try_for_each(StagedFile::sync)
    }

    /// Returns the files in the order in which they are put in place: should the machine stop between them, nothing is gone
    /// for which something else was to come.
    fn in_order(&mut self) -> [&mut Option<StagedFile>; 2] {
        let Self { list_file, entries, list_grows, .. } = self;
        if *list_grows { [list_file, entries] } else { [entries, list_file] }
    }

    fn files(&self) -> impl Iterator<Item = &StagedFile> {
        self.list_file.iter().chain(&self.entries)
    }
}

/// What is added by command.
struct Current {
    /// That says so, if there is one.
    file: Option<Metadata>,
    /// Without what has ended.
    live: Live,
    /// Whether that is what is in force.
    is_in_force: bool,
}

fn current(in_force: &InForce<'_>, now: &Moment) -> Result<Current, Refusal> {
    let files = in_force.files;
    let refused = |why: String| Refusal::Files(vec![format!("{}: {why}", files.entries().display())]);
    let file = metadata(files.entries()).map_err(|error| refused(error.to_string()))?;
    if file.is_none() && files.had_entries() {
        return Err(refused(GONE.to_owned()));
    }
    let is_in_force = files.entries_are(file.as_ref());
    let mut live = match is_in_force {
        true => in_force.live.clone(),
        false => config::read_live(files, now)
            .map_err(|faults| Refusal::Files(faults.to_string().lines().map(str::to_owned).collect()))?,
    };
    live.entries.retain(|entry| entry.ends.is_none_or(|ends| ends > now.clock.boot));
    Ok(Current { file, live, is_in_force })
}

/// Tells whether an edit may change or ask for entries that stand in the list file.
fn is_list_file_needed(edit: &Edit, live: &Live) -> bool {
    let has_plain =
        |name: &str| live.entries.iter().any(|entry| entry.is_plain() && entry.name.as_deref() == Some(name));
    match edit {
        Edit::Add(addition) => {
            let is_plain = addition.services.is_empty() && addition.ttl.is_none();
            addition.list == List::Allow && (is_plain || addition.name.as_deref().is_some_and(has_plain))
        }
        Edit::Remove(removal) => removal.list == List::Allow && removal.name.as_deref().is_none_or(has_plain),
    }
}

/// Reads the list file; if there is none, it is empty text.
fn read_list(files: &DataFiles) -> Result<(String, Option<Metadata>), Refusal> {
    let path = files.list_file();
    let refused = |why: String| Refusal::Files(vec![format!("{}: {why}", path.display())]);
    match config::read_as_it_is(path) {
        // Blank text is no list either, but no file is.
        Ok(Some((text, _))) if text.is_empty() => Err(refused("an empty file is no list".to_owned())),
        Ok(Some((text, metadata))) => Ok((text, Some(metadata))),
        // To make it anew would be to take away every entry that it had.
        Ok(None) if files.had_list_file() => Err(refused(GONE.to_owned())),
        Ok(None) => Ok((String::new(), None)),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Looks at a file; none if there is none.
pub(crate) fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.symlink_metadata() {
            Ok(_) => Err(io::Error::other("a link that leads nowhere")),
            Err(_) => Ok(None),
        },
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests;
