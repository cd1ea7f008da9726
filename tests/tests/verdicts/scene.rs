//! Attempts to connect, each with the row of guard's counters that it must come under where it fails.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use guard_tests::{
    Counters, Guard, Site,
    client::{self, Outcome},
};

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long a connection is waited for that must not come; before a SYN is sent again, so that one is counted for each.
pub(crate) const SHORTLY: Duration = Duration::from_millis(400);

/// An attempt with its name: from a source to a port, and the row of a drop, or none where it must connect.
pub(crate) type Attempt = (&'static str, IpAddr, u16, Option<&'static str>);

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Makes all attempts at once, against a guard that has dropped nothing so far.
pub(crate) fn expect(site: &Site, guard: &Guard, attempts: &[Attempt]) {
    site.add_sources(attempts.iter().map(|(_, source, ..)| *source));
    let outcomes = site.peer().enter_each(attempts, |(_, source, port, drop)| {
        let limit = if drop.is_some() { SHORTLY } else { SOON };
        client::connects(site.peer(), *source, site.at(*port), limit)
    });
    let mut faults = Vec::new();
    let mut dropped = BTreeMap::new();
    for ((name, source, port, drop), outcome) in attempts.iter().zip(outcomes) {
        let expected = if drop.is_some() { Outcome::TimedOut } else { Outcome::Connected };
        if outcome != expected {
            faults.push(format!("{name} ({source} to port {port}): {outcome:?}, not {expected:?}"));
        }
        if let Some(row) = drop {
            *dropped.entry(row.to_string()).or_insert(0) += 1;
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(Counters::read(guard).with_verdict("drop"), dropped);
}
