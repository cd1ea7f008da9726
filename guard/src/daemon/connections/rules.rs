//! What a policy asks of connections to its services, and whom it lets in, found fast: hosts have many connections, and lists are
//! long.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
    time::Duration,
};

use guard_common::{address::Address, connections::Socket};

use crate::{
    network::sockets::tcp::Detail,
    policy::{Effect, Mode, Policy, Protocol, Ranges, Service, Timed},
};

/// What a policy asks of each service's connections.
pub(super) struct Rules {
    pub(super) policy: Arc<Policy>,
    /// By number; those that have a TCP port.
    services: BTreeMap<u8, Rule>,
    /// The number of each TCP port's service.
    ports: BTreeMap<u16, u8>,
    trusted: OnceLock<Ranges>,
    lists: OnceLock<Lists>,
}

/// What is asked of a service's connections.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: String,
    /// One of its TCP ports, which stands for all.
    pub(super) port: u16,
    /// Whether its connections are counted.
    pub(super) is_tracked: bool,
    /// Whether anything is done to who goes beyond.
    pub(super) is_enforced: bool,
    pub(super) max: Option<u64>,
    pub(super) max_per_source: Option<u64>,
    pub(super) idle_timeout: Option<Duration>,
}

/// Who is let in for good, and who is kept out.
struct Lists {
    allow: Ranges,
    deny: Ranges,
    /// By service.
    own: BTreeMap<u8, Ranges>,
}

impl Rules {
    pub(super) fn of(policy: &Arc<Policy>) -> Self {
        let mut ports = BTreeMap::new();
        let mut services = BTreeMap::new();
        for service in &policy.services {
            let tcp = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
            ports.extend(tcp.clone().map(|port| (port.number, service.number)));
            if let Some(port) = tcp.map(|port| port.number).min() {
                services.insert(service.number, Rule::of(service, port));
            }
        }
        Self { policy: Arc::clone(policy), services, ports, trusted: OnceLock::new(), lists: OnceLock::new() }
    }

    /// Returns what is asked of a service, by its number.
    pub(super) fn of_service(&self, number: u8) -> Option<&Rule> {
        self.services.get(&number)
    }

    /// Returns the number of the service of a TCP port.
    pub(super) fn service_at(&self, port: u16) -> Option<u8> {
        self.ports.get(&port).copied()
    }

    /// The TCP ports of services whose connections are counted.
    pub(super) fn tracked_ports(&self) -> BTreeSet<u16> {
        let is_tracked = |number: &u8| self.services[number].is_tracked;
        self.ports.iter().filter(|(_, number)| is_tracked(number)).map(|(port, _)| *port).collect()
    }

    /// The TCP ports of all services.
    pub(super) fn ports(&self) -> BTreeSet<u16> {
        self.ports.keys().copied().collect()
    }

    /// Tells how much of sockets must be known.
    pub(super) fn detail(&self) -> Detail {
        let asks_for_silence = self.services.values().any(|rule| rule.idle_timeout.is_some());
        if asks_for_silence { Detail::Silence } else { Detail::Ends }
    }

    /// Tells whether a connection is one to be counted, as far as its service and its source tell.
    pub(super) fn counts(&self, source: IpAddr, service: u8) -> bool {
        let trusted = || self.trusted.get_or_init(|| Ranges::of(self.policy.trusted.prefixes()));
        self.of_service(service).is_some_and(|rule| rule.is_tracked) && !trusted().contains(source)
    }

    fn lists(&self) -> &Lists {
        self.lists.get_or_init(|| Lists {
            allow: Ranges::of(self.policy.allow.prefixes()),
            deny: Ranges::of(self.policy.deny.prefixes()),
            own: self
                .policy
                .services
                .iter()
                .map(|service| (service.number, Ranges::of(service.allow.prefixes())))
                .collect(),
        })
    }
}

impl Rule {
    fn of(service: &Service, port: u16) -> Self {
        let connections = &service.connections;
        let number = |cap: Option<NonZeroU32>| cap.map(|cap| u64::from(cap.get()));
        Self {
            name: service.name.clone(),
            port,
            is_tracked: connections.is_tracked(),
            is_enforced: service.mode == Mode::Enforce,
            max: number(connections.max),
            max_per_source: number(connections.max_per_source),
            idle_timeout: connections.idle_timeout,
        }
    }
}

/// Returns the other end's address of a connection that is counted.
pub(super) fn source(socket: &Socket) -> IpAddr {
    Address::from_octets(socket.source).to_ip(socket.version)
}

/// Whom a policy, its grants and its bans by hand let in at one moment: what [`Reach`](crate::policy::Reach) says, for many.
pub(super) struct Access {
    rules: Arc<Rules>,
    banned: Ranges,
    /// To every service.
    granted: Ranges,
    granted_to: BTreeMap<u8, Ranges>,
}

impl Access {
    /// `now` is the time since boot.
    pub(super) fn new(rules: &Arc<Rules>, timed: &[Timed], now: Duration) -> Self {
        let holding = || timed.iter().filter(|timed| timed.ends > now);
        let of = |is_meant: &dyn Fn(&Effect) -> bool| {
            Ranges::of(holding().filter(|timed| is_meant(&timed.effect)).map(|timed| timed.prefix))
        };
        let grants_hold = rules.policy.grants_hold;
        let granted_to = |rule: &Rule| {
            of(&|effect| grants_hold && matches!(effect, Effect::Grant { services } if services.contains(&rule.name)))
        };
        Self {
            rules: Arc::clone(rules),
            banned: of(&|effect| *effect == Effect::Ban),
            granted: of(&|effect| grants_hold && matches!(effect, Effect::Grant { services } if services.is_empty())),
            granted_to: rules.services.iter().map(|(number, rule)| (*number, granted_to(rule))).collect(),
        }
    }

    /// Tells whether packets of a source pass to the TCP ports of a service, by its number.
    pub(super) fn lets_in(&self, source: IpAddr, service: u8) -> bool {
        if !self.rules.of_service(service).is_some_and(|rule| rule.is_enforced) {
            return true;
        }
        let lists = self.rules.lists();
        let has = |ranges: &BTreeMap<u8, Ranges>| ranges.get(&service).is_some_and(|ranges| ranges.contains(source));
        let is_kept_out = lists.deny.contains(source) || self.banned.contains(source);
        !is_kept_out
            && (lists.allow.contains(source)
                || has(&lists.own)
                || self.granted.contains(source)
                || has(&self.granted_to))
    }
}

#[cfg(test)]
mod tests;
