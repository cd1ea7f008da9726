//! What may come into force: read or edited, compared with what is in force, and found fit to take its place.

use std::{
    collections::BTreeSet,
    mem::{replace, take},
    sync::Arc,
    thread::sleep,
};

use anyhow::Context as _;
use ipnet::IpNet;
use nix::unistd::Pid;
use tracing::warn;

use super::{
    in_force::InForce,
    queue::{By, What},
    upkeep, watch,
};
use crate::{
    audit::AuditLog,
    bans::Bans,
    clock::Clock,
    config::{self, DataFiles, Loaded, Sources, Staged},
    control::LockdownRequest,
    edit::Changes,
    export::{LogFile, Outputs},
    instance::Instance,
    launch::Selection,
    live::{self, Addition, Edit, List, Live, Lockdown, StagedEdit},
    lockout::{self, Cut},
    policy::{ListChange, Policy, Word as _},
    refusal::Refusal,
    sessions::{own_session, sessions},
    under::Inquiry,
};

/// What a fault of the file system came in the way of.
const NOT_STAGED: &str = "writing what was edited";

/// How often it is looked whether a file that is being written is whole; one that never is, is left to those who watch it.
const LOOKS: usize = 10;

/// How the daemon was started, which no change changes.
pub(super) struct Startup {
    pub(super) instance: Instance,
    pub(super) sources: Sources,
    /// Whether interfaces may be missing.
    pub(super) wait: bool,
    pub(super) log_level: Option<String>,
    pub(super) audit: AuditLog,
}

/// What a change begins with.
pub(super) struct Present {
    pub(super) startup: Arc<Startup>,
    pub(super) in_force: InForce,
    pub(super) bans: Bans,
    pub(super) warnings: Vec<String>,
    /// The file that lines are written to.
    pub(super) log: Option<LogFile>,
    /// The indices of the interfaces that are guarded.
    pub(super) guarded: BTreeSet<u32>,
    /// What lies under wide prefixes that are to be blocked.
    pub(super) under: Option<Inquiry>,
}

/// What is without a fault, with what it needs to come into force.
pub(super) struct Candidate {
    pub(super) next: InForce,
    /// Whether packets are to be judged by another generation; if not, only bans and grants are others.
    pub(super) generation: bool,
    /// What files are to hold.
    pub(super) staged: Option<StagedEdit>,
    /// How what is configured differs.
    pub(super) lists: Vec<ListChange>,
    /// What an edit asked for.
    pub(super) changes: Changes,
    /// Prefixes for which something has ended.
    pub(super) ended: Vec<IpNet>,
    /// What the operator may not have meant: of the configuration, and of the change alone.
    pub(super) warnings: Vec<String>,
    pub(super) change_warnings: Vec<String>,
    /// Where lines go from now on, if that is another place, or another file at the same one.
    pub(super) outputs: Option<Outputs>,
}

impl Candidate {
    /// Makes what a change asks for, but for the kernel's part; may take long. None if there is nothing to change.
    ///
    /// # Errors
    /// Every fault of the configuration or of the edit; or every change that can't be made in place, and unless it is `forced`
    /// every list that would lose most of its entries, or every login session that would be cut.
    pub(super) fn read(present: &Present, what: &What, by: &By, forced: bool) -> anyhow::Result<Option<Self>> {
        // What was edited here was a change of files, too. By another clock the same files say other ends.
        if (what, by) == (&What::Files, &By::Files) && !present.in_force.files.have_changed() {
            return Ok(None);
        }
        // What ends by itself is not asked whether it may.
        let is_asked = !what.is_upkeep();
        if is_asked && !matches!(what, What::Lockdown(LockdownRequest::Begin { .. })) {
            present.startup.audit.prepare().context("nothing is changed that can't be noted in the audit log")?;
        }
        let clock = Clock::now();
        let mut candidate = match what {
            What::Reload => Self::reloaded(present, forced)?,
            What::Files => Self::with_other_files(present, forced)?,
            What::Edit(edit) => Self::edited(present, edit, by, &clock)?,
            What::Lockdown(request) => Self::lockdown(present, request, by, &clock)?,
            // An edit may have left it out since.
            What::Ended if !upkeep::has_ended(&present.in_force, clock.boot) => return Ok(None),
            What::Ended | What::Clocks => Self::without_ended(present, &clock),
        };
        if is_asked {
            let cut = candidate.cut_sessions(present, by, &clock);
            if !forced && !cut.is_empty() {
                return Err(Refusal::Changes(cut.iter().map(Cut::objection).collect()).into());
            }
            candidate.change_warnings.extend(cut.iter().map(Cut::warning));
        }
        Ok(Some(candidate))
    }

