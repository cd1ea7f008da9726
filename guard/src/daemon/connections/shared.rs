//! What looks at connections and what closes them have in common.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use guard_common::connections::Socket;
use tracing::debug;

use super::{
    super::{in_force::InForce, trouble::lock},
    look::Seen,
    looker::Looker,
    rules::Rules,
    tally::Tally,
};
use crate::{
    export::Cause,
    kernel::{Connections, own_namespace},
    lockout,
    network::sockets::tcp::{self, Detail, TcpSocket},
    policy::Timed,
};

pub(super) struct Shared {
    pub(super) kernel: Connections,
    /// The cookie of this network namespace.
    pub(super) namespace: u64,
    pub(super) situation: Mutex<Situation>,
    /// Held during a look.
    pub(super) looker: Mutex<Looker>,
    pub(super) found: Mutex<Found>,
    pub(super) tally: Mutex<Tally>,
    /// Why connections are not looked after.
    pub(super) trouble: Mutex<Option<String>>,
    /// Why nobody tells of new ones.
    pub(super) unfollowed: Mutex<Option<String>>,
}

/// What connections are judged by.
#[derive(Clone)]
pub(super) struct Situation {
    pub(super) rules: Arc<Rules>,
    pub(super) timed: Arc<Vec<Timed>>,
    /// The indices of the interfaces that are guarded.
    pub(super) guarded: Arc<BTreeSet<u32>>,
}

/// What can't be helped from here.
#[derive(Default)]
pub(super) struct Found {
    /// How many connections of each service are in other network namespaces.
    pub(super) elsewhere: BTreeMap<u8, u64>,
    /// How many connections of each service are beyond a cap.
    pub(super) beyond: BTreeMap<u8, u64>,
    /// The cookies of sockets in other network namespaces whose sources were cut, and why.
    pub(super) left: BTreeMap<u64, Cause>,
}

impl Shared {
    pub(super) fn new(kernel: Connections, situation: Situation) -> anyhow::Result<Self> {
        Ok(Self {
            kernel,
            namespace: own_namespace().context("finding out which network namespace this is")?,
            situation: Mutex::new(situation),
            looker: Mutex::default(),
            found: Mutex::default(),
            tally: Mutex::default(),
            trouble: Mutex::default(),
            unfollowed: Mutex::default(),
        })
    }

    pub(super) fn situation(&self) -> Situation {
        lock(&self.situation).clone()
    }

    /// Has connections judged by what is in force.
    pub(super) fn adopt(&self, in_force: &InForce, guarded: BTreeSet<u32>) -> Situation {
        let mut situation = lock(&self.situation);
        if !Arc::ptr_eq(&situation.rules.policy, &in_force.policy) {
            situation.rules = Arc::new(Rules::of(&in_force.policy));
        }
        situation.timed = Arc::clone(&in_force.timed);
        if *situation.guarded != guarded {
            situation.guarded = Arc::new(guarded);
        }
        situation.clone()
    }

    /// Adds sockets to what is counted: those at these ports, and those of what is counted here.
    pub(super) fn see(
        &self,
        counted: BTreeMap<u64, Socket>,
        mut ports: BTreeSet<u16>,
        detail: Detail,
    ) -> anyhow::Result<Seen> {
        let mut seen = Seen { counted, sockets: BTreeMap::new(), namespace: self.namespace };
        // That of a redirected connection is no service's.
        ports.extend(seen.counted.values().filter(|counted| seen.is_here(counted)).map(|counted| counted.local_port));
        seen.sockets = tcp::read(&ports, detail)?.into_iter().map(|socket| (socket.cookie(), socket)).collect();
        Ok(seen)
    }

    /// Tells whether a connection to a port of this host came by what is guarded; one that this host asked for from that port did
    /// not.
    pub(super) fn came_in(&self, socket: &TcpSocket, guarded: &BTreeSet<u32>) -> bool {
        let (local, remote) = (socket.local(), socket.remote());
        let is_asked_here = self.kernel.is_asked_here(local, remote).unwrap_or_else(|error| {
            debug!("who asked for the connection with {remote}: {:#}", anyhow::Error::from(error));
            false
        });
        !is_asked_here && lockout::is_guarded(local.ip(), remote.ip(), guarded)
    }
}

impl Found {
    /// Notes sockets that can't be closed; returns how many were not noted before.
    pub(super) fn leave(&mut self, cookies: BTreeSet<u64>, cause: Cause) -> usize {
        let news = cookies.iter().filter(|cookie| !self.left.contains_key(cookie)).count();
        if cause == Cause::Removed {
            // Who may come back is cut no more.
            self.left.retain(|_, cause| *cause != Cause::Removed);
        }
        self.left.extend(cookies.into_iter().map(|cookie| (cookie, cause)));
        news
    }
}

impl Situation {
    /// Of what is in force while nothing is guarded yet.
    pub(super) fn of(in_force: &InForce) -> Self {
        let (rules, timed) = (Arc::new(Rules::of(&in_force.policy)), Arc::clone(&in_force.timed));
        Self { rules, timed, guarded: Arc::default() }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules)
            && Arc::ptr_eq(&self.timed, &other.timed)
            && Arc::ptr_eq(&self.guarded, &other.guarded)
    }
}
