//! The interfaces by which packets leave whose answers come in through guarded ones, kept true while they come and go.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use crate::{
    kernel::{AttachError, Egress, Hook, KernelError},
    network::{self, Interface, Kind},
    status::Exit,
};

/// What a look at the host's network gives.
pub(super) struct Host {
    pub(super) interfaces: Vec<Interface>,
    /// Indices of those that lead to gateways.
    pub(super) routing: BTreeSet<u32>,
}

impl Host {
    /// The interfaces that lead to gateways, and whose packets begin with an Ethernet header, so that they can be read.
    pub(super) fn outward(&self) -> Vec<Interface> {
        let has_ethernet = |kind| matches!(kind, Kind::Physical | Kind::Bond | Kind::Ethernet);
        let leads = |interface: &&Interface| self.routing.contains(&interface.index) && has_ethernet(interface.kind);
        self.interfaces.iter().filter(leads).cloned().collect()
    }
}

/// Where packets that leave are noted: every guarded interface, and every other Ethernet interface that leads to a gateway.
pub(super) struct Exits {
    egress: Egress,
    /// By index.
    open: BTreeMap<u32, (String, Hook)>,
    /// Why others can't be, by index.
    failed: BTreeMap<u32, (String, String)>,
    /// Those to which this start attached, and no run before it.
    new: Vec<u32>,
}

impl Exits {
    /// Attaches to guarded interfaces, and then to others, if they can be. If a guarded one can't be, none stays attached
    /// that was not before.
    pub(super) fn start(egress: Egress, guarded: &[Interface], others: &[Interface]) -> Result<Self, AttachError> {
        let mut exits = Self { egress, open: BTreeMap::new(), failed: BTreeMap::new(), new: Vec::new() };
        if let Err(error) = exits.open_all(guarded) {
            exits.abandon()?;
            return Err(error);
        }
        exits.open_others(others);
        Ok(exits)
    }

    /// Attaches to interfaces that are about to be guarded.
    pub(super) fn open_all(&mut self, interfaces: &[Interface]) -> Result<(), AttachError> {
        // A program that was replaced can't be brought back, so what may be refused comes first.
        let (held, free): (Vec<_>, Vec<_>) =
            interfaces.iter().partition(|interface| self.egress.is_held(interface.index));
        free.into_iter().chain(held).try_for_each(|interface| self.open(interface))
    }

    /// Attaches to what packets leave by now, and lets go of the rest.
    pub(super) fn follow(&mut self, guarded: &[Interface], host: &Host) {
        let failed_before = std::mem::take(&mut self.failed);
        self.open.clear();
        self.new.clear();
        self.open_others(guarded);
        self.open_others(&host.outward());
        for (index, (name, reason)) in &self.failed {
            if failed_before.get(index) != Some(&(name.clone(), reason.clone())) {
                warn!("packets that leave `{name}` are not noted: {reason}");
            }
        }
        // One that is missing from the listing may be there all the same.
        let wanted = |index| {
            let is_listed = host.interfaces.iter().any(|interface| interface.index == index);
            self.open.contains_key(&index) || !is_listed && network::exists(index)
        };
        match self.egress.detach_others(wanted) {
            Ok(detached) => {
                detached.iter().for_each(|index| info!("packets leave by interface number {index} no more"))
            }
            Err(error) => warn!("exits: {:#}", anyhow::Error::from(error)),
        }
    }

    /// Lets go of what this start attached to, because it failed.
    pub(super) fn abandon(&mut self) -> Result<(), KernelError> {
        let new = std::mem::take(&mut self.new);
        self.egress.detach_others(|index| !new.contains(&index)).map(drop)
    }

    /// Tells why packets that leave an interface can't be noted.
    pub(super) fn failure(&self, index: u32) -> Option<&str> {
        self.failed.get(&index).map(|(_, reason)| reason.as_str())
    }

    pub(super) fn indices(&self) -> BTreeSet<u32> {
        self.open.keys().copied().collect()
    }

    pub(super) fn entries(&self) -> Vec<Exit> {
        let entry = |(index, (name, hook)): (&u32, &(String, Hook))| Exit {
            name: name.clone(),
            index: *index,
            hook: hook.name().to_owned(),
        };
        self.open.iter().map(entry).collect()
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.failed.values().map(|(name, reason)| {
            format!("packets that leave `{name}` are not noted, so answers to them may be dropped: {reason}")
        })
    }

    fn open_others(&mut self, interfaces: &[Interface]) {
        for interface in interfaces {
            if let Err(error) = self.open(interface) {
                let reason = format!("{:#}", anyhow::Error::from(error));
                self.failed.insert(interface.index, (interface.name.clone(), reason));
            }
        }
    }

    fn open(&mut self, interface: &Interface) -> Result<(), AttachError> {
        let Interface { index, name, .. } = interface;
        let (hook, is_new) =
            self.egress.attach(*index).map_err(|source| AttachError::Egress { interface: name.clone(), source })?;
        if is_new {
            self.new.push(*index);
        }
        self.open.insert(*index, (name.clone(), hook));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, process::Command, slice};

    use nix::net::if_::if_nametoindex;

    use super::*;
    use crate::kernel::tests::machine::{Machine, in_own_namespaces};

    fn ip(arguments: &str) {
        let status = Command::new("ip").args(arguments.split_whitespace()).status().expect("iproute2 is installed");
        assert!(status.success(), "ip {arguments}");
    }

    /// Gives a test two wires' ends, of which the second is gone.
    fn with_one_gone(test: impl FnOnce(Machine, Interface, Interface) + Send) {
        in_own_namespaces(|| {
            ip("link add one type veth peer name other");
            ip("link add two type veth peer name another");
            let [one, two] = ["one", "two"].map(|name| Interface::sample(if_nametoindex(name).unwrap(), name));
            ip("link delete two");
            test(Machine::instance(), one, two);
        });
    }

    fn pinned(machine: &Machine) -> PathBuf {
        machine.pins.as_ref().expect("the machine is the last one").path("egress")
    }

    #[test]
    fn where_a_guarded_interface_fails_none_stays_attached() {
        with_one_gone(|machine, one, two| {
            let pins = pinned(&machine);
            let failed = Exits::start(machine.egress, &[one, two], &[]).err().expect("one is gone");
            assert!(matches!(failed, AttachError::Egress { .. }), "{failed:?}");
            assert_eq!(pins.read_dir().unwrap().count(), 0);
        });
    }

    #[test]
    fn where_another_interface_fails_it_is_a_warning() {
        with_one_gone(|machine, one, two| {
            let pinned = pinned(&machine);
            let mut exits = Exits::start(machine.egress, slice::from_ref(&one), slice::from_ref(&two)).unwrap();
            assert_eq!(exits.indices(), BTreeSet::from([one.index]));
            assert!(exits.failure(two.index).is_some() && exits.failure(one.index).is_none());
            let warnings: Vec<_> = exits.warnings().collect();
            assert!(warnings.len() == 1 && warnings[0].contains("`two`"), "{warnings:?}");

            // It is wanted no more, and the first is not either.
            exits.follow(&[], &Host { interfaces: vec![one], routing: BTreeSet::new() });
            assert!(exits.indices().is_empty() && exits.warnings().next().is_none());
            assert_eq!(pinned.read_dir().unwrap().count(), 0);
        });
    }
}
