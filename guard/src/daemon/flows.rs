//! Flows that this host opened, as far as the kernel program can't tell by itself: what was open before it came, which ports are
//! listened on, and who must not come back.

mod cut;
mod open;

use std::{
    cell::LazyCell,
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::Context as _;
use guard_common::flow::FlowKey;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::info;

use super::{
    in_force::InForce,
    trouble::{complain, lock},
};
use crate::{
    kernel::{Flows, KernelError},
    network::{
        conntrack,
        reach::Routes,
        sockets::{self, Listening},
    },
    policy::{DefaultVerdict, Entries, Policy},
};
use cut::Admitted;
use open::{Open, PortPolicy, leads_outside};

/// The flows and ports that the kernel program knows, and who tells it. All that takes time runs on blocking threads.
pub(super) struct OwnFlows {
    shared: Arc<Shared>,
    refreshing: Option<JoinHandle<()>>,
}

struct Shared {
    kernel: Flows,
    /// Ports by which strangers reach what is behind this host, as of the last time that the tracker was read. Who holds it
    /// may tell the kernel of ports.
    entered_by: Mutex<Listening>,
    /// Why not every port that is listened on is known.
    ports_trouble: Mutex<Option<String>>,
    /// Why flows through this host are not known that were open before.
    tracker_trouble: Mutex<Option<String>>,
}

/// A change of what is in force, as far as it matters to flows.
pub(super) struct Switch {
    before: InForce,
    now: InForce,
    exits: BTreeSet<u32>,
}

impl OwnFlows {
    pub(super) fn new(kernel: Flows) -> Self {
        let shared = Shared {
            kernel,
            entered_by: Mutex::default(),
            ports_trouble: Mutex::default(),
            tracker_trouble: Mutex::default(),
        };
        Self { shared: Arc::new(shared), refreshing: None }
    }

    /// Tells the kernel of ports before any packet that leaves is noted: what leaves one that is listened on may be an answer.
    pub(super) async fn learn_ports(&self, exits: BTreeSet<u32>) -> anyhow::Result<()> {
        self.run(move |shared| shared.learn(&exits).map(drop)).await
    }

    /// Takes over the table of an earlier run, without flows that this host did not open, and notes what is open. To be done once
    /// packets that leave are noted, and before any that comes in is judged.
    pub(super) async fn take_over(&self, policy: &Policy, exits: BTreeSet<u32>) -> anyhow::Result<()> {
        let ports = PortPolicy::of(policy);
        self.run(move |shared| {
            let open = shared.learn(&exits)?;
            shared.kernel.cut(open.strangers())?;
            shared.remember(&open, &ports)
        })
        .await
    }

    /// Notes what is open, for a policy that is about to come into force.
    pub(super) async fn fill(&self, policy: &Policy, exits: BTreeSet<u32>) -> anyhow::Result<()> {
        let ports = PortPolicy::of(policy);
        self.run(move |shared| shared.remember(&shared.learn(&exits)?, &ports)).await
    }

    /// Tells whether a policy remembers flows that another does not.
    pub(super) fn must_fill(in_force: &Policy, next: &Policy) -> bool {
        PortPolicy::of(in_force) != PortPolicy::of(next)
    }

    /// Returns what is to be done on a blocking thread once a switch was made: noting what was opened around it, and ending the
    /// flows of whom it cut.
    pub(super) fn follow(&self, switch: Switch) -> impl FnOnce() -> anyhow::Result<()> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.follow(&switch)
    }

    /// Tells the kernel of the ports that are listened on by now, unless that is still being done; only where it asks.
    pub(super) fn refresh(&mut self, policy: &Policy) {
        let is_idle = self.refreshing.as_ref().is_none_or(JoinHandle::is_finished);
        if policy.default == DefaultVerdict::Drop && is_idle {
            let shared = Arc::clone(&self.shared);
            self.refreshing = Some(spawn_blocking(move || shared.refresh()));
        }
    }

    pub(super) fn count(&self) -> Result<usize, KernelError> {
        self.shared.kernel.count()
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let Shared { ports_trouble, tracker_trouble, .. } = &*self.shared;
        [ports_trouble, tracker_trouble].into_iter().filter_map(|trouble| lock(trouble).clone())
    }

    async fn run(&self, work: impl FnOnce(&Shared) -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        spawn_blocking(move || work(&shared)).await.context("looking at what is open")?
    }
}

impl Switch {
    pub(super) fn new(before: InForce, now: InForce, exits: BTreeSet<u32>) -> Self {
        Self { before, now, exits }
    }