    /// Reads everything again.
    fn reloaded(present: &Present, forced: bool) -> anyhow::Result<Self> {
        let Present { startup, in_force, log, .. } = present;
        let loaded = config::load(&startup.sources)?;
        let mut objections = refused_changes(startup, &in_force.configured, &loaded);
        let mut candidate = Self::loaded(present, loaded);
        objections.extend(candidate.surprises(present, forced));
        if !objections.is_empty() {
            return Err(Refusal::Changes(objections).into());
        }
        let wanted = &candidate.next.configured.log;
        let outputs = Outputs::open(wanted, log.as_ref())?;
        let others = *wanted != in_force.configured.log || outputs.file() != log.as_ref();
        candidate.outputs = others.then_some(outputs);
        Ok(candidate)
    }

    /// Reads the files again that hold data, and leaves what else is configured as it is.
    fn with_other_files(present: &Present, forced: bool) -> anyhow::Result<Self> {
        let loaded = config::load_data(&present.in_force.basis, &Staged::default())?;
        let mut candidate = Self::loaded(present, loaded);
        let objections = candidate.surprises(present, forced);
        if objections.is_empty() { Ok(candidate) } else { Err(Refusal::Changes(objections).into()) }
    }

    fn edited(present: &Present, edit: &Edit, by: &By, clock: &Clock) -> anyhow::Result<Self> {
        let in_force = &present.in_force;
        let asked = live::InForce {
            policy: &in_force.configured,
            timed: &in_force.timed,
            live: &in_force.live,
            bans: &present.bans,
            files: &in_force.files,
        };
        let others_wrote = in_force.files.have_changed();
        if others_wrote {
            wait_for_writers(&in_force.files);
        }
        let mut staged = live::stage(edit, &asked, by.who(), clock)?;
        let mut candidate = if staged.needs_generation {
            if others_wrote {
                // That comes into force as well, so it is judged as it would be without the edit.
                Self::with_other_files(present, false)?;
            }
            Self::loaded(present, config::load_data(&in_force.basis, &staged.staged())?)
        } else {
            let next = in_force.with(&staged).context(NOT_STAGED)?;
            config::check_grants(&in_force.basis, &next.timed)?;
            Self { warnings: present.warnings.clone(), ..Self::of(next) }
        };
        candidate.changes = take(&mut staged.changes);
        candidate.change_warnings = take(&mut staged.warnings);
        candidate.change_warnings.extend(present.under.iter().flat_map(Inquiry::warnings));
        let lets_in = matches!(edit, Edit::Add(Addition { list: List::Allow, .. }));
        if lets_in && candidate.next.live.lockdown.is_some() {
            candidate
                .change_warnings
                .push("a lockdown is in force: nobody is let in by this before that ends".to_owned());
        }
        candidate.staged = Some(staged);
        Ok(candidate)
    }

