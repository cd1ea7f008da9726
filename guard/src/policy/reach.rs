//! What a policy makes of a source's new packet to a port, found without tables: for messages to people.
//!
//! Every entry is looked at. Whether the source is one that cannot be real, which flows this host opened, and limits are not
//! asked for.

use std::{fmt, net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{DefaultVerdict, Effect, Mode, Origin, Policy, Port, Service, Timed};

/// A policy with everything that stands beside it, at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) timed: &'a [Timed],
    /// The time since boot.
    pub(crate) now: Duration,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Passes,
    Drops(Hindrance),
}

/// Why a packet is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// An entry of `deny` has the source.
    Blocked { prefix: IpNet, origin: Origin },
    /// The source is banned by hand.
    Banned { prefix: IpNet, origin: Origin },
    /// Nothing lets the source in to a service, or to a port of none.
    NotAllowed { service: Option<String> },
}

impl Reach<'_> {
    /// Judges a new packet of a source, in the order of decisions that the kernel program has.
    pub(crate) fn judge(&self, source: IpAddr, port: Port) -> Judgement {
        let service = self.policy.services.iter().find(|service| service.ports.contains(&port));
        let mode = service.map_or(self.policy.mode, |service| service.mode);
        match self.hindrance(source, port, service) {
            Some(hindrance) if mode == Mode::Enforce => Judgement::Drops(hindrance),
            _ => Judgement::Passes,
        }
    }

    fn hindrance(&self, source: IpAddr, port: Port, service: Option<&Service>) -> Option<Hindrance> {
        let policy = self.policy;
        self.blocks(source).or_else(|| self.bans(source)).or_else(|| {
            let passes = policy.failsafe_ports.contains(&port)
                || service.is_none() && policy.default == DefaultVerdict::Pass
                || policy.allow.covering(source).is_some()
                || service.is_some_and(|service| service.allow.covering(source).is_some())
                || self.is_granted(source, service);
            (!passes).then(|| Hindrance::NotAllowed { service: service.map(|service| service.name.clone()) })
        })
    }

    fn blocks(&self, source: IpAddr) -> Option<Hindrance> {
        let entry = self.policy.deny.covering(source)?;
        Some(Hindrance::Blocked { prefix: entry.prefix, origin: entry.origin })
    }

    fn bans(&self, source: IpAddr) -> Option<Hindrance> {
        let ban = self.holding(source).find(|timed| timed.effect == Effect::Ban)?;
        Some(Hindrance::Banned { prefix: ban.prefix, origin: ban.origin.clone() })
    }

    fn is_granted(&self, source: IpAddr, service: Option<&Service>) -> bool {
        let lets_in = |timed: &Timed| match &timed.effect {
            Effect::Grant { services } => {
                services.is_empty() || service.is_some_and(|service| services.contains(&service.name))
            }
            Effect::Ban => false,
        };
        self.policy.grants_hold && self.holding(source).any(lets_in)
    }

    /// What has the source and has not ended.
    fn holding(&self, source: IpAddr) -> impl Iterator<Item = &Timed> {
        self.timed.iter().filter(move |timed| timed.ends > self.now && timed.prefix.contains(&source))
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked { prefix, origin } => write!(f, "{prefix} is blocked ({origin})"),
            Self::Banned { prefix, origin } => write!(f, "{prefix} is banned ({origin})"),
            Self::NotAllowed { service: Some(service) } => write!(f, "no entry lets it in to service `{service}`"),
            Self::NotAllowed { service: None } => f.write_str("no entry lets it in to a port that no service names"),
        }
    }
}

#[cfg(test)]
mod tests;
