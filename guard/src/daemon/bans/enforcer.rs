//! What decides on bans and has the kernel enforce them, on a thread of its own: neither a change that takes long nor a slow disk
//! keeps an offender in.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use ipnet::IpNet;
use tokio::sync::mpsc::UnboundedSender;
use tracing::error;

use super::{Action, Close, Told};
use crate::{
    bans::{Bans, Change, MachineBan, Offence, Scribe},
    clock::{Clock, Moment},
    kernel::TimedTables,
    policy::{Mode, Policy, Protocol},
};

/// How often it is looked what has ended.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Bans that are tried again at once.
const AGAIN_MAX: usize = 1_000;

/// Offences that may wait while others are judged.
const WAITING_MAX: usize = 65_536;

/// Charges after which connections are closed though others wait.
const AT_ONCE: usize = 1_000;

/// Offences, and the policy that they are judged by.
pub(super) struct Charges {
    pub(super) offences: Vec<Offence>,
    pub(super) policy: Arc<Policy>,
}

/// Bans as they are decided on, in the kernel, and in the journal.
pub(in crate::daemon) struct Enforcer {
    bans: Bans,
    timed: TimedTables,
    /// Absent where there is no journal.
    scribe: Option<Scribe>,
    close: Close,
    told: UnboundedSender<Told>,
    /// Held from a decision until the kernel has it and it is handed on, so that what is decided last is what holds and is told.
    deciding: Mutex<()>,
    /// Offences that wait.
    waiting: AtomicUsize,
}

impl Enforcer {
    pub(super) fn new(
        bans: Bans,
        timed: TimedTables,
        scribe: Option<Scribe>,
        close: Close,
        told: UnboundedSender<Told>,
    ) -> Self {
        Self { bans, timed, scribe, close, told, deciding: Mutex::new(()), waiting: AtomicUsize::new(0) }
    }

    pub(super) fn bans(&self) -> &Bans {
        &self.bans
    }

