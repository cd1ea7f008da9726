//! The daemon's answers to clients.

use std::sync::Arc;

use guard_common::{address::Address, connections::ConnectionKey, packet::LinkType, records};
use ipnet::IpNet;
use tracing::error;

use super::{
    Daemon,
    in_force::InForce,
    outcome::Answer,
    queue::{By, Request, What},
};
use crate::{
    clock::Clock,
    control::Question,
    kernel::{KernelError, Totals},
    listing::{InLockdown, Listing},
    live::List,
    network::Network,
    policy::{Origin, Word as _},
    status::{self, Counter, Entries, Events, LinkTypeCounter, Service, Status, verdict_name},
    under::Inquiry,
};

impl Daemon {
    /// Answers a question, or has the change that it asks for wait its turn.
    pub(super) async fn answer(&mut self, question: Question, network: &Network) {
        if question.is_given_up() {
            return;
        }
        // What is said to be enforced is looked at first.
        self.look(network).await;
        match question {
            Question::Status(sender) => match self.status() {
                // The client may have gone.
                Ok(status) => drop(sender.send(status)),
                Err(error) => error!("status: {:#}", anyhow::Error::from(error)),
            },
            Question::List { list, answer } => match self.listing(list) {
                Ok(listing) => drop(answer.send(listing)),
                Err(error) => error!("listing: {:#}", anyhow::Error::from(error)),
            },
            Question::Under { prefixes, answer } => match self.inquiry(prefixes) {
                Ok(inquiry) => drop(answer.send(inquiry)),
                Err(error) => error!("what lies under prefixes: {:#}", anyhow::Error::from(error)),
            },
            Question::Reload { force, by, answer } => {
                self.request(Request { what: What::Reload, force, by: By::Client(by), answer: Answer::Reload(answer) });
            }
            Question::Edit { edit, force, by, answer } => {
                self.request(Request {
                    what: What::Edit(edit),
                    force,
                    by: By::Client(by),
                    answer: Answer::Edit(answer),
                });
            }
            Question::Lockdown { request, force, by, answer } => {
                let what = What::Lockdown(request);
                self.request(Request { what, force, by: By::Client(by), answer: Answer::Edit(answer) });
            }
        }
    }

    /// Assembles the status from the policy, the kernel's counters and the last look at the interfaces.
    pub(super) fn status(&self) -> Result<Status, KernelError> {
        let policy = &self.in_force.policy;
        let unguarded = self.guarding.unguarded().to_vec();
        let unreported = self.counters.unreported()?;
        let (exported, lost) = self.blocks.written_and_lost();
        let (by_hand, by_machine, grants) = self.timed.counts();
        Ok(Status {
            version: status::VERSION,
            instance: self.changes.instance().name.clone(),
            pid: std::process::id(),
            enforced: self.guarding.is_complete(),
            mode: policy.mode.word().to_owned(),
            default: policy.default.word().to_owned(),
            generation: self.generation,
            last_reload: self.changes.last_reload.clone(),
            lockdown: self.in_force.live.lockdown.as_ref().map(|lockdown| InLockdown::new(lockdown, &Clock::now())),
            interfaces: self.guarding.guarded(),
            unguarded,
            exits: self.guarding.exits().entries(),
            flows: self.flows.count()?,
            services: policy
                .services
                .iter()
                .map(|service| Service {
                    name: service.name.clone(),
                    ports: service.ports.iter().map(ToString::to_string).collect(),
                    mode: service.mode.word().to_owned(),
                    limits: service.limits.iter().map(ToString::to_string).collect(),
                    connections: self.connections.of_service(service),
                })
                .collect(),
            echo_rate: policy.echo_rate.as_ref().map(ToString::to_string),
            entries: Entries {
                allow: policy.allow.len() + policy.services.iter().map(|service| service.allow.len()).sum::<usize>(),
                deny: policy.deny.len(),
            },
            bans: by_hand + by_machine,
            machine_bans: self.banning.status(by_machine),
            grants,
            readers: policy.control_readers.word().to_owned(),
            counters: self.counter_rows()?,
            link_types: self.link_type_rows()?,
            events: Events { exported, merged: unreported.merged, lost: unreported.lost + lost },
            warnings: self.all_warnings()?,
        })
    }