    /// A lockdown begins also where it can't be written: a disk that is full must not keep a host open.
    fn lockdown(present: &Present, request: &LockdownRequest, by: &By, clock: &Clock) -> anyhow::Result<Self> {
        let live = Live::clone(&present.in_force.live);
        let in_force = live.lockdown.as_ref();
        let (lockdown, may_be_unkept) = match (request, in_force) {
            (LockdownRequest::Begin { except, ttl }, _) => {
                let lockdown = Lockdown {
                    except: except.clone(),
                    ends: ttl.map(|ttl| clock.boot.saturating_add(ttl)),
                    since: clock.wall,
                    by: by.who().cloned(),
                    kept: true,
                };
                (Some(lockdown), true)
            }
            (LockdownRequest::Lift, Some(in_force)) => (None, !in_force.kept),
            (LockdownRequest::Lift, None) => {
                return Err(Refusal::Changes(vec!["there is no lockdown to lift".to_owned()]).into());
            }
        };
        let live = Live { lockdown, ..live };
        Self::of_live(present, live.clone(), clock).or_else(|error| match may_be_unkept {
            true => Ok(Self::unkept(present, live, &error)),
            false => Err(error),
        })
    }

    /// What comes of a lockdown that begins or ends though no file says so.
    fn unkept(present: &Present, mut live: Live, error: &anyhow::Error) -> Self {
        live.lockdown.iter_mut().for_each(|lockdown| lockdown.kept = false);
        let warning = live
            .lockdown
            .is_some()
            .then(|| format!("the next start ends the lockdown, which can't be kept: {error:#}"));
        let next = present.in_force.with_live(live, DataFiles::clone(&present.in_force.files));
        Self { change_warnings: warning.into_iter().collect(), ..Self::of_other(present, next) }
    }

    /// Leaves out what has ended, and writes the rest with the times that the clock says by now; if that can't be written, the
    /// file has what means nothing any more.
    fn without_ended(present: &Present, clock: &Clock) -> Self {
        let live = Live::clone(&present.in_force.live).without_ended(clock.boot);
        let mut candidate = Self::of_live(present, live.clone(), clock).unwrap_or_else(|error| {
            let files = DataFiles::clone(&present.in_force.files);
            let candidate = Self::of_other(present, present.in_force.with_live(live, files));
            Self { change_warnings: vec![format!("what has ended stays in its file: {error:#}")], ..candidate }
        });
        // Those of the list file are left to be taken out.
        candidate.next.take_ended(clock.boot);
        let ended = present.in_force.clone().take_ended(clock.boot);
        candidate.ended = ended.into_iter().map(|timed| timed.prefix).collect();
        candidate
    }

    /// What comes of other edits, of which none is about the configured lists.
    fn of_live(present: &Present, live: Live, clock: &Clock) -> anyhow::Result<Self> {
        let in_force = &present.in_force;
        let staged = live::stage_live(live, &in_force.files, clock).context(NOT_STAGED)?;
        let next = in_force.with(&staged).context(NOT_STAGED)?;
        Ok(Self { staged: Some(staged), ..Self::of_other(present, next) })
    }

    fn of_other(present: &Present, next: InForce) -> Self {
        let generation = next.live.lockdown != present.in_force.live.lockdown;
        Self { generation, warnings: present.warnings.clone(), ..Self::of(next) }
    }

    fn loaded(present: &Present, mut loaded: Loaded) -> Self {
        let unkept = present.in_force.live.lockdown.as_ref().filter(|lockdown| !lockdown.kept);
        loaded.live.lockdown = loaded.live.lockdown.take().or_else(|| unkept.cloned());
        let (next, warnings) = InForce::of(loaded);
        let lists = ListChange::between(&present.in_force.configured, &next.configured);
        Self { lists, generation: true, warnings, ..Self::of(next) }
    }

    fn of(next: InForce) -> Self {
        Self {
            next,
            generation: false,
            staged: None,
            lists: Vec::new(),
            changes: Changes::default(),
            ended: Vec::new(),
            warnings: Vec::new(),
            change_warnings: Vec::new(),
            outputs: None,
        }
    }

