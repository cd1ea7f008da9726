//! Many offences in any order, judged as a simple model of them would, and in as much memory as there is.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::bans::history::Room;

const SOURCES: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
const SERVICES: [&str; 2] = ["web", "api"];

/// Everything that a source did, and was banned for.
#[derive(Default)]
struct Past {
    violations: Vec<(Duration, &'static str)>,
    /// When each ban began and ended, of those that are not forgotten.
    bans: Vec<Duration>,
    forgets_at: Duration,
}

/// Judges as the rules are told to people; returns how long the ban lasts.
fn expected(past: &mut Past, service: &'static str, rule: &BanPolicy, now: Duration) -> Option<Duration> {
    if past.bans.last().is_some_and(|ends| *ends > now) {
        return None;
    }
    while !past.bans.is_empty() && past.forgets_at <= now {
        past.bans.remove(0);
        past.forgets_at += rule.max;
    }
    past.violations.push((now, service));
    let counts = past.violations.iter().filter(|(at, of)| *of == service && now - *at < rule.within).count();
    if counts < rule.after.get() as usize {
        return None;
    }
    let factor = f64::from(rule.factor_percent) / 100.0;
    let lasts_s = rule.lasts.as_secs_f64() * factor.powi(past.bans.len() as i32);
    let lasts = Duration::from_secs_f64(lasts_s.min(rule.max.as_secs_f64()));
    past.violations.clear();
    past.bans.push(now + lasts);
    past.forgets_at = now + lasts + rule.max;
    Some(lasts)
}

fn rules() -> impl Strategy<Value = BanPolicy> {
    (1u32..5, 1u32..100, 1u32..60, prop::sample::select(vec![100u32, 150, 200, 1_000]), 60u32..600).prop_map(
        |(after, within, lasts, factor_percent, max)| BanPolicy {
            after: after.try_into().unwrap(),
            within: within * SECOND,
            lasts: lasts * SECOND,
            factor_percent,
            max: max * SECOND,
            widen: None,
        },
    )
}

proptest! {
    #[test]
    fn it_is_judged_as_told(
        rule in rules(),
        offences in vec((0u32..40, 0..SOURCES.len(), 0..SERVICES.len(), prop::bool::weighted(0.1)), 0..200),
    ) {
        let bans = Bans::default();
        let mut model: BTreeMap<usize, Past> = BTreeMap::new();
        let mut since = Duration::ZERO;
        for (later, source, service, looks) in offences {
            since += later * SECOND;
            let now = at(since).boot;
            if looks {
                bans.end(now);
            }
            let offence = offence(SOURCES[source], SERVICES[service], rule, since);
            let lasts = judge(&bans, &offence, since).first().map(|prefix| bans.of(prefix, now).unwrap().ends - now);
            let expected = expected(model.entry(source).or_default(), SERVICES[service], &rule, now);
            let differ = match (lasts, expected) {
                (Some(lasts), Some(expected)) => lasts.abs_diff(expected) > Duration::from_millis(1),
                (None, None) => false,
                _ => true,
            };
            prop_assert!(!differ, "{since:?}: {lasts:?}, expected {expected:?}");
        }
    }

    #[test]
    fn memory_is_bounded_and_who_is_banned_is_forgotten_last(
        offences in vec((0u32..20, 0u8..40, 1u32..4), 0..300),
        room in (1usize..8, 1usize..20),
    ) {
        let bans = Bans::default();
        bans.history().room = Room { records: room.0, violations: room.1 };
        let mut in_force: BTreeMap<IpNet, Duration> = BTreeMap::new();
        let mut since = Duration::ZERO;
        for (later, source, after) in offences {
            since += later * SECOND;
            let rule = BanPolicy { after: after.try_into().unwrap(), ..rule() };
            let offence = offence(&format!("192.0.2.{source}"), "web", rule, since);
            for change in bans.judge(&[offence], |_| false, &at(since)) {
                match change {
                    Change::Banned(ban) => in_force.insert(ban.prefix, ban.ends),
                    Change::Ended(ban) => {
                        // Before its time only where everybody else is banned, and for longer.
                        if ban.ends > at(since).boot {
                            prop_assert!(in_force.len() > room.0 && in_force.values().all(|ends| *ends >= ban.ends));
                        }
                        in_force.remove(&ban.prefix)
                    }
                };
            }
            let found: BTreeMap<IpNet, Duration> =
                bans.in_force(at(since).boot).iter().map(|ban| (ban.prefix, ban.ends)).collect();
            prop_assert_eq!(&found, &in_force);
            bans.history().check();
        }
    }
}
