//! What a filter could cost at least, and the obvious way to write one.

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{LpmTrie, lpm_trie::Key},
    macros::{btf_map, xdp},
    programs::XdpContext,
};

use crate::frame::{ETHER_TYPE, IPV4, IPV4_SOURCE, IPV6, IPV6_SOURCE, read};

/// Room for a million prefixes; a trie takes memory only for those it holds.
const PREFIXES_MAX: usize = 1 << 20;

#[btf_map]
static PREFIXES_V4: LpmTrie<[u8; 4], u32, PREFIXES_MAX> = LpmTrie::new();
#[btf_map]
static PREFIXES_V6: LpmTrie<[u8; 16], u32, PREFIXES_MAX> = LpmTrie::new();

#[xdp]
pub(crate) fn bare_drop(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

#[xdp]
pub(crate) fn bare_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops what does not come from a listed prefix, by the kernel's own table of prefixes.
#[xdp]
pub(crate) fn lpm_trie(context: XdpContext) -> u32 {
    match is_listed(&context) {
        Some(true) => xdp_action::XDP_PASS,
        _ => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn is_listed(context: &XdpContext) -> Option<bool> {
    Some(match u16::from_be(read(context, ETHER_TYPE)?) {
        IPV4 => PREFIXES_V4.get(&Key::new(32, read::<[u8; 4]>(context, IPV4_SOURCE)?)).is_some(),
        IPV6 => PREFIXES_V6.get(&Key::new(128, read::<[u8; 16]>(context, IPV6_SOURCE)?)).is_some(),
        _ => true,
    })
}
