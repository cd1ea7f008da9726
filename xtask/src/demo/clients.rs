//! Who visits the server: a listed and an unlisted client of each family.

use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use ipnet::IpNet;

/// Addresses for strangers, of each family; the first that is not listed is taken.
const STRANGERS: [&str; 6] =
    ["203.0.113.7", "192.0.2.7", "100.64.0.7", "2001:db8:bad::7", "3fff::7", "2001:4860:4860::7"];

#[derive(Clone, Copy)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) listed: bool,
}

/// Picks the clients for an allowlist. A family without a usable prefix has no listed client.
pub(super) fn clients(allowlist: &[IpNet]) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for is_v6 in [false, true] {
        let family = |prefix: &&IpNet| prefix.addr().is_ipv6() == is_v6;
        match allowlist.iter().filter(family).find_map(usable) {
            Some(address) => clients.push(Client { address, listed: true }),
            None => {
                println!("ALLOWED_IPS lists no usable IPv{} prefix: none of its clients may come", family_number(is_v6))
            }
        }
        let strangers = STRANGERS.iter().map(|address| address.parse::<IpAddr>());
        let stranger = strangers
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .find(|address| address.is_ipv6() == is_v6 && !allowlist.iter().any(|prefix| prefix.contains(address)))
            .with_context(|| format!("ALLOWED_IPS leaves no IPv{} address for a stranger", family_number(is_v6)))?;
        clients.push(Client { address: stranger, listed: false });
    }
    ensure!(clients.iter().any(|client| client.listed), "ALLOWED_IPS lists nobody who could come over a network");
    Ok(clients)
}

/// The first address of a prefix that a host on a network can have.
fn usable(prefix: &IpNet) -> Option<IpAddr> {
    // The first address of an IPv6 subnet is its routers' (RFC 4291, 2.6.1).
    let skipped = usize::from(prefix.addr().is_ipv6() && prefix.prefix_len() < 127);
    let address = prefix.hosts().nth(skipped)?;
    let real = match address {
        IpAddr::V4(v4) => {
            !v4.is_loopback() && !v4.is_multicast() && !v4.is_link_local() && !v4.is_broadcast() && v4.octets()[0] != 0
        }
        IpAddr::V6(v6) => {
            !v6.is_loopback() && !v6.is_multicast() && !v6.is_unspecified() && !v6.is_unicast_link_local()
        }
    };
    real.then_some(address)
}

fn family_number(is_v6: bool) -> u8 {
    if is_v6 { 6 } else { 4 }
}
