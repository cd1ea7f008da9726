//! Why packets pass or are dropped, as counters and records number it.

/// Why a packet passed or was dropped. The number is the second half of a counter's index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Reason {
    /// Passed: no IP packet.
    NotIp = 0,
    /// Passed: the host cannot live without it ([`is_essential`]).
    Essential = 1,
    /// Passed: to a failsafe port.
    Failsafe = 2,
    /// Passed: for no service, and the default is to pass.
    Default = 3,
    /// Passed: the source is in an allow set.
    Allowed = 4,
    /// Dropped: headers that contradict the frame, each other or what a service may be sent.
    Malformed = 5,
    /// Dropped: an address that cannot be real.
    Spoofed = 6,
    /// Dropped: the source is in `deny`.
    Blocked = 7,
    /// Dropped: a later fragment of a source in no allow set.
    Fragment = 8,
    /// Dropped: the source is in no allow set.
    NotAllowed = 9,
    /// Passed: the answer to a flow that this host opened.
    Reply = 10,
    /// Dropped: more packets than the service's limit lets through.
    RatePackets = 11,
    /// Dropped: more bytes than the service's limit lets through.
    RateBytes = 12,
    /// Dropped: more new connections than the service's limit lets through.
    RateConnections = 13,
    /// Dropped: more echo requests than `echo_rate` lets through.
    RateEcho = 14,
    /// Dropped: more ICMP errors than any router has cause to send.
    RateErrors = 15,
    /// Dropped: the source is banned.
    Banned = 16,
    /// Dropped: the service, or the source at the service, has as many connections as it may have.
    Connections = 17,
}

/// Reasons that a counter's index has room for; a power of two.
pub const REASONS_MAX: usize = 32;

impl Reason {
    pub const ALL: [Self; 18] = [
        Self::NotIp,
        Self::Essential,
        Self::Failsafe,
        Self::Default,
        Self::Allowed,
        Self::Malformed,
        Self::Spoofed,
        Self::Blocked,
        Self::Fragment,
        Self::NotAllowed,
        Self::Reply,
        Self::RatePackets,
        Self::RateBytes,
        Self::RateConnections,
        Self::RateEcho,
        Self::RateErrors,
        Self::Banned,
        Self::Connections,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Essential => "essential",
            Self::Failsafe => "failsafe",
            Self::Default => "default",
            Self::Allowed => "allowed",
            Self::Malformed => "malformed",
            Self::Spoofed => "spoofed",
            Self::Blocked => "blocked",
            Self::Fragment => "fragment",
            Self::NotAllowed => "not_allowed",
            Self::Reply => "reply",
            Self::RatePackets => "rate_packets",
            Self::RateBytes => "rate_bytes",
            Self::RateConnections => "rate_connections",
            Self::RateEcho => "rate_echo",
            Self::RateErrors => "rate_errors",
            Self::Banned => "banned",
            Self::Connections => "connections",
        }
    }

    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::NotIp | Self::Essential | Self::Failsafe | Self::Default | Self::Allowed | Self::Reply => {
                Verdict::Pass
            }
            Self::Malformed
            | Self::Spoofed
            | Self::Blocked
            | Self::Fragment
            | Self::NotAllowed
            | Self::RatePackets
            | Self::RateBytes
            | Self::RateConnections
            | Self::RateEcho
            | Self::RateErrors
            | Self::Banned
            | Self::Connections => Verdict::Drop,
        }
    }

    /// Returns the reason whose number a record holds.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Pass,
    Drop,
}
