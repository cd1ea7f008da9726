//! What a change came to, and who is told.

use std::{io, sync::Arc};

use ipnet::IpNet;
use jiff::Timestamp;
use tokio::{sync::oneshot, task::spawn_blocking};
use tracing::{error, info, warn};

use super::{
    Daemon,
    changes::Step,
    queue::{By, Request, What},
};
use crate::{
    audit::{self, Action, Actor, AuditRecord, Cause},
    control::LockdownRequest,
    edit::{Changes, EditOutcome, EnforcedEdit},
    live::Who,
    notify,
    policy::ListChange,
    refusal::Refusal,
    reload::{Enforced, LastReload, Outcome, Refused},
};

/// A change that is in force.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) generation_before: u64,
    pub(super) generation: u64,
    pub(super) lists: Vec<ListChange>,
    pub(super) changes: Changes,
    /// Prefixes for which something has ended.
    pub(super) ended: Vec<IpNet>,
    /// Those of the configuration.
    pub(super) warnings: Vec<String>,
    /// Those of the change alone.
    pub(super) change_warnings: Vec<String>,
}

/// Who waits for the outcome of a change.
pub(super) enum Answer {
    Reload(oneshot::Sender<Outcome>),
    Edit(oneshot::Sender<EditOutcome>),
    Nobody,
}

impl Answer {
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    /// Tells whether who waited has gone.
    pub(super) fn is_given_up(&self) -> bool {
        match self {
            Self::Reload(sender) => sender.is_closed(),
            Self::Edit(sender) => sender.is_closed(),
            Self::Nobody => false,
        }
    }

    /// Tells who waits; `generation` is the one in force.
    pub(super) fn give(self, outcome: anyhow::Result<Done>, generation: u64) {
        let refused = |error: &anyhow::Error| Refused::new(error, generation);
        match self {
            // The client may have gone.
            Self::Reload(sender) => drop(sender.send(match outcome {
                Ok(Done { generation_before, generation, lists, mut warnings, change_warnings, .. }) => {
                    warnings.extend(change_warnings);
                    Outcome::Enforced(Enforced { generation_before, generation, lists, warnings })
                }
                Err(error) => Outcome::Refused(refused(&error)),
            })),
            Self::Edit(sender) => drop(sender.send(match outcome {
                Ok(Done { generation_before, generation, changes, change_warnings: warnings, .. }) => {
                    EditOutcome::Enforced(EnforcedEdit { generation_before, generation, changes, warnings })
                }
                Err(error) => EditOutcome::Refused(refused(&error)),
            })),
            Self::Nobody => {}
        }
    }
}

impl Daemon {
    /// Tells everybody what the change under way came to, and has it noted before who asked is told.
    pub(super) fn conclude(&mut self, outcome: anyhow::Result<Done>) {
        let Some(request) = self.changes.take_request() else { return };
        match &outcome {
            Ok(done) => self.say_done(&request, done),
            Err(error) => self.say_refused(&request, error),
        }
        notify::ready(&self.describe());
        let record = self.record(&request, &outcome);
        let startup = Arc::clone(self.changes.startup());
        let note = spawn_blocking(move || record.map_or(Ok(()), |record| startup.audit.append(&record)));
        self.changes.go_on(true, async move {
            let noted = note.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            let mut outcome = outcome;
            if let Err(error) = noted {
                error!("the audit log lacks the last change: {error}");
                if let Ok(done) = &mut outcome {
                    done.change_warnings.push(format!("the audit log lacks this change: {error}"));
                }
            }
            Step::Noted(request.answer, outcome)
        });
    }

    fn say_done(&mut self, request: &Request, done: &Done) {
        let Done { generation_before, generation, lists, changes, ended, warnings, change_warnings } = done;
        let Changes { added, removed, replaced, .. } = changes;
        match &request.what {
            What::Reload | What::Files => {
                info!("reloaded: generation {generation} in place of {generation_before}");
                lists.iter().filter(|change| !change.is_empty()).for_each(|change| info!("{change}"));
                warnings.iter().for_each(|warning| warn!("{warning}"));
                self.note_reload(request, "ok", Vec::new());
            }
            What::Edit(_) => {
                info!("{}: {added} added, {removed} removed, {replaced} replaced", request.what.name());
            }
            What::Lockdown(_) => {
                info!("{}: generation {generation} in place of {generation_before}", request.what.name())
            }
            What::Ended | What::Clocks if generation != generation_before => {
                info!("the lockdown has ended: generation {generation}")
            }
            What::Ended => info!("{} entries have ended", ended.len()),
            What::Clocks => info!("the clocks were set: files say anew when entries end"),
        }
        change_warnings.iter().for_each(|warning| warn!("{warning}"));
    }

