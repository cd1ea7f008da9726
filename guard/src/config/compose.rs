//! Joins what the environment, `guard.toml`, the list file and the sets say into one policy.
//!
//! A variable's value wins over the file's; lists are joined.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use guard_common::policy::SERVICES_MAX;

use crate::clock::Clock;
use crate::live::Live;
use crate::policy::{
    ConnectionPolicy, DefaultVerdict, Effect, Entries, Limit, LogPolicy, Mode, Policy, Port, Ranges, Service, Timed,
};

use super::cgroup::Cgroup;
use super::checks::{self, Wide};
use super::document::{Document, FAILSAFE_PORTS, LogKeys, ServiceKeys};
use super::faults::{Quoted, Report};
use super::item::Located;
use super::list_file::{Expiring, ForService, ListFile};
use super::live_file::LiveFile;
use super::sets::{Expanded, Sets};
use super::settings::Settings;

/// What was read of each source.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) document: Document,
    pub(super) sets: Sets,
    pub(super) list_file: ListFile,
    pub(super) live_file: LiveFile,
    pub(super) cgroup: Cgroup,
}

/// What the sources come to together.
pub(super) struct Composed {
    pub(super) policy: Policy,
    pub(super) timed: Vec<Timed>,
    pub(super) live: Live,
}

/// Joins the parts; without a policy there is at least one fault in the report, and with a fault the policy is worth
/// nothing. What has ended by the clock is left out.
pub(super) fn compose(parts: Parts, state_dir: &Path, clock: &Clock, report: &mut Report) -> Option<Composed> {
    let Parts { settings, document, sets, list_file, mut live_file, cgroup } = parts;
    let wide = Wide::of(&document);
    live_file.forget_stale(&list_file.allow);
    let mode = settings.mode.or(document.mode).unwrap_or_default();
    let default = settings.default.or(document.default).unwrap_or_default();
    let failsafe_ports = distinct(document.failsafe_ports.unwrap_or_else(|| FAILSAFE_PORTS.to_vec()));

    let mut allow = settings.allow;
    allow.join(document.allow);
    allow.join(list_file.allow);
    let mut allow = sets.expand(&allow, report);
    allow.faulty |= document.unknown || live_file.faulty;
    let trusted = sets.expand(&document.trusted, report).entries;

    let mut keys = merge_ports(settings.ports, document.services, report);
    // A service whose name was refused may be any that is named.
    let nameless = keys.iter().any(|service| service.name.is_none());
    let services_unknown = document.unknown || document.services_faulty || nameless;
    if keys.is_empty() && !services_unknown && default == DefaultVerdict::Pass {
        report.missing(
            "no guarded port while `default` is `pass`: set GUARD_PORTS, or add a [[service]] or `default = \"drop\"` \
             to guard.toml",
        );
    }
    checks::services(&keys, &failsafe_ports, report);
    settings.limits.hand_out(&mut keys, &cgroup, report);
    settings.connections.hand_out(&mut keys, report);
    checks::connections(&keys, mode, &cgroup, report);
    hand_out(list_file.services, &mut keys, services_unknown, report);
    let mut timed = grants(list_file.expiring, &keys, services_unknown, &sets, clock, report);
    let mut deny = document.deny;
    timed.extend(live_file.hand_out(&mut keys, &mut deny, services_unknown, report));
    let deny = sets.expand(&deny, report).entries;
    let services: Vec<Draft> = keys.into_iter().map(|keys| Draft::new(keys, mode, &sets, report)).collect();

    check_lists(&allow.entries, &services, wide, report);
    checks::grants(&timed, wide, report);
    ranges_of("`deny`", &deny, report);
    ranges_of("`trusted`", &trusted, report);
    let is_limited = |draft: &Draft| !draft.limits.is_empty() || draft.connections.is_tracked();
    let limited = document.echo_rate.is_some() || services.iter().any(is_limited);
    if !trusted.is_empty() && !limited {
        report.warn_overall("[trusted] changes nothing: there is no limit that it could exempt from");
    }
    if !document.allow_empty {
        check_reach(&allow, &services, report);
    }

    let interfaces = settings.interfaces.or(document.interfaces);
    if interfaces.is_none() && !document.unknown {
        report.missing("no interface to guard: set GUARD_INTERFACE, or `interfaces` in guard.toml");
    }
    let policy = Policy {
        interfaces: interfaces?,
        xdp_mode: settings.xdp_mode.or(document.xdp_mode).unwrap_or_default(),
        mode,
        default,
        failsafe_ports,
        echo_rate: document.echo_rate,
        shared_addresses: document.shared_addresses,
        allow: allow.entries,
        deny,
        trusted,
        services: (1..=SERVICES_MAX as u8).zip(services).map(|(number, draft)| draft.finish(number)).collect(),
        log: log(settings.eve_file.as_deref(), &document.log, state_dir, report),
        control_readers: document.control_readers.unwrap_or_default(),
        cgroup: cgroup.path,
        grants_hold: true,
    };
    Some(Composed { policy, timed, live: live_file.into_live() })
}

/// A service whose sets are put in, but not yet what `any` stands for.
struct Draft {
    name: String,
    ports: Vec<Port>,
    mode: Mode,
    allow: Expanded,
    limits: Vec<Limit>,
    connections: ConnectionPolicy,
}

impl Draft {
    fn new(keys: ServiceKeys, mode: Mode, sets: &Sets, report: &mut Report) -> Self {
        Self {
            // A service without a name was reported, and is checked as far as it goes.
            name: keys.name.unwrap_or_default(),
            ports: distinct(keys.ports.into_iter().map(|port| port.value)),
            mode: keys.mode.unwrap_or(mode),
            allow: sets.expand(&keys.allow, report),
            limits: keys.limits,
            connections: keys.connections.policy,
        }
    }

