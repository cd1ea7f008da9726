//! A name server that knows one name (RFC 1035).

use std::net::{IpAddr, SocketAddr};

use super::datagrams::UdpServer;
use crate::host::Host;

const PORT: u16 = 53;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const HEADER: usize = 12;
/// A response, for a query that asked for recursion, by a server that offers it.
const RESPONSE: u16 = 0x8180;
const NO_SUCH_NAME: u16 = 3;
/// The name that stands behind the header (RFC 1035, 4.1.4).
const NAME_OF_QUESTION: u16 = 0xc00c;

/// A name server on UDP port 53.
pub struct DnsServer(UdpServer);

impl DnsServer {
    /// Serves at an address of the host. It knows a name, and that name's address.
    pub fn start(host: &Host, address: IpAddr, name: &str, of_name: IpAddr) -> Self {
        let labels = labels(name);
        let server =
            UdpServer::start(host, SocketAddr::new(address, PORT), move |query| answer(query, &labels, of_name));
        Self(server)
    }

    /// How many queries have come in.
    pub fn queries(&self) -> usize {
        self.0.datagrams()
    }
}

/// A name as messages have it (RFC 1035, 3.1), in lower case.
fn labels(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[label.len() as u8], label.to_ascii_lowercase().as_bytes()].concat();
    let labels: Vec<u8> = name.split('.').flat_map(label).collect();
    [&labels[..], &[0]].concat()
}

/// The answer to a query of one question; none to anything else.
fn answer(query: &[u8], name: &[u8], address: IpAddr) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(HEADER)?;
    let name_end = rest.iter().position(|octet| *octet == 0)? + 1;
    let question = rest.get(..name_end + 4)?;
    let kind = u16::from_be_bytes([question[name_end], question[name_end + 1]]);
    let known = question[..name_end].eq_ignore_ascii_case(name);
    let data = match (known, kind, address) {
        (true, TYPE_A, IpAddr::V4(address)) => Some(address.octets().to_vec()),
        (true, TYPE_AAAA, IpAddr::V6(address)) => Some(address.octets().to_vec()),
        _ => None,
    };
    let flags = if known { RESPONSE } else { RESPONSE | NO_SUCH_NAME };
    let counts = [1, u16::from(data.is_some()), 0, 0];
    let mut message = header.get(..2)?.to_vec();
    message.extend(flags.to_be_bytes());
    message.extend(counts.into_iter().flat_map(u16::to_be_bytes));
    message.extend(question);
    if let Some(data) = data {
        let (class, ttl_s, length) = (1_u16, 60_u32, data.len() as u16);
        message.extend(NAME_OF_QUESTION.to_be_bytes());
        message.extend([kind.to_be_bytes(), class.to_be_bytes()].concat());
        message.extend(ttl_s.to_be_bytes());
        message.extend(length.to_be_bytes());
        message.extend(data);
    }
    Some(message)
}
