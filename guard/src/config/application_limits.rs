//! The limits that variables of the guarded applications ask for, as far as they can be kept by looking at packets.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use guard_common::limits::LIMITS_MAX;

use crate::policy::{BanPolicy, Limit, Origin, Per, Unit};

use super::amounts::parse_number;
use super::cgroup::Cgroup;
use super::document::ServiceKeys;
use super::environment::Variables;
use super::faults::Report;
use super::item::Located;

const MAX_REQUESTS: &str = "RATE_LIMIT_MAX_REQUESTS";
const WINDOW_MS: &str = "RATE_LIMIT_WINDOW_MS";

/// What the application takes for that one of the two which is not given.
const DEFAULT_MAX_REQUESTS: u64 = 100;
const DEFAULT_WINDOW_MS: u64 = 60_000;

/// The most that a variable may ask for: beyond it the burst would be too long.
const MOST_REQUESTS: u64 = Limit::BURST_MAX + 1;

/// The window of the limits for services named after what they serve.
const NAMED_WINDOW: Duration = Duration::from_mins(15);

/// Limits of connections per source, each with the variable that asks for it.
#[derive(Debug, Default)]
pub(super) struct ApplicationLimits {
    /// `RATE_LIMIT_MAX_REQUESTS`, `RATE_LIMIT_WINDOW_MS`: how many connections a source may open in so many ms, for every
    /// service without a `rate` of its own, also that of `GUARD_PORTS`. Where only one is given, the other is 100 or 60,000.
    /// Requests inside one connection can't be seen. A source that provably opens more is banned for one window, unless the
    /// service has a `ban` of its own.
    every: Option<Located<Limit>>,
    /// `AUTH_RATE_LIMIT_MAX`: how many connections a source may open in 15 minutes, for the service named `auth`. Its `rate`
    /// keeps other limits, this one stands in place of those whose unit is connections and which are per source. It wins
    /// over `RATE_LIMIT_*`. Every connection counts, not only those with a failed login.
    auth: Option<Located<Limit>>,
    /// `DATA_RATE_LIMIT_MAX`: the same for the service named `data`.
    data: Option<Located<Limit>>,
}

impl ApplicationLimits {
    /// Reads the variables that have a value.
    pub(super) fn read(variables: &Variables, report: &mut Report) -> Self {
        Self {
            every: every(variables, report),
            auth: named(variables.get("AUTH_RATE_LIMIT_MAX"), report),
            data: named(variables.get("DATA_RATE_LIMIT_MAX"), report),
        }
    }

    /// Gives the limits to the services that they are for.
    pub(super) fn hand_out(self, services: &mut [ServiceKeys], cgroup: &Cgroup, report: &mut Report) {
        let mut enforced = Vec::new();
        for (name, limit) in [("auth", self.auth), ("data", self.data)] {
            let Some(limit) = limit else { continue };
            match services.iter_mut().find(|service| service.name.as_deref() == Some(name)) {
                Some(service) => {
                    replace(service, &limit, report);
                    enforced.push(limit.origin);
                }
                None => report.warn(&limit.origin, format_args!("limits nothing: no service is named `{name}`")),
            }
        }
        if let Some(every) = self.every {
            let unlimited: Vec<_> = services.iter_mut().filter(|service| service.limits.is_empty()).collect();
            if unlimited.is_empty() {
                report.warn(&every.origin, "limits nothing: there is no service without a `rate` of its own");
            } else {
                limit(unlimited, &every, cgroup, report);
                enforced.push(every.origin);
            }
        }
        if let Some(origin) = enforced.first() {
            report.warn(
                origin,
                "new connections are counted, for the requests inside one cannot be seen; what goes over the limit is \
                 dropped",
            );
        }
    }
}

/// Gives a limit to services, and has who goes beyond it banned for one window, where that can be proven.
fn limit(services: Vec<&mut ServiceKeys>, limit: &Located<Limit>, cgroup: &Cgroup, report: &mut Report) {
    let Located { value, origin } = limit;
    let ban = BanPolicy {
        after: NonZeroU32::MIN,
        within: value.window,
        lasts: value.window,
        factor_percent: 100,
        max: value.window,
        widen: None,
    };
    let mut would_ban = false;
    for service in services {
        service.limits.push(*value);
        if service.has_tcp() && service.connections.policy.ban.is_none() {
            would_ban = true;
            service.connections.policy.ban = cgroup.trouble.is_none().then_some(ban);
        }
    }
    if let Some(trouble) = cgroup.trouble.as_ref().filter(|_| would_ban) {
        report.warn(origin, format_args!("bans are off, for nobody's connections can be known: {trouble}"));
    }
}

fn every(variables: &Variables, report: &mut Report) -> Option<Located<Limit>> {
    let (max, window) = (variables.get(MAX_REQUESTS), variables.get(WINDOW_MS));
    let origin = &max.or(window)?.origin;
    let longest_ms = Limit::WINDOWS.end().as_millis() as u64;
    let max = number_or(max, (MAX_REQUESTS, DEFAULT_MAX_REQUESTS), MOST_REQUESTS, origin, report);
    let window_ms = number_or(window, (WINDOW_MS, DEFAULT_WINDOW_MS), longest_ms, origin, report);
    connections(max?, Duration::from_millis(window_ms?), origin, report)
}

fn named(variable: Option<&Located<String>>, report: &mut Report) -> Option<Located<Limit>> {
    let variable = variable?;
    connections(number(variable, MOST_REQUESTS, report)?, NAMED_WINDOW, &variable.origin, report)
}

/// Reads a number, or takes the default, with a warning at the variable that was given beside it.
fn number_or(
    variable: Option<&Located<String>>,
    (name, default): (&str, u64),
    most: u64,
    beside: &Origin,
    report: &mut Report,
) -> Option<u64> {
    if let Some(variable) = variable {
        return number(variable, most, report);
    }
    report.warn(beside, format_args!("{name} is not given: {default} is taken, as the application does"));
    Some(default)
}

/// Reads a whole number from 1 on.
pub(super) fn number(Located { value, origin }: &Located<String>, most: u64, report: &mut Report) -> Option<u64> {
    parse_number(value, 1..=most).map_err(|error| report.fault(origin, error)).ok()
}

fn connections(max: u64, window: Duration, origin: &Origin, report: &mut Report) -> Option<Located<Limit>> {
    let limit = Limit::new(Unit::Connections, NonZeroU64::new(max)?, window, max - 1, Per::SOURCE);
    let value = limit.map_err(|error| report.fault(origin, error)).ok()?;
    Some(Located { value, origin: origin.clone() })
}

/// Puts a limit in place of those in the service's `rate` that count the same for the same.
fn replace(service: &mut ServiceKeys, limit: &Located<Limit>, report: &mut Report) {
    let Located { value, origin } = limit;
    service.limits.retain(|other| (other.unit, other.per) != (value.unit, value.per));
    if service.limits.len() == LIMITS_MAX {
        let (name, place) = (service.name.as_deref().unwrap_or_default(), &service.origin);
        report.fault(
            origin,
            format_args!(
                "service `{name}` ({place}) has {LIMITS_MAX} limits of other kinds in its `rate`, and may have no more"
            ),
        );
    }
    service.limits.push(*value);
}
