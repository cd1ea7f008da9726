//! Which service has which number, so that what is counted under a number keeps its name over reloads and restarts.

use std::collections::{BTreeMap, BTreeSet};

use guard_common::policy::SERVICES_MAX;
use thiserror::Error;

use super::Service;

/// The numbers that services have, or had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// The name of each number that was ever given; of services that are gone as well.
    pub(crate) names: BTreeMap<u8, String>,
    /// The numbers under which packets may be counted right now, a bit each.
    pub(crate) in_force: u64,
}

/// A number for a service that had none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) number: u8,
    pub(crate) name: String,
    /// Whether a service that is gone had it before.
    pub(crate) taken: bool,
}

#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "service `{service}` finds no number to be counted under: the policy in force and the new one have more than \
     {SERVICES_MAX} services between them; take some out first and add the new ones then, or start anew after `guard down`"
)]
pub(crate) struct NoNumber {
    service: String,
}

impl Numbers {
    /// Gives each service its number: the one its name had before, else one that was never given, else one of a service
    /// that is gone. Returns those that were not theirs before.
    ///
    /// # Errors
    /// There is none left: the number of a generation in force is never given to another service.
    pub(crate) fn assign(&self, services: &mut [Service]) -> Result<Vec<Given>, NoNumber> {
        let had: BTreeMap<&str, u8> = self.names.iter().map(|(number, name)| (name.as_str(), *number)).collect();
        let kept: BTreeSet<u8> =
            services.iter().filter_map(|service| had.get(service.name.as_str()).copied()).collect();
        let every = 1..=SERVICES_MAX as u8;
        let never_given = every.clone().filter(|number| !self.names.contains_key(number));
        let gone = every.filter(|number| self.names.contains_key(number) && !kept.contains(number));
        let mut left = never_given.chain(gone).filter(|number| self.in_force & (1 << number) == 0);
        let mut given = Vec::new();
        for service in services {
            service.number = match had.get(service.name.as_str()) {
                Some(number) => *number,
                None => {
                    let name = service.name.clone();
                    let number = left.next().ok_or_else(|| NoNumber { service: name.clone() })?;
                    given.push(Given { number, name, taken: self.names.contains_key(&number) });
                    number
                }
            };
        }
        Ok(given)
    }
}

/// The numbers of services as [`Numbers::in_force`] has them.
pub(crate) fn number_bits(services: &[Service]) -> u64 {
    services.iter().fold(0, |bits, service| bits | 1 << service.number)
}

#[cfg(test)]
mod tests {
    use crate::policy::{ConnectionPolicy, Entries, Mode};

    use super::*;

    fn services<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Service> {
        let service = |name: &str| Service {
            number: 0,
            name: name.to_owned(),
            ports: vec![],
            mode: Mode::Enforce,
            allow: Entries::default(),
            limits: Vec::new(),
            connections: ConnectionPolicy::default(),
        };
        names.into_iter().map(service).collect()
    }

    /// Assigns, and takes over what was given, as a switch does; returns the numbers and the names of those taken.
    fn change(numbers: &mut Numbers, names: &[&str]) -> (Vec<u8>, Vec<String>) {
        let mut services = services(names.iter().copied());
        let given = numbers.assign(&mut services).unwrap();
        numbers.names.extend(given.iter().map(|given| (given.number, given.name.clone())));
        numbers.in_force = number_bits(&services);
        let taken = given.into_iter().filter(|given| given.taken).map(|given| given.name).collect();
        (services.iter().map(|service| service.number).collect(), taken)
    }

    #[test]
    fn a_name_keeps_its_number() {
        let mut numbers = Numbers::default();
        for (case, names, expected) in [
            ("the first", &["web", "dns"][..], &[1, 2][..]),
            ("reordered", &["dns", "web"], &[2, 1]),
            ("removed", &["dns"], &[2]),
            ("renamed", &["names"], &[3]),
            ("back again", &["web", "dns", "names"], &[1, 2, 3]),
        ] {
            assert_eq!(change(&mut numbers, names), (expected.to_vec(), vec![]), "{case}");
        }
    }

    #[test]
    fn a_number_is_taken_only_where_none_is_free_and_never_one_in_force() {
        let names: Vec<String> = (1..=SERVICES_MAX).map(|number| format!("s{number}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut numbers = Numbers::default();
        change(&mut numbers, &names[..62]);
        assert_eq!(change(&mut numbers, &["last", "s1"]), (vec![63, 1], vec![]));
        assert_eq!(change(&mut numbers, &["more", "s1"]), (vec![2, 1], vec!["more".to_owned()]));
        assert_eq!(numbers.names[&2], "more");

        let mut numbers = Numbers::default();
        change(&mut numbers, &names);
        names[9] = "other";
        let refused = numbers.assign(&mut services(names.iter().copied())).unwrap_err();
        assert_eq!(refused, NoNumber { service: "other".to_owned() });
        names.remove(9);
        change(&mut numbers, &names);
        names.push("other");
        let (assigned, taken) = change(&mut numbers, &names);
        assert_eq!((assigned.last(), taken), (Some(&10), vec!["other".to_owned()]));
    }
}
