//! Protocols whose inside is not read: a listed packet in a stranger's is the stranger's.

use std::net::IpAddr;

use guard_tests::{
    Site,
    frame::{Frame, Ipv4, Ipv6, SYN},
};

use crate::scene::{Case, Source, WEB, case};

const TUNNELS: [(&str, u8); 6] = [("IPIP", 4), ("6in4", 41), ("GRE", 47), ("ESP", 50), ("SCTP", 132), ("L2TP", 115)];

pub(crate) fn what_is_inside_a_tunnel_does_not_count(site: &Site) -> Vec<Case> {
    tunnels(site, ["- pass allowed", "- pass allowed", "- drop not_allowed"])
}

pub(crate) fn tunnels_pass_where_the_default_is_to_pass(site: &Site) -> Vec<Case> {
    tunnels(site, ["- pass default"; 3])
}

fn tunnels(site: &Site, rows: [&'static str; 3]) -> Vec<Case> {
    let inner = Frame::bare().ip(Source::Listed.address(site.cell), site.address()).tcp(40000, WEB, SYN).build();
    let sources = [(Source::Listed, "listed"), (Source::OfWeb, "of one service"), (Source::Unlisted, "unlisted")];
    let mut cases = Vec::new();
    for (name, protocol) in TUNNELS {
        for ((source, who), row) in sources.into_iter().zip(rows) {
            let frame = carrying(site, source.address(site.cell), protocol).payload(&inner[..]).build();
            cases.push(case(format!("{name}, {who}"), frame, row));
        }
    }
    cases
}

/// A packet of the cell's family that says which protocol it carries.
pub(crate) fn carrying(site: &Site, source: IpAddr, protocol: u8) -> Frame {
    match (source, site.address()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => site.ethernet().layer(Ipv4::new(from, to).protocol(protocol)),
        (IpAddr::V6(from), IpAddr::V6(to)) => site.ethernet().layer(Ipv6::new(from, to).next_header(protocol)),
        _ => unreachable!("a site and its sources are of one family"),
    }
}
