//! Where packets to an address go, as the kernel's routes have it.
//!
//! Routes that depend on marks or on the interface that a packet came by are not asked for, and those that depend on the source only
//! where that is known.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, SockProtocol, recv, send},
};
use rtnetlink::packet_core::{DecodeError, NLMSG_ERROR, NetlinkBuffer, NlasIterator, parse_u32};

use super::{
    NetworkError,
    dump::{open, question},
};

const RTM_GETROUTE: u16 = 26;

/// `struct rtmsg` (linux/rtnetlink.h), and where in it the lengths of prefixes and the type stand.
const HEADER_LEN: usize = 12;
const DESTINATION_LENGTH_AT: usize = 1;
const SOURCE_LENGTH_AT: usize = 2;
const TYPE_AT: usize = 7;

const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;

/// More than the kernel says of one route.
const ANSWER_MAX: usize = 8 * 1024;

/// Where packets to an address go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To this host itself.
    Here,
    /// Out by the interface of this index.
    By(u32),
    /// To many, or nowhere.
    Nowhere,
}

/// The kernel's routes, asked once for each address.
pub(crate) struct Routes {
    kernel: OwnedFd,
    known: HashMap<IpAddr, Reach>,
}

impl Routes {
    pub(crate) fn open() -> Result<Self, NetworkError> {
        Ok(Self { kernel: open(SockProtocol::NetlinkRoute).map_err(NetworkError::Open)?, known: HashMap::new() })
    }

    /// Asks where packets to an address go; blocks for some microseconds.
    pub(crate) fn reach(&mut self, address: IpAddr) -> Result<Reach, NetworkError> {
        if let Some(known) = self.known.get(&address) {
            return Ok(*known);
        }
        let reach = self.ask(address, None)?;
        self.known.insert(address, reach);
        Ok(reach)
    }

    /// Asks so of packets from an own address of the same family.
    pub(crate) fn reach_from(&self, own: IpAddr, address: IpAddr) -> Result<Reach, NetworkError> {
        self.ask(address, Some(own))
    }

    fn ask(&self, address: IpAddr, own: Option<IpAddr>) -> Result<Reach, NetworkError> {
        self.converse(&request(address, own)).map_err(|source| NetworkError::Dump { what: "a route", source })
    }

    fn converse(&self, request: &[u8]) -> io::Result<Reach> {
        let request = question(RTM_GETROUTE, 0, request);
        send(self.kernel.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut buffer = [0; ANSWER_MAX];
        let length = loop {
            match recv(self.kernel.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => break received?,
            }
        };
        let invalid = |error: DecodeError| io::Error::new(io::ErrorKind::InvalidData, error);
        let message = NetlinkBuffer::new_checked(&buffer[..length]).map_err(invalid)?;
        match message.message_type() {
            // There is no route, or one that says so.
            NLMSG_ERROR => Ok(Reach::Nowhere),
            _ => answer(message.payload()).map_err(invalid),
        }
    }
}

fn request(address: IpAddr, own: Option<IpAddr>) -> Vec<u8> {
    let mut request = vec![0; HEADER_LEN];
    request[0] = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let mut add = |kind: u16, length_at: usize, address: IpAddr| {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        request[length_at] = octets.len() as u8 * 8;
        // An attribute's header: its length with the header, and its kind.
        request.extend((octets.len() as u16 + 4).to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend(octets);
    };
    add(RTA_DST, DESTINATION_LENGTH_AT, address);
    if let Some(own) = own {
        add(RTA_SRC, SOURCE_LENGTH_AT, own);
    }
    request
}

fn answer(payload: &[u8]) -> Result<Reach, DecodeError> {
    let (header, attributes) = payload.split_at_checked(HEADER_LEN).ok_or("a route without a header")?;
    match header[TYPE_AT] {
        RTN_LOCAL => return Ok(Reach::Here),
        RTN_UNICAST => {}
        _ => return Ok(Reach::Nowhere),
    }
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() == RTA_OIF {
            return Ok(Reach::By(parse_u32(attribute.value())?));
        }
    }
    Ok(Reach::Nowhere)
}

#[cfg(test)]
mod tests;
