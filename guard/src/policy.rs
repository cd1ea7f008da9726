//! The policy: everything the operator configured, in types that hold no bad state.
//!
//! Text ends before here: this module knows nothing of files, variables or their syntax, and nothing of kernel
//! tables.

mod change;
mod connections;
mod entries;
mod limits;
mod lockdown;
mod numbers;
mod origin;
mod ranges;
mod reach;
mod render;
mod timed;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

pub(crate) use change::ListChange;
pub(crate) use connections::{BanPolicy, ConnectionPolicy};
pub(crate) use entries::{Entries, Entry};
pub(crate) use limits::{Limit, Per, Unit};
pub(crate) use numbers::{Given, NoNumber, Numbers, number_bits};
pub(crate) use origin::Origin;
pub(crate) use ranges::Ranges;
pub(crate) use reach::{Hindrance, Judgement, Reach};
pub(crate) use timed::{Effect, Expiring, Timed};

/// What guard enforces: one consistent whole, made by `config::load`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Policy {
    /// The interfaces whose packets are judged.
    pub(crate) interfaces: Interfaces,
    /// How the program is attached to them.
    pub(crate) xdp_mode: XdpMode,
    /// What becomes of a packet that is judged a block; a service may have its own.
    pub(crate) mode: Mode,
    /// What becomes of packets to ports that no service names.
    pub(crate) default: DefaultVerdict,
    /// Ports that always pass; none of them belongs to a service. No port stands twice.
    pub(crate) failsafe_ports: Vec<Port>,
    /// What echo requests from anywhere are held to; its unit is packets.
    pub(crate) echo_rate: Option<Limit>,
    /// Own addresses that another host may hold for a time (VRRP), exempt from the check for spoofed sources.
    pub(crate) shared_addresses: Vec<IpAddr>,
    /// Sources that may reach every service. Prefixes have no host bits; the same one may stand twice, from two
    /// origins.
    pub(crate) allow: Entries,
    /// Sources that are blocked everywhere.
    pub(crate) deny: Entries,
    /// Sources that no limit is to hold for. It lets nobody in.
    pub(crate) trusted: Entries,
    /// At most [`SERVICES_MAX`](guard_common::policy::SERVICES_MAX), with names and ports that no two share, each with at least one port.
    pub(crate) services: Vec<Service>,
    /// Where blocks are written.
    pub(crate) log: LogPolicy,
    /// Who may ask the daemon what it does.
    pub(crate) control_readers: Readers,
    /// The cgroup (v2) whose sockets' connections are counted.
    #[serde(serialize_with = "path_as_text")]
    pub(crate) cgroup: PathBuf,
    /// Whether grants let anybody in; not in a lockdown.
    #[serde(skip)]
    pub(crate) grants_hold: bool,
}

impl Policy {
    /// Tells whether anything must be known of any service's connections, so that the sockets of the cgroup must be watched.
    pub(crate) fn tracks_connections(&self) -> bool {
        self.services.iter().any(|service| service.connections.is_tracked())
    }

    /// What becomes of packets so malformed that no service can be told from them: they pass only where nothing that they
    /// could be meant for is enforced.
    pub(crate) fn malformed_mode(&self) -> Mode {
        let enforces = |mode| mode == Mode::Enforce;
        if enforces(self.mode) || self.services.iter().any(|service| enforces(service.mode)) {
            Mode::Enforce
        } else {
            Mode::Monitor
        }
    }
}

/// The interfaces to guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interfaces {
    /// Every physical Ethernet interface and bond, but not a bond's members; written `*`.
    Physical,
    /// At least one name, none twice, each a name the kernel could give, never `lo`.
    Named(Vec<String>),
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum XdpMode {
    /// Native where the driver has it, else generic.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the network stack, after the driver.
    Generic,
}

/// What becomes of a packet that is judged a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// It is dropped.
    #[default]
    Enforce,
    /// It is counted and reported the same, and passes.
    Monitor,
}

/// What becomes of a packet to a port that no service names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DefaultVerdict {
    /// It passes.
    #[default]
    Pass,
    /// It passes only from a source in the allowlist.
    Drop,
}

/// Who may ask what guard does, besides those who may change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Readers {
    /// Nobody: root and the group `guard` only.
    #[default]
    Group,
    /// Every user of the host.
    Everyone,
}

/// A transport protocol that has ports guard can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// A port of this host; the number is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) protocol: Protocol,
    pub(crate) number: u16,
}

/// A named set of ports and who may reach them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Service {
    /// 1 to 63; that under which its packets are counted. No two share one.
    #[serde(skip)]
    pub(crate) number: u8,
    /// 1 to 32 of `A-Z a-z 0-9 _ . -`.
    pub(crate) name: String,
    /// At least one port, none twice.
    pub(crate) ports: Vec<Port>,
    /// Its own mode, or the policy's where it has none.
    pub(crate) mode: Mode,
    /// Sources that may reach it in addition to the policy's `allow`.
    pub(crate) allow: Entries,
    /// What sources that may reach it are held to: at most [`LIMITS_MAX`](guard_common::limits::LIMITS_MAX), all of which must
    /// agree.
    pub(crate) limits: Vec<Limit>,
    pub(crate) connections: ConnectionPolicy,
}

/// Where blocks are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LogPolicy {
    /// The file of EVE lines.
    #[serde(serialize_with = "as_text")]
    pub(crate) eve: Option<PathBuf>,
    /// Whether EVE lines go to standard output.
    pub(crate) stdout: bool,
}

/// A choice that is written as one word.
pub(crate) trait Word: Copy + 'static {
    /// Every choice.
    const ALL: &'static [Self];

    /// How this one is written.
    fn word(self) -> &'static str;
}

impl Word for XdpMode {
    const ALL: &'static [Self] = &[Self::Auto, Self::Native, Self::Generic];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl Word for Mode {
    const ALL: &'static [Self] = &[Self::Enforce, Self::Monitor];

    fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Monitor => "monitor",
        }
    }
}

impl Word for DefaultVerdict {
    const ALL: &'static [Self] = &[Self::Pass, Self::Drop];

    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }
}

impl Word for Readers {
    const ALL: &'static [Self] = &[Self::Group, Self::Everyone];

    fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Everyone => "everyone",
        }
    }
}

impl Word for Protocol {
    const ALL: &'static [Self] = &[Self::Tcp, Self::Udp];

    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Written as in the configuration: `tcp/3000`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol.word(), self.number)
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Interfaces {
    /// Returns the names as the operator would write them.
    pub(crate) fn as_written(&self) -> Vec<&str> {
        match self {
            Self::Physical => vec!["*"],
            Self::Named(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

impl Serialize for Interfaces {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_written())
    }
}

fn path_as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

/// A path below a state directory whose name is no UTF-8 must not make the policy unprintable.
fn as_text<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}
