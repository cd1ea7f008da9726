//! Contenders that are an XDP program alone.

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    maps::lpm_trie::{Key, LpmTrie},
    programs::XdpMode,
};
use ipnet::IpNet;

use super::Material;
use crate::bench::{
    object::{Object, xdp},
    stage::{INTERFACE, Stage},
};

const TRIE: &str = "lpm_trie";

/// Attaches one of the benchmark's own programs that need no list.
pub(super) fn attach_bare(stage: &Stage, object: &Object, program: &str) -> anyhow::Result<Ebpf> {
    attach(stage, object.load(program)?, program)
}

/// Attaches the program that asks the kernel's tries, with the list in them.
pub(super) fn attach_trie(stage: &Stage, Material { object, list, .. }: Material<'_>) -> anyhow::Result<Ebpf> {
    let mut ebpf = object.load(TRIE)?;
    let mut v4 = LpmTrie::try_from(ebpf.take_map("PREFIXES_V4").context("no map PREFIXES_V4")?)?;
    let mut v6 = LpmTrie::try_from(ebpf.take_map("PREFIXES_V6").context("no map PREFIXES_V6")?)?;
    for prefix in list {
        let length = u32::from(prefix.prefix_len());
        match prefix {
            IpNet::V4(prefix) => v4.insert(&Key::new(length, prefix.network().octets()), 0, 0),
            IpNet::V6(prefix) => v6.insert(&Key::new(length, prefix.network().octets()), 0, 0),
        }
        .with_context(|| format!("{prefix} into the trie"))?;
    }
    attach(stage, ebpf, TRIE)
}

fn attach(stage: &Stage, mut ebpf: Ebpf, program: &str) -> anyhow::Result<Ebpf> {
    let program = xdp(&mut ebpf, program)?;
    stage.host().enter(|| program.attach(INTERFACE, XdpMode::Driver))?;
    Ok(ebpf)
}

/// Loads xdp-filter so that it drops all sources but those that are listed. It is attached as it is fastest: by itself, without the
/// dispatcher that libxdp puts before programs where the kernel lets it.
pub(super) fn load_xdp_filter(stage: &Stage, list: &[IpNet]) -> anyhow::Result<()> {
    let load = ["load", "--mode", "native", "--policy", "deny", "--features", "ipv4,ipv6", INTERFACE];
    stage.run("env", &[&["LIBXDP_SKIP_DISPATCHER=1", "xdp-filter"], &load[..]].concat())?;
    for address in list {
        stage.run("xdp-filter", &["ip", "--mode", "src", &address.addr().to_string()])?;
    }
    let interface = stage.run("ip", &["-details", "link", "show", "dev", INTERFACE])?;
    ensure!(interface.contains(" name xdpfilt_"), "xdp-filter is not attached by itself: {interface}");
    Ok(())
}
