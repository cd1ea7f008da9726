//! Every row of what odd packets get: each frame is sent raw from the wire, and comes under one counter and no other.

mod ipv4;
mod ipv6;
mod link;
mod own_addresses;
mod scene;
mod spoofed;
mod transport;
mod tunnels;

use scene::{Table, expect_all};

const IN_EITHER_FAMILY: &[Table] = &[
    link::what_contradicts_itself_below_ip_is_malformed,
    transport::transport_headers_are_whole,
    tunnels::tunnels_pass_where_the_default_is_to_pass,
    spoofed::addresses_that_cannot_be_real_are_spoofed,
];
const IN_IPV4: &[Table] = &[
    ipv4::lengths_that_lie_are_malformed,
    ipv4::options_are_walked,
    ipv4::later_fragments_pass_where_the_default_is_to_pass,
];
const IN_IPV6: &[Table] = &[
    ipv6::lengths_that_lie_are_malformed,
    ipv6::chains_that_lie_are_malformed,
    ipv6::later_fragments_pass_where_the_default_is_to_pass,
];

const IN_EITHER_FAMILY_IF_CLOSED: &[Table] = &[
    link::tags_and_sessions_are_looked_through,
    transport::a_service_gets_no_impossible_flags,
    tunnels::what_is_inside_a_tunnel_does_not_count,
];
const IN_IPV4_IF_CLOSED: &[Table] = &[ipv4::fragments_are_decided_by_what_they_show];
const IN_IPV6_IF_CLOSED: &[Table] = &[
    ipv6::extension_headers_are_walked,
    ipv6::what_ends_the_chain_has_no_ports,
    ipv6::fragments_are_decided_by_what_they_show,
];

#[test]
fn odd_packets_under_a_default_to_pass() {
    expect_all("pass", |cell| [IN_EITHER_FAMILY, cell.pick(IN_IPV4, IN_IPV6)].concat());
}

#[test]
fn odd_packets_under_a_default_to_drop() {
    expect_all("drop", |cell| [IN_EITHER_FAMILY_IF_CLOSED, cell.pick(IN_IPV4_IF_CLOSED, IN_IPV6_IF_CLOSED)].concat());
}
