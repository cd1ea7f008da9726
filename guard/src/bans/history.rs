//! What is known of offenders: violations that still count, bans in force, and bans that are remembered.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    num::NonZeroU32,
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Change, Evidence, MachineBan, Offence, cut, lengths,
    line::{self, Line},
    party,
    past::Past,
    wider,
};
use crate::{
    clock::{Clock, Moment},
    policy::BanPolicy,
};

/// What there is room for.
pub(super) struct Room {
    /// Prefixes that are or were banned, of which who is banned is forgotten last; and as many that never were.
    pub(super) records: usize,
    /// Violations that are kept of all of them.
    pub(super) violations: usize,
}

#[derive(Default)]
pub(super) struct History {
    pub(super) room: Room,
    records: BTreeMap<IpNet, Record>,
    /// By what each record is, when it changes by itself.
    due: [BTreeSet<(Duration, IpNet)>; Standing::COUNT],
    /// Violations that are kept.
    violations: usize,
}

/// What is known of a source, or of a wider prefix that is banned.
#[derive(Clone, Debug, Default)]
struct Record {
    /// When those came that may still count, by service; in time since boot.
    violations: BTreeMap<String, VecDeque<Duration>>,
    /// When the last of them counts no more.
    stale_at: Duration,
    /// The ban in force.
    ban: Option<Arc<MachineBan>>,
    /// Whether the ban counts for a wider prefix.
    widens: bool,
    past: Past,
}

/// Those that can be done without come first.
#[derive(Clone, Copy)]
enum Standing {
    Violated,
    Remembered,
    Banned,
}

impl Default for Room {
    fn default() -> Self {
        Self { records: 100_000, violations: 1_000_000 }
    }
}

impl Standing {
    const COUNT: usize = 3;
}

impl History {
    /// Judges an offence; what ends by now must have been [ended](Self::advance).
    pub(super) fn judge(
        &mut self,
        offence: &Offence,
        is_trusted: impl Fn(IpAddr) -> bool,
        clock: &Clock,
    ) -> Vec<Change> {
        let source = party(offence.source);
        // It was under way when its source was banned.
        if [source].into_iter().chain(wider(&source)).any(|prefix| self.ban(&prefix).is_some()) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let mut record = self.take(&source);
        let violations = record.violated(offence);
        if violations >= offence.rule.after.get() as usize {
            record.violations.clear();
            if !is_trusted(offence.source) {
                changes.push(Change::Banned(record.ban(source, violations, offence, clock)));
            }
        }
        self.put(source, record);
        if let (false, Some(widen)) = (changes.is_empty(), offence.rule.widen) {
            for wide in wider(&source) {
                changes.extend(self.widen(wide, widen, offence, clock).map(Change::Banned));
            }
        }
        changes.extend(self.make_room().into_iter().map(Change::Ended));
        changes
    }

    /// Ends what ends by now, and returns the bans among it.
    pub(super) fn advance(&mut self, now: Duration) -> Vec<Arc<MachineBan>> {
        let mut ended = Vec::new();
        for standing in 0..Standing::COUNT {
            while let Some((at, prefix)) = self.due[standing].first().copied()
                && at <= now
            {
                let mut record = self.take(&prefix);
                if let Some(ban) = record.ban.take_if(|ban| ban.ends <= now) {
                    ended.push(ban);
                }
                record.past.fade(now);
                if record.stale_at <= now {
                    record.violations.clear();
                }
                self.put(prefix, record);
            }
        }
        ended
    }

    /// Forgets a prefix that is banned. Bans of sources in it go on, and count for no wider one any more.
    pub(super) fn lift(&mut self, prefix: &IpNet) -> Option<Arc<MachineBan>> {
        self.ban(prefix)?;
        let lifted = self.take(prefix).ban;
        self.records.range_mut(all_in(prefix)).for_each(|(_, record)| record.widens = false);
        lifted
    }

    pub(super) fn adopt(&mut self, ban: MachineBan) {
        if self.ban(&ban.prefix).is_none() {
            let mut record = self.take(&ban.prefix);
            let prefix = ban.prefix;
            record.ban = Some(Arc::new(ban));
            self.put(prefix, record);
        }
    }

    /// Does what a line of the journal says was done.
    pub(super) fn restore(&mut self, line: Line, now: &Moment) {
        let mut record = Record::default();
        let prefix = match line {
            Line::Lift(line::Lift { prefix }) => prefix,
            Line::Ban(ban) => {
                (record.past, record.widens) = (ban.past(now), ban.widens);
                let prefix = ban.prefix;
                record.ban = ban.in_force(now).map(Arc::new);
                prefix
            }
            Line::Past(past) => {
                record.past = past.past(now);
                past.prefix
            }
        };
        self.take(&prefix);
        self.put(prefix, record);
    }

