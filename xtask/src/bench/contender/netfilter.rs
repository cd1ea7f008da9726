//! Contenders that are rules of netfilter.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use guard_tests::Family;
use ipnet::IpNet;

use super::{Contender, Material};
use crate::bench::stage::{INTERFACE, Stage};

/// What nft does about prefixes of a list that lie in others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Overlaps {
    Merged,
    /// There are none, and nft refuses the list otherwise.
    Absent,
}

/// Loads a set of intervals and the one rule that asks it, and returns how long that took.
pub(in crate::bench) fn load_nft(
    stage: &Stage,
    family: Family,
    list: &[IpNet],
    contender: Contender,
    overlaps: Overlaps,
) -> anyhow::Result<Duration> {
    let rules = stage.host().write("rules.nft", nft_rules(family, list, contender, overlaps));
    let start = Instant::now();
    stage.run("nft", &["-f", &rules.to_string_lossy()])?;
    Ok(start.elapsed())
}

/// Loads a set by `ipset` and the one rule that asks it.
pub(super) fn load_ipset(stage: &Stage, Material { family, list, .. }: Material<'_>) -> anyhow::Result<()> {
    let mut set = format!("create listed hash:net family {} maxelem {}\n", family.pick("inet", "inet6"), list.len());
    for prefix in list {
        // Writing to a string does not fail.
        let _ = writeln!(set, "add listed {prefix}");
    }
    let set = stage.host().write("listed.ipset", set);
    stage.run("ipset", &["restore", "-file", &set.to_string_lossy()])?;
    let rule = ["-t", "raw", "-A", "PREROUTING", "-m", "set", "!", "--match-set", "listed", "src", "-j", "DROP"];
    stage.run(family.pick("iptables", "ip6tables"), &rule).map(drop)
}

/// A table of nft that drops every source that is not listed, in the place that the contender is named after.
fn nft_rules(family: Family, list: &[IpNet], contender: Contender, overlaps: Overlaps) -> String {
    let (table, hook) = if contender == Contender::NftIngress {
        ("netdev", format!("ingress device \"{INTERFACE}\" priority filter"))
    } else {
        ("inet", "prerouting priority raw".to_owned())
    };
    let elements: Vec<_> = list.iter().map(ToString::to_string).collect();
    format!(
        "\
table {table} contender {{
  set listed {{
    type {address_type}; flags interval;{auto_merge}
    elements = {{ {elements} }}
  }}
  chain filter {{
    type filter hook {hook}; policy accept;
    {protocol} saddr != @listed drop
  }}
}}
",
        auto_merge = if overlaps == Overlaps::Merged { " auto-merge;" } else { "" },
        address_type = family.pick("ipv4_addr", "ipv6_addr"),
        elements = elements.join(",\n"),
        protocol = family.pick("ip", "ip6"),
    )
}