    /// Objects to lists that would lose most of their entries, and to a file that is gone; says so in a warning if that is
    /// `forced`.
    fn surprises(&mut self, Present { startup, in_force, .. }: &Present, forced: bool) -> Vec<String> {
        let command = startup.instance.command("reload --force");
        let mut objections = Vec::new();
        for ListChange { list, before, removed, .. } in self.lists.iter().filter(|change| change.is_surprising()) {
            if forced {
                self.warnings
                    .push(format!("the last reload was forced: {removed} of {before} entries of {list} vanished"));
            } else {
                objections.push(format!(
                    "{list}: {removed} of {before} entries would vanish, more than half: `{command}` if that is meant"
                ));
            }
        }
        let is_gone = in_force.files.had_entries() && !self.next.files.had_entries();
        if is_gone && *in_force.live != Live::default() {
            let file = in_force.files.entries().display();
            if forced {
                self.warnings.push(format!("the last reload was forced: {file} was gone"));
            } else {
                objections.push(format!(
                    "{file}: it was there, and is gone with all that was changed by command: `{command}` if that is meant"
                ));
            }
        }
        objections
    }

    /// Returns the login sessions that would be cut.
    fn cut_sessions(&self, present: &Present, by: &By, clock: &Clock) -> Vec<Cut> {
        let sessions = sessions(by.pid());
        let (before, after) = (present.in_force.reach(clock.boot), self.next.reach(clock.boot));
        lockout::cut_sessions(&sessions, Some(&before), &after, |session| {
            lockout::is_guarded(session.local.ip(), session.peer, &present.guarded)
        })
    }
}

/// Waits until files stay as they are.
fn wait_for_writers(files: &DataFiles) {
    let mut last = files.look();
    for _ in 0..LOOKS {
        sleep(watch::INTERVAL);
        let now = files.look();
        if replace(&mut last, now) == last {
            return;
        }
    }
}

/// Refuses a start that would cut login sessions, unless it is `forced`.
///
/// Where it takes over from an earlier run only who starts it is asked for: others may be cut already, and nothing but a run
/// would let them in again.
pub(super) fn check_sessions(
    instance: &Instance,
    next: &InForce,
    selection: &Selection,
    forced: bool,
) -> Result<(), Refusal> {
    let guarded: BTreeSet<u32> = selection.present.iter().map(|interface| interface.index).collect();
    let takes_over = guarded.iter().all(|index| instance.link(*index).exists());
    let sessions = if takes_over { own_session(Pid::this()) } else { sessions(Some(Pid::this())) };
    let after = next.reach(Clock::now().boot);
    let cut = lockout::cut_sessions(&sessions, None, &after, |session| {
        lockout::is_guarded(session.local.ip(), session.peer, &guarded)
    });
    if forced {
        cut.iter().for_each(|cut| warn!("{}", cut.warning()));
    } else if !cut.is_empty() {
        return Err(Refusal::Changes(cut.iter().map(Cut::objection).collect()));
    }
    Ok(())
}

/// Says what is another value now and can't be changed while the daemon and its program run.
fn refused_changes(startup: &Startup, old: &Policy, loaded: &Loaded) -> Vec<String> {
    let mut objections = Vec::new();
    let new = &loaded.policy;
    if new.xdp_mode != old.xdp_mode {
        let (old, new, down) = (old.xdp_mode.word(), new.xdp_mode.word(), startup.instance.command("down"));
        objections.push(format!(
            "xdp_mode can't be changed from `{old}` to `{new}` while the program is attached: end enforcement with \
             `{down}`, and start `guard run` again"
        ));
    }
    if loaded.log_level != startup.log_level {
        let text = |level: &Option<String>| {
            level.as_ref().map_or_else(|| "its default".to_owned(), |level| format!("`{level}`"))
        };
        let (old, new) = (text(&startup.log_level), text(&loaded.log_level));
        objections.push(format!(
            "LOG_LEVEL can't be changed from {old} to {new} while the daemon runs: start `guard run` again, which takes \
             over without a gap"
        ));
    }
    objections
}

#[cfg(test)]
mod tests;
