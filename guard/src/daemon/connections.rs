//! TCP connections to services, as far as the kernel program can't see to them by itself: those that are older than the counting,
//! those that are idle or too many, and those of sources that were cut.
//!
//! Sockets are listed and closed in this network namespace alone. Of those in others it is known that they are there.

mod closing;
mod healing;
mod look;
mod looker;
mod rules;
mod shared;
mod tally;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use anyhow::Context as _;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::info;

use super::{
    Daemon,
    in_force::InForce,
    trouble::{complain, lock},
};
use crate::{
    export::{Cause, ClosedLine},
    kernel::Connections,
    policy::Service,
    status,
};
use shared::{Found, Shared, Situation};

/// Looks at connections, and closes some.
pub(super) struct OpenConnections {
    shared: Arc<Shared>,
    looking: Option<JoinHandle<()>>,
}

/// Closes connections of sources that were cut; usable from blocking threads.
#[derive(Clone)]
pub(super) struct Closer(Arc<Shared>);

/// What became of connections of sources that were cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) closed: usize,
    /// Those in other network namespaces, whose packets are dropped, and which can't be closed from here.
    pub(super) left: usize,
}

impl OpenConnections {
    /// Looks at nothing yet.
    pub(super) fn new(kernel: Connections, in_force: &InForce) -> anyhow::Result<Self> {
        Ok(Self { shared: Arc::new(Shared::new(kernel, Situation::of(in_force))?), looking: None })
    }

    /// Counts what is older than the counting, as far as the policy in force asks for it.
    pub(super) async fn begin(&self, in_force: &InForce, guarded: BTreeSet<u32>) -> anyhow::Result<()> {
        let (shared, situation) = (Arc::clone(&self.shared), self.shared.adopt(in_force, guarded));
        spawn_blocking(move || shared.look_anew(situation)).await.context("looking at open connections")
    }

    /// Looks on a blocking thread, unless that is still being done, at what the policy in force counts.
    fn look(&mut self, in_force: &InForce, guarded: BTreeSet<u32>) {
        let situation = self.shared.adopt(in_force, guarded);
        if !in_force.policy.tracks_connections() {
            *lock(&self.shared.found) = Found::default();
        } else if self.looking.as_ref().is_none_or(JoinHandle::is_finished) {
            let shared = Arc::clone(&self.shared);
            self.looking = Some(spawn_blocking(move || shared.look(situation)));
        }
    }

    pub(super) fn closer(&self) -> Closer {
        Closer(Arc::clone(&self.shared))
    }

    /// Returns what is to be done on a blocking thread once this is in force: closing the connections of whom it does not let in,
    /// and counting those that it counts. That says what the operator should know of it.
    pub(super) fn follow(
        &self,
        in_force: InForce,
        guarded: BTreeSet<u32>,
    ) -> impl FnOnce() -> anyhow::Result<Option<String>> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            let situation = shared.adopt(&in_force, guarded);
            let Closed { closed, left } = shared.close_removed(&situation)?;
            shared.look_anew(situation);
            if closed > 0 {
                info!("{closed} connections of sources that were cut are closed");
            }
            Ok((left > 0).then(|| {
                format!(
                    "{left} connections of cut sources are in other network namespaces: their packets are dropped from now \
                     on, but they can't be closed from here"
                )
            }))
        }
    }

    /// Takes the lines that tell what was closed.
    fn take_lines(&self) -> Vec<ClosedLine> {
        lock(&self.shared.tally).take_lines()
    }

    /// Returns what is known of a service's connections; nothing where none are counted and none was closed.
    pub(super) fn of_service(&self, service: &Service) -> Option<status::Connections> {
        let closed = lock(&self.shared.tally).of_service(&service.name);
        let is_tracked = service.connections.is_tracked();
        (is_tracked || closed != status::Closed::default()).then(|| status::Connections {
            open: is_tracked.then(|| self.shared.kernel.open()[usize::from(service.number)]),
            elsewhere: lock(&self.shared.found).elsewhere.get(&service.number).copied().unwrap_or(0),
            closed,
        })
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let Shared { found, tally, trouble, unfollowed, .. } = &*self.shared;
        let rules = self.shared.situation().rules;
        let found = lock(found);
        let named = |counts: &BTreeMap<u8, u64>| {
            let named = counts.iter().filter_map(|(service, count)| Some((rules.of_service(*service)?, *count)));
            named.filter(|(_, count)| *count > 0).collect::<Vec<_>>()
        };
        let mut warnings: Vec<String> =
            [trouble, unfollowed].into_iter().filter_map(|trouble| lock(trouble).clone()).collect();
        for (rule, count) in named(&found.elsewhere) {
            if rule.idle_timeout.is_some() {
                warnings.push(format!(
                    "{count} connections of service `{}` are in other network namespaces, where idle_timeout does not \
                     reach them",
                    rule.name
                ));
            }
        }
        for (rule, count) in named(&found.beyond) {
            warnings.push(format!(
                "service `{}` has {count} connections more than it may have, which can't be closed from here",
                rule.name
            ));
        }
        if !found.left.is_empty() {
            warnings.push(format!(
                "{} connections of sources that were cut are in other network namespaces and can't be closed from here",
                found.left.len()
            ));
        }
        let untold = lock(tally).untold();
        if untold > 0 {
            warnings.push(format!(
                "{untold} connections were closed of which the block log does not tell: too many at once"
            ));
        }
        warnings
    }
}

impl Closer {
    /// Closes connections to TCP ports of services: those whose source is cut from the service of a port. Both ends are told.
    /// Connections that do not come by a guarded interface are left alone, and so are those that this host asked for.
    pub(super) fn close(
        &self,
        ports: &BTreeSet<u16>,
        cause: Cause,
        is_cut: impl Fn(IpAddr, u16) -> bool,
    ) -> anyhow::Result<Closed> {
        self.0.close_cut(&self.0.situation(), ports, cause, is_cut)
    }
}

impl Daemon {
    pub(super) fn look_at_connections(&mut self) {
        self.write_closed();
        complain(&self.connections.shared.unfollowed, self.following.keep(&self.in_force.policy));
        self.connections.look(&self.in_force, self.guarding.indices());
    }

    /// Writes lines for connections that were closed.
    pub(super) fn write_closed(&self) {
        self.connections.take_lines().iter().for_each(|line| self.blocks.tell(line));
    }
}

#[cfg(test)]
mod tests;
