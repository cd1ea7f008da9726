//! The refusals that need the whole policy: each part is good by itself, and together they would leave a door open.

use std::collections::{HashMap, HashSet};

use guard_common::policy::SERVICES_MAX;

use crate::policy::{Entry, Origin, Port};

use super::document::ServiceKeys;
use super::faults::Report;
use super::sets::Expanded;
use super::width::{Cover, Family};

/// Refuses too many services, names that two have, and ports that two have or that always pass.
pub(super) fn services(services: &[ServiceKeys], failsafe_ports: &[Port], report: &mut Report) {
    if let Some(first_over) = services.get(SERVICES_MAX) {
        let count = services.len();
        report.fault(&first_over.origin, format_args!("{count} services, over the limit of {SERVICES_MAX}"));
    }
    let mut names: HashMap<&str, &Origin> = HashMap::new();
    for service in services {
        let Some(name) = service.name.as_deref() else { continue };
        match names.get(name) {
            Some(first) => report.fault(&service.origin, format_args!("service name `{name}` is taken, by {first}")),
            None => drop(names.insert(name, &service.origin)),
        }
    }
    owners(services, report);
    failsafe(services, failsafe_ports, report);
}

fn owners(services: &[ServiceKeys], report: &mut Report) {
    let mut owners = HashMap::new();
    for (at, service) in services.iter().enumerate() {
        for port in &service.ports {
            let (owner, first) = owners.entry(port.value).or_insert((at, &port.origin));
            if *owner != at {
                let message = format_args!("port `{}` belongs to another service, by {first}", port.value);
                report.fault(&port.origin, message);
            }
        }
    }
}

fn failsafe(services: &[ServiceKeys], failsafe_ports: &[Port], report: &mut Report) {
    let ports = || services.iter().flat_map(|service| &service.ports);
    let guarded: HashSet<Port> = ports().map(|port| port.value).collect();
    let rest = failsafe_ports.iter().filter(|port| !guarded.contains(port));
    let rest: Vec<String> = rest.map(|port| format!("\"{port}\"")).collect();
    let rest = rest.join(", ");
    for port in ports().filter(|port| failsafe_ports.contains(&port.value)) {
        let message = format_args!(
            "port `{}` is a failsafe port, which passes before any list is asked: to guard it, write \
             `failsafe_ports = [{rest}]` at the top of guard.toml",
            port.value
        );
        report.fault(&port.origin, message);
    }
}

/// Refuses lists that let in more of a family than a /4, alone or a service's together with the allowlist.
pub(super) fn width(allow: &[Entry], services: &[(&str, &Expanded)], report: &mut Report) {
    for family in Family::ALL {
        let common = cover(family, allow);
        if common.is_wide(family) {
            too_wide(family, "the allowlist covers", allow, report);
            continue;
        }
        for (name, own) in services {
            if common.join(&cover(family, &own.entries)).is_wide(family) {
                too_wide(family, &format!("service `{name}` and the allowlist cover"), &own.entries, report);
            }
        }
    }
}

fn cover(family: Family, entries: &[Entry]) -> Cover {
    Cover::of(family, entries.iter().map(|entry| &entry.prefix))
}

fn too_wide(family: Family, who_covers: &str, entries: &[Entry], report: &mut Report) {
    let of_family = entries.iter().filter(|entry| family.has(&entry.prefix));
    let widest = of_family.min_by_key(|entry| entry.prefix.prefix_len()).expect("no entry covers nothing");
    let (family, limit) = (family.name(), family.limit());
    let message = format_args!(
        "prefix `{}`: {who_covers} more {family} addresses than {limit} in all; `allow_wide = true` in guard.toml \
         accepts it",
        widest.prefix
    );
    report.fault(&widest.origin, message);
}
