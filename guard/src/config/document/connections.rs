//! How a service's connections are held: the keys of [[service]] that are about them, and `ban`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use guard_common::connections::PER_SOURCE_MAX;

use crate::policy::{BanPolicy, ConnectionPolicy};

use super::super::amounts::parse_ttl;
use super::super::faults::Report;
use super::super::item::Located;
use super::section::Section;

/// The most that `max_connections` may be.
pub(in super::super) const CONNECTIONS_MAX: u32 = 1_000_000;

/// The keys of a [[service]] that are about its TCP connections, as variables may change them.
#[derive(Debug, Default)]
pub(in super::super) struct ConnectionKeys {
    /// `max_connections`: how many may be open at once, 1 to 1,000,000; all services together have at most 196,608. Default: any
    /// number.
    ///
    /// `max_connections_per_source`: how many a source (an IPv4 address, or an IPv6 /64) may have at once, open and under way, 1
    /// to 4,095. Default: any number.
    ///
    /// `idle_timeout`: a connection without a segment either way for so long is closed; 1 s to 366 days. Default: never.
    ///
    /// `ban`: when a source is banned that goes beyond a limit of connections in `rate`, proven by completed handshakes. Default:
    /// never.
    pub(in super::super) policy: ConnectionPolicy,
    /// What was written that needs connections to be known: the first such key or variable.
    pub(in super::super) asked: Option<Located<&'static str>>,
}

/// `ban`; none where a value was refused.
#[derive(Debug)]
struct BanKeys {
    /// `after`: proven violations that make a ban, 1 to 1,000. Default: 5.
    after: Option<NonZeroU32>,
    /// `within`: in what time, 1 s to 366 days. Default: `"1m"`.
    within: Option<Duration>,
    /// `for`: how long the first ban lasts, 1 s to 366 days. Default: `"15m"`.
    lasts: Option<Duration>,
    /// `factor`: how many times as long the next one lasts, 1 to 100, in hundredths. Default: 2.
    factor: Option<f64>,
    /// `max`: how long a ban may last, from `for` to 366 days, and in what time one past ban is forgotten. Default: `"24h"`, or
    /// `for` where that is longer.
    max: Option<Duration>,
    /// `widen`: how many distinct offenders in an IPv4 /24, an IPv6 /56, or a /48 of such, make a ban of that, 2 to 256.
    /// Default: none is ever banned.
    widen: Option<NonZeroU32>,
}

const AFTER: NonZeroU32 = NonZeroU32::new(5).expect("it is not 0");
const WITHIN: Duration = Duration::from_mins(1);
const LASTS: Duration = Duration::from_mins(15);
const FACTOR: f64 = 2.0;
const MAX: Duration = Duration::from_hours(24);

impl ConnectionKeys {
    /// Takes the keys of a [[service]].
    pub(super) fn read(service: &mut Section<'_>, report: &mut Report) -> Self {
        let keys = ["max_connections", "max_connections_per_source", "idle_timeout", "ban"];
        let asked = keys.into_iter().find(|key| service.has(key));
        let asked = asked.map(|value| Located { value, origin: service.origin().clone() });
        let policy = ConnectionPolicy {
            max: count(service, "max_connections", 1..=CONNECTIONS_MAX, report),
            max_per_source: count(service, "max_connections_per_source", 1..=PER_SOURCE_MAX, report),
            idle_timeout: duration(service, "idle_timeout", report),
            ban: service.section("ban", "`ban`", &mut false, report).and_then(|table| ban(table, report)),
        };
        Self { policy, asked }
    }
}

fn ban(mut table: Section<'_>, report: &mut Report) -> Option<BanPolicy> {
    let origin = table.origin().clone();
    let BanKeys { after, within, lasts, factor, max, widen } = BanKeys::read(&mut table, report);
    table.finish(report);
    if let (Some(lasts), Some(max)) = (lasts, max)
        && max < lasts
    {
        report.fault(&origin, "`ban`: `max`, the longest ban, is shorter than `for`, the first one");
    }
    let factor_percent = (factor? * 100.0).round() as u32;
    Some(BanPolicy { after: after?, within: within?, lasts: lasts?, factor_percent, max: max?, widen })
}

impl BanKeys {
    fn read(table: &mut Section<'_>, report: &mut Report) -> Self {
        let is_left_out = ["after", "within", "for", "factor", "max"].map(|key| !table.has(key));
        let [after, within, lasts, factor, max] = is_left_out;
        let lasts = duration(table, "for", report).or(lasts.then_some(LASTS));
        Self {
            after: count(table, "after", 1..=1_000, report).or(after.then_some(AFTER)),
            within: duration(table, "within", report).or(within.then_some(WITHIN)),
            lasts,
            factor: table.number("factor", 1.0..=100.0, report).or(factor.then_some(FACTOR)),
            max: duration(table, "max", report).or(max.then(|| MAX.max(lasts.unwrap_or_default()))),
            widen: count(table, "widen", 2..=256, report),
        }
    }
}

fn count(
    table: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<u32>,
    report: &mut Report,
) -> Option<NonZeroU32> {
    let (least, most) = range.into_inner();
    let number = table.integer(key, least.into()..=most.into(), report)?;
    u32::try_from(number).ok().and_then(NonZeroU32::new)
}

fn duration(table: &mut Section<'_>, key: &'static str, report: &mut Report) -> Option<Duration> {
    let Located { value, origin } = table.text(key, "a duration such as \"5m\"", report)?;
    parse_ttl(value).map_err(|error| report.fault(&origin, format_args!("key `{key}`: {error}"))).ok()
}
