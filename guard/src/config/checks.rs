//! The refusals that need the whole policy: each part is good by itself, and together they would leave a door open.

use std::collections::{HashMap, HashSet};

use guard_common::policy::SERVICES_MAX;

use crate::policy::{Effect, Entries, Limit, Mode, Origin, Port, Ranges, Timed};

use super::cgroup::Cgroup;
use super::document::{ConnectionKeys, Document, ServiceKeys};
use super::faults::Report;
use super::item::Located;
use super::width::Family;

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

/// Refuses what asks for connections to be known where they cannot be, and bans that nothing can prove.
pub(super) fn connections(services: &[ServiceKeys], mode: Mode, cgroup: &Cgroup, report: &mut Report) {
    for service in services {
        let name = service.name.as_deref().unwrap_or_default();
        let ConnectionKeys { policy, asked } = &service.connections;
        if let Some(Located { value, origin }) = asked
            && !service.has_tcp()
            && !service.ports.is_empty()
        {
            report.fault(origin, format_args!("service `{name}` has no TCP port, and `{value}` is about nothing else"));
        }
        if policy.ban.is_none() {
            continue;
        }
        if !service.limits_faulty && !service.limits.iter().any(Limit::can_prove) {
            let message = format_args!(
                "service `{name}` has a `ban`, but no limit that proves who goes beyond it: one of `unit = \"connections\"`, \
                 per source or prefix (IPv6: /64 or shorter)"
            );
            report.fault(&service.origin, message);
        }
        if service.mode.unwrap_or(mode) == Mode::Monitor {
            report.warn_overall(format_args!("service `{name}` bans nobody: its mode is `monitor`"));
        }
    }
    let asked = services.iter().find_map(|service| service.connections.asked.as_ref());
    if let (Some(asked), Some(trouble)) = (asked, &cgroup.trouble) {
        let place = cgroup.origin.as_ref().unwrap_or(&asked.origin);
        let value = asked.value;
        report.fault(place, format_args!("`{value}` needs `cgroup`, in which connections are counted: {trouble}"));
    }
}

/// What becomes of a list that lets in more of a family than is taken unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wide {
    /// It is a fault.
    Refused,
    /// It was asked for, and is only said.
    Accepted,
}

impl Wide {
    pub(super) fn of(document: &Document) -> Self {
        if document.allow_wide { Self::Accepted } else { Self::Refused }
    }
}

/// Looks whether what is granted is too wide.
pub(super) fn grants(timed: &[Timed], wide: Wide, report: &mut Report) {
    let granted: Entries = timed.iter().filter(|timed| timed.effect != Effect::Ban).map(Timed::entry).collect();
    width(("grants cover", &granted), &Ranges::of(granted.prefixes()), wide, report);
}

/// Looks whether a list is too wide by itself.
pub(super) fn width((who_covers, own): (&str, &Entries), ranges: &Ranges, wide: Wide, report: &mut Report) {
    for family in Family::ALL.into_iter().filter(|family| family.is_wide(&[ranges])) {
        too_wide(family, who_covers, own, wide, report);
    }
}

/// Looks whether a service's list is too wide together with the allowlist; where that one is by itself, which is said already,
/// whether the service's list is, too.
pub(super) fn service_width(
    (name, own): (&str, &Entries),
    (ranges, common): (&Ranges, &Ranges),
    wide: Wide,
    report: &mut Report,
) {
    if ranges.is_empty() {
        return;
    }
    let (alone, beside): (Vec<Family>, Vec<Family>) =
        Family::ALL.into_iter().partition(|family| family.is_wide(&[common]));
    for family in alone.into_iter().filter(|family| family.is_wide(&[ranges])) {
        too_wide(family, &format!("service `{name}` covers"), own, wide, report);
    }
    // Most services are far from the limit, which is seen without joining a long allowlist with each of them.
    if !beside.iter().any(|family| family.is_wide(&[common, ranges])) {
        return;
    }
    let together = common.join(ranges);
    for family in beside.into_iter().filter(|family| family.is_wide(&[&together])) {
        too_wide(family, &format!("service `{name}` and the allowlist cover"), own, wide, report);
    }
}

fn too_wide(family: Family, who_covers: &str, entries: &Entries, wide: Wide, report: &mut Report) {
    let of_family = entries.iter().filter(|entry| family.has(&entry.prefix));
    let widest = of_family.min_by_key(|entry| entry.prefix.prefix_len()).expect("no entry covers nothing");
    let (prefix, origin, family, limit) = (widest.prefix, widest.origin, family.name(), family.limit());
    let covers = format_args!("{who_covers} more {family} addresses than {limit} in all");
    match wide {
        Wide::Refused => {
            let remedy = "`allow_wide = true` in guard.toml accepts it";
            report.fault(&origin, format_args!("prefix `{prefix}`: {covers}; {remedy}"));
        }
        // Without a place, so that it is never one of those that are left out.
        Wide::Accepted => report.warn_overall(format_args!(
            "{covers}, which `allow_wide = true` accepts; the widest prefix is `{prefix}`, by {origin}"
        )),
    }
}
