//! Bans by the machine: violations are read from the kernel and judged, and what comes of them is enforced and told.

mod enforcer;

use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use guard_common::{address::Address, connections::Violation};
use tokio::sync::{
    mpsc::{UnboundedReceiver, unbounded_channel},
    oneshot,
};
use tracing::{error, info, warn};

use super::{Daemon, blocks::Blocks, connections::Closer};
use crate::{
    bans::{Bans, Journal, MachineBan, Offence, Scribe},
    clock::{Clock, Moment, slept},
    export::{BanLine, Cause},
    kernel::{TimedTables, Violations},
    policy::{Mode, Policy},
    status,
};
use enforcer::Charges;
pub(super) use enforcer::Enforcer;

/// How long is waited at the end for what is being enforced.
const PATIENCE: Duration = Duration::from_secs(3);

/// Closes the open connections to TCP ports of those sources for which it is true.
pub(super) type Close = Box<dyn Fn(&BTreeSet<u16>, &dyn Fn(IpAddr) -> bool) -> anyhow::Result<()> + Send + Sync>;

/// Who bans, and what came of it so far.
pub(super) struct Banning {
    violations: Violations,
    enforcer: Arc<Enforcer>,
    charges: Sender<Charges>,
    told: UnboundedReceiver<Told>,
    finished: oneshot::Receiver<()>,
    /// Violations that were read, and those of them that nobody judged.
    seen: u64,
    lost: u64,
    /// About the journal as it was found.
    warnings: Vec<String>,
}

/// What there is to do next.
pub(super) enum Heard {
    Violations(Vec<Violation>),
    Told(Told),
}

/// What became of a ban.
pub(super) struct Told {
    action: Action,
    ban: Arc<MachineBan>,
    clock: Clock,
}

#[derive(Clone, Copy)]
enum Action {
    Banned,
    Ended,
    Lifted,
}

impl Banning {
    /// Puts the bans back in force that a journal and the kernel know, and bans from now on.
    pub(super) fn start(mut violations: Violations, timed: TimedTables, journal: PathBuf, closer: Closer) -> Self {
        // Of what came while nobody judged nobody knows how long ago that was enough for a ban.
        violations.take_batch();
        let close = move |ports: &BTreeSet<u16>, is_banned: &dyn Fn(IpAddr) -> bool| {
            let is_cut = |source, port| ports.contains(&port) && is_banned(source);
            closer.close(ports, Cause::Banned, is_cut).map(drop)
        };
        let now = Moment::now();
        let bans = Bans::default();
        let path = journal.display().to_string();
        let (journal, warnings) = match Journal::restore(journal, &bans, &now) {
            Ok((journal, broken)) => (Some(journal), broken),
            Err(error) => (None, vec![format!("{path}: {error}: bans by the machine are kept in memory only")]),
        };
        warnings.iter().for_each(|warning| warn!("{warning}"));
        for (prefix, ends) in timed.machine_bans() {
            bans.adopt(prefix, ends, &now.clock);
        }
        let (tell, told) = unbounded_channel();
        let scribe = journal.map(|journal| Scribe::start(journal, bans.clone()));
        let enforcer = Arc::new(Enforcer::new(bans, timed, scribe, Box::new(close), tell));
        enforcer.enforce_all(&now.clock);
        let (charges, waiting) = mpsc::channel();
        let (done, finished) = oneshot::channel();
        let working = Arc::clone(&enforcer);
        thread::spawn(move || {
            working.work(&waiting);
            drop(working);
            // The one who waits may have run out of patience.
            let _ = done.send(());
        });
        Self { violations, enforcer, charges, told, finished, seen: 0, lost: 0, warnings }
    }

    /// Waits for what there is to do next; nothing is lost if the wait is given up.
    pub(super) async fn next(&mut self) -> io::Result<Heard> {
        tokio::select! {
            violations = self.violations.next_batch() => violations.map(Heard::Violations),
            Some(told) = self.told.recv() => Ok(Heard::Told(told)),
        }
    }

