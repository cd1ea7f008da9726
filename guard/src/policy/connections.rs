//! What a service's TCP connections are held to, and what becomes of who goes beyond its limits, as the operator means it.

use std::{fmt, num::NonZeroU32, time::Duration};

use serde::{Serialize, Serializer};

use super::{
    Limit, Mode, Service,
    limits::{Window, as_ms},
};

/// What a service's TCP connections are held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ConnectionPolicy {
    /// Connections that may be open at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<NonZeroU32>,
    /// Connections that a source may have at once, open and under way; at most
    /// [`PER_SOURCE_MAX`](guard_common::connections::PER_SOURCE_MAX).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_per_source: Option<NonZeroU32>,
    /// How long a connection may be without a segment either way.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_as_ms", rename = "idle_timeout_ms")]
    pub(crate) idle_timeout: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ban: Option<BanPolicy>,
}

/// When a source is banned that goes beyond a limit of connections, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BanPolicy {
    /// Proven violations that make a ban,
    pub(crate) after: NonZeroU32,
    /// in this time.
    #[serde(serialize_with = "as_ms", rename = "within_ms")]
    pub(crate) within: Duration,
    /// How long the first ban lasts.
    #[serde(serialize_with = "as_ms", rename = "for_ms")]
    pub(crate) lasts: Duration,
    /// How many times as long each further one lasts, in hundredths; at least 100.
    pub(crate) factor_percent: u32,
    /// The longest ban, and the time in which one past ban is forgotten.
    #[serde(serialize_with = "as_ms", rename = "max_ms")]
    pub(crate) max: Duration,
    /// Distinct offenders in a wider prefix that make a ban of that: of sources in an IPv4 /24 or an IPv6 /56, and of such /56 in a
    /// /48. None: no wider prefix is ever banned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) widen: Option<NonZeroU32>,
}

impl ConnectionPolicy {
    /// Tells whether anything must be known of the service's connections.
    pub(crate) fn is_tracked(&self) -> bool {
        *self != Self::default()
    }
}

impl Service {
    /// Tells whether sources that provably go beyond one of its limits are banned.
    pub(crate) fn bans_for(&self, limit: &Limit) -> bool {
        self.connections.ban.is_some() && self.mode == Mode::Enforce && limit.can_prove()
    }
}

/// As an operator would say it: `at most 100 in all, at most 20 per source, closed when idle for 5 min`.
impl fmt::Display for ConnectionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max, max_per_source, idle_timeout, ban } = self;
        let parts = [
            max.map(|max| format!("at most {max} in all")),
            max_per_source.map(|max| format!("at most {max} per source")),
            idle_timeout.map(|time| format!("closed when idle for {}", Window(time))),
            ban.map(|ban| ban.to_string()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join(", ")) }
    }
}

/// As an operator would say it: `bans after 5 violations in 60 s for 15 min, x2 up to 1 d`.
impl fmt::Display for BanPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, within, lasts, factor_percent, max, widen } = *self;
        let violations = if after.get() == 1 { "violation" } else { "violations" };
        write!(f, "bans after {after} {violations} in {} for {}", Window(within), Window(lasts))?;
        if factor_percent > 100 && max > lasts {
            write!(f, ", x{} up to {}", f64::from(factor_percent) / 100.0, Window(max))?;
        }
        match widen {
            Some(offenders) => write!(f, ", wider from {offenders} offenders on"),
            None => Ok(()),
        }
    }
}

fn some_as_ms<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_millis() as u64).serialize(serializer)
}
