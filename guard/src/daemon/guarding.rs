//! Which interfaces are guarded, kept true while interfaces and addresses come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use guard_common::address::Address;
use tracing::{error, info, warn};

use super::exits::{Exits, Host};
use crate::{
    kernel::{AttachError, Attachment, KernelError, Links, OwnAddresses},
    launch::Selection,
    network::{self, Interface},
    policy::{Policy, Word as _, XdpMode},
    status::{Guarded, Unguarded},
};

/// The program's links and the own addresses behind them.
pub(super) struct Guarding {
    links: Links,
    exits: Exits,
    addresses: OwnAddresses,
    /// The kernel's number of the program that this run loaded.
    program: u32,
    guarded: Vec<Interface>,
    unguarded: Vec<Unguarded>,
    /// Whether nothing that is there is unguarded.
    complete: bool,
}

/// A start that failed.
pub(super) struct Failed {
    pub(super) error: anyhow::Error,
    /// Whether this run's program is on an interface all the same.
    pub(super) remains: bool,
}

impl Guarding {
    /// Attaches to every interface that is there. If one can't be, none stays attached that was not before. `exits` are
    /// open already.
    pub(super) fn start(
        mut links: Links,
        mut exits: Exits,
        mut addresses: OwnAddresses,
        policy: &Policy,
        selection: Selection,
    ) -> Result<Self, Failed> {
        let program = links.program_id().map_err(|error| Failed { error: error.into(), remains: false })?;
        warn_of_own(set_own_addresses(&mut addresses, &selection.present, &[policy]));
        // A program that was replaced can't be brought back, so what may be refused comes first.
        let (held, free): (Vec<_>, Vec<_>) = selection.present.iter().partition(|interface| links.holds(interface));
        let mut attached = Vec::new();
        let mut replaced = false;
        for interface in free.into_iter().chain(held) {
            match links.attach(interface, policy.xdp_mode) {
                Ok(Attachment::New) => attached.push(interface.index),
                Ok(Attachment::Replaced) => {
                    replaced = true;
                    info!("took over `{}` from an earlier run", interface.name);
                    warn_of_mode(interface, policy.xdp_mode);
                }
                Err(error) => {
                    links
                        .abandon(&attached)
                        .and_then(|()| exits.abandon())
                        .map_err(|error| Failed { error: error.into(), remains: true })?;
                    return Err(Failed { error: error.into(), remains: replaced });
                }
            }
        }
        links.keep();
        let unguarded = missing(&selection.missing);
        let mut guarding = Self { links, exits, addresses, program, guarded: Vec::new(), unguarded, complete: true };
        guarding.release(&selection).map_err(|error| Failed { error: error.into(), remains: true })?;
        guarding.guarded = selection.present;
        Ok(guarding)
    }

    /// Has packets noted that leave by interfaces that are about to be guarded; tells whether there are any. If that can't be,
    /// the next look lets go of them.
    pub(super) fn open_exits(&mut self, wanted: &[Interface]) -> Result<bool, AttachError> {
        let new: Vec<Interface> = wanted.iter().filter(|interface| !self.holds(interface)).cloned().collect();
        self.exits.open_all(&new)?;
        Ok(!new.is_empty())
    }

    /// Attaches to those interfaces that are not guarded yet, for a policy that is about to come into force; returns their
    /// indices. If one can't be, none of them stays attached. Until the switch the policy in force judges what they bring.
    ///
    /// From here until [`Self::share_as`], an own address is exempt only if it is shared in both policies: whichever decides on
    /// a packet, none passes that has its source forged.
    pub(super) fn extend(
        &mut self,
        in_force: &Policy,
        next: &Policy,
        wanted: &[Interface],
    ) -> Result<Vec<u32>, AttachError> {
        let new: Vec<Interface> = wanted.iter().filter(|interface| !self.holds(interface)).cloned().collect();
        let all = [self.guarded.as_slice(), &new].concat();
        warn_of_own(set_own_addresses(&mut self.addresses, &all, &[in_force, next]));
        let mut attached = Vec::new();
        for interface in &new {
            if let Err(error) = self.links.attach(interface, next.xdp_mode) {
                self.withdraw(&attached);
                return Err(error);
            }
            attached.push(interface.index);
        }
        self.guarded = all;
        Ok(attached)
    }

    /// Exempts just those own addresses that the policy now in force shares. If that can't be, says so.
    pub(super) fn share_as(&mut self, in_force: &Policy) -> Result<(), String> {
        set_own_addresses(&mut self.addresses, &self.guarded, &[in_force])
    }

    /// Lets go of interfaces that were attached for nothing.
    pub(super) fn withdraw(&self, attached: &[u32]) {
        for index in attached {
            if let Err(error) = self.links.abandon(&[*index]) {
                error!("links: {:#}", anyhow::Error::from(error));
            }
        }
    }

    /// Lets go of interfaces that are there and that the policy does not name.
    pub(super) fn release(&mut self, selection: &Selection) -> Result<(), KernelError> {
        // One that is missing from the listing may be there all the same.
        let may_be_wanted = |index| !selection.unwanted.contains(&index) && network::exists(index);
        for index in self.links.detach_others(may_be_wanted)? {
            warn!("interface number {index} is guarded no more: the policy does not name it");
        }
        Ok(())
    }