    /// Returns the lines by which all is remembered.
    pub(super) fn lines(&self, now: &Moment) -> Vec<Line> {
        self.records.iter().filter_map(|(prefix, record)| record.line(*prefix, now)).collect()
    }

    /// Returns the line by which it is remembered what there is of a prefix, or that there is nothing.
    pub(super) fn line(&self, prefix: IpNet, now: &Moment) -> Line {
        let line = self.records.get(&prefix).and_then(|record| record.line(prefix, now));
        line.unwrap_or(Line::Lift(line::Lift { prefix }))
    }

    /// Returns of which prefixes something is known that lie in one.
    pub(super) fn known_in(&self, prefix: &IpNet) -> impl Iterator<Item = IpNet> {
        self.records.range(all_in(prefix)).map(|(known, _)| *known)
    }

    pub(super) fn remembered(&self) -> usize {
        self.due[Standing::Remembered as usize].len() + self.due[Standing::Banned as usize].len()
    }

    pub(super) fn ban(&self, prefix: &IpNet) -> Option<&Arc<MachineBan>> {
        self.records.get(prefix)?.ban.as_ref()
    }

    pub(super) fn bans(&self) -> impl Iterator<Item = &Arc<MachineBan>> {
        self.records.values().filter_map(|record| record.ban.as_ref())
    }

    /// Bans a wider prefix if so many distinct offenders lie in it. Those in an IPv6 /48 are as many as the /56 that they lie
    /// in.
    fn widen(&mut self, wide: IpNet, widen: NonZeroU32, offence: &Offence, clock: &Clock) -> Option<Arc<MachineBan>> {
        let narrower = *lengths(wide.addr()).iter().rfind(|length| **length > wide.prefix_len())?;
        let inside = self.records.range(all_in(&wide)).filter(|(_, record)| record.widens);
        let offenders: Vec<&MachineBan> = inside.filter_map(|(_, record)| record.ban.as_deref()).collect();
        let distinct: BTreeSet<IpNet> = offenders.iter().map(|ban| cut(ban.prefix.addr(), narrower)).collect();
        if self.ban(&wide).is_some() || distinct.len() < widen.get() as usize {
            return None;
        }
        let of_all = || offenders.iter().filter_map(|ban| ban.evidence.as_ref());
        let latest = |of: fn(&Evidence) -> Timestamp, own| of_all().map(of).max().unwrap_or(own);
        let ban = Arc::new(MachineBan {
            prefix: wide,
            since: clock.wall,
            ends: offenders.iter().map(|ban| ban.ends).max()?,
            past: 0,
            evidence: Some(Evidence {
                service: offence.service.clone(),
                limit: offence.limit.clone(),
                handshakes: of_all().map(|evidence| evidence.handshakes).sum(),
                violations: of_all().map(|evidence| evidence.violations).sum(),
                last_handshake: latest(|evidence| evidence.last_handshake, offence.last_handshake),
                last_violation: latest(|evidence| evidence.last_violation, offence.time),
                offenders: offenders.len() as u32,
            }),
        });
        self.put(wide, Record { ban: Some(Arc::clone(&ban)), ..Record::default() });
        Some(ban)
    }

    /// Forgets those that can be done without where there are too many; returns the bans among them.
    fn make_room(&mut self) -> Vec<Arc<MachineBan>> {
        let mut ended = Vec::new();
        while let Some(prefix) = self.in_the_way() {
            ended.extend(self.take(&prefix).ban);
        }
        ended
    }

    /// Returns what is forgotten next where there is too much. Who was never banned has room of his own, or nobody could be any
    /// more once enough are.
    fn in_the_way(&self) -> Option<IpNet> {
        let (never_banned, banned) = self.due.split_at(Standing::Remembered as usize);
        let are_many = |due: &[BTreeSet<_>]| due.iter().map(BTreeSet::len).sum::<usize>() > self.room.records;
        let from = if are_many(banned) {
            banned
        } else if are_many(never_banned) || self.violations > self.room.violations {
            &self.due
        } else {
            return None;
        };
        from.iter().find_map(|due| due.first()).map(|(_, prefix)| *prefix)
    }

