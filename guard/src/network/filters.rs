//! The classifiers of traffic control (tc-bpf(8)) on an interface's way out.

use nix::sys::socket::SockProtocol;
use rtnetlink::packet_core::{DecodeError, NlasIterator, parse_u32};

use super::{NetworkError, dump::dump};

const RTM_GETTFILTER: u16 = 46;

/// `struct tcmsg` (linux/rtnetlink.h): family, padding, interface, handle, parent, information.
const HEADER_LEN: usize = 20;

/// The egress side of clsact, as `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)` of linux/pkt_sched.h.
const EGRESS: u32 = 0xffff_fff3;

const TCA_OPTIONS: u16 = 2;
const TCA_BPF_ID: u16 = 11;

/// A filter that runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) priority: u16,
    pub(crate) handle: u32,
    /// The kernel's number of its program.
    pub(crate) program: u32,
}

/// Lists the filters that packets pass which leave an interface, none where it has no clsact.
pub(crate) fn leaving(interface: u32) -> Result<Vec<Filter>, NetworkError> {
    let mut request = [0; HEADER_LEN];
    request[4..8].copy_from_slice(&interface.to_ne_bytes());
    request[12..16].copy_from_slice(&EGRESS.to_ne_bytes());
    let mut filters = Vec::new();
    dump(SockProtocol::NetlinkRoute, RTM_GETTFILTER, &request, |message| {
        filters.extend(filter(message)?);
        Ok(())
    })
    .map_err(|source| NetworkError::Dump { what: "filters", source })?;
    Ok(filters)
}

/// Reads a filter; none where it runs no program. The first message of a priority stands for no filter of it.
fn filter(message: &[u8]) -> Result<Option<Filter>, DecodeError> {
    let (header, attributes) = message.split_at_checked(HEADER_LEN).ok_or("a filter without a header")?;
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let mut program = None;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() != TCA_OPTIONS {
            continue;
        }
        for option in NlasIterator::new(attribute.value()) {
            let option = option?;
            if option.kind() == TCA_BPF_ID {
                program = Some(parse_u32(option.value())?);
            }
        }
    }
    Ok(program.map(|program| Filter { priority: (word(16) >> 16) as u16, handle: word(8), program }))
}