    /// Guards what has appeared, and forgets what is gone; tells whether anything was attached, so that `all` is out
    /// of date.
    pub(super) fn follow(&mut self, policy: &Policy, host: &Host) -> bool {
        let all = host.interfaces.as_slice();
        let mut selection = Selection::new(&policy.interfaces, all);
        // One that was renamed has the program still, under whatever name.
        let renamed = all.iter().filter(|interface| self.holds(interface) && !selection.present.contains(interface));
        selection.present.extend(renamed.cloned().collect::<Vec<_>>());
        warn_of_own(set_own_addresses(&mut self.addresses, &selection.present, &[policy]));
        self.exits.follow(&selection.present, host);
        let mut attached = false;
        let mut guarded = Vec::new();
        let mut unguarded = selection.refused;
        for interface in selection.present {
            if self.holds(&interface) {
                guarded.push(interface);
                continue;
            }
            if let Some(reason) = self.exits.failure(interface.index) {
                unguarded.push(Unguarded { name: interface.name, reason: reason.to_owned() });
                continue;
            }
            match self.links.attach(&interface, policy.xdp_mode) {
                Ok(_) => {
                    info!("guarding `{}` from now on", interface.name);
                    attached = true;
                    guarded.push(interface);
                }
                Err(error) => {
                    let reason = format!("{:#}", anyhow::Error::from(error));
                    unguarded.push(Unguarded { name: interface.name, reason });
                }
            }
        }
        self.complete = unguarded.is_empty();
        unguarded.extend(missing(&selection.missing));
        for news in unguarded.iter().filter(|news| !self.unguarded.contains(news)) {
            error!("not guarding `{}`: {}", news.name, news.reason);
        }
        self.guarded = guarded;
        self.unguarded = unguarded;
        // A link whose interface exists no more holds nothing. `all` does not prove that: a listing may leave out one
        // interface while others go.
        if let Err(error) = self.links.detach_others(network::exists) {
            error!("links: {:#}", anyhow::Error::from(error));
        }
        attached
    }

    /// Tells whether this run's program is on an interface.
    fn holds(&self, interface: &Interface) -> bool {
        interface.xdp.map(|xdp| xdp.program) == Some(self.program)
    }

    /// Interface names by index, as events have them.
    pub(super) fn names(&self) -> BTreeMap<u32, String> {
        self.guarded.iter().map(|interface| (interface.index, interface.name.clone())).collect()
    }

    /// The indices of the interfaces that are guarded.
    pub(super) fn indices(&self) -> BTreeSet<u32> {
        self.guarded.iter().map(|interface| interface.index).collect()
    }

    pub(super) fn exits(&self) -> &Exits {
        &self.exits
    }

    pub(super) fn guarded(&self) -> Vec<Guarded> {
        let entry = |interface: &Interface| Guarded {
            name: interface.name.clone(),
            index: interface.index,
            xdp_mode: mode_name(interface).to_owned(),
        };
        self.guarded.iter().map(entry).collect()
    }

    pub(super) fn unguarded(&self) -> &[Unguarded] {
        &self.unguarded
    }

    /// Tells whether every interface that is there and wanted is guarded.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Says in one line what is guarded.
    pub(super) fn describe(&self) -> String {
        if self.guarded.is_empty() {
            return "nothing yet".to_owned();
        }
        let names: Vec<String> =
            self.guarded.iter().map(|interface| format!("`{}` ({})", interface.name, mode_name(interface))).collect();
        names.join(", ")
    }
}

fn mode_name(interface: &Interface) -> &'static str {
    interface.xdp.map_or("native", |xdp| xdp.mode.name())
}

/// A link keeps the mode in which it was made.
fn warn_of_mode(interface: &Interface, wanted: XdpMode) {
    let (name, mode) = (&interface.name, mode_name(interface));
    if wanted != XdpMode::Auto && wanted.word() != mode {
        warn!("`{name}` stays in {mode} mode: to change that, end enforcement with `guard down` first");
    }
}

fn missing(names: &[String]) -> Vec<Unguarded> {
    let entry = |name: &String| Unguarded {
        name: name.clone(),
        reason: "it does not exist; it will be guarded when it appears".to_owned(),
    };
    names.iter().map(entry).collect()
}

/// Has the kernel know own addresses; if it can't know them all, says so.
fn set_own_addresses(
    addresses: &mut OwnAddresses,
    interfaces: &[Interface],
    policies: &[&Policy],
) -> Result<(), String> {
    let set = addresses.set(own_addresses(interfaces, policies));
    set.map_err(|error| format!("not every own address is known as such: {:#}", anyhow::Error::from(error)))
}

fn warn_of_own(set: Result<(), String>) {
    if let Err(warning) = set {
        warn!("{warning}");
    }
}

/// The addresses from which no packet can come in: those of guarded interfaces that not every policy lets another host take
/// over.
fn own_addresses(interfaces: &[Interface], policies: &[&Policy]) -> BTreeSet<Address> {
    let is_shared = |ip: &IpAddr| policies.iter().all(|policy| policy.shared_addresses.contains(ip));
    interfaces
        .iter()
        .flat_map(|interface| interface.addresses.iter().map(|ip| (interface.index, ip)))
        .filter(|(_, ip)| !is_shared(ip))
        .map(|(index, ip)| Address::from(*ip).on_interface(index))
        .collect()
}
