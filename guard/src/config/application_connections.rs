//! The caps and timeouts of connections that variables of the guarded applications ask for.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::policy::ConnectionPolicy;

use super::application_limits::number;
use super::document::{CONNECTIONS_MAX, ServiceKeys};
use super::environment::Variables;
use super::faults::Report;
use super::item::Located;

/// What the services named after what they serve are held to, in place of what they have in `guard.toml`; where there is one
/// service only, and it is not named for the other, that one is.
#[derive(Debug, Default)]
pub(super) struct ApplicationConnections {
    /// `TCP_MAX_CONNECTIONS`, `WS_MAX_CONNECTIONS`: how many connections may be open at once, for the services named `tcp` and
    /// `ws`.
    max: [Option<Located<NonZeroU32>>; 2],
    /// `TCP_CONNECTION_TIMEOUT`, `WS_CONNECTION_TIMEOUT`: after how many ms without a segment a connection is closed, in whole
    /// seconds, rounded up.
    idle_timeout: [Option<Located<Duration>>; 2],
}

/// The services that the variables are named after.
const NAMES: [&str; 2] = ["tcp", "ws"];
const MAX: [&str; 2] = ["TCP_MAX_CONNECTIONS", "WS_MAX_CONNECTIONS"];
const TIMEOUT: [&str; 2] = ["TCP_CONNECTION_TIMEOUT", "WS_CONNECTION_TIMEOUT"];
const LONGEST: Duration = Duration::from_hours(366 * 24);

impl ApplicationConnections {
    /// Reads the variables that have a value.
    pub(super) fn read(variables: &Variables, report: &mut Report) -> Self {
        Self {
            max: MAX.map(|name| {
                let variable = variables.get(name)?;
                let number = number(variable, CONNECTIONS_MAX.into(), report)?;
                let value = u32::try_from(number).ok().and_then(NonZeroU32::new)?;
                Some(Located { value, origin: variable.origin.clone() })
            }),
            idle_timeout: TIMEOUT.map(|name| {
                let variable = variables.get(name)?;
                let ms = number(variable, LONGEST.as_millis() as u64, report)?;
                Some(Located { value: Duration::from_secs(ms.div_ceil(1_000)), origin: variable.origin.clone() })
            }),
        }
    }

    /// Puts the values in place of those of the services that they are for.
    pub(super) fn hand_out(self, services: &mut [ServiceKeys], report: &mut Report) {
        hand_out((MAX, self.max), services, |policy| &mut policy.max, report);
        hand_out((TIMEOUT, self.idle_timeout), services, |policy| &mut policy.idle_timeout, report);
    }
}

fn hand_out<T: Copy + Ord>(
    (variables, mut values): ([&'static str; 2], [Option<Located<T>>; 2]),
    services: &mut [ServiceKeys],
    place: impl Fn(&mut ConnectionPolicy) -> &mut Option<T>,
    report: &mut Report,
) {
    let targets = [0, 1].map(|at| target(services, at));
    if let [Some(tcp), Some(ws)] = &values
        && targets[0].is_some()
        && targets[0] == targets[1]
    {
        let (more, less) = if ws.value < tcp.value { (0, 1) } else { (1, 0) };
        let Some(Located { origin, .. }) = values[more].take() else { return };
        report.warn(&origin, format_args!("changes nothing: {} allows the same service no more", variables[less]));
    }
    for (at, value) in values.into_iter().enumerate() {
        let Some(Located { value, origin }) = value else { continue };
        let Some(service) = targets[at].and_then(|target| services.get_mut(target)) else {
            report.warn(&origin, format_args!("limits nothing: no service is named `{}`", NAMES[at]));
            continue;
        };
        if !service.has_tcp() {
            let name = service.name.as_deref().unwrap_or_default();
            report.warn(&origin, format_args!("limits nothing: service `{name}` has no TCP port"));
            continue;
        }
        *place(&mut service.connections.policy) = Some(value);
        service.connections.asked.get_or_insert(Located { value: variables[at], origin });
    }
}

/// Returns where the service stands that a variable is for.
fn target(services: &[ServiceKeys], at: usize) -> Option<usize> {
    let is_named = |name| move |service: &ServiceKeys| service.name.as_deref() == Some(name);
    services.iter().position(is_named(NAMES[at])).or_else(|| match services {
        [only] if !is_named(NAMES[1 - at])(only) => Some(0),
        _ => None,
    })
}
