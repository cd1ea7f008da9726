//! The attributes of the tracker's entries (linux/netfilter/nfnetlink_conntrack.h). Those that are not asked for, unknown
//! ones among them, are skipped.

use std::net::{IpAddr, SocketAddr};

use guard_common::packet::protocol;
use rtnetlink::packet_core::{DecodeError, NlasIterator, parse_ip, parse_u8, parse_u16_be};

use super::{Direction, HEADER_LEN, Tracked};

pub(super) const CTA_TUPLE_ORIG: u16 = 1;
pub(super) const CTA_TUPLE_REPLY: u16 = 2;
pub(super) const CTA_PROTOINFO: u16 = 4;

// Within a tuple.
pub(super) const CTA_TUPLE_IP: u16 = 1;
pub(super) const CTA_TUPLE_PROTO: u16 = 2;

pub(super) const CTA_IP_V4_SRC: u16 = 1;
pub(super) const CTA_IP_V4_DST: u16 = 2;
pub(super) const CTA_IP_V6_SRC: u16 = 3;
pub(super) const CTA_IP_V6_DST: u16 = 4;

pub(super) const CTA_PROTO_NUM: u16 = 1;
pub(super) const CTA_PROTO_SRC_PORT: u16 = 2;
pub(super) const CTA_PROTO_DST_PORT: u16 = 3;
pub(super) const CTA_PROTO_ICMP_ID: u16 = 4;
pub(super) const CTA_PROTO_ICMP_TYPE: u16 = 5;
pub(super) const CTA_PROTO_ICMPV6_ID: u16 = 7;
pub(super) const CTA_PROTO_ICMPV6_TYPE: u16 = 8;

// Within what a protocol has to say.
pub(super) const CTA_PROTOINFO_TCP: u16 = 1;
pub(super) const CTA_PROTOINFO_TCP_STATE: u16 = 1;

// `enum tcp_conntrack` (linux/netfilter/nf_conntrack_tcp.h).
pub(super) const TCP_CONNTRACK_LAST_ACK: u8 = 6;
pub(super) const TCP_CONNTRACK_TIME_WAIT: u8 = 7;
pub(super) const TCP_CONNTRACK_CLOSE: u8 = 8;

const ICMP_ECHO_REQUEST: u8 = 8;
const ICMPV6_ECHO_REQUEST: u8 = 128;

/// Reads an entry. There is none in a TCP connection that is about to end, in ICMP other than echo, and in what is not IP.
pub(super) fn tracked(message: &[u8]) -> Result<Option<Tracked>, DecodeError> {
    let attributes = message.get(HEADER_LEN..).ok_or("an entry without a header")?;
    let (mut original, mut reply, mut ends) = (Tuple::default(), Tuple::default(), false);
    each(attributes, |kind, value| {
        match kind {
            CTA_TUPLE_ORIG => original.read(value)?,
            CTA_TUPLE_REPLY => reply.read(value)?,
            CTA_PROTOINFO => ends = is_of_ending_tcp(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(if ends { None } else { join(&original, &reply) })
}

fn join(original: &Tuple, reply: &Tuple) -> Option<Tracked> {
    let protocol = original.protocol?;
    let ports = match (protocol, original.icmp_type) {
        (protocol::TCP | protocol::UDP, _) => {
            [(original.source_port, original.destination_port), (reply.source_port, reply.destination_port)]
        }
        (protocol::ICMP, Some(ICMP_ECHO_REQUEST)) | (protocol::ICMPV6, Some(ICMPV6_ECHO_REQUEST)) => {
            [(original.icmp_id, 0), (0, reply.icmp_id)]
        }
        (protocol::ICMP | protocol::ICMPV6, _) => return None,
        _ => [(0, 0); 2],
    };
    Some(Tracked { protocol, original: original.direction(ports[0])?, reply: reply.direction(ports[1])? })
}

/// What identifies one direction of a flow.
#[derive(Default)]
struct Tuple {
    protocol: Option<u8>,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: u16,
    destination_port: u16,
    icmp_id: u16,
    icmp_type: Option<u8>,
}

impl Tuple {
    fn read(&mut self, attributes: &[u8]) -> Result<(), DecodeError> {
        each(attributes, |kind, value| match kind {
            CTA_TUPLE_IP => self.read_addresses(value),
            CTA_TUPLE_PROTO => self.read_protocol(value),
            _ => Ok(()),
        })
    }

    fn read_addresses(&mut self, attributes: &[u8]) -> Result<(), DecodeError> {
        each(attributes, |kind, value| {
            match kind {
                CTA_IP_V4_SRC | CTA_IP_V6_SRC => self.source = Some(parse_ip(value)?),
                CTA_IP_V4_DST | CTA_IP_V6_DST => self.destination = Some(parse_ip(value)?),
                _ => {}
            }
            Ok(())
        })
    }

    fn read_protocol(&mut self, attributes: &[u8]) -> Result<(), DecodeError> {
        each(attributes, |kind, value| {
            match kind {
                CTA_PROTO_NUM => self.protocol = Some(parse_u8(value)?),
                CTA_PROTO_SRC_PORT => self.source_port = parse_u16_be(value)?,
                CTA_PROTO_DST_PORT => self.destination_port = parse_u16_be(value)?,
                CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID => self.icmp_id = parse_u16_be(value)?,
                CTA_PROTO_ICMP_TYPE | CTA_PROTO_ICMPV6_TYPE => self.icmp_type = Some(parse_u8(value)?),
                _ => {}
            }
            Ok(())
        })
    }

    fn direction(&self, (source_port, destination_port): (u16, u16)) -> Option<Direction> {
        Some(Direction {
            source: SocketAddr::new(self.source?, source_port),
            destination: SocketAddr::new(self.destination?, destination_port),
        })
    }
}

/// Tells whether a connection is one of TCP, closed or all but closed.
fn is_of_ending_tcp(attributes: &[u8]) -> Result<bool, DecodeError> {
    let mut state = None;
    each(attributes, |kind, value| match kind {
        CTA_PROTOINFO_TCP => each(value, |kind, value| {
            if kind == CTA_PROTOINFO_TCP_STATE {
                state = Some(parse_u8(value)?);
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    Ok(matches!(state, Some(TCP_CONNTRACK_LAST_ACK | TCP_CONNTRACK_TIME_WAIT | TCP_CONNTRACK_CLOSE)))
}

/// Gives the kind and the value of each attribute to `take`.
fn each(attributes: &[u8], mut take: impl FnMut(u16, &[u8]) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        take(attribute.kind(), attribute.value())?;
    }
    Ok(())
}
