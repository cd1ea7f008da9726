//! Everything that is measured: how each is set up on its stage, and what it is expected to let through.

mod guard;
mod netfilter;
mod program;

use std::{any::Any, fmt, path::Path};

use guard_tests::Family;
use ipnet::IpNet;

pub(super) use self::{
    guard::{LIST, run_guard, run_policy},
    netfilter::{Overlaps, load_nft},
};
use super::{
    list::Entries,
    object::Object,
    sources::{Mix, SOURCES},
    stage::Stage,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// Drops everything, reading nothing.
    BareDrop,
    /// Passes everything, reading nothing.
    BarePass,
    Guard,
    LpmTrie,
    XdpFilter,
    NftIngress,
    NftPrerouting,
    Ipset,
}

/// What contenders are set up with.
#[derive(Clone, Copy)]
pub(super) struct Material<'a> {
    pub(super) object: &'a Object,
    /// guard's binary.
    pub(super) guard: &'a Path,
    pub(super) family: Family,
    pub(super) list: &'a [IpNet],
}

impl Contender {
    pub(super) const ALL: [Self; 8] = [
        Self::BareDrop,
        Self::BarePass,
        Self::Guard,
        Self::LpmTrie,
        Self::XdpFilter,
        Self::NftIngress,
        Self::NftPrerouting,
        Self::Ipset,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BareDrop => "bare XDP_DROP",
            Self::BarePass => "bare XDP_PASS",
            Self::Guard => "guard",
            Self::LpmTrie => "XDP + LPM trie",
            Self::XdpFilter => "xdp-filter",
            Self::NftIngress => "nft netdev ingress",
            Self::NftPrerouting => "nft inet raw",
            Self::Ipset => "iptables raw + ipset",
        }
    }

    /// Whether it is measured with such a list: only xdp-filter, and guard beside it, with one of single addresses.
    pub(super) fn takes(self, entries: Entries) -> bool {
        match entries {
            Entries::Prefixes => self != Self::XdpFilter,
            Entries::Addresses => matches!(self, Self::XdpFilter | Self::Guard),
        }
    }

    /// Sets it up to pass what is listed and to drop the rest. Returns what ends it when it is dropped; some live in the stage's
    /// network.
    pub(super) fn install(self, stage: &Stage, material: Material<'_>) -> anyhow::Result<Option<Box<dyn Any>>> {
        let Material { object, guard, family, list } = material;
        Ok(match self {
            Self::BareDrop => Some(Box::new(program::attach_bare(stage, object, "bare_drop")?)),
            Self::BarePass => Some(Box::new(program::attach_bare(stage, object, "bare_pass")?)),
            Self::LpmTrie => Some(Box::new(program::attach_trie(stage, material)?)),
            Self::Guard => Some(Box::new(run_guard(stage, list, guard)?.0)),
            Self::XdpFilter => {
                program::load_xdp_filter(stage, list)?;
                None
            }
            Self::NftIngress | Self::NftPrerouting => {
                load_nft(stage, family, list, self, Overlaps::Merged)?;
                None
            }
            Self::Ipset => {
                netfilter::load_ipset(stage, material)?;
                None
            }
        })
    }

    /// How many of a mix's sources it must let through.
    pub(super) fn passes(self, mix: Mix) -> usize {
        match self {
            Self::BareDrop => 0,
            Self::BarePass => SOURCES,
            _ => mix.listed(),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
