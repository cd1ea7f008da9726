//! What a look at connections finds: which must be counted that are not, and the other way round, and which are to be closed.
//! Knows no kernel: what there is, is given.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use guard_common::{
    address::Address,
    connections::{ConnectionKey, Socket},
};

use super::rules::{Rules, source};
use crate::{export::Cause, network::sockets::tcp::TcpSocket};

/// What there is. Sockets were read after what is counted, so that one that is counted and not there is gone.
pub(super) struct Seen {
    /// What is counted, by cookie.
    pub(super) counted: BTreeMap<u64, Socket>,
    /// Sockets of this network namespace at ports of services, and at those of what is counted here, by cookie.
    pub(super) sockets: BTreeMap<u64, TcpSocket>,
    /// The cookie of this network namespace.
    pub(super) namespace: u64,
}

/// What was seen before.
#[derive(Default)]
pub(super) struct Memory {
    /// Sockets that were not counted: they are older than the counting, or were established a moment ago.
    uncounted: BTreeSet<u64>,
    /// Sockets that are not to be counted.
    foreign: BTreeSet<u64>,
    /// Counted ones that are not there, or not to be counted any more.
    stale: BTreeSet<u64>,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) add: Vec<(u64, Socket)>,
    pub(super) remove: Vec<u64>,
    pub(super) close: Vec<Condemned>,
    /// How many connections of each service are in other network namespaces.
    pub(super) elsewhere: BTreeMap<u8, u64>,
    /// How many connections of each service are beyond a cap and can't be closed.
    pub(super) beyond: BTreeMap<u8, u64>,
}

/// A socket that is to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condemned {
    pub(super) socket: TcpSocket,
    pub(super) service: u8,
    pub(super) cause: Cause,
}

impl Condemned {
    /// For how long it has been silent, where that is why it is closed.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.socket.silent_for.filter(|_| self.cause == Cause::Idle)
    }
}

/// Returns with which others a connection is counted.
pub(super) fn key(socket: &Socket) -> ConnectionKey {
    ConnectionKey::new(Address::from_octets(socket.source), socket.version, socket.service)
}

/// A connection that is counted, or will be once the findings are done.
struct Open<'a> {
    cookie: u64,
    counted: Socket,
    /// Where it can be closed.
    socket: Option<&'a TcpSocket>,
}

impl Seen {
    /// Tells whether a counted connection's socket is in this network namespace.
    pub(super) fn is_here(&self, counted: &Socket) -> bool {
        counted.watched != 0 || counted.namespace == self.namespace
    }
}

impl Memory {
    /// Forgets whose connections are not to be counted: the policy is another, or what is guarded.
    pub(super) fn reconsider(&mut self) {
        self.foreign.clear();
    }

    /// Looks at what there is. `belongs` tells of a socket that is not counted whether it came by what is guarded from who may
    /// reach its service; it is asked once for each socket.
    pub(super) fn look(
        &mut self,
        seen: &Seen,
        rules: &Rules,
        now_ns: u64,
        belongs: impl Fn(&TcpSocket, u8) -> bool,
    ) -> Findings {
        let mut findings = Findings::default();
        let mut open = self.keep(seen, rules, &mut findings.remove);
        findings.add = self.uncounted(seen, rules, now_ns, belongs);
        open.extend(findings.add.iter().map(|(cookie, counted)| Open::new(*cookie, *counted, seen)));
        // The newest first; of one tick, by cookie, which goes up on each CPU.
        open.sort_unstable_by_key(|open| Reverse((open.counted.since_ns, open.cookie)));
        for open in open.iter().filter(|open| !seen.is_here(&open.counted)) {
            *findings.elsewhere.entry(open.counted.service).or_default() += 1;
        }
        (findings.close, findings.beyond) = condemn(open, rules);
        findings
    }

