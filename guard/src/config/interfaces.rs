//! Which interfaces are named, and which names no interface guard could guard has.

use crate::policy::Interfaces;

use super::faults::{Quoted, Report};
use super::item::Located;

/// The kernel's limit, IFNAMSIZ less the closing zero.
const LONGEST: usize = 15;

/// Why a text names no interface to guard.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum InterfaceError {
    #[error("empty name")]
    Empty,
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    #[error("`/`, `:` and white space cannot stand in a name")]
    Character,
    #[error("the loopback is not guarded: its packets never leave this host")]
    Loopback,
}

/// Reads a list of names, or `*` alone; what is refused is left out.
pub(super) fn parse(items: &[Located<&str>], report: &mut Report) -> Interfaces {
    let mut names: Vec<String> = Vec::new();
    let mut physical = false;
    for Located { value, origin } in items {
        let value = value.trim();
        if names.iter().any(|name| name == value) || (physical && value == "*") {
            report.fault(origin, format_args!("interface {} is given twice", Quoted(value)));
        } else if value == "*" {
            physical = true;
        } else if let Err(error) = check(value) {
            report.fault(origin, format_args!("interface {}: {error}", Quoted(value)));
        } else {
            names.push(value.to_owned());
        }
    }
    if let (true, false, Some(last)) = (physical, names.is_empty(), items.last()) {
        report.fault(&last.origin, "interface `*` means every physical interface: no name may stand beside it");
    }
    if physical { Interfaces::Physical } else { Interfaces::Named(names) }
}

/// The rules of the kernel's `dev_valid_name`, and that `lo` is no way in.
fn check(name: &str) -> Result<(), InterfaceError> {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    match name {
        "" => Err(InterfaceError::Empty),
        "lo" => Err(InterfaceError::Loopback),
        _ if name.len() > LONGEST => Err(InterfaceError::TooLong),
        "." | ".." => Err(InterfaceError::Character),
        _ if name.contains(bad) => Err(InterfaceError::Character),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Origin;

    use super::*;

    fn parse(names: &[&str]) -> Result<Interfaces, String> {
        let origin = Origin::Variable { name: "GUARD_INTERFACE".into(), item: None };
        let items: Vec<_> =
            (1..).zip(names).map(|(n, value)| Located { value: *value, origin: origin.at(n) }).collect();
        let mut report = Report::default();
        let interfaces = super::parse(&items, &mut report);
        report.finish().map(|_| interfaces).map_err(|faults| faults.to_string())
    }

    #[test]
    fn reads_names_and_the_star() {
        let named = |names: &[&str]| Interfaces::Named(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(parse(&["eth0"]), Ok(named(&["eth0"])));
        assert_eq!(parse(&["enp1s0f0.100", "fifteen-letters"]), Ok(named(&["enp1s0f0.100", "fifteen-letters"])));
        assert_eq!(parse(&["lo0"]), Ok(named(&["lo0"])));
        assert_eq!(parse(&["*"]), Ok(Interfaces::Physical));
    }

    #[test]
    fn refuses_other_names_with_their_reason() {
        for (names, fault) in [
            (&["eth0", ""][..], "item 2: interface ``: empty name"),
            (&["sixteen--letters"], "item 1: interface `sixteen--letters`: longer than 15 bytes"),
            (&["eth/0"], "item 1: interface `eth/0`: `/`, `:` and white space cannot stand in a name"),
            (&["eth0:1"], "item 1: interface `eth0:1`: `/`, `:` and white space cannot stand in a name"),
            (&["eth 0"], "item 1: interface `eth 0`: `/`, `:` and white space cannot stand in a name"),
            (&[".."], "item 1: interface `..`: `/`, `:` and white space cannot stand in a name"),
            (&["lo"], "item 1: interface `lo`: the loopback is not guarded: its packets never leave this host"),
            (&["eth0", "eth1", "eth0"], "item 3: interface `eth0` is given twice"),
            (&["*", "eth0"], "item 2: interface `*` means every physical interface: no name may stand beside it"),
        ] {
            assert_eq!(parse(names), Err(format!("environment variable GUARD_INTERFACE {fault}")), "{names:?}");
        }
    }

    #[test]
    fn names_every_bad_name() {
        assert_eq!(parse(&["lo", "a/b", "eth0"]).unwrap_err().lines().count(), 2);
    }
}
