//! Addresses as the standard library, records and people see them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use guard_common::address::Address;
use proptest::prelude::*;

#[test]
fn addresses_are_written_as_people_write_them() {
    for text in ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::", "::1", "fe80::1", "::192.0.2.1"] {
        let ip: IpAddr = text.parse().expect("a test names good addresses");
        assert_eq!(Address::from(ip).to_string(), ip.to_string());
    }
}

#[test]
fn order_is_the_order_of_numbers() {
    let in_order = ["::", "::1", "0.0.0.0", "9.255.255.255", "10.0.0.0", "::1:0:0:0", "2001:db8::", "2001:db8:0:1::"];
    let addresses = in_order.map(|text| Address::from(text.parse::<IpAddr>().expect("a test names good addresses")));
    assert!(addresses.is_sorted(), "{addresses:?}");
}

proptest! {
    #[test]
    fn v4_addresses_are_mapped(ip: Ipv4Addr) {
        let address = Address::from_v4(ip.octets());
        prop_assert_eq!(address, Address::from(IpAddr::V4(ip)));
        prop_assert_eq!(address.octets(), ip.to_ipv6_mapped().octets());
        prop_assert_eq!(address.to_ip(4), IpAddr::V4(ip));
        prop_assert_eq!(address.to_ip(6), IpAddr::V6(ip.to_ipv6_mapped()));
    }

    #[test]
    fn v6_addresses_keep_their_octets(ip: Ipv6Addr) {
        let octets = ip.octets();
        let address = Address::from_octets(octets);
        let (high, low) = (octets.first_chunk(), octets.last_chunk());
        let halves = Address::from_halves(*high.expect("8 of 16"), *low.expect("8 of 16"));
        prop_assert_eq!(address, halves);
        prop_assert_eq!(address, Address::from(IpAddr::V6(ip)));
        prop_assert_eq!(address.octets(), octets);
        prop_assert_eq!(address.to_ip(6), IpAddr::V6(ip));
    }
}
