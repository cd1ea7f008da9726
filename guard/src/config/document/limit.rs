//! How limits are written: the tables of a service's `rate`, and `echo_rate`.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use guard_common::limits::LIMITS_MAX;

use crate::policy::{Limit, Per, Unit};

use super::super::amounts::{parse_size, parse_window};
use super::super::faults::{Quoted, Report};
use super::super::item::Located;
use super::section::Section;

/// One table of `rate`, or `echo_rate`; none where a value was refused.
#[derive(Debug)]
struct LimitKeys {
    /// `unit`: `packets`, `bytes` (from the IP header on) or `connections` (TCP SYNs, and first packets of UDP flows).
    /// Required; `echo_rate` has none, and counts packets.
    unit: Option<Unit>,
    /// `limit`: how many may come in a window on average, from 1; bytes also as a size, `"64KiB"` or `"10MB"`. At most
    /// 50,000,000 packets or connections a second, or 2^33 bytes. Required.
    limit: Option<NonZeroU64>,
    /// `window`: a duration, `"100ms"`, `"60s"`, `"15m"`, `"1h30m"`, `"1d"`; 1 ms to 366 days. Required.
    window: Option<Duration>,
    /// `burst`: how many may come at once beyond the first, 0 to 4,294,967,295; bytes also as a size, and at least 1,513, so
    /// that a full packet passes. Default: `limit - 1`, a whole window's worth at once, then the steady rate. nginx's
    /// `rate=1r/s` with `burst=5 nodelay` is `{ limit = 1, window = "1s", burst = 5 }`.
    burst: Option<u64>,
    /// `per`: who shares one budget: `"source"` (an IPv4 address, or an IPv6 /64), `"service"` (all packets of the service; in
    /// `echo_rate`, of the host), or the sources of one prefix, `{ v4 = 24, v6 = 56 }`. Default: `"source"`.
    per: Option<Per>,
}

/// Keys without which there is no limit, and how each is written.
const REQUIRED: [(&str, &str); 3] =
    [("unit", "unit = \"connections\""), ("limit", "limit = 100"), ("window", "window = \"60s\"")];

/// Takes a service's `rate`; where a part of it was refused, `faulty` is set.
pub(super) fn rate(service: &mut Section<'_>, faulty: &mut bool, report: &mut Report) -> Vec<Limit> {
    let tables = service.one_or_more("rate", "`rate`", faulty, report);
    if let Some(first_over) = tables.get(LIMITS_MAX) {
        let count = tables.len();
        report.fault(first_over.origin(), format_args!("{count} limits in `rate`, over the limit of {LIMITS_MAX}"));
    }
    let given = tables.len();
    let limits: Vec<Limit> = tables.into_iter().filter_map(|table| read(table, None, report)).collect();
    *faulty |= limits.len() < given;
    limits
}

/// Takes `echo_rate`.
pub(super) fn echo_rate(top: &mut Section<'_>, report: &mut Report) -> Option<Limit> {
    let table = top.section("echo_rate", "`echo_rate`", &mut false, report)?;
    read(table, Some(Unit::Packets), report)
}

/// Reads a limit, whose unit is written in it unless it is given.
fn read(mut table: Section<'_>, unit: Option<Unit>, report: &mut Report) -> Option<Limit> {
    let (origin, title) = (table.origin().clone(), table.title());
    let is_given = |key| table.has(key) || (key == "unit" && unit.is_some());
    for (key, form) in REQUIRED {
        if !is_given(key) {
            report.fault(&origin, format_args!("{title} has no `{key}`: write `{form}`"));
        }
    }
    let LimitKeys { unit, limit, window, burst, per } = LimitKeys::read(&mut table, unit, report);
    table.finish(report);
    let limit = Limit::new(unit?, limit?, window?, burst?, per?)
        .map_err(|error| report.fault(&origin, format_args!("{title}: {error}")))
        .ok()?;
    if let Some(longest) = limit.longest_packet() {
        report.warn(
            &origin,
            format_args!(
                "{title}: packets of over {longest} bytes, such as jumbo frames or what offloading puts together, never \
                 pass; `burst = {}` lets them",
                Limit::EVERY_PACKET
            ),
        );
    }
    Some(limit)
}

impl LimitKeys {
    fn read(table: &mut Section<'_>, unit: Option<Unit>, report: &mut Report) -> Self {
        let unit = unit.or_else(|| table.word("unit", report));
        let limit = amount(table, "limit", unit, 1..=u64::MAX, report).and_then(NonZeroU64::new);
        let window = window(table, report);
        let whole_window = if table.has("burst") { None } else { limit.map(|limit| limit.get() - 1) };
        let burst = amount(table, "burst", unit, 0..=Limit::BURST_MAX, report).or(whole_window);
        Self { unit, limit, window, burst, per: per(table, report) }
    }
}

/// Takes a number, or where bytes are counted a size. Where the unit was refused, both may be right.
fn amount(
    table: &mut Section<'_>,
    key: &'static str,
    unit: Option<Unit>,
    range: RangeInclusive<u64>,
    report: &mut Report,
) -> Option<u64> {
    if !matches!(unit, None | Some(Unit::Bytes)) || !table.is_string(key) {
        return table.integer(key, range, report);
    }
    let Located { value, origin } = table.string(key, report)?;
    parse_size(value, range).map_err(|error| report.fault(&origin, format_args!("key `{key}`: {error}"))).ok()
}

fn window(table: &mut Section<'_>, report: &mut Report) -> Option<Duration> {
    let Located { value, origin } = table.text("window", "a duration such as \"60s\"", report)?;
    parse_window(value).map_err(|error| report.fault(&origin, format_args!("key `window`: {error}"))).ok()
}

fn per(table: &mut Section<'_>, report: &mut Report) -> Option<Per> {
    if table.is_table("per") {
        let mut lengths = table.section("per", "`per`", &mut false, report)?;
        for (key, form) in [("v4", "v4 = 24"), ("v6", "v6 = 56")] {
            if !lengths.has(key) {
                report.fault(lengths.origin(), format_args!("`per` has no `{key}`: write `{form}`"));
            }
        }
        let v4 = lengths.integer("v4", 0..=32, report);
        let v6 = lengths.integer("v6", 0..=128, report);
        lengths.finish(report);
        return Some(Per::Prefix { v4: v4? as u8, v6: v6? as u8 });
    }
    let left_out = !table.has("per");
    let Some(Located { value, origin }) = table.text("per", "\"source\", \"service\" or a table", report) else {
        return left_out.then_some(Per::SOURCE);
    };
    match value {
        "source" => Some(Per::SOURCE),
        "service" => Some(Per::Service),
        _ => {
            let choices = "`source`, `service` and a table such as `{ v4 = 24, v6 = 56 }`";
            report.fault(&origin, format_args!("key `per`: {} is none of {choices}", Quoted(value)));
            None
        }
    }
}
