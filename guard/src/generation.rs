//! A policy compiled into a generation, and read back out of it.
//!
//! Knows the policy and the layout, not where the generation ends up: the kernel's side is in `kernel`.

mod limits;
mod sets;
mod table;

use std::{collections::BTreeSet, num::NonZeroU32};

use guard_common::{
    address::Address,
    connections::Caps,
    generation::{Generation, Head, Header, port_byte, port_index},
    limits::{Limit, Limits},
    policy::{Mode as KernelMode, SERVICES_MAX, Set, Target},
    prefix::{Line, Lines},
};
use ipnet::IpNet;
use thiserror::Error;
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::policy::{ConnectionPolicy, DefaultVerdict, Entries, Mode, Policy, Port, Protocol, Ranges, Service};
pub(crate) use limits::{LimitRows, TooFast, limit_rows, limits};
use sets::SetWriter;
pub(crate) use sets::{Directory, Previous};

/// A policy in the form that the kernel's program reads.
pub(crate) struct Compiled {
    pub(crate) head: Box<Head>,
    /// The lines behind the head's.
    pub(crate) far: Vec<Line>,
    /// Which lines are whose.
    pub(crate) directory: Directory,
}

/// Compiles a policy, whose limits [`limit_rows`] gives. Sets that are in `previous` as they are wanted are copied from there.
pub(crate) fn compile<L: Lines>(
    policy: &Policy,
    number: u64,
    limits: LimitRows,
    previous: Option<&Previous<'_, L>>,
) -> Compiled {
    let mut head = Head::new_box_zeroed().expect("memory for a head, or none for anything");
    for (port, target) in ports(policy) {
        head.ports[port_index(port.protocol == Protocol::Tcp, port.number)] = port_byte(target);
    }
    let monitored = |(number, mode)| if mode == Mode::Monitor { 1_u64 << number } else { 0 };
    let modes = [(0, policy.mode)].into_iter().chain(services(policy).map(|(number, service)| (number, service.mode)));
    head.header = Header {
        passes_by_default: (policy.default == DefaultVerdict::Pass).into(),
        grants_hold: policy.grants_hold.into(),
        number,
        monitored: modes.map(monitored).sum(),
        malformed_mode: kernel_mode(policy.malformed_mode()) as u64,
        ..Header::default()
    };
    head.limits = limits;
    for (number, service) in services(policy) {
        head.caps[usize::from(number)] = caps(service);
        let row = &mut head.limits[Limits::Service(number).row()];
        for (compiled, limit) in row.iter_mut().zip(&service.limits) {
            compiled.proves = service.bans_for(limit).into();
        }
    }
    let mut writer = SetWriter::default();
    for (set, lists) in sets(policy) {
        writer.add(set, &lists, previous);
    }
    let (far, directory) = writer.finish(&mut head);
    Compiled { head, far, directory }
}

/// A difference between what was compiled and what the kernel's tables say.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ReadBackError {
    #[error("the head of generation {number} reads back as something else")]
    Head { number: u64 },
    #[error("line {line} of generation {number} reads back as something else")]
    Line { number: u64, line: usize },
    #[error("address {address} of prefix {prefix} ({origin}) does not read back as a member of {set:?}")]
    Entry { address: Address, prefix: IpNet, origin: String, set: Set },
    #[error("address {address}, next to what is listed, reads back as a member of {set:?}")]
    Outside { address: Address, set: Set },
    #[error("row {row} of the limits reads back as units {read:?}, not {expected:?}")]
    Limits { row: usize, read: Vec<u8>, expected: Vec<u8> },
    #[error("place {place} reads back as that of two limits")]
    SharedPlace { place: u16 },
    #[error("the connections of service {number} read back as held to {read:?}, not {expected:?}")]
    Caps { number: u8, read: Caps, expected: Caps },
    #[error("limit {nth} of service {number} does not read back as one that leads to bans, or as one that does not")]
    Proves { number: u8, nth: usize },
    #[error("port {port} reads back as {read:?}, not {expected:?}")]
    Port { port: String, read: Target, expected: Target },
}

/// Reads every entry and port of the policy back out of the kernel's tables, through the reader that its program uses, asks it
/// for the addresses next to them, and compares every line with what was compiled.
pub(crate) fn read_back<L: Lines>(
    policy: &Policy,
    compiled: &Compiled,
    kernel: &Generation<'_, L>,
) -> Result<(), ReadBackError> {
    let number = compiled.head.header.number;
    if kernel.head.as_bytes() != compiled.head.as_bytes() {
        return Err(ReadBackError::Head { number });
    }
    for (line, expected) in compiled.far.iter().enumerate() {
        if kernel.far.line(line as u32) != Some(expected) {
            return Err(ReadBackError::Line { number, line });
        }
    }
    for (port, expected) in ports(policy) {
        let read = kernel.target(port.protocol == Protocol::Tcp, port.number);
        if read != expected {
            return Err(ReadBackError::Port { port: port.to_string(), read, expected });
        }
    }
    read_limits_back(policy, &kernel.head.limits)?;
    read_connections_back(policy, kernel)?;
    for (set, lists) in sets(policy) {
        let ranges = Ranges::of(lists.iter().flat_map(|list| list.prefixes()));
        if let Some((_, address)) = beside(&ranges).find(|(version, beside)| kernel.contains(set, *version, *beside)) {
            return Err(ReadBackError::Outside { address, set });
        }
        for list in lists {
            for (nth, prefix) in list.prefixes().enumerate() {
                let version = if prefix.addr().is_ipv4() { 4 } else { 6 };
                let ends = [prefix.network(), prefix.broadcast()].map(Address::from);
                if let Some(address) = ends.into_iter().find(|end| !kernel.contains(set, version, *end)) {
                    let origin = list.iter().nth(nth).map(|entry| entry.origin.to_string()).unwrap_or_default();
                    return Err(ReadBackError::Entry { address, prefix, origin, set });
                }
            }
        }
    }
    Ok(())
}