    /// Takes a record out, to be put back.
    fn take(&mut self, prefix: &IpNet) -> Record {
        let record = self.records.remove(prefix).unwrap_or_default();
        if let Some((standing, at)) = record.due() {
            self.due[standing as usize].remove(&(at, *prefix));
        }
        self.violations -= record.count();
        record
    }

    fn put(&mut self, prefix: IpNet, record: Record) {
        let Some((standing, at)) = record.due() else { return };
        self.due[standing as usize].insert((at, prefix));
        self.violations += record.count();
        self.records.insert(prefix, record);
    }
}

impl Record {
    /// Notes a violation, and returns how many there were in the time that counts.
    fn violated(&mut self, Offence { service, rule, at, .. }: &Offence) -> usize {
        let times = self.violations.entry(service.clone()).or_default();
        // Those of several CPUs come nearly in order.
        times.insert(times.partition_point(|time| time <= at), *at);
        let latest = times.back().copied().unwrap_or(*at);
        times.drain(..times.partition_point(|time| time.saturating_add(rule.within) <= latest));
        self.stale_at = self.stale_at.max(latest.saturating_add(rule.within));
        times.len()
    }

    /// Bans the source that it is of.
    fn ban(&mut self, source: IpNet, violations: usize, offence: &Offence, clock: &Clock) -> Arc<MachineBan> {
        let Offence { service, limit, rule, handshakes, time, last_handshake, .. } = offence;
        let past = self.past.bans;
        let ends = clock.boot.saturating_add(lasts(rule, past));
        let evidence = Evidence {
            service: service.clone(),
            limit: limit.clone(),
            handshakes: *handshakes,
            violations: violations as u32,
            last_handshake: *last_handshake,
            last_violation: *time,
            offenders: 1,
        };
        let ban = Arc::new(MachineBan { prefix: source, since: clock.wall, ends, past, evidence: Some(evidence) });
        // A service that forgets soon makes none forget what was done to another one.
        let memory = rule.max.max(self.past.memory);
        self.past = Past { bans: past.saturating_add(1), fades_at: ends.saturating_add(memory), memory };
        self.widens = rule.widen.is_some();
        self.ban = Some(Arc::clone(&ban));
        ban
    }

    /// Returns the line by which it is remembered.
    fn line(&self, prefix: IpNet, now: &Moment) -> Option<Line> {
        match &self.ban {
            Some(ban) => Some(Line::Ban(line::Ban::new(ban, self.past.memory, self.widens, now))),
            None => (self.past.bans > 0).then(|| Line::Past(line::Past::new(prefix, &self.past, now))),
        }
    }

    /// Returns what it is, and when that changes by itself; `None` if there is nothing to know.
    fn due(&self) -> Option<(Standing, Duration)> {
        if let Some(ban) = &self.ban {
            Some((Standing::Banned, ban.ends))
        } else if self.past.bans > 0 {
            Some((Standing::Remembered, self.past.fades_at))
        } else if !self.violations.is_empty() {
            Some((Standing::Violated, self.stale_at))
        } else {
            None
        }
    }

    fn count(&self) -> usize {
        self.violations.values().map(VecDeque::len).sum()
    }
}

/// Returns how long a ban lasts before which so many are remembered.
pub(super) fn lasts(rule: &BanPolicy, past: u32) -> Duration {
    let mut lasts = rule.lasts;
    for _ in 0..past {
        let longer = lasts.saturating_mul(rule.factor_percent) / 100;
        if longer <= lasts || lasts >= rule.max {
            break;
        }
        lasts = longer;
    }
    lasts.min(rule.max)
}

/// Returns a prefix and all that lie in it.
fn all_in(prefix: &IpNet) -> RangeInclusive<IpNet> {
    *prefix..=prefix.broadcast().into()
}

#[cfg(test)]
impl History {
    /// Returns how many bans of a prefix are remembered.
    pub(super) fn past(&self, prefix: &IpNet) -> u32 {
        self.records.get(prefix).map_or(0, |record| record.past.bans)
    }

    /// Asserts that what is kept is counted, found, and not too much.
    pub(super) fn check(&self) {
        let due: BTreeSet<_> =
            self.records.iter().filter_map(|(prefix, record)| Some((record.due()?.1, *prefix))).collect();
        assert_eq!(self.due.iter().flatten().copied().collect::<BTreeSet<_>>(), due);
        assert_eq!((self.records.len(), self.records.values().map(Record::count).sum()), (due.len(), self.violations));
        assert_eq!((self.in_the_way(), self.violations <= self.room.violations), (None, true));
        assert!(self.records.len() <= 2 * self.room.records);
    }
}
