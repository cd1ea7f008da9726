//! A policy compiled into a generation's lines, and read back out of them.
//!
//! Knows the policy and the layout, not where the lines end up: the kernel's side is in `kernel`.

mod ranges;

use guard_common::{
    address::Address,
    generation::{FamilySets, Generation, Header, SERVICES_FIRST_LINE, Service as ServiceLine, port_byte, port_place},
    policy::{Mode as KernelMode, Set, Target},
    prefix::{self, Line, Lines},
};
use ipnet::IpNet;
use thiserror::Error;

use crate::policy::{DefaultVerdict, Entry, Mode, Policy, Port, Protocol};
use ranges::SetWriter;

/// Compiles a policy. The lines hold everything the kernel program asks of it.
pub(crate) fn compile(policy: &Policy, number: u64) -> Vec<Line> {
    let mut lines = vec![[0; 8]; SERVICES_FIRST_LINE as usize + policy.services.len()];
    for (port, target) in ports(policy) {
        let (line, byte) = port_place(port.protocol == Protocol::Tcp, port.number);
        lines[line as usize][byte as usize / 8] |= u64::from(port_byte(target)) << (byte % 8 * 8);
    }
    let mut sets = SetWriter::new(&mut lines);
    let deny = sets.write(prefixes(&policy.deny));
    let allow = sets.write(prefixes(&policy.allow));
    let any = sets.write(any(policy));
    let services: Vec<FamilySets> =
        policy.services.iter().map(|service| sets.write(prefixes(&service.allow))).collect();
    for ((service, allow), line) in policy.services.iter().zip(services).zip(&mut lines[SERVICES_FIRST_LINE as usize..])
    {
        *line = ServiceLine { mode: kernel_mode(service.mode), allow }.to_line();
    }
    lines[0] = Header {
        number,
        mode: kernel_mode(policy.mode),
        malformed_mode: kernel_mode(policy.malformed_mode()),
        passes_by_default: policy.default == DefaultVerdict::Pass,
        services: policy.services.len() as u8,
        deny,
        allow,
        any,
    }
    .to_line();
    lines
}

/// A difference between what was compiled and what the kernel's table says.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ReadBackError {
    #[error("the kernel's table has no first line")]
    Empty,
    #[error("line {line} of generation {number} reads back as something else")]
    Line { number: u64, line: usize },
    #[error("address {address} of prefix {prefix} ({origin}) does not read back as a member of {set:?}")]
    Entry { address: Address, prefix: IpNet, origin: String, set: Set },
    #[error("port {port} reads back as {read:?}, not {expected:?}")]
    Port { port: String, read: Target, expected: Target },
}

/// Reads every entry of the policy back out of `table`, through the reader that the kernel program uses, and every
/// line against what was compiled.
pub(crate) fn read_back<L: Lines>(policy: &Policy, compiled: &[Line], table: &L) -> Result<(), ReadBackError> {
    let generation = Generation::open(table).ok_or(ReadBackError::Empty)?;
    for (index, line) in compiled.iter().enumerate() {
        if table.line(index as u32) != Some(line) {
            return Err(ReadBackError::Line { number: generation.number(), line: index });
        }
    }
    for (port, expected) in ports(policy) {
        let read = generation.target(port.protocol == Protocol::Tcp, port.number);
        if read != expected {
            return Err(ReadBackError::Port { port: port.to_string(), read, expected });
        }
    }
    read_back_set(table, &generation, Set::Deny, policy.deny.iter())?;
    read_back_set(table, &generation, Set::Allow, policy.allow.iter())?;
    read_back_set(table, &generation, Set::Any, entries(policy))?;
    for (number, service) in (1..).zip(&policy.services) {
        read_back_set(table, &generation, Set::Service(number), service.allow.iter())?;
    }
    Ok(())
}

fn read_back_set<'a, L: Lines>(
    table: &L,
    generation: &Generation<'_, L>,
    set: Set,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<(), ReadBackError> {
    for entry in entries {
        let version = if entry.prefix.addr().is_ipv4() { 4 } else { 6 };
        let place = generation.set(set, version);
        for ip in [entry.prefix.network(), entry.prefix.broadcast()] {
            let address = Address::from(ip);
            if !prefix::contains(table, place, address) {
                let origin = entry.origin.to_string();
                return Err(ReadBackError::Entry { address, prefix: entry.prefix, origin, set });
            }
        }
    }
    Ok(())
}

/// Every port that the policy names, with what it belongs to.
fn ports(policy: &Policy) -> impl Iterator<Item = (Port, Target)> + '_ {
    let failsafe = policy.failsafe_ports.iter().map(|port| (*port, Target::Failsafe));
    let services = (1..)
        .zip(&policy.services)
        .flat_map(|(number, service)| service.ports.iter().map(move |port| (*port, Target::Service(number))));
    failsafe.chain(services)
}

/// Every entry that lets a source in somewhere.
fn entries(policy: &Policy) -> impl Iterator<Item = &Entry> {
    policy.allow.iter().chain(policy.services.iter().flat_map(|service| &service.allow))
}

fn any(policy: &Policy) -> impl Iterator<Item = IpNet> + '_ {
    entries(policy).map(|entry| entry.prefix)
}

fn prefixes(entries: &[Entry]) -> impl Iterator<Item = IpNet> + '_ {
    entries.iter().map(|entry| entry.prefix)
}

fn kernel_mode(mode: Mode) -> KernelMode {
    match mode {
        Mode::Enforce => KernelMode::Enforce,
        Mode::Monitor => KernelMode::Monitor,
    }
}

#[cfg(test)]
mod tests;
