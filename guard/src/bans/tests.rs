//! Who is banned, for how long, and what is left of it after a restart.

mod journal;
mod model;
mod scribe;
mod sentences;
mod widening;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Three violations in a minute make a ban of ten minutes, then one of twice as long, up to an hour.
fn rule() -> BanPolicy {
    BanPolicy {
        after: 3.try_into().unwrap(),
        within: MINUTE,
        lasts: 10 * MINUTE,
        factor_percent: 200,
        max: 60 * MINUTE,
        widen: None,
    }
}

/// The clocks so long after a moment that is not the first of this boot.
fn at(since: Duration) -> Clock {
    let start: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    Clock { wall: start.checked_add(since).unwrap(), boot: Duration::from_hours(10) + since }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn offence(source: &str, service: &str, rule: BanPolicy, since: Duration) -> Offence {
    let clock = at(since);
    Offence {
        source: ip(source),
        service: service.to_owned(),
        limit: "3 connections in 1 s".to_owned(),
        rule,
        handshakes: 3,
        at: clock.boot,
        time: clock.wall,
        last_handshake: clock.wall,
    }
}

/// Has an offence judged when it comes, and returns the prefixes that are banned for it.
fn judge(bans: &Bans, offence: &Offence, since: Duration) -> Vec<IpNet> {
    let changes = bans.judge(std::slice::from_ref(offence), |_| false, &at(since));
    let banned = changes.into_iter().filter_map(|change| match change {
        Change::Banned(ban) => Some(ban.prefix),
        Change::Ended(_) => None,
    });
    banned.collect()
}

/// Has a source offend until it is banned, and returns the ban.
fn ban(bans: &Bans, source: &str, rule: BanPolicy, since: Duration) -> Arc<MachineBan> {
    (0..rule.after.get()).for_each(|_| _ = judge(bans, &offence(source, "web", rule, since), since));
    bans.of(&party(ip(source)), at(since).boot).unwrap()
}

fn prefixes(bans: &Bans, since: Duration) -> Vec<String> {
    bans.in_force(at(since).boot).iter().map(|ban| ban.prefix.to_string()).collect()
}
