//! The one address type of both families, and which addresses cannot be real.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The upper half of every IPv4-mapped address; the lower half is `MAPPED_LOW | IPv4 address`.
const MAPPED_LOW: u64 = 0xffff_0000_0000;

/// An IPv4 or IPv6 address: 128 bits as two numbers, IPv4 as its IPv4-mapped form (RFC 4291, 2.5.5.2).
///
/// The family is not part of the address: a [`Packet`](crate::packet::Packet) carries its own version, so that a mapped
/// address found inside an IPv6 header is not taken for IPv4.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Address {
    pub high: u64,
    pub low: u64,
}

impl Address {
    pub const UNSPECIFIED: Self = Self { high: 0, low: 0 };

    /// Takes an IPv4 address, four bytes in network order.
    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        Self { high: 0, low: MAPPED_LOW | u32::from_be_bytes(octets) as u64 }
    }

    /// Takes an IPv6 address as two halves of eight bytes in network order.
    #[inline(always)]
    pub const fn from_halves(high: [u8; 8], low: [u8; 8]) -> Self {
        Self { high: u64::from_be_bytes(high), low: u64::from_be_bytes(low) }
    }

    /// Takes sixteen bytes in network order, as the records hold them.
    #[inline(always)]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(octets);
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }

    /// Returns the sixteen bytes in network order, as the records hold them.
    #[inline(always)]
    pub const fn octets(self) -> [u8; 16] {
        ((self.high as u128) << 64 | self.low as u128).to_be_bytes()
    }

    /// Returns the address with all but its first bits zero; `bits` is at most 128, those of the mapped form for IPv4 too.
    #[inline(always)]
    pub const fn prefix(self, bits: u32) -> Self {
        if bits < 64 {
            Self { high: self.high & leading(bits), low: 0 }
        } else {
            Self { high: self.high, low: self.low & leading(bits - 64) }
        }
    }

    /// Returns the address as the standard library's type; `version` is 4 or 6.
    pub fn to_ip(self, version: u8) -> IpAddr {
        match version {
            4 => IpAddr::V4(Ipv4Addr::from_bits(self.low as u32)),
            _ => IpAddr::V6(Ipv6Addr::from(self.octets())),
        }
    }

    /// Tells whether the address is one that no packet on the wire can come from, whatever the network looks like.
    ///
    /// IPv4: 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255 (RFC 6890). IPv6: everything under ::/80 that is
    /// unspecified, loopback, IPv4-mapped or IPv4-compatible (RFC 4291), and multicast.
    #[inline(always)]
    pub const fn is_impossible_source(self, version: u8) -> bool {
        if version == 4 {
            let v4 = self.low as u32;
            let first = v4 >> 24;
            first == 0 || first == 127 || first >> 4 == 0xe || v4 == u32::MAX
        } else {
            self.embeds_v4() || self.is_multicast(6)
        }
    }

    /// Tells whether no packet on the wire can be meant for the address: loopback, or IPv4 in IPv6's clothes.
    #[inline(always)]
    pub const fn is_impossible_destination(self, version: u8) -> bool {
        if version == 4 { (self.low as u32) >> 24 == 127 } else { self.embeds_v4() }
    }

    #[inline(always)]
    pub const fn is_multicast(self, version: u8) -> bool {
        if version == 4 { (self.low as u32) >> 28 == 0xe } else { self.high >> 56 == 0xff }
    }

    /// Tells whether an IPv6 address is link-local unicast, fe80::/10.
    #[inline(always)]
    pub const fn is_link_local(self) -> bool {
        self.high >> 54 == 0xfe80 >> 6
    }

    /// Returns the address as one of an interface: a link-local address with the interface's index in the bits that
    /// RFC 4291, 2.5.6 leaves zero, any other as it is. So the same link-local address on two links is two addresses.
    #[inline(always)]
    pub const fn on_interface(self, index: u32) -> Self {
        if self.is_link_local() { Self { high: self.high | index as u64, low: self.low } } else { self }
    }

    /// Tells whether an IPv6 address is solicited-node multicast, ff02::1:ff00:0/104 (RFC 4291, 2.7.1).
    #[inline(always)]
    pub const fn is_solicited_node(self) -> bool {
        self.high == 0xff02 << 48 && self.low >> 24 == 0x1ff
    }

    /// Tells whether an IPv6 address is IPv4-mapped (::ffff:0:0/96) or in ::/96, which holds the compatible ones, `::` and `::1`.
    #[inline(always)]
    const fn embeds_v4(self) -> bool {
        let prefix = self.low >> 32;
        self.high == 0 && (prefix == 0 || prefix == 0xffff)
    }
}

/// Returns a number whose first bits are ones, at most 64. In two steps, because no shift is by 64.
#[inline(always)]
const fn leading(bits: u32) -> u64 {
    !(u64::MAX >> (bits / 2) >> (bits - bits / 2))
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                Self { high: (bits >> 64) as u64, low: bits as u64 }
            }
        }
    }
}

impl core::fmt::Display for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let v6 = Ipv6Addr::from(self.octets());
        match v6.to_ipv4_mapped() {
            Some(v4) => v4.fmt(f),
            None => v6.fmt(f),
        }
    }
}
