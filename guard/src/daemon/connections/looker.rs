//! A look at the connections that are counted, and what is done about what it finds.

use std::{
    cell::LazyCell,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use guard_common::connections::{ConnectionKey, Socket};
use nix::time::{ClockId, clock_gettime};
use tracing::debug;

use super::{
    super::trouble::{complain, lock},
    healing::Healing,
    look::{self, Findings, Memory},
    rules::Access,
    shared::{Shared, Situation},
};
use crate::{clock::Clock, kernel::KernelError, network::sockets::tcp::TcpSocket};

/// How often counts are compared with what they add up to.
const HEALING_INTERVAL: Duration = Duration::from_secs(1);

/// How many times as long as a look took it rests.
const RESTS: u32 = 9;

/// What is remembered from look to look.
#[derive(Default)]
pub(super) struct Looker {
    memory: Memory,
    /// That of the last look.
    situation: Option<Situation>,
    of_services: Healing<u8>,
    of_sources: Healing<ConnectionKey>,
    healed: Option<Instant>,
    pub(super) rests_until: Option<Instant>,
}

impl Shared {
    pub(super) fn look(&self, situation: Situation) {
        let mut looker = lock(&self.looker);
        if looker.rests_until.is_none_or(|until| Instant::now() >= until) {
            self.look_and_tell(&mut looker, situation);
        }
    }

    /// Looks by another policy than the last time, so that what is older than that counts at once.
    pub(super) fn look_anew(&self, situation: Situation) {
        let mut looker = lock(&self.looker);
        let is_known = looker.situation.as_ref().is_some_and(|known| Arc::ptr_eq(&known.rules, &situation.rules));
        if !is_known && situation.rules.policy.tracks_connections() {
            // What is not counted is counted the second time that it is seen.
            self.look_and_tell(&mut looker, situation.clone());
            self.look_and_tell(&mut looker, situation);
        }
    }

    fn look_and_tell(&self, looker: &mut Looker, situation: Situation) {
        let started = Instant::now();
        let looked = self.look_with(looker, situation);
        looker.rests_until = Some(Instant::now() + started.elapsed() * RESTS);
        complain(&self.trouble, looked.err().map(|error| format!("connections are not all looked after: {error:#}")));
    }

    fn look_with(&self, looker: &mut Looker, situation: Situation) -> anyhow::Result<()> {
        if !looker.situation.as_ref().is_some_and(|before| before.is_same(&situation)) {
            looker.memory.reconsider();
        }
        let Situation { rules, timed, guarded } = looker.situation.insert(situation);
        let counted = match looker.healed {
            Some(healed) if healed.elapsed() < HEALING_INTERVAL => self.kernel.sockets()?,
            _ => {
                looker.healed = Some(Instant::now());
                self.heal(&mut looker.of_services, &mut looker.of_sources)?
            }
        };
        let seen = self.see(counted, rules.tracked_ports(), rules.detail())?;
        let access = LazyCell::new(|| Access::new(rules, timed, Clock::now().boot));
        let belongs = |socket: &TcpSocket, service| {
            access.lets_in(socket.remote().ip(), service) && self.came_in(socket, guarded)
        };
        let Findings { add, remove, close, elsewhere, beyond } = looker.memory.look(&seen, rules, now_ns(), belongs);
        add.iter().try_for_each(|(cookie, socket)| self.kernel.add(*cookie, socket))?;
        remove.iter().try_for_each(|cookie| self.kernel.remove(*cookie))?;
        {
            let mut found = lock(&self.found);
            (found.elsewhere, found.beyond) = (elsewhere, beyond);
            found.left.retain(|cookie, _| seen.counted.contains_key(cookie));
        }
        self.close(rules, &close).map(drop)
    }

    /// Returns what is counted, and makes good what was miscounted.
    fn heal(
        &self,
        of_services: &mut Healing<u8>,
        of_sources: &mut Healing<ConnectionKey>,
    ) -> Result<BTreeMap<u64, Socket>, KernelError> {
        let open = || (0..).zip(self.kernel.open()).filter(|(_, count)| *count > 0).collect::<BTreeMap<u8, u64>>();
        let (open_before, of_sources_before) = (open(), self.kernel.of_sources()?);
        let counted = self.kernel.sockets()?;
        let (open_after, of_sources_after) = (open(), self.kernel.of_sources()?);
        let mut open_sums = BTreeMap::new();
        let mut of_sources_sums = BTreeMap::new();
        for socket in counted.values() {
            for service in [0, socket.service] {
                *open_sums.entry(service).or_default() += 1;
            }
            *of_sources_sums.entry(look::key(socket)).or_default() += 1;
        }
        let now = Instant::now();
        for (service, difference) in of_services.differences(&open_before, &open_sums, &open_after, now) {
            debug!("{difference} connections of service number {service} were miscounted");
            self.kernel.correct_open(service, difference);
        }
        for (key, difference) in of_sources.differences(&of_sources_before, &of_sources_sums, &of_sources_after, now) {
            // A miscount of more is made good step by step.
            let difference = difference.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            self.kernel.correct(&key, difference)?;
        }
        Ok(counted)
    }
}

/// Returns the time as connections are noted with.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("every Linux has a coarse clock");
    Duration::from(now).as_nanos() as u64
}
