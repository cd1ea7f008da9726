//! The closing of connections: of those that a look condemns, and of those whose source was cut.

use std::{cell::LazyCell, collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, bail};
use guard_common::connections::Socket;

use super::{
    super::trouble::lock,
    Closed,
    look::Condemned,
    rules::{Access, Rules, source},
    shared::{Shared, Situation},
};
use crate::{
    clock::Clock,
    export::Cause,
    network::sockets::tcp::{Destroyed, Destroyer, Detail, TcpSocket},
};

impl Shared {
    /// Closes the connections of whom what is in force does not let in.
    pub(super) fn close_removed(&self, situation: &Situation) -> anyhow::Result<Closed> {
        let Situation { rules, timed, .. } = situation;
        let access = LazyCell::new(|| Access::new(rules, timed, Clock::now().boot));
        let is_cut = |source, port| rules.service_at(port).is_some_and(|service| !access.lets_in(source, service));
        self.close_cut(situation, &rules.ports(), Cause::Removed, is_cut)
    }

    /// Closes the connections of whoever is cut from the service of a port.
    pub(super) fn close_cut(
        &self,
        Situation { rules, guarded, .. }: &Situation,
        ports: &BTreeSet<u16>,
        cause: Cause,
        is_cut: impl Fn(IpAddr, u16) -> bool,
    ) -> anyhow::Result<Closed> {
        let seen = self.see(self.kernel.sockets()?, ports.clone(), Detail::Ends)?;
        let is_cut = |source, service| rules.of_service(service).is_some_and(|rule| is_cut(source, rule.port));
        let condemned = |(cookie, socket): (&u64, &TcpSocket)| {
            let counted = seen.counted.get(cookie).map(|counted| counted.service);
            let service = counted.or_else(|| rules.service_at(socket.local().port()))?;
            let is_condemned =
                !socket.is_orphan && is_cut(socket.remote().ip(), service) && self.came_in(socket, guarded);
            is_condemned.then(|| Condemned { socket: socket.clone(), service, cause })
        };
        let condemned: Vec<_> = seen.sockets.iter().filter_map(condemned).collect();
        let is_left = |counted: &Socket| !seen.is_here(counted) && is_cut(source(counted), counted.service);
        let left = seen.counted.iter().filter(|(_, counted)| is_left(counted)).map(|(cookie, _)| *cookie).collect();
        let left = lock(&self.found).leave(left, cause);
        Ok(Closed { closed: self.close(rules, &condemned)?, left })
    }

    /// Closes sockets; returns how many were there to close. Who can't be closed keeps nobody else open.
    pub(super) fn close(&self, rules: &Rules, condemned: &[Condemned]) -> anyhow::Result<usize> {
        if condemned.is_empty() {
            return Ok(0);
        }
        let destroyer = Destroyer::open().context("closing connections")?;
        let mut closed = 0;
        let mut trouble = None;
        for condemned in condemned {
            match self.close_one(&destroyer, rules, condemned) {
                Ok(was_there) => closed += usize::from(was_there),
                Err(error) => _ = trouble.get_or_insert(error),
            }
        }
        trouble.map_or(Ok(closed), Err)
    }

    fn close_one(&self, destroyer: &Destroyer, rules: &Rules, condemned: &Condemned) -> anyhow::Result<bool> {
        let Condemned { socket, service, cause } = condemned;
        let destroyed = destroyer.destroy(socket);
        let was_there = match destroyed.with_context(|| format!("closing the connection of {}", socket.remote()))? {
            Destroyed::Closed => {
                let name = rules.of_service(*service).map_or("", |rule| rule.name.as_str());
                lock(&self.tally).add(socket, name, *cause, condemned.silent_for());
                true
            }
            Destroyed::Gone => false,
            Destroyed::Unsupported => bail!("this kernel closes none (CONFIG_INET_DIAG_DESTROY)"),
        };
        // The kernel program does not tell of those that it does not follow.
        self.kernel.remove(socket.cookie())?;
        Ok(was_there)
    }
}
