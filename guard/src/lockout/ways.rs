//! By which interfaces packets of a connection come.

use std::{collections::BTreeSet, fs, io, net::IpAddr, path::Path};

use tracing::debug;

use crate::network::{
    name_of,
    reach::{Reach, Routes},
};

/// Where the kernel lists the interfaces of the network that this file system was mounted in.
const INTERFACES: &str = "/sys/class/net";

/// Tells whether packets of a connection's peer come by one of the guarded interfaces, or by one that such a one carries, as that of
/// a VLAN or a bridge. They are taken to come as they leave; of which nothing is known, by a guarded one.
pub(crate) fn is_guarded(local: IpAddr, peer: IpAddr, guarded: &BTreeSet<u32>) -> bool {
    // The same link-local address may be on every link.
    if matches!(peer, IpAddr::V6(peer) if peer.is_unicast_link_local()) {
        return true;
    }
    match Routes::open().and_then(|routes| routes.reach_from(local, peer)) {
        Ok(Reach::By(interface)) => carries(guarded, interface),
        Ok(Reach::Here) => false,
        Ok(Reach::Nowhere) => true,
        Err(error) => {
            debug!("the way to {peer}: {error}");
            true
        }
    }
}

/// Tells whether an interface is guarded, or one below it.
fn carries(guarded: &BTreeSet<u32>, interface: u32) -> bool {
    if guarded.contains(&interface) {
        return true;
    }
    match below(interface) {
        // The kernel stacks no more than eight, and none on itself.
        Ok(below) => below.into_iter().any(|below| carries(guarded, below)),
        Err(error) => {
            debug!("what carries interface {interface}: {error}");
            true
        }
    }
}

/// Returns the indices of the interfaces that carry an interface's packets in this network.
fn below(interface: u32) -> io::Result<Vec<u32>> {
    let directory = Path::new(INTERFACES).join(name_of(interface)?);
    let mut below = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"lower_") {
            let index = fs::read_to_string(entry.path().join("ifindex"))?;
            below.push(index.trim().parse().map_err(io::Error::other)?);
        }
    }
    Ok(below)
}

#[cfg(test)]
mod tests;
