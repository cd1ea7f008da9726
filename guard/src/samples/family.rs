//! Addresses of either family as numbers.

use std::net::IpAddr;

use ipnet::IpNet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// As in an IP header.
    pub(crate) fn version(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }

    /// Bits of an address.
    pub(crate) fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The address of all ones.
    pub(crate) fn last(self) -> u128 {
        u128::MAX >> (128 - self.bits())
    }

    /// Returns the address that a number's low bits are.
    pub(crate) fn ip(self, number: u128) -> IpAddr {
        match self {
            Self::V4 => IpAddr::from((number as u32).to_be_bytes()),
            Self::V6 => IpAddr::from(number.to_be_bytes()),
        }
    }

    /// Returns the prefix of so many bits in which an address lies.
    pub(crate) fn net(self, number: u128, length: u8) -> IpNet {
        IpNet::new(self.ip(number), length).expect("no longer than an address").trunc()
    }
}

/// Returns an address as a number.
pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
