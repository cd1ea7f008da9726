//! The frame's bytes, and where the headers that the programs read and write stand in it: Ethernet without tags.

use aya_ebpf::programs::XdpContext;

pub(crate) const ETHER_TYPE: usize = 12;
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
/// The first byte behind the Ethernet header.
pub(crate) const IP: usize = 14;
pub(crate) const IPV4_CHECKSUM: usize = IP + 10;
pub(crate) const IPV4_SOURCE: usize = IP + 12;
pub(crate) const IPV4_DESTINATION: usize = IP + 16;
pub(crate) const IPV4_LENGTH: usize = 20;
pub(crate) const IPV6_SOURCE: usize = IP + 8;
pub(crate) const IPV6_DESTINATION: usize = IP + 24;
pub(crate) const IPV6_LENGTH: usize = 40;
/// Where the checksum stands in a TCP header.
pub(crate) const TCP_CHECKSUM: usize = 16;

/// A pointer to `T` at an offset of the frame; none past its end.
#[inline(always)]
pub(crate) fn at<T>(context: &XdpContext, offset: usize) -> Option<*mut T> {
    let start = context.data() + offset;
    if start + size_of::<T>() > context.data_end() {
        return None;
    }
    Some(start as *mut T)
}

/// A copy of `T` at an offset of the frame.
#[inline(always)]
pub(crate) fn read<T: Copy>(context: &XdpContext, offset: usize) -> Option<T> {
    // SAFETY: the pointer lies with all of `T` before the frame's end; what is read are integers and arrays of them.
    Some(unsafe { at::<T>(context, offset)?.read_unaligned() })
}
