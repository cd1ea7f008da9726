//! The generator: run with live frames, it writes the next address into each and sends it off.

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::Array,
    helpers::bpf_redirect,
    macros::{btf_map, xdp},
    programs::XdpContext,
};

use crate::{
    crowd::scatter,
    frame::{
        IP, IPV4_CHECKSUM, IPV4_DESTINATION, IPV4_LENGTH, IPV4_SOURCE, IPV6_DESTINATION, IPV6_LENGTH, IPV6_SOURCE,
        TCP_CHECKSUM, at,
    },
};

/// Bytes in an element of `SOURCES`: 16 IPv4 or 4 IPv6 addresses.
const LINE_BYTES: u32 = 64;
/// Room for 65,536 IPv6 addresses.
const LINES: usize = 16384;
const SOURCES_MASK: u32 = 0xffff;

/// Sources in network byte order, packed.
#[btf_map]
static SOURCES: Array<[u32; LINE_BYTES as usize / 4], LINES> = Array::new();
#[btf_map]
static COURSE: Array<Course, 1> = Array::new();

/// What to write into which frames, and where to send them.
#[repr(C)]
struct Course {
    /// The sum of the IPv4 header without the address that is written and the checksum, in the byte order of the frame.
    header_sum: u32,
    /// The same of what the TCP checksum covers.
    transport_sum: u32,
    /// The interface that sends the frames; 0 drops them instead, to time the generator alone.
    interface: u32,
    /// 4 or 6.
    version: u32,
    /// The number of the next frame.
    next: u32,
    /// Not 0 to write the destination, else the source.
    destination: u32,
    /// Which bits of a frame's number tell the members of a crowd apart.
    number_mask: u32,
    /// Which bits of an address do: of IPv4, or of the second quarter of IPv6. 0 to take addresses from `SOURCES` instead.
    host_mask: u32,
    /// The rest of a member's address, as it stands in the frame.
    address: [u32; 4],
}

impl Course {
    /// Returns the bits of the next address of a crowd, as they stand in the frame.
    #[inline(always)]
    fn member(&self, number: u32) -> u32 {
        scatter(number & self.number_mask, self.host_mask).to_be()
    }
}

#[xdp]
pub(crate) fn generate(context: XdpContext) -> u32 {
    let Some(course) = COURSE.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: the one element of an array that is never freed; one thread runs this program.
    let course = unsafe { &mut *course };
    let number = course.next;
    course.next = number.wrapping_add(1);
    let written =
        if course.version == 4 { write_ipv4(&context, course, number) } else { write_ipv6(&context, course, number) };
    if written.is_none() {
        return xdp_action::XDP_ABORTED;
    }
    if course.interface == 0 {
        return xdp_action::XDP_DROP;
    }
    // SAFETY: the helper takes numbers only.
    unsafe { bpf_redirect(course.interface, 0) as u32 }
}

#[inline(always)]
fn write_ipv4(context: &XdpContext, course: &Course, number: u32) -> Option<()> {
    let address = if course.host_mask == 0 {
        let index = number & SOURCES_MASK;
        SOURCES.get(index / 16)?[(index % 16) as usize]
    } else {
        course.address[0] | course.member(number)
    };
    let sum = (address >> 16) + (address & 0xffff);
    if course.destination == 0 {
        write(context, IPV4_SOURCE, address)?;
    } else {
        write(context, IPV4_DESTINATION, address)?;
    }
    write(context, IPV4_CHECKSUM, checksum(course.header_sum, sum))?;
    write(context, IP + IPV4_LENGTH + TCP_CHECKSUM, checksum(course.transport_sum, sum))
}

#[inline(always)]
fn write_ipv6(context: &XdpContext, course: &Course, number: u32) -> Option<()> {
    let address = if course.host_mask == 0 {
        let index = number & SOURCES_MASK;
        let line = SOURCES.get(index / 4)?;
        let first = (index % 4 * 4) as usize;
        [line[first], line[first + 1], line[first + 2], line[first + 3]]
    } else {
        let [first, second, third, fourth] = course.address;
        [first, second | course.member(number), third, fourth]
    };
    let sum = address.iter().map(|word| (word >> 16) + (word & 0xffff)).sum();
    if course.destination == 0 {
        write(context, IPV6_SOURCE, address)?;
    } else {
        write(context, IPV6_DESTINATION, address)?;
    }
    write(context, IP + IPV6_LENGTH + TCP_CHECKSUM, checksum(course.transport_sum, sum))
}

#[inline(always)]
fn write<T>(context: &XdpContext, offset: usize, value: T) -> Option<()> {
    // SAFETY: the pointer lies with all of `T` before the frame's end.
    unsafe { at::<T>(context, offset)?.write_unaligned(value) };
    Some(())
}

/// The Internet checksum (RFC 1071), which is the same in either byte order.
#[inline(always)]
fn checksum(base: u32, more: u32) -> u16 {
    let sum = base + more;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}