    /// Tells whether so many offences more may wait, and counts them if so.
    pub(super) fn has_room_for(&self, offences: usize) -> bool {
        let added = |waiting: usize| waiting.checked_add(offences).filter(|waiting| *waiting <= WAITING_MAX);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).is_ok()
    }

    /// Judges what is brought forward, and ends what has ended, until nobody brings anything forward any more.
    pub(super) fn work(&self, charges: &Receiver<Charges>) {
        let mut upkeep_at = Instant::now() + UPKEEP_INTERVAL;
        loop {
            match charges.recv_timeout(upkeep_at.saturating_duration_since(Instant::now())) {
                // Connections of many are closed as fast as those of one.
                Ok(first) => self.judge_all([first].into_iter().chain(charges.try_iter()).take(AT_ONCE)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if upkeep_at <= Instant::now() {
                self.upkeep();
                upkeep_at = Instant::now() + UPKEEP_INTERVAL;
            }
        }
    }

    /// Puts in force what is decided already.
    pub(super) fn enforce_all(&self, clock: &Clock) {
        let _deciding = self.decide();
        self.enforce(&self.bans.in_force(clock.boot), clock);
    }

    fn judge_all(&self, charges: impl Iterator<Item = Charges>) {
        let mut banned_by = None;
        for charges in charges {
            if self.judge(&charges) {
                banned_by = Some(charges.policy);
            }
        }
        if let Some(policy) = banned_by
            && let Err(error) = self.close_banned(&policy, &Clock::now())
        {
            error!("connections of sources that were banned may be open still: {error:#}");
        }
    }

    /// Tells whether anybody is banned for it.
    fn judge(&self, Charges { offences, policy }: &Charges) -> bool {
        self.waiting.fetch_sub(offences.len(), Ordering::Relaxed);
        let clock = Clock::now();
        let _deciding = self.decide();
        let changes = self.bans.judge(offences, |source| is_trusted(policy, source), &clock);
        let (mut banned, mut ended) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Banned(ban) => banned.push(ban),
                Change::Ended(ban) => ended.push(ban),
            }
        }
        self.unban(&ended, &clock);
        self.enforce(&banned, &clock);
        let are_banned = !banned.is_empty();
        for (action, bans) in [(Action::Ended, ended), (Action::Banned, banned)] {
            self.write(bans.iter().map(|ban| ban.prefix));
            self.tell(action, bans, &clock);
        }
        are_banned
    }

    /// Ends what has ended, and tries again what there was no room for.
    fn upkeep(&self) {
        let clock = Clock::now();
        let _deciding = self.decide();
        let ended = self.bans.end(clock.boot);
        self.unban(&ended, &clock);
        let unenforced = self.unenforced();
        let again = unenforced.iter().take(AGAIN_MAX).filter_map(|prefix| self.bans.of(prefix, clock.boot));
        self.enforce(&again.collect::<Vec<_>>(), &clock);
        self.tell(Action::Ended, ended, &clock);
    }

    /// Ends bans before their time, and forgets what their prefixes were banned for; it blocks until the journal has it.
    ///
    /// # Errors
    /// They may still be enforced, or be again after a restart.
    pub(in crate::daemon) fn lift(&self, prefixes: &[IpNet]) -> anyhow::Result<()> {
        let clock = Clock::now();
        let deciding = self.decide();
        let lifted = self.bans.lift(prefixes);
        if lifted.is_empty() {
            return Ok(());
        }
        let unbanned = self.timed.unban(prefixes, &clock);
        // What lies in a wider one is remembered as something else from now on.
        self.write(lifted.iter().map(|ban| ban.prefix).chain(self.bans.known_in(prefixes)));
        self.tell(Action::Lifted, lifted, &clock);
        drop(deciding);
        unbanned.context("lifting bans by the machine")?;
        self.keep_journal().map_err(|why| anyhow!("the next start may put lifted bans back in force: {why}"))
    }

    /// Waits until the journal is on the disk.
    pub(super) fn keep_journal(&self) -> Result<(), String> {
        self.scribe.as_ref().map_or(Ok(()), Scribe::keep)
    }

    pub(super) fn rewrite_journal(&self) {
        self.scribe.iter().for_each(Scribe::rewrite);
    }

    pub(super) fn journal_trouble(&self) -> Option<String> {
        self.scribe.as_ref().and_then(Scribe::trouble)
    }

    pub(in crate::daemon) fn unenforced(&self) -> Arc<BTreeSet<IpNet>> {
        self.timed.unenforced()
    }

    pub(super) async fn finish(self) {
        if let Some(scribe) = self.scribe {
            scribe.finish().await;
        }
    }

    fn enforce(&self, bans: &[Arc<MachineBan>], clock: &Clock) {
        let bans: Vec<(IpNet, Duration)> = bans.iter().map(|ban| (ban.prefix, ban.ends)).collect();
        let had_room = self.unenforced().is_empty();
        if let Err(error) = self.timed.ban(&bans, clock)
            && had_room
        {
            error!("bans by the machine are not all enforced: {:#}", anyhow::Error::from(error));
        }
    }

    /// Closes the connections of whoever is banned, to services that enforce.
    fn close_banned(&self, policy: &Policy, clock: &Clock) -> anyhow::Result<()> {
        let enforcing = policy.services.iter().filter(|service| service.mode == Mode::Enforce);
        let ports = enforcing.flat_map(|service| &service.ports);
        let ports = ports.filter(|port| port.protocol == Protocol::Tcp).map(|port| port.number).collect();
        let is_banned = |source: IpAddr| !self.bans.covering(&source.into(), clock.boot).is_empty();
        (self.close)(&ports, &|source| is_banned(source) && !is_trusted(policy, source))
    }

    fn unban(&self, bans: &[Arc<MachineBan>], clock: &Clock) {
        let prefixes: Vec<IpNet> = bans.iter().map(|ban| ban.prefix).collect();
        if let Err(error) = self.timed.unban(&prefixes, clock) {
            error!("bans that have ended are still in the kernel: {:#}", anyhow::Error::from(error));
        }
    }

    fn write(&self, prefixes: impl IntoIterator<Item = IpNet>) {
        if let Some(scribe) = &self.scribe {
            scribe.append(self.bans.lines_of(prefixes, &Moment::now()));
        }
    }

    fn tell(&self, action: Action, bans: Vec<Arc<MachineBan>>, clock: &Clock) {
        for ban in bans {
            // Nobody listens once the daemon ends.
            let _ = self.told.send(Told { action, ban, clock: *clock });
        }
    }

    fn decide(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_trusted(policy: &Policy, source: IpAddr) -> bool {
    policy.trusted.iter().any(|entry| entry.prefix.contains(&source))
}
