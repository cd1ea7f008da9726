//! What holds for a time only: grants and bans. They stand beside generations.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::{Entry, Origin};
use crate::clock::Clock;

/// A prefix that is let in, or kept out, for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) effect: Effect,
    pub(crate) prefix: IpNet,
    /// When it ends, in time since boot.
    pub(crate) ends: Duration,
    pub(crate) origin: Origin,
    pub(crate) comment: Option<String>,
}

/// What a prefix gets for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It may reach the services of these names, of which each is one of the policy's; every service if there is none.
    Grant { services: Vec<String> },
    /// It reaches nothing.
    Ban,
}

/// It as it is printed, with the wall time at which it ends.
#[derive(Debug, Serialize)]
pub(crate) struct Expiring<'a> {
    effect: &'static str,
    prefix: IpNet,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    services: &'a [String],
    expires: Timestamp,
    origin: &'a Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
}

impl Timed {
    /// Returns it as an entry of a list, without its end.
    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry { prefix: self.prefix, origin: self.origin.clone(), comment: self.comment.as_deref() }
    }

    /// Returns it as it is printed, with wall time as the clock has it.
    pub(crate) fn expiring(&self, clock: &Clock) -> Expiring<'_> {
        let Self { effect, prefix, ends, origin, comment } = self;
        let (effect, services) = match effect {
            Effect::Grant { services } => ("grant", services.as_slice()),
            Effect::Ban => ("ban", [].as_slice()),
        };
        Expiring {
            effect,
            prefix: *prefix,
            services,
            expires: clock.wall_at(*ends),
            origin,
            comment: comment.as_deref(),
        }
    }
}
