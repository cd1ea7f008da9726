//! Bans by the machine in the block log: lines of `event_type` `ban`.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::eve::timestamp;
use crate::{
    bans::{Evidence, MachineBan},
    clock::Clock,
};

/// What became of a ban.
#[derive(Debug, Serialize)]
pub(crate) struct BanLine<'a> {
    #[serde(serialize_with = "timestamp")]
    timestamp: Timestamp,
    event_type: &'static str,
    /// The first address of the prefix.
    src_ip: IpAddr,
    guard: Ban<'a>,
}

#[derive(Debug, Serialize)]
struct Ban<'a> {
    action: &'static str,
    prefix: IpNet,
    #[serde(flatten)]
    proof: Option<Proof<'a>>,
    past: u32,
    #[serde(serialize_with = "timestamp")]
    until: Timestamp,
}

#[derive(Debug, Serialize)]
struct Proof<'a> {
    service: &'a str,
    limit: &'a str,
    handshakes: u64,
    violations: u32,
    offenders: u32,
}

impl<'a> BanLine<'a> {
    /// Describes what was done to a ban at a time.
    pub(crate) fn new(action: &'static str, ban: &'a MachineBan, clock: &Clock) -> Self {
        let MachineBan { prefix, ends, past, evidence, .. } = ban;
        let proof = |evidence: &'a Evidence| {
            let Evidence { service, limit, handshakes, violations, offenders, .. } = evidence;
            let (handshakes, violations, offenders) = (*handshakes, *violations, *offenders);
            Proof { service, limit, handshakes, violations, offenders }
        };
        Self {
            timestamp: clock.wall,
            event_type: "ban",
            src_ip: prefix.network(),
            guard: Ban {
                action,
                prefix: *prefix,
                proof: evidence.as_ref().map(proof),
                past: *past,
                until: clock.wall_at(*ends),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_says_who_was_banned_and_why() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let clock = Clock { wall: time("2026-11-22T08:00:00Z"), boot: Duration::from_secs(100) };
        let evidence = Evidence {
            service: "web".to_owned(),
            limit: "3 connections in 1 s, burst 2, per source".to_owned(),
            handshakes: 3,
            violations: 5,
            last_handshake: time("2026-11-22T07:59:58Z"),
            last_violation: time("2026-11-22T07:59:59Z"),
            offenders: 1,
        };
        let ban = MachineBan {
            prefix: "2001:db8::/64".parse().unwrap(),
            since: clock.wall,
            ends: Duration::from_secs(1_000),
            past: 2,
            evidence: Some(evidence),
        };
        let line = |ban: &MachineBan| serde_json::to_value(BanLine::new("banned", ban, &clock)).unwrap();
        let mut expected = serde_json::json!({
            "timestamp": "2026-11-22T08:00:00.000000+0000", "event_type": "ban", "src_ip": "2001:db8::",
            "guard": {
                "action": "banned", "prefix": "2001:db8::/64", "service": "web",
                "limit": "3 connections in 1 s, burst 2, per source", "handshakes": 3, "violations": 5, "offenders": 1,
                "past": 2, "until": "2026-11-22T08:15:00.000000+0000",
            },
        });
        assert_eq!(line(&ban), expected);
        expected["guard"] = serde_json::json!({
            "action": "banned", "prefix": "2001:db8::/64", "past": 2, "until": "2026-11-22T08:15:00.000000+0000",
        });
        assert_eq!(line(&MachineBan { evidence: None, ..ban }), expected, "of one that was found in the kernel");
    }
}