    fn finish(self, number: u8) -> Service {
        let Self { name, ports, mode, allow: Expanded { mut entries, any, .. }, limits, connections } = self;
        if let Some(origin) = any {
            let everyone = ["0.0.0.0/0", "::/0"].map(|prefix| prefix.parse().expect("it is a prefix"));
            everyone.into_iter().for_each(|prefix| entries.push(prefix, &origin, None));
        }
        Service { number, name, ports, mode, allow: entries, limits, connections }
    }

    fn is_closed(&self) -> bool {
        self.allow.entries.is_empty() && self.allow.any.is_none() && !self.allow.faulty
    }
}

/// Makes a service of `GUARD_PORTS`, unless the file has services.
fn merge_ports(
    ports: Option<Located<Vec<Located<Port>>>>,
    mut services: Vec<ServiceKeys>,
    report: &mut Report,
) -> Vec<ServiceKeys> {
    let Some(Located { value: ports, origin }) = ports else { return services };
    if let Some(first) = services.first() {
        let first = &first.origin;
        report.fault(&origin, format_args!("GUARD_PORTS beside a [[service]] ({first}): write its ports there too"));
    } else {
        services.push(ServiceKeys::of_ports(origin, "default", ports));
    }
    services
}

/// Gives the list file's elements to the services that they name.
fn hand_out(lists: BTreeMap<String, ForService>, services: &mut [ServiceKeys], unknown: bool, report: &mut Report) {
    let by_name = by_name(services);
    for (name, ForService { list, first, elements }) in lists {
        match by_name.get(&name) {
            Some(at) => services[*at].allow.join(list),
            None if unknown => {}
            None => {
                for index in elements {
                    report.fault(&first.at(index), format_args!("service {} is not defined", Quoted(&name)));
                }
            }
        }
    }
}

/// Makes grants of the list file's elements that end.
fn grants(
    elements: Vec<Expiring>,
    services: &[ServiceKeys],
    unknown: bool,
    sets: &Sets,
    clock: &Clock,
    report: &mut Report,
) -> Vec<Timed> {
    let by_name = by_name(services);
    let mut timed = Vec::new();
    for Expiring { list, services, expires, origin } in elements {
        for name in services.iter().filter(|name| !unknown && !by_name.contains_key(*name)) {
            report.fault(&origin, format_args!("service {} is not defined", Quoted(name)));
        }
        let prefixes = sets.expand(&list, report).entries;
        let ends = clock.boot_at(expires);
        if ends > clock.boot {
            timed.extend(prefixes.iter().map(|entry| Timed {
                effect: Effect::Grant { services: services.clone() },
                prefix: entry.prefix,
                ends,
                origin: entry.origin,
                comment: entry.comment.map(str::to_owned),
            }));
        }
    }
    timed
}

/// Returns where each service stands, by its name.
pub(super) fn by_name(services: &[ServiceKeys]) -> HashMap<String, usize> {
    let name = |(at, service): (usize, &ServiceKeys)| Some((service.name.clone()?, at));
    services.iter().enumerate().filter_map(name).collect()
}

/// Refuses a policy that lets nobody in, and warns of a service that nobody reaches.
fn check_reach(allow: &Expanded, services: &[Draft], report: &mut Report) {
    if !allow.entries.is_empty() || allow.faulty {
        return;
    }
    let closed = services.iter().filter(|draft| draft.is_closed());
    if closed.clone().count() == services.len() {
        report.missing(
            "no allowlist: set ALLOWED_IPS, or `ips` or `file` under [allow] in guard.toml, or `allow_empty = true` \
             there to let nobody in",
        );
        return;
    }
    for draft in closed {
        report.warn_overall(format_args!("service `{}` is reached by nobody: no allowlist names a source", draft.name));
    }
}

fn log(eve_file: Option<&Path>, keys: &LogKeys, state_dir: &Path, report: &mut Report) -> LogPolicy {
    let eve = eve_file.or(keys.eve.as_deref()).map(|path| state_dir.join(path));
    let stdout = keys.stdout.unwrap_or(eve.is_none());
    if eve.is_none() && !stdout {
        report.warn_overall("blocks are written nowhere: [log] has no `eve`, and `stdout` is `false`");
    }
    LogPolicy { eve, stdout }
}

/// Looks for lists that are too wide or repeat entries.
fn check_lists(allow: &Entries, services: &[Draft], wide: Wide, report: &mut Report) {
    let common = ranges_of("the allowlist", allow, report);
    checks::width(("the allowlist covers", allow), &common, wide, report);
    for Draft { name, allow: Expanded { entries, .. }, .. } in
        services.iter().filter(|draft| !draft.allow.entries.is_empty())
    {
        let ranges = ranges_of(&format!("service `{name}`"), entries, report);
        checks::service_width((name, entries), (&ranges, &common), wide, report);
    }
}

/// Merges a list, and warns of entries that stand in it twice.
fn ranges_of(list: &str, entries: &Entries, report: &mut Report) -> Ranges {
    let (ranges, repeats) = Ranges::and_repeats(entries.prefixes());
    match repeats {
        0 => {}
        1 => report.warn_overall(format_args!("1 entry of {list} repeats another")),
        repeats => report.warn_overall(format_args!("{repeats} entries of {list} repeat others")),
    }
    ranges
}

/// Keeps the first of equal ports: to name one twice is harmless.
fn distinct(ports: impl IntoIterator<Item = Port>) -> Vec<Port> {
    let mut seen = HashSet::new();
    ports.into_iter().filter(|port| seen.insert(*port)).collect()
}
