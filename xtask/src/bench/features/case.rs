//! What is measured: a policy, packets, and how many peers they come from or go to.

use std::fmt;

use guard_tests::{
    Family,
    frame::{ACK, SYN},
};

use crate::bench::{
    crowd::{Crowd, Half},
    pattern::{PEER_PORT, PORT, Pattern, Peer},
};

/// Numbers of peers.
pub(super) const ONE: u32 = 1;
pub(super) const SOME: u32 = 4096;
pub(super) const MILLION: u32 = 1 << 20;
pub(super) const SIZES: [u32; 3] = [ONE, SOME, MILLION];

/// Which half of all peers is listed.
const LISTED: Half = Half::Lower;
const OTHERS: Half = Half::Upper;
/// How many are banned where anybody is, the sources of the packets among them.
pub(super) const BANS: u32 = 100_000;
/// The port from which the host opens its flows.
const OWN_PORT: u16 = 40_000;
/// A peer's port to which it has opened none.
const STRANGE_PORT: u16 = 50_001;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) struct Case {
    pub(super) variant: Variant,
    pub(super) traffic: Traffic,
    /// How many peers take turns.
    pub(super) size: u32,
}

/// What holds where the packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// There is no guard.
    Unguarded,
    NoLimit,
    /// One that refuses nothing.
    OneLimit,
    /// Three that refuse nothing.
    ThreeLimits,
    /// One that refuses everything, once each of its buckets is in debt.
    Refusing,
    /// Replies pass, to a few thousand flows.
    DefaultDrop,
    /// As many flows are known as can be.
    FlowsFull,
    /// Connections are held to caps that nobody reaches.
    Caps,
    /// Both halves of all peers are listed, and nobody is banned.
    NoBan,
    /// The same, and [`BANS`] of the half that is listed nowhere else are banned.
    Bans,
}

/// Which packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Traffic {
    ToService,
    /// From listed sources, each asking for a connection to the service; of few sources all but the first are retransmits.
    SynsToService,
    /// From sources of which some are banned where anybody is.
    ToServiceFromBanned,
    /// From listed sources to where answers go.
    ToOwnPort,
    /// From unlisted sources to which the host has opened flows.
    Answers,
    /// From unlisted sources that answer nothing, but might.
    NoAnswers,
    /// From unlisted sources, and no answers by their flags.
    Syns,
    /// Leaving, of the flows that [`Traffic::Answers`] belong to.
    Continuing,
    /// Leaving, each of another flow.
    Opening,
}

pub(super) const CASES: [Case; 35] = [
    Case::new(Variant::NoLimit, Traffic::ToService, ONE),
    Case::new(Variant::NoLimit, Traffic::ToService, SOME),
    Case::new(Variant::NoLimit, Traffic::ToService, MILLION),
    Case::new(Variant::OneLimit, Traffic::ToService, ONE),
    Case::new(Variant::OneLimit, Traffic::ToService, SOME),
    Case::new(Variant::OneLimit, Traffic::ToService, MILLION),
    Case::new(Variant::ThreeLimits, Traffic::ToService, ONE),
    Case::new(Variant::ThreeLimits, Traffic::ToService, SOME),
    Case::new(Variant::ThreeLimits, Traffic::ToService, MILLION),
    Case::new(Variant::Refusing, Traffic::ToService, ONE),
    Case::new(Variant::Refusing, Traffic::ToService, SOME),
    Case::new(Variant::Refusing, Traffic::ToService, MILLION),
    Case::new(Variant::NoLimit, Traffic::SynsToService, SOME),
    Case::new(Variant::NoLimit, Traffic::SynsToService, MILLION),
    Case::new(Variant::Caps, Traffic::ToService, SOME),
    Case::new(Variant::Caps, Traffic::SynsToService, SOME),
    Case::new(Variant::Caps, Traffic::SynsToService, MILLION),
    Case::new(Variant::NoBan, Traffic::ToService, SOME),
    Case::new(Variant::NoBan, Traffic::ToService, MILLION),
    Case::new(Variant::NoBan, Traffic::ToServiceFromBanned, SOME),
    Case::new(Variant::Bans, Traffic::ToService, SOME),
    Case::new(Variant::Bans, Traffic::ToService, MILLION),
    Case::new(Variant::Bans, Traffic::ToServiceFromBanned, SOME),
    Case::new(Variant::DefaultDrop, Traffic::Syns, SOME),
    Case::new(Variant::DefaultDrop, Traffic::NoAnswers, SOME),
    Case::new(Variant::DefaultDrop, Traffic::Syns, MILLION),
    Case::new(Variant::DefaultDrop, Traffic::NoAnswers, MILLION),
    Case::new(Variant::FlowsFull, Traffic::NoAnswers, MILLION),
    Case::new(Variant::DefaultDrop, Traffic::ToOwnPort, SOME),
    Case::new(Variant::DefaultDrop, Traffic::Answers, SOME),
    Case::new(Variant::Unguarded, Traffic::Continuing, SOME),
    Case::new(Variant::NoLimit, Traffic::Continuing, SOME),
    Case::new(Variant::DefaultDrop, Traffic::Continuing, SOME),
    Case::new(Variant::Unguarded, Traffic::Opening, MILLION),
    Case::new(Variant::FlowsFull, Traffic::Opening, MILLION),
];