    /// Tells whether no list is another.
    fn changes_nobody(&self) -> bool {
        let Self { before: InForce { policy: before, timed, .. }, now, .. } = self;
        let lists = |policy: &Policy| {
            let own = policy.services.iter().map(|service| service.allow.clone());
            [policy.allow.clone(), policy.deny.clone()].into_iter().chain(own).collect::<Vec<_>>()
        };
        let (before_lists, now_lists) = (lists(before), lists(&now.policy));
        let are_same = |(before, now): (&Entries, &Entries)| before.has_prefixes_of(now);
        before_lists.len() == now_lists.len()
            && before_lists.iter().zip(&now_lists).all(are_same)
            && before.grants_hold == now.policy.grants_hold
            && *timed == now.timed
    }
}

impl Shared {
    /// Reads what is open, and tells the kernel of ports.
    fn learn(&self, exits: &BTreeSet<u32>) -> anyhow::Result<Open> {
        let mut entered_by = lock(&self.entered_by);
        let (open, trouble) = read(exits)?;
        self.kernel.set_listening(&open.answering.tcp, &open.answering.udp, &open.clients);
        *entered_by = open.entered_by.clone();
        complain(&self.tracker_trouble, trouble);
        Ok(open)
    }

    fn remember(&self, open: &Open, ports: &PortPolicy) -> anyhow::Result<()> {
        let added = self.kernel.add(open.to_remember(ports))?;
        if added > 0 {
            info!("{added} flows were open before they could be noted");
        }
        Ok(())
    }

    fn refresh(&self) {
        let entered_by = lock(&self.entered_by);
        let listening = sockets::read_listening().and_then(|listening| Ok((listening, sockets::ephemeral_ports()?)));
        let trouble = match listening {
            Ok((mut listening, clients)) => {
                listening.tcp.extend(&entered_by.tcp);
                listening.udp.extend(&entered_by.udp);
                self.kernel.set_listening(&listening.tcp, &listening.udp, &clients);
                None
            }
            Err(error) => Some(format!("which ports are listened on is not known: {:#}", anyhow::Error::from(error))),
        };
        complain(&self.ports_trouble, trouble);
    }

    fn follow(&self, switch: &Switch) -> anyhow::Result<()> {
        let Switch { before, now, exits } = switch;
        if OwnFlows::must_fill(&before.policy, &now.policy) {
            self.remember(&self.learn(exits)?, &PortPolicy::of(&now.policy))?;
        }
        if !switch.changes_nobody() {
            let started = Instant::now();
            // Lists of a million take a while to compare, so that is done for the first flow that there is.
            let admitted =
                LazyCell::new(|| [before, now].map(|in_force| Admitted::by(&in_force.policy, &in_force.timed)));
            let cut = self.cut(exits, &now.policy, |address| admitted[1].cuts(&admitted[0], address))?;
            if cut > 0 {
                info!("{cut} flows of sources that were cut are ended, in {:?}", started.elapsed());
            }
        }
        Ok(())
    }

    /// Ends the flows of addresses that were cut, but for those that are known to be opened from here; returns how many there were.
    ///
    /// First the kernel learns of all ports by which anybody may be connected, so that no answer to a connection that still
    /// stands is noted for a flow again.
    fn cut(&self, exits: &BTreeSet<u32>, policy: &Policy, is_cut: impl Fn(IpAddr) -> bool) -> anyhow::Result<usize> {
        let learned = match policy.default {
            DefaultVerdict::Drop => Some(self.learn(exits)),
            // Nothing but a SYN is noted.
            DefaultVerdict::Pass => None,
        };
        let own = learned.iter().flatten().flat_map(Open::leaving).collect::<BTreeSet<_>>();
        let is_cut = |key: &FlowKey| is_cut(IpAddr::from(key.remote).to_canonical()) && !own.contains(key);
        // The second time for a packet that was on its way past the ports meanwhile.
        let cut = self.kernel.cut(is_cut)? + self.kernel.cut(is_cut)?;
        learned.transpose().map(|_| cut)
    }
}

/// Reads what is open; without the tracker, as far as sockets tell, and says so.
fn read(exits: &BTreeSet<u32>) -> anyhow::Result<(Open, Option<String>)> {
    let (tracked, trouble) = match conntrack::read() {
        Ok(tracked) => (tracked, None),
        Err(error) => {
            let error = anyhow::Error::from(error);
            (Vec::new(), Some(format!("flows that were opened through this host before are not known: {error:#}")))
        }
    };
    let mut routes = Routes::open()?;
    let open = Open::of(sockets::read()?, &tracked, sockets::ephemeral_ports()?, |address| {
        Ok(leads_outside(address, routes.reach(address)?, |interface| exits.contains(&interface)))
    })?;
    Ok((open, trouble))
}
