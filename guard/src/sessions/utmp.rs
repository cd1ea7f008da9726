//! Who is logged in, as utmp(5) lists it.

use std::{
    ffi::c_char,
    fs, io,
    mem::offset_of,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use libc::{USER_PROCESS, utmpx};
use nix::unistd::Pid;
use tracing::debug;

const PATHS: [&str; 2] = ["/run/utmp", "/var/run/utmp"];

/// A user who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// The process that leads the session.
    pub(super) pid: Pid,
    pub(super) name: String,
    pub(super) line: String,
    /// From where, if not from here.
    pub(super) host: Option<IpAddr>,
}

/// Lists the users; nobody if there is no list.
pub(super) fn users() -> impl Iterator<Item = User> {
    let read = |path: &&str| match fs::read(path) {
        Ok(records) => Some(records),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            debug!("reading {path}: {error}");
            None
        }
    };
    parse(&PATHS.iter().find_map(read).unwrap_or_default()).into_iter()
}

fn parse(records: &[u8]) -> Vec<User> {
    let (records, rest) = records.as_chunks::<{ size_of::<utmpx>() }>();
    if !rest.is_empty() {
        debug!("utmp ends with {} bytes that are no record", rest.len());
    }
    records.iter().filter_map(user).collect()
}

fn user(record: &[u8; size_of::<utmpx>()]) -> Option<User> {
    let kind = i16::from_ne_bytes(bytes(record, offset_of!(utmpx, ut_type)));
    if kind != USER_PROCESS {
        return None;
    }
    let pid = i32::from_ne_bytes(bytes(record, offset_of!(utmpx, ut_pid)));
    let host = text(&bytes::<HOST_LEN>(record, offset_of!(utmpx, ut_host)));
    let address = address(bytes(record, offset_of!(utmpx, ut_addr_v6)));
    Some(User {
        pid: Pid::from_raw(pid),
        name: text(&bytes::<NAME_LEN>(record, offset_of!(utmpx, ut_user))),
        line: text(&bytes::<LINE_LEN>(record, offset_of!(utmpx, ut_line))),
        // Some programs give only the address's text; with UseDNS sshd gives a name, and the address in the other field.
        host: address.or_else(|| host.split('%').next()?.parse().ok()).map(|host| host.to_canonical()),
    })
}

const LINE_LEN: usize = length(|record| &record.ut_line);
const NAME_LEN: usize = length(|record| &record.ut_user);
const HOST_LEN: usize = length(|record| &record.ut_host);

const fn length<const N: usize>(_: fn(&utmpx) -> &[c_char; N]) -> usize {
    N
}

fn bytes<const N: usize>(record: &[u8], offset: usize) -> [u8; N] {
    record[offset..][..N].try_into().expect("a slice of N bytes has N bytes")
}

/// Reads text that ends at the first zero, or at its end.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Reads an address in network order; of IPv4 it is the first four bytes, and the others are zero.
fn address(octets: [u8; 16]) -> Option<IpAddr> {
    match octets {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => None,
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Some(Ipv4Addr::new(a, b, c, d).into()),
        octets => Some(Ipv6Addr::from(octets).into()),
    }
}

#[cfg(test)]
pub(super) mod tests;