impl Case {
    pub(super) const fn new(variant: Variant, traffic: Traffic, size: u32) -> Self {
        Self { variant, traffic, size }
    }

    /// Whether its packets pass; else they are dropped.
    pub(super) fn passes(self) -> bool {
        match self.traffic {
            Traffic::NoAnswers | Traffic::Syns => false,
            Traffic::ToServiceFromBanned => self.variant != Variant::Bans,
            _ => self.variant != Variant::Refusing,
        }
    }
}

impl Variant {
    /// Whether it is known who is connected, so that a cgroup must be watched.
    pub(super) fn tracks(self) -> bool {
        self == Self::Caps
    }

    /// The policy, as guard's configuration has it, but for the cgroup; none without guard.
    pub(super) fn policy(self) -> Option<String> {
        let (default, limits) = match self {
            Self::Unguarded => return None,
            Self::NoLimit | Self::Caps | Self::NoBan | Self::Bans => ("pass", ""),
            Self::OneLimit => ("pass", r#"{ unit = "packets", limit = 10000000, window = "1s", per = "source" }"#),
            Self::ThreeLimits => (
                "pass",
                r#"
{ unit = "packets", limit = 10000000, window = "1s", per = "source" },
{ unit = "bytes", limit = "1GiB", window = "1s", per = "source" },
{ unit = "packets", limit = 50000000, window = "1s", per = "service" },
"#,
            ),
            Self::Refusing => {
                ("pass", r#"{ unit = "packets", limit = 1, window = "366d", burst = 0, per = "source" }"#)
            }
            Self::DefaultDrop | Self::FlowsFull => ("drop", ""),
        };
        let halves = match self {
            Self::NoBan | Self::Bans => &[LISTED, OTHERS][..],
            _ => &[LISTED],
        };
        let listed: Vec<_> = halves.iter().flat_map(|half| Crowd::prefixes(*half)).collect();
        let caps = if self.tracks() { "max_connections = 100000\nmax_connections_per_source = 4095" } else { "" };
        Some(format!(
            r#"
default = "{default}"
[allow]
ips = {listed:?}
[[service]]
name = "bench"
ports = ["tcp/{PORT}"]
rate = [{limits}]
{caps}
"#
        ))
    }
}

impl Traffic {
    pub(super) fn pattern(self, family: Family) -> Pattern {
        let (peer, peer_port, port, flags) = match self {
            Self::ToService | Self::ToServiceFromBanned => return Pattern::to_service(family),
            Self::SynsToService => return Pattern { flags: SYN, ..Pattern::to_service(family) },
            Self::ToOwnPort | Self::Answers => (Peer::Source, PEER_PORT, OWN_PORT, ACK),
            Self::NoAnswers => (Peer::Source, STRANGE_PORT, OWN_PORT, ACK),
            Self::Syns => (Peer::Source, STRANGE_PORT, OWN_PORT, SYN),
            Self::Continuing => (Peer::Destination, PEER_PORT, OWN_PORT, ACK),
            Self::Opening => (Peer::Destination, PEER_PORT, OWN_PORT, SYN),
        };
        Pattern { family, peer, peer_port, port, flags }
    }

    pub(super) fn crowd(self, family: Family, size: u32) -> Crowd {
        let is_listed = matches!(self, Self::ToService | Self::SynsToService | Self::ToOwnPort);
        Crowd { family, half: if is_listed { LISTED } else { OTHERS }, size }
    }

    /// Whether the packets leave the host.
    pub(super) fn leaves(self) -> bool {
        matches!(self, Self::Continuing | Self::Opening)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {} peers", self.variant, self.traffic, self.size)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unguarded => "no guard",
            Self::NoLimit => "no limit",
            Self::OneLimit => "one limit",
            Self::ThreeLimits => "three limits",
            Self::Refusing => "one limit, refusing",
            Self::DefaultDrop => "default drop",
            Self::FlowsFull => "default drop, flows full",
            Self::Caps => "caps",
            Self::NoBan => "no ban",
            Self::Bans => "100,000 bans",
        })
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ToService => "listed, ACK to the service",
            Self::SynsToService => "listed, SYN to the service",
            Self::ToServiceFromBanned => "banned if any, ACK to the service",
            Self::ToOwnPort => "listed, ACK to another port",
            Self::Answers => "unlisted, ACK of a known flow",
            Self::NoAnswers => "unlisted, ACK of no flow",
            Self::Syns => "unlisted, SYN",
            Self::Continuing => "ACK of a known flow",
            Self::Opening => "SYN of a new flow",
        })
    }
}
