//! Rate limits as the operator means them: how many of what may come in how long, and who shares that.

use std::{fmt, num::NonZeroU64, time::Duration};

use serde::{Serialize, Serializer};

use super::Word;

/// A rate: so many units in a window, and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Limit {
    pub(crate) unit: Unit,
    /// Units that may come in a window on average.
    pub(crate) limit: NonZeroU64,
    /// 1 ms to 366 days.
    #[serde(serialize_with = "as_ms", rename = "window_ms")]
    pub(crate) window: Duration,
    /// Units that may come at once beyond the first.
    pub(crate) burst: u64,
    pub(crate) per: Per,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Packets,
    /// Bytes from the IP header on.
    Bytes,
    /// TCP SYNs, and first packets of UDP flows.
    Connections,
}

/// Who shares one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Per {
    /// Every packet of the service.
    Service,
    /// The sources of one prefix, so many bits long in each family.
    Prefix { v4: u8, v6: u8 },
}

impl Per {
    /// A source: an IPv4 address, or the /64 that one IPv6 host has to itself.
    pub(crate) const SOURCE: Self = Self::Prefix { v4: 32, v6: 64 };
}

impl Word for Unit {
    const ALL: &'static [Self] = &[Self::Packets, Self::Bytes, Self::Connections];

    fn word(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Bytes => "bytes",
            Self::Connections => "connections",
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Service => f.write_str("service"),
            Self::SOURCE => f.write_str("source"),
            Self::Prefix { v4, v6 } => write!(f, "/{v4} of IPv4, /{v6} of IPv6"),
        }
    }
}

impl Serialize for Per {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As an operator would say it: `100 connections in 60 s, burst 99, per source`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, limit, window, burst, per } = self;
        write!(f, "{limit} {} in {} s, burst {burst}, per {per}", unit.word(), window.as_secs_f64())
    }
}

fn as_ms<S: Serializer>(window: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(window.as_millis() as u64)
}
