//! Rate limits as the operator means them: how many of what may come in how long, and who shares that.

use std::{fmt, num::NonZeroU64, ops::RangeInclusive, time::Duration};

use serde::{Serialize, Serializer};

use super::Word;

/// A rate: so many units in a window, and a burst. Made by [`Limit::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Limit {
    pub(crate) unit: Unit,
    /// Units that may come in a window on average; at most [`Unit::most_per_s`] a second.
    pub(crate) limit: NonZeroU64,
    /// One of [`Limit::WINDOWS`], in whole milliseconds.
    #[serde(serialize_with = "as_ms", rename = "window_ms")]
    pub(crate) window: Duration,
    /// Units that may come at once beyond the first; at most [`Limit::BURST_MAX`].
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
    /// Every packet of the service; of the host, for a limit of no service.
    Service,
    /// The sources of one prefix, so many bits long in each family.
    Prefix { v4: u8, v6: u8 },
}

/// Why numbers make no limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("{} in {} are over {} a second", Amount(.limit.get(), *.unit), Window(*.window), .unit.most_per_s())]
    TooFast { limit: NonZeroU64, unit: Unit, window: Duration },
    #[error("burst {0} is over {max}; where none is given it is the limit less one", max = Limit::BURST_MAX)]
    LongBurst(u64),
    #[error(
        "burst {0} lets no packet of {FULL_PACKET} bytes pass, which takes a burst of at least {least}",
        least = FULL_PACKET - 1
    )]
    ShortBurst(u64),
}

/// What a limit of bytes must let through at once: a full Ethernet frame, whose header is room to spare.
const FULL_PACKET: u64 = 1514;

impl Limit {
    /// The windows that a limit can have.
    pub(crate) const WINDOWS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(366 * 24);
    /// The longest burst.
    pub(crate) const BURST_MAX: u64 = u32::MAX as u64;
    /// The shortest burst of bytes that lets every IP packet pass.
    pub(crate) const EVERY_PACKET: u64 = u16::MAX as u64 - 1;

    /// Makes a limit of a window that is one of [`Limit::WINDOWS`].
    ///
    /// # Errors
    /// It would be too fast, or its burst too long to be counted, or so short that no full packet ever passes.
    pub(crate) fn new(
        unit: Unit,
        limit: NonZeroU64,
        window: Duration,
        burst: u64,
        per: Per,
    ) -> Result<Self, LimitError> {
        if u128::from(limit.get()) * 1000 > u128::from(unit.most_per_s()) * window.as_millis() {
            return Err(LimitError::TooFast { limit, unit, window });
        }
        if burst > Self::BURST_MAX {
            return Err(LimitError::LongBurst(burst));
        }
        if unit == Unit::Bytes && burst + 1 < FULL_PACKET {
            return Err(LimitError::ShortBurst(burst));
        }
        Ok(Self { unit, limit, window, burst, per })
    }

    /// Tells whether completed handshakes can prove that a source went beyond it: connections are told from spoofed ones by who
    /// completes them, and known by IPv4 address and IPv6 /64.
    pub(crate) fn can_prove(&self) -> bool {
        self.unit == Unit::Connections && matches!(self.per, Per::Prefix { v6: ..=64, .. })
    }

    /// Returns the length of the longest packet that ever passes, where some packets are longer.
    pub(crate) fn longest_packet(&self) -> Option<u64> {
        (self.unit == Unit::Bytes && self.burst < Self::EVERY_PACKET).then_some(self.burst + 1)
    }
}

impl Unit {
    /// Returns how many a limit may let through in a second.
    pub(crate) const fn most_per_s(self) -> u64 {
        match self {
            Self::Packets | Self::Connections => 50_000_000,
            Self::Bytes => 1 << 33,
        }
    }
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

/// As an operator would say it: `100 connections in 60 s, burst 99, per source`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, limit, window, burst, per } = *self;
        write!(f, "{} in {}, burst {burst}, {per}", Amount(limit.get(), unit), Window(window))
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Service => f.write_str("in all"),
            Self::SOURCE => f.write_str("per source"),
            Self::Prefix { v4, v6 } => write!(f, "per IPv4 /{v4} and IPv6 /{v6}"),
        }
    }
}

/// In the words of the configuration.
impl Serialize for Per {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Service => serializer.serialize_str("service"),
            Self::SOURCE => serializer.serialize_str("source"),
            Self::Prefix { v4, v6 } => serializer.collect_map([("v4", v4), ("v6", v6)]),
        }
    }
}

/// So many units: `1 connection`.
struct Amount(u64, Unit);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, unit) = self;
        let units = unit.word();
        write!(f, "{number} {}", if *number == 1 { units.trim_end_matches('s') } else { units })
    }
}

/// A window in the largest unit that makes it a whole number: `15 min`; a single minute stays `60 s`.
pub(super) struct Window(pub(super) Duration);

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0.as_millis() {
            ms if ms % 86_400_000 == 0 => (ms / 86_400_000, "d"),
            ms if ms % 3_600_000 == 0 => (ms / 3_600_000, "h"),
            ms if ms % 60_000 == 0 && ms > 60_000 => (ms / 60_000, "min"),
            ms if ms % 1000 == 0 => (ms / 1000, "s"),
            ms => (ms, "ms"),
        };
        write!(f, "{number} {unit}")
    }
}

