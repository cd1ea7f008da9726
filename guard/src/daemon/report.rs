//! The daemon's answer to `guard status`.

use guard_common::{packet::LinkType, records};

use super::Daemon;
use crate::{
    kernel::{KernelError, Totals},
    policy::Word as _,
    status::{self, Counter, Entries, Events, LinkTypeCounter, Service, Status, verdict_name},
};

impl Daemon {
    /// Assembles the status from the policy, the kernel's counters and the last look at the interfaces.
    pub(super) fn status(&self) -> Result<Status, KernelError> {
        let policy = &self.policy;
        let unguarded = self.guarding.unguarded().to_vec();
        let unreported = self.counters.unreported()?;
        let (exported, lost) = self.blocks.written_and_lost();
        Ok(Status {
            version: status::VERSION,
            instance: self.reloads.instance().name.clone(),
            pid: std::process::id(),
            enforced: self.guarding.is_complete(),
            mode: policy.mode.word().to_owned(),
            default: policy.default.word().to_owned(),
            generation: self.generation,
            last_reload: self.reloads.last.clone(),
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
                })
                .collect(),
            echo_rate: policy.echo_rate.as_ref().map(ToString::to_string),
            entries: Entries {
                allow: policy.allow.len() + policy.services.iter().map(|service| service.allow.len()).sum::<usize>(),
                deny: policy.deny.len(),
            },
            counters: self.counter_rows()?,
            link_types: self.link_type_rows()?,
            events: Events { exported, merged: unreported.merged, lost: unreported.lost + lost },
            warnings: self.all_warnings()?,
        })
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