/// Compares what the limits of each row count with what the policy's do, and makes sure that no two share their buckets.
fn read_limits_back(policy: &Policy, rows: &LimitRows) -> Result<(), ReadBackError> {
    let expected = limits(policy);
    let mut places = BTreeSet::new();
    for (row, limits) in rows.iter().enumerate() {
        let in_row = expected.iter().filter(|limit| usize::from(limit.row) == row);
        let expected: Vec<u8> = in_row.map(|limit| limit.unit).collect();
        let limits: Vec<&Limit> = limits.iter().take_while(|limit| limit.unit != 0).collect();
        let read: Vec<u8> = limits.iter().map(|limit| limit.unit).collect();
        if read != expected {
            return Err(ReadBackError::Limits { row, read, expected });
        }
        if let Some(Limit { place, .. }) = limits.into_iter().find(|limit| !places.insert(limit.place)) {
            return Err(ReadBackError::SharedPlace { place: *place });
        }
    }
    Ok(())
}

/// Compares what the connections of each service are held to with what the policy says, and which of its limits lead to bans.
fn read_connections_back<L: Lines>(policy: &Policy, kernel: &Generation<'_, L>) -> Result<(), ReadBackError> {
    for number in 0..=SERVICES_MAX as u8 {
        let service = policy.services.iter().find(|service| service.number == number);
        let expected = service.map(caps).unwrap_or_default();
        let read = *kernel.caps(number);
        if read != expected {
            return Err(ReadBackError::Caps { number, read, expected });
        }
        let mut wanted = service.iter().flat_map(|service| service.limits.iter().map(|limit| service.bans_for(limit)));
        for (nth, limit) in kernel.limits(Limits::Service(number)).iter().enumerate() {
            if (limit.proves != 0) != wanted.next().unwrap_or(false) {
                return Err(ReadBackError::Proves { number, nth });
            }
        }
    }
    Ok(())
}

/// What a service's connections are held to.
fn caps(service: &Service) -> Caps {
    let ConnectionPolicy { max, max_per_source, .. } = service.connections;
    Caps {
        tracked: service.connections.is_tracked().into(),
        max: max.map_or(0, NonZeroU32::get),
        max_per_source: max_per_source.map_or(0, NonZeroU32::get),
        bans: service.limits.iter().any(|limit| service.bans_for(limit)).into(),
    }
}

/// The addresses beside ranges, which are in none, each with the version of its family.
fn beside(ranges: &Ranges) -> impl Iterator<Item = (u8, Address)> + '_ {
    let v4 = ranges.v4.iter().flat_map(|(first, last)| [first.checked_sub(1), last.checked_add(1)]).flatten();
    let v6 = ranges.v6.iter().flat_map(|(first, last)| [first.checked_sub(1), last.checked_add(1)]).flatten();
    let v4 = v4.map(|number| (4, Address::from_v4(number.to_be_bytes())));
    v4.chain(v6.map(|number| (6, Address::from_octets(number.to_be_bytes()))))
}

/// Every port that the policy names, with what it belongs to.
fn ports(policy: &Policy) -> impl Iterator<Item = (Port, Target)> + '_ {
    let failsafe = policy.failsafe_ports.iter().map(|port| (*port, Target::Failsafe));
    let services = services(policy)
        .flat_map(|(number, service)| service.ports.iter().map(move |port| (*port, Target::Service(number))));
    failsafe.chain(services)
}

/// Every set, and the lists of which it is the union.
pub(crate) fn sets(policy: &Policy) -> Vec<(Set, Vec<&Entries>)> {
    let own = services(policy).map(|(number, service)| (Set::Service(number), vec![&service.allow]));
    let any_service = policy.services.iter().map(|service| &service.allow).collect();
    let common = [
        (Set::Deny, vec![&policy.deny]),
        (Set::Allow, vec![&policy.allow]),
        (Set::AnyService, any_service),
        (Set::Trusted, vec![&policy.trusted]),
    ];
    own.chain(common).collect()
}

fn services(policy: &Policy) -> impl Iterator<Item = (u8, &Service)> {
    policy.services.iter().map(|service| (service.number, service))
}

fn kernel_mode(mode: Mode) -> KernelMode {
    match mode {
        Mode::Enforce => KernelMode::Enforce,
        Mode::Monitor => KernelMode::Monitor,
    }
}

#[cfg(test)]
mod tests;