pub(super) fn as_ms<S: Serializer>(window: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(window.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(unit: Unit, limit: u64, window_ms: u64, burst: Option<u64>) -> Result<Limit, String> {
        let window = Duration::from_millis(window_ms);
        let burst = burst.unwrap_or(limit - 1);
        Limit::new(unit, limit.try_into().unwrap(), window, burst, Per::SOURCE).map_err(|error| error.to_string())
    }

    #[test]
    fn says_what_it_holds_to() {
        for (unit, number, window_ms, burst, per, words) in [
            (Unit::Connections, 100, 60_000, None, Per::SOURCE, "100 connections in 60 s, burst 99, per source"),
            (Unit::Connections, 1, 1_000, Some(5), Per::Service, "1 connection in 1 s, burst 5, in all"),
            (Unit::Packets, 10, 100, None, Per::SOURCE, "10 packets in 100 ms, burst 9, per source"),
            (Unit::Packets, 10, 1_500, None, Per::SOURCE, "10 packets in 1500 ms, burst 9, per source"),
            (Unit::Packets, 10, 90_000, None, Per::SOURCE, "10 packets in 90 s, burst 9, per source"),
            (Unit::Packets, 10, 900_000, None, Per::SOURCE, "10 packets in 15 min, burst 9, per source"),
            (Unit::Packets, 10, 7_200_000, None, Per::SOURCE, "10 packets in 2 h, burst 9, per source"),
            (
                Unit::Bytes,
                65_536,
                86_400_000,
                Some(70_000),
                Per::Prefix { v4: 24, v6: 56 },
                "65536 bytes in 1 d, burst 70000, per IPv4 /24 and IPv6 /56",
            ),
        ] {
            let limit = Limit { per, ..limit(unit, number, window_ms, burst).unwrap() };
            assert_eq!(limit.to_string(), words);
        }
    }

    #[test]
    fn has_the_words_of_the_configuration_in_json() {
        let limit = limit(Unit::Packets, 10, 1_000, None).unwrap();
        for (per, words) in [
            (Per::SOURCE, serde_json::json!("source")),
            (Per::Service, serde_json::json!("service")),
            (Per::Prefix { v4: 24, v6: 56 }, serde_json::json!({ "v4": 24, "v6": 56 })),
        ] {
            let expected =
                serde_json::json!({ "unit": "packets", "limit": 10, "window_ms": 1000, "burst": 9, "per": words });
            assert_eq!(serde_json::to_value(Limit { per, ..limit }).unwrap(), expected);
        }
    }

    #[test]
    fn accepts_up_to_its_bounds_and_nothing_beyond() {
        let day = 86_400_000;
        let no_packet =
            |burst| format!("burst {burst} lets no packet of 1514 bytes pass, which takes a burst of at least 1513");
        let long =
            |burst: u64| format!("burst {burst} is over 4294967295; where none is given it is the limit less one");
        for (name, made, error) in [
            ("packets a second", limit(Unit::Packets, 50_000_000, 1_000, None), None),
            ("packets a ms", limit(Unit::Packets, 50_000, 1, None), None),
            ("connections a day", limit(Unit::Connections, 50_000_000 * 86_400, day, Some(0)), None),
            ("bytes a second", limit(Unit::Bytes, 1 << 33, 1_000, Some(65_534)), None),
            ("slowest", limit(Unit::Packets, 1, 366 * day, None), None),
            ("burst", limit(Unit::Packets, 1, 1_000, Some(4_294_967_295)), None),
            ("omitted burst", limit(Unit::Packets, 4_294_967_296, day, None), None),
            ("short burst of packets", limit(Unit::Packets, 1, 1_000, Some(0)), None),
            ("a full packet", limit(Unit::Bytes, 1_514, 1_000, None), None),
            (
                "too many packets",
                limit(Unit::Packets, 50_000_001, 1_000, None),
                Some("50000001 packets in 1 s are over 50000000 a second".to_owned()),
            ),
            (
                "too many connections",
                limit(Unit::Connections, 3_000_000_001, 60_000, None),
                Some("3000000001 connections in 60 s are over 50000000 a second".to_owned()),
            ),
            (
                "too many bytes",
                limit(Unit::Bytes, u64::MAX, 1, None),
                Some("18446744073709551615 bytes in 1 ms are over 8589934592 a second".to_owned()),
            ),
            ("too long a burst", limit(Unit::Packets, 1, day, Some(1 << 32)), Some(long(1 << 32))),
            ("omitted and too long", limit(Unit::Bytes, 5_000_000_000, day, None), Some(long(4_999_999_999))),
            ("too short a burst", limit(Unit::Bytes, 65_536, 1_000, Some(1_512)), Some(no_packet(1_512))),
            ("omitted and too short", limit(Unit::Bytes, 1_513, 1_000, None), Some(no_packet(1_512))),
        ] {
            assert_eq!(made.err(), error, "{name}");
        }
    }

    #[test]
    fn tells_which_packets_are_too_long_for_it() {
        for (unit, burst, longest) in [
            (Unit::Bytes, 1_513, Some(1_514)),
            (Unit::Bytes, 65_533, Some(65_534)),
            (Unit::Bytes, 65_534, None),
            (Unit::Packets, 0, None),
            (Unit::Connections, 0, None),
        ] {
            assert_eq!(limit(unit, 1, 1_000, Some(burst)).unwrap().longest_packet(), longest, "{unit:?} {burst}");
        }
    }
}