    fn say_refused(&mut self, request: &Request, error: &anyhow::Error) {
        let Refused { generation, faults, .. } = Refused::new(error, self.generation);
        let refused = format!("{} refused, generation {generation} stays in force", request.what.name());
        match request.what {
            // Who asked is told.
            What::Edit(_) | What::Lockdown(_) => {
                warn!("{refused}");
                faults.iter().for_each(|fault| warn!("{fault}"));
            }
            What::Reload | What::Files | What::Ended | What::Clocks => {
                error!("{refused}");
                faults.iter().for_each(|fault| error!("{fault}"));
            }
        }
        match request.what {
            What::Reload | What::Files => self.note_reload(request, "refused", faults),
            What::Ended | What::Clocks => self.changes.upkeep.put_off(),
            What::Edit(_) | What::Lockdown(_) => {}
        }
    }

    fn note_reload(&mut self, request: &Request, outcome: &str, faults: Vec<String>) {
        let cause = request.by.cause().to_owned();
        self.changes.last_reload =
            Some(LastReload { time: Timestamp::now().to_string(), cause, outcome: outcome.to_owned(), faults });
    }

    /// Returns the line for the audit log; none of a look at clocks by which nothing changes but what files say of them.
    fn record(&self, Request { what, force, by, .. }: &Request, outcome: &anyhow::Result<Done>) -> Option<AuditRecord> {
        let mut record = AuditRecord {
            time: Timestamp::now(),
            by: by.actor(),
            action: what.action(),
            request: what.request(*force),
            lists: Vec::new(),
            outcome: audit::Outcome::Enforced,
            generation_before: self.generation,
            generation_after: self.generation,
        };
        match outcome {
            Ok(Done { generation_before, generation, lists, ended, .. }) => {
                let changes_nothing = ended.is_empty() && generation == generation_before;
                if what.is_upkeep() && changes_nothing {
                    return None;
                }
                record.request.prefixes.extend(ended);
                record.lists = lists.iter().filter(|change| !change.is_empty()).cloned().collect();
                (record.generation_before, record.generation_after) = (*generation_before, *generation);
            }
            Err(error) => {
                record.outcome = audit::Outcome::Refused { faults: Refused::new(error, self.generation).faults };
            }
        }
        Some(record)
    }
}

/// Returns the audit log's line of a start: with the generation that it put in force, or why it was refused.
pub(super) fn start(outcome: Result<u64, &Refusal>, forced: bool) -> AuditRecord {
    AuditRecord {
        time: Timestamp::now(),
        by: Actor::Who(Who::this()),
        action: Action::Start,
        request: audit::Request { forced, ..audit::Request::default() },
        lists: Vec::new(),
        outcome: match outcome {
            Ok(_) => audit::Outcome::Enforced,
            Err(refusal) => {
                audit::Outcome::Refused { faults: refusal.to_string().lines().map(str::to_owned).collect() }
            }
        },
        generation_before: 0,
        generation_after: outcome.unwrap_or(0),
    }
}

impl What {
    fn name(&self) -> &'static str {
        self.action().name()
    }

    fn action(&self) -> Action {
        match self {
            Self::Reload => Action::Reload,
            Self::Files => Action::Files,
            Self::Edit(edit) => Action::of(edit),
            Self::Lockdown(LockdownRequest::Begin { .. }) => Action::Lockdown,
            Self::Lockdown(LockdownRequest::Lift) => Action::Lift,
            Self::Ended | Self::Clocks => Action::Expire,
        }
    }

    fn request(&self, forced: bool) -> audit::Request {
        match self {
            Self::Edit(edit) => audit::Request::of(edit, forced),
            Self::Lockdown(LockdownRequest::Begin { except, ttl }) => audit::Request {
                prefixes: except.clone(),
                ttl_s: ttl.map(|ttl| ttl.as_secs()),
                forced,
                ..audit::Request::default()
            },
            Self::Reload | Self::Files | Self::Lockdown(LockdownRequest::Lift) | Self::Ended | Self::Clocks => {
                audit::Request { forced, ..audit::Request::default() }
            }
        }
    }
}

impl By {
    fn actor(&self) -> Actor {
        match self {
            Self::Client(who) => Actor::Who(who.clone()),
            Self::Signal => Actor::Cause(Cause::Signal),
            Self::Files => Actor::Cause(Cause::Files),
            Self::Clock => Actor::Cause(Cause::Clock),
        }
    }

    /// What made the daemon read files again, as the status says it.
    fn cause(&self) -> &'static str {
        match self {
            Self::Client(_) => "command",
            Self::Signal => "signal",
            Self::Files => "files",
            Self::Clock => "clock",
        }
    }
}
