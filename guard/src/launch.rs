//! Which interfaces are to be guarded, and what is wrong with them.

use std::{collections::BTreeSet, fmt};

use crate::{
    network::{Interface, Kind},
    policy::Interfaces,
    status::Unguarded,
};

/// Everything about the named interfaces that keeps guard from starting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal(Vec<String>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Refusal {}

/// What a look at the host's interfaces gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Present, and to be guarded.
    pub(crate) present: Vec<Interface>,
    /// Named by the policy, and not there.
    pub(crate) missing: Vec<String>,
    /// Named by the policy, and not to be guarded: why.
    pub(crate) refused: Vec<Unguarded>,
    /// Present, and not named: their indices.
    pub(crate) unwanted: BTreeSet<u32>,
}

impl Selection {
    /// Picks what the policy wants out of what there is.
    pub(crate) fn new(wanted: &Interfaces, all: &[Interface]) -> Self {
        let mut selection = Self::default();
        match wanted {
            Interfaces::Physical => {
                selection.present = all.iter().filter(|interface| interface.is_physical()).cloned().collect();
                if selection.present.is_empty() {
                    selection.missing.push("*".to_owned());
                }
            }
            Interfaces::Named(names) => names.iter().for_each(|name| selection.pick(name, all)),
        }
        let is_wanted = |interface: &&Interface| selection.present.contains(interface);
        selection.unwanted =
            all.iter().filter(|interface| !is_wanted(interface)).map(|interface| interface.index).collect();
        selection
    }

    /// Accepts the selection for a start: nothing refused, and nothing missing unless it is waited for.
    pub(crate) fn check(self, wait: bool) -> Result<Self, Refusal> {
        let missing = self.missing.iter().map(|name| match name.as_str() {
            "*" => "no physical Ethernet interface or bond is there for `*`: name one in `interfaces` or GUARD_INTERFACE"
                .to_owned(),
            name => format!("interface `{name}` does not exist: correct `interfaces` or GUARD_INTERFACE, or wait for it with `run --wait`"),
        });
        let faults: Vec<String> =
            self.refused.iter().map(|refused| refused.reason.clone()).chain(missing.filter(|_| !wait)).collect();
        if faults.is_empty() { Ok(self) } else { Err(Refusal(faults)) }
    }

    fn pick(&mut self, name: &str, all: &[Interface]) {
        let Some(interface) = all.iter().find(|interface| interface.name == name) else {
            self.missing.push(name.to_owned());
            return;
        };
        let why = match interface.kind {
            Kind::Physical | Kind::Bond | Kind::Ethernet => {
                self.present.push(interface.clone());
                return;
            }
            Kind::Loopback => "is the loopback interface, by which no stranger comes",
            Kind::NotEthernet => {
                "is not Ethernet: an XDP program sees no Ethernet header there, so nothing could be enforced; guard the \
                 interface that carries its packets"
            }
        };
        self.refused.push(Unguarded { name: name.to_owned(), reason: format!("interface `{name}` {why}") });
    }
}
