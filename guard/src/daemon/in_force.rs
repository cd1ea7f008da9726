//! Everything that is in force, or may come into force, as one whole.

use std::{io, sync::Arc, time::Duration};

use crate::{
    config::{Basis, DataFiles, Loaded},
    kernel::{TimedPrefix, TimedTable},
    live::{Live, StagedEdit},
    policy::{Effect, Origin, Policy, Reach, Timed},
};

/// What is configured and what was edited, and the policy that comes of both. Cheap to clone.
#[derive(Clone)]
pub(super) struct InForce {
    /// What is configured.
    pub(super) configured: Arc<Policy>,
    /// What packets are judged by: what is configured, or what is left of that in a lockdown.
    pub(super) policy: Arc<Policy>,
    pub(super) timed: Arc<Vec<Timed>>,
    pub(super) live: Arc<Live>,
    pub(super) basis: Arc<Basis>,
    pub(super) files: Arc<DataFiles>,
}

impl InForce {
    /// Returns what was loaded, and what the operator should be told of it.
    pub(super) fn of(loaded: Loaded) -> (Self, Vec<String>) {
        let Loaded { policy, timed, live, warnings, basis, files, .. } = loaded;
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let (timed, live, files) = (Arc::new(timed), Arc::new(live), Arc::new(files));
        (Self::whole(Arc::new(policy), timed, live, basis, files), warnings)
    }

    /// The same with what was staged, which leaves what is configured as it is.
    pub(super) fn with(&self, staged: &StagedEdit) -> io::Result<Self> {
        let mut files = DataFiles::clone(&self.files);
        staged.note(&mut files)?;
        Ok(self.with_live(staged.live.clone(), files))
    }

    /// The same with what was changed by command, of which nothing else is made than bans, grants and a lockdown.
    pub(super) fn with_live(&self, live: Live, files: DataFiles) -> Self {
        let configured = self.timed.iter().filter(|timed| timed.origin.file() != Some(files.entries())).cloned();
        let is_defined = |name: &str| self.configured.services.iter().any(|service| service.name == name);
        let timed = configured.chain(live.timed(files.entries(), is_defined)).collect();
        let (configured, basis) = (Arc::clone(&self.configured), Arc::clone(&self.basis));
        Self::whole(configured, Arc::new(timed), Arc::new(live), basis, Arc::new(files))
    }

    /// Takes out what has ended at a time since boot, and returns it.
    pub(super) fn take_ended(&mut self, now: Duration) -> Vec<Timed> {
        let timed = Arc::make_mut(&mut self.timed);
        timed.extract_if(.., |timed| timed.ends <= now).collect()
    }

    /// The same with numbers for the services.
    pub(super) fn numbered<E>(self, assign: impl FnOnce(&mut Policy) -> Result<(), E>) -> Result<Self, E> {
        let Self { mut configured, policy, timed, live, basis, files } = self;
        // So that nothing is copied where nobody else has it.
        drop(policy);
        assign(Arc::make_mut(&mut configured))?;
        Ok(Self::whole(configured, timed, live, basis, files))
    }

    fn whole(
        configured: Arc<Policy>,
        timed: Arc<Vec<Timed>>,
        live: Arc<Live>,
        basis: Arc<Basis>,
        files: Arc<DataFiles>,
    ) -> Self {
        let policy = match &live.lockdown {
            Some(lockdown) => {
                let origin = Origin::File { path: files.entries().into() };
                Arc::new(configured.locked_down(&lockdown.except, &origin))
            }
            None => Arc::clone(&configured),
        };
        Self { configured, policy, timed, live, basis, files }
    }

    /// Tells who reaches what at a time since boot.
    pub(super) fn reach(&self, now: Duration) -> Reach<'_> {
        Reach { policy: &self.policy, timed: &self.timed, now }
    }

    /// Returns what the kernel's tables of bans and grants are to hold.
    pub(super) fn timed_prefixes(&self) -> Vec<TimedPrefix> {
        let number = |name: &String| self.configured.services.iter().find(|service| service.name == *name);
        let tables = |timed: &Timed| match &timed.effect {
            Effect::Ban => vec![TimedTable::Ban],
            Effect::Grant { services } if services.is_empty() => vec![TimedTable::Grant { service: 0 }],
            Effect::Grant { services } => {
                let services = services.iter().filter_map(number);
                services.map(|service| TimedTable::Grant { service: service.number }).collect()
            }
        };
        let prefixes = |timed: &Timed| {
            let Timed { prefix, ends, .. } = *timed;
            tables(timed).into_iter().map(move |table| TimedPrefix { table, prefix, ends })
        };
        self.timed.iter().flat_map(prefixes).collect()
    }
}
