//! Addresses that more than one host listens to.

use std::net::{IpAddr, Ipv6Addr};

use super::link::Mac;

/// Everybody on the wire.
pub const BROADCAST: Mac = [0xff; 6];

/// The Ethernet address for a multicast group (RFC 1112, section 6.4; RFC 2464, section 7).
pub fn multicast_mac(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// The group in which a host hears solicitations for an address of its own (RFC 4291, section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let mut group = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(&[a, b, c]);
    group.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_the_addresses_of_the_rfcs() {
        let address: Ipv6Addr = "4037::01:800:200e:8c6c".parse().unwrap();
        let group: Ipv6Addr = "ff02::1:ff0e:8c6c".parse().unwrap();
        assert_eq!(solicited_node(address), group);
        assert_eq!(multicast_mac(group.into()), [0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c]);
        assert_eq!(multicast_mac([224, 129, 2, 3].into()), [0x01, 0x00, 0x5e, 0x01, 0x02, 0x03]);
    }
}