    /// Has violations judged by the policy in force.
    fn judge(&mut self, violations: &[Violation], policy: &Arc<Policy>) {
        self.seen += violations.len() as u64;
        let (clock, slept) = (Clock::now(), slept());
        let offences: Vec<_> =
            violations.iter().filter_map(|violation| offence(violation, policy, &clock, slept)).collect();
        if offences.is_empty() {
            return;
        }
        let count = offences.len();
        let charges = Charges { offences, policy: Arc::clone(policy) };
        if !self.enforcer.has_room_for(count) || self.charges.send(charges).is_err() {
            self.lost += count as u64;
        }
    }

    pub(super) fn enforcer(&self) -> &Arc<Enforcer> {
        &self.enforcer
    }

    pub(super) fn bans(&self) -> &Bans {
        self.enforcer.bans()
    }

    /// The wall clock was set.
    pub(super) fn clock_was_set(&self) {
        self.enforcer.rewrite_journal();
    }

    pub(super) fn status(&self, in_force: usize) -> status::MachineBans {
        let unenforced = self.enforcer.unenforced().len();
        status::MachineBans { in_force, unenforced, violations: self.seen, violations_lost: self.lost }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        let unenforced = self.enforcer.unenforced().len();
        if unenforced > 0 {
            warnings.push(format!("{unenforced} bans by the machine are not enforced: the table of bans is full"));
        }
        let lacks = |why| format!("bans by the machine are in force, but their journal lacks some: {why}");
        warnings.extend(self.enforcer.journal_trouble().map(lacks));
        warnings
    }

    /// Brings what is under way to its end, and returns what is still to be told.
    pub(super) async fn finish(self) -> Vec<Told> {
        let Self { enforcer, charges, mut told, finished, .. } = self;
        drop(charges);
        if tokio::time::timeout(PATIENCE, finished).await.is_err() {
            error!("the last violations are not judged in time");
        }
        if let Some(enforcer) = Arc::into_inner(enforcer) {
            enforcer.finish().await;
        }
        std::iter::from_fn(|| told.try_recv().ok()).collect()
    }
}

impl Daemon {
    /// Does what there is to do about bans by the machine.
    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Violations(violations) => self.banning.judge(&violations, &self.in_force.policy),
            Heard::Told(told) => told.tell(&self.blocks),
        }
    }
}

impl Told {
    /// Writes a line, and says so.
    pub(super) fn tell(&self, blocks: &Blocks) {
        let Self { action, ban, clock } = self;
        blocks.tell(&BanLine::new(action.name(), ban, clock));
        match action {
            Action::Banned => info!("banned {}", ban.describe(clock)),
            Action::Ended => info!("the ban of {} has ended", ban.prefix),
            Action::Lifted => info!("the ban of {} is lifted", ban.prefix),
        }
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Ended => "ended",
            Self::Lifted => "lifted",
        }
    }
}

/// Says of a violation what the kernel has as numbers; `None` if the policy bans nobody for it any more.
fn offence(violation: &Violation, policy: &Policy, clock: &Clock, slept: Duration) -> Option<Offence> {
    let service = policy.services.iter().find(|service| service.number == violation.service)?;
    let rule = service.connections.ban.filter(|_| service.mode == Mode::Enforce)?;
    let limit = service.limits.get(usize::from(violation.limit));
    let boot = |time_ns| Duration::from_nanos(time_ns).saturating_add(slept).min(clock.boot);
    Some(Offence {
        source: Address::from_octets(violation.source).to_ip(violation.version),
        service: service.name.clone(),
        limit: limit.map_or_else(|| "a limit that is gone".to_owned(), ToString::to_string),
        rule,
        handshakes: violation.handshakes,
        at: boot(violation.time_ns),
        time: clock.wall_at(boot(violation.time_ns)),
        last_handshake: clock.wall_at(boot(violation.last_ns)),
    })
}

#[cfg(test)]
mod tests;