    /// Takes what a list is told from.
    pub(super) fn listing(&self, list: List) -> Result<Listing, KernelError> {
        let InForce { configured, timed, live, files, .. } = &self.in_force;
        let clock = Clock::now();
        Ok(Listing {
            list,
            policy: Arc::clone(configured),
            timed: Arc::clone(timed),
            live: Arc::clone(live),
            bans: if list == List::Block { self.banning.bans().in_force(clock.boot) } else { Vec::new() },
            unenforced: self.banning.enforcer().unenforced(),
            entries_file: files.entries().to_owned(),
            used: self.used.read()?,
            used_since: self.used.since(),
            clock,
            generation: self.generation,
        })
    }

    /// Takes what is looked through for what lies under prefixes.
    pub(super) fn inquiry(&self, prefixes: Vec<IpNet>) -> Result<Inquiry, KernelError> {
        let InForce { configured, policy, timed, files, .. } = &self.in_force;
        let clock = Clock::now();
        // Who changes the kernel's tables may keep those locked for long.
        let in_force = self.banning.bans().in_force(clock.boot);
        Ok(Inquiry {
            prefixes,
            configured: Arc::clone(configured),
            policy: Arc::clone(policy),
            timed: Arc::clone(timed),
            machine_bans: in_force.iter().map(|ban| (ban.prefix, ban.ends)).collect(),
            entries_file: Origin::File { path: files.entries().into() },
            used: self.used.read()?,
            used_since: self.used.since(),
            open: self.open_of_sources()?,
            guarded: self.guarding.indices(),
            clock,
            generation: self.generation,
        })
    }

    /// Returns how many connections each source has open, and to which service.
    fn open_of_sources(&self) -> Result<Vec<(IpNet, String, u64)>, KernelError> {
        let open = self.following.connections.of_sources()?;
        let named = |(key, count): (ConnectionKey, u64)| {
            let length = if key.version == 4 { 32 } else { 64 };
            let source = IpNet::new(Address::from_octets(key.source).to_ip(key.version), length);
            let service = self.blocks.names.service(key.service)?;
            Some((source.expect("a family has such prefixes"), service.to_owned(), count))
        };
        Ok(open.into_iter().filter_map(named).collect())
    }

    fn counter_rows(&self) -> Result<Vec<Counter>, KernelError> {
        let totals = self.counters.decisions()?;
        let row = |total: &Totals| Counter {
            service: self.blocks.names.service(total.service).map(str::to_owned),
            verdict: verdict_name(total.reason.verdict(), total.mode).to_owned(),
            reason: total.reason.name().to_owned(),
            packets: total.count.packets,
            bytes: total.count.bytes,
        };
        Ok(totals.iter().map(row).collect())
    }

    fn link_type_rows(&self) -> Result<Vec<LinkTypeCounter>, KernelError> {
        let row = |(link_type, count): (LinkType, records::Counter)| LinkTypeCounter {
            name: link_type.name().to_owned(),
            packets: count.packets,
            bytes: count.bytes,
        };
        Ok(self.counters.link_types()?.into_iter().map(row).collect())
    }

    /// The configuration's warnings, and those about this host and what was seen on the wire.
    fn all_warnings(&self) -> Result<Vec<String>, KernelError> {
        let mut warnings = self.warnings.clone();
        warnings.extend(self.guarding.exits().warnings());
        warnings.extend(self.flows.warnings());
        warnings.extend(self.connections.warnings());
        warnings.extend(self.banning.warnings());
        for (link_type, count) in self.counters.link_types()? {
            if link_type.hides_packets() {
                warnings.push(format!(
                    "{} {} frames passed: IP packets may travel in them, which guard can't see",
                    count.packets,
                    link_type.name()
                ));
            }
        }
        Ok(warnings)
    }
}
