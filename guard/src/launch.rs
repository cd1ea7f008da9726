//! Which interfaces are to be guarded, and what is wrong with them.

use std::collections::BTreeSet;

use crate::{
    network::{Interface, Kind},
    policy::Interfaces,
    refusal::Refusal,
    status::Unguarded,
};

/// What stands for the interfaces of [`Interfaces::Physical`] where there is none.
const ANY: &str = "*";

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
                    selection.missing.push(ANY.to_owned());
                }
            }
            Interfaces::Named(names) => names.iter().for_each(|name| selection.pick(name, all)),
        }
        let is_wanted = |interface: &&Interface| selection.present.contains(interface);
        selection.unwanted =
            all.iter().filter(|interface| !is_wanted(interface)).map(|interface| interface.index).collect();
        selection
    }

    /// Accepts the selection: nothing refused, and nothing missing but what may be.
    pub(crate) fn check(self, may_be_missing: impl Fn(&str) -> bool) -> Result<Self, Refusal> {
        let missing = self.missing.iter().map(String::as_str).filter(|name| !may_be_missing(name));
        let missing = missing.map(|name| match name {
            ANY => "no physical Ethernet interface or bond is there for `*`: name one in `interfaces` or GUARD_INTERFACE"
                .to_owned(),
            name => format!("interface `{name}` does not exist: correct `interfaces` or GUARD_INTERFACE, or wait for it with `run --wait`"),
        });
        let faults: Vec<String> = self.refused.iter().map(|refused| refused.reason.clone()).chain(missing).collect();
        if faults.is_empty() { Ok(self) } else { Err(Refusal::Interfaces(faults)) }
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

/// Says whether a policy names what a selection found to be missing.
pub(crate) fn is_named(wanted: &Interfaces, missing: &str) -> bool {
    match wanted {
        Interfaces::Physical => missing == ANY,
        Interfaces::Named(names) => names.iter().any(|name| name == missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_missing_is_not_refused() {
        let named = |names: &[&str]| Interfaces::Named(names.iter().map(|name| (*name).to_owned()).collect());
        for (case, in_force, wanted, refused) in [
            ("named before", named(&["eth0", "eth1"]), named(&["eth1"]), 0),
            ("named newly", named(&["eth0"]), named(&["eth1"]), 1),
            ("one of each", named(&["eth0"]), named(&["eth0", "eth1"]), 1),
            ("any, as before", Interfaces::Physical, Interfaces::Physical, 0),
            ("any, newly", named(&["eth0"]), Interfaces::Physical, 1),
        ] {
            let checked = Selection::new(&wanted, &[]).check(|name| is_named(&in_force, name));
            let faults = match checked {
                Ok(_) => 0,
                Err(Refusal::Interfaces(faults)) => faults.len(),
                Err(other) => panic!("{case}: {other}"),
            };
            assert_eq!(faults, refused, "{case}");
        }
    }
}