    /// Returns what is counted rightly. What is not, is removed when it is seen so for the second time: a policy may just have come
    /// into force, and a list of sockets may leave one out. Of those that are watched nobody else tells that they are gone.
    fn keep<'a>(&mut self, seen: &'a Seen, rules: &Rules, remove: &mut Vec<u64>) -> Vec<Open<'a>> {
        let mut stale = BTreeSet::new();
        let mut kept = Vec::new();
        for (cookie, counted) in &seen.counted {
            let is_gone = seen.is_here(counted) && !seen.sockets.contains_key(cookie);
            let is_stale = is_gone || !rules.counts(source(counted), counted.service);
            if is_gone && counted.watched != 0 || is_stale && self.stale.contains(cookie) {
                remove.push(*cookie);
            } else if is_stale {
                stale.insert(*cookie);
            } else {
                kept.push(Open::new(*cookie, *counted, seen));
            }
        }
        self.stale = stale;
        kept
    }

    /// Returns what was not counted the last time either, as it is to be counted.
    fn uncounted(
        &mut self,
        seen: &Seen,
        rules: &Rules,
        now_ns: u64,
        belongs: impl Fn(&TcpSocket, u8) -> bool,
    ) -> Vec<(u64, Socket)> {
        let mut uncounted = BTreeSet::new();
        let mut foreign = BTreeSet::new();
        let mut add = Vec::new();
        for (cookie, socket) in &seen.sockets {
            let Some(service) = rules.service_at(socket.local().port()) else { continue };
            if seen.counted.contains_key(cookie) || socket.is_orphan || !rules.counts(socket.remote().ip(), service) {
                continue;
            }
            if self.foreign.contains(cookie) {
                foreign.insert(*cookie);
            } else if !self.uncounted.contains(cookie) {
                uncounted.insert(*cookie);
            } else if belongs(socket, service) {
                add.push((*cookie, watched(socket, service, now_ns)));
            } else {
                foreign.insert(*cookie);
            }
        }
        (self.uncounted, self.foreign) = (uncounted, foreign);
        add
    }
}

/// Returns how a socket is counted that the kernel program does not follow.
fn watched(socket: &TcpSocket, service: u8, now_ns: u64) -> Socket {
    let remote = socket.remote();
    Socket {
        source: Address::from(remote.ip()).octets(),
        namespace: 0,
        since_ns: now_ns,
        source_port: remote.port(),
        local_port: socket.local().port(),
        service,
        version: if remote.is_ipv4() { 4 } else { 6 },
        watched: 1,
        reserved: 0,
    }
}

impl<'a> Open<'a> {
    fn new(cookie: u64, counted: Socket, seen: &'a Seen) -> Self {
        Self { cookie, counted, socket: seen.sockets.get(&cookie).filter(|socket| !socket.is_orphan) }
    }

    fn condemned(&self, cause: Cause) -> Option<Condemned> {
        let service = self.counted.service;
        self.socket.map(|socket| Condemned { socket: socket.clone(), service, cause })
    }
}

/// Returns which connections are to be closed, of those of services that enforce: first the idle ones, then the newest of those
/// beyond a source's cap, then the newest beyond a service's; and how many are beyond one that can't be.
fn condemn(mut newest_first: Vec<Open<'_>>, rules: &Rules) -> (Vec<Condemned>, BTreeMap<u8, u64>) {
    let rule = |service: u8| rules.of_service(service).filter(|rule| rule.is_enforced);
    let mut close = Vec::new();
    newest_first.retain(|open| {
        let timeout = rule(open.counted.service).and_then(|rule| rule.idle_timeout);
        let silent_for = open.socket.and_then(|socket| socket.silent_for);
        let is_idle = timeout.zip(silent_for).is_some_and(|(timeout, silent_for)| silent_for >= timeout);
        if is_idle {
            close.extend(open.condemned(Cause::Idle));
        }
        !is_idle
    });
    let of_sources =
        close_newest(&mut newest_first, |open| key(&open.counted), |key| rule(key.service)?.max_per_source, &mut close);
    let service = |open: &Open<'_>| open.counted.service;
    let mut beyond = close_newest(&mut newest_first, service, |service| rule(*service)?.max, &mut close);
    let mut of_services = BTreeMap::<u8, u64>::new();
    for (key, excess) in of_sources {
        *of_services.entry(key.service).or_default() += excess;
    }
    for (service, excess) in of_services {
        let beyond = beyond.entry(service).or_default();
        *beyond = excess.max(*beyond);
    }
    (close, beyond)
}

/// Takes out the newest that can be closed, until each key has no more than its cap; returns who has more all the same, and how
/// many more.
fn close_newest<K: Ord>(
    newest_first: &mut Vec<Open<'_>>,
    key: impl Fn(&Open<'_>) -> K,
    cap: impl Fn(&K) -> Option<u64>,
    close: &mut Vec<Condemned>,
) -> BTreeMap<K, u64> {
    let mut excess = BTreeMap::<K, u64>::new();
    for open in newest_first.iter() {
        *excess.entry(key(open)).or_default() += 1;
    }
    excess.retain(|key, count| match cap(key) {
        Some(cap) if *count > cap => {
            *count -= cap;
            true
        }
        _ => false,
    });
    newest_first.retain(|open| {
        let Some(excess) = excess.get_mut(&key(open)).filter(|excess| **excess > 0) else { return true };
        let Some(condemned) = open.condemned(Cause::Cap) else { return true };
        *excess -= 1;
        close.push(condemned);
        false
    });
    excess.retain(|_, excess| *excess > 0);
    excess
}

#[cfg(test)]
mod tests;
