//! Where etherparse and the parser answer otherwise on purpose. Shared with the fuzz target.
//!
//! Each difference is recognised in the frame's bytes, never by the answers, and says exactly what the parser has to
//! answer instead: either at once, or as what etherparse makes of a frame without the difference.

use etherparse::{
    EtherType, Ethernet2HeaderSlice, IpAuthHeaderSlice, IpFragOffset, IpNumber, Ipv4HeaderSlice,
    Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice,
    ether_type::{ARP, IPV4, IPV6, MACSEC, PROVIDER_BRIDGING, VLAN_DOUBLE_TAGGED_FRAME, VLAN_TAGGED_FRAME},
    ip_number::{
        AUTH, EXP0, HIP, ICMP, IGMP, IPV6_DEST_OPTIONS, IPV6_FRAG, IPV6_HOP_BY_HOP, IPV6_ICMP, IPV6_ROUTE, MOBILITY,
        SHIM6, TCP, UDP,
    },
};
use guard_common::packet::Fragment;

use crate::oracle::{self, Answer, fragment};

/// A known difference, and why the parser is right to differ.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Difference {
    /// etherparse has no PPPoE; Linux hands the packet inside a session on, so it is read like any other.
    Pppoe,
    /// etherparse takes 0x9100 for a tag; Linux does not, so what is behind it reaches no IP stack.
    TagType9100,
    /// etherparse looks through three tags; the parser refuses a third, so that its depth is bounded.
    ThirdTag,
    /// etherparse looks through MACsec without encryption; Linux decrypts on a device of its own, where XDP sees the rest.
    Macsec,
    /// etherparse checks ARP's lengths; the parser leaves ARP to those that speak it.
    Arp,
    /// etherparse does not walk IPv4 options; a faulty one or a source route is malformed.
    V4Options,
    /// etherparse refuses a total length of zero; Linux writes it into packets that are too long for the field.
    V4LengthOfZero,
    /// etherparse looks behind IPv4's authentication header; the parser leaves it to IPsec, like ESP.
    V4Authentication,
    /// etherparse takes all bytes of a frame for the payload where IPv6 declares none; only a payload too long for the
    /// field may say so.
    V6LengthOfZero,
    /// etherparse refuses hop-by-hop options that are not the first header; the parser leaves the order to the stack.
    HopByHopNotFirst,
    /// etherparse does not walk the mobility, HIP and shim6 headers; a port could hide behind them.
    RareExtension,
    /// etherparse refuses an authentication header below twelve bytes; the parser goes by the length, like Linux's
    /// `ipv6_skip_exthdr`, and IPsec refuses it.
    AuthenticationOfEightBytes,
    /// etherparse walks any number of extension headers; the parser at most eight.
    NinthExtension,
    /// etherparse does not look at a routing header's type; type 0 is malformed (RFC 5095).
    RoutingType0,
    /// etherparse takes the last of several fragment headers; none may follow the one of a first fragment.
    SecondFragmentHeader,
    /// etherparse takes a later fragment's data for extension headers, where its header says that they begin.
    DataOfLaterFragment,
    /// etherparse does not know where a TCP header ends in the first fragment (RFC 1858, RFC 3128).
    TinyFragment,
    /// etherparse takes a UDP length of zero for all that is there; it is impossible without a jumbogram (RFC 2675).
    UdpLengthOfZero,
    /// etherparse knows the length of an ICMP timestamp; the parser reads no more than a message's type.
    IcmpTimestamp,
    /// etherparse counts the sources in an IGMP query; the parser reads no more than a message's type.
    IgmpQuery,
    /// etherparse reads control messages of the other IP version; no stack does.
    ForeignControlMessage,
}

impl Difference {
    pub(crate) const ALL: [Self; 21] = [
        Self::Pppoe,
        Self::TagType9100,
        Self::ThirdTag,
        Self::Macsec,
        Self::Arp,
        Self::V4Options,
        Self::V4LengthOfZero,
        Self::V4Authentication,
        Self::V6LengthOfZero,
        Self::HopByHopNotFirst,
        Self::RareExtension,
        Self::AuthenticationOfEightBytes,
        Self::NinthExtension,
        Self::RoutingType0,
        Self::SecondFragmentHeader,
        Self::DataOfLaterFragment,
        Self::TinyFragment,
        Self::UdpLengthOfZero,
        Self::IcmpTimestamp,
        Self::IgmpQuery,
        Self::ForeignControlMessage,
    ];
}

/// What the parser has to answer where a difference lies.
pub(crate) enum Instead {
    Answer(Answer),
    /// The same as for this frame, save one fact.
    Like(Vec<u8>, Fact),
}

/// A fact that a frame without the difference cannot show.
pub(crate) enum Fact {
    None,
    Protocol(IpNumber),
    MessageType(u8),
    Length(usize),
    /// Bytes that the frame has less before the packet.
    Further(usize),
}

impl Fact {
    pub(crate) fn write_into(self, answer: Answer) -> Answer {
        let Answer::Ip(mut packet) = answer else { return answer };
        match self {
            Self::None => {}
            Self::Protocol(protocol) => packet.protocol = protocol.0,
            Self::MessageType(message_type) => packet.message_type = message_type,
            Self::Length(length) => packet.length = length as u32,
            Self::Further(bytes) if oracle::is_error(&packet) => packet.detail += bytes as u16,
            Self::Further(_) => {}
        }
        Answer::Ip(packet)
    }
}

type Found = Option<(Difference, Instead)>;

/// A type of ICMP message of which nothing is known.
const UNASSIGNED: u8 = 200;

const MALFORMED: Instead = Instead::Answer(Answer::Malformed);
const NOT_IP: Instead = Instead::Answer(Answer::NotIp);

const ETHERNET_HEADER: usize = 14;
/// Of a PPPoE session.
const SESSION_HEADER: usize = 6;

const PPPOE_SESSION: EtherType = EtherType(0x8864);

/// Finds the first difference in a frame, from its beginning on.
pub(crate) fn find(frame: &[u8]) -> Found {
    let mut ether_type = Ethernet2HeaderSlice::from_slice(frame).ok()?.ether_type();
    let mut offset = ETHERNET_HEADER;
    let mut tags = 0;
    loop {
        let behind = &frame[offset..];
        match ether_type {
            VLAN_TAGGED_FRAME | PROVIDER_BRIDGING if tags == 2 => return Some((Difference::ThirdTag, MALFORMED)),
            VLAN_TAGGED_FRAME | PROVIDER_BRIDGING => {
                ether_type = SingleVlanHeaderSlice::from_slice(behind).ok()?.ether_type();
                offset += 4;
                tags += 1;
            }
            VLAN_DOUBLE_TAGGED_FRAME => return Some((Difference::TagType9100, NOT_IP)),
            MACSEC => return Some((Difference::Macsec, NOT_IP)),
            ARP => return Some((Difference::Arp, NOT_IP)),
            PPPOE_SESSION => return Some((Difference::Pppoe, within_pppoe(behind, offset - ETHERNET_HEADER))),
            IPV4 => return find_in_v4(frame, offset),
            IPV6 => return find_in_v6(frame, offset),
            _ => return None,
        }
    }
}

/// Takes what is behind `tags` bytes of tags.
fn within_pppoe(session: &[u8], tags: usize) -> Instead {
    let [_, _, _, _, high, low, rest @ ..] = session else { return MALFORMED };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let like = |ether_type: EtherType, packet: &[u8]| {
        let untagged = [&[0; 12][..], &ether_type.0.to_be_bytes(), packet].concat();
        let headers = tags + SESSION_HEADER + length - packet.len();
        Instead::Like(untagged, Fact::Further(headers))
    };
    match rest.get(..length) {
        Some([0x21, packet @ ..] | [0x00, 0x21, packet @ ..]) => like(IPV4, packet),
        Some([0x57, packet @ ..] | [0x00, 0x57, packet @ ..]) => like(IPV6, packet),
        Some([number]) if number % 2 == 0 => MALFORMED,
        Some([]) | None => MALFORMED,
        Some(_) => NOT_IP,
    }
}

fn find_in_v4(frame: &[u8], offset: usize) -> Found {
    let ip = &frame[offset..];
    let header = Ipv4HeaderSlice::from_slice(ip).ok()?;
    if header.total_len() == 0 && ip.len() > 65_535 {
        let shorter = patched(&frame[..offset + 65_535], offset + 2, &[0xff; 2]);
        return Some((Difference::V4LengthOfZero, Instead::Like(shorter, Fact::Length(ip.len()))));
    }
    if is_faulty(header.options()) {
        return Some((Difference::V4Options, MALFORMED));
    }
    Transport {
        version: 4,
        protocol: header.protocol(),
        named_at: offset + 9,
        start: offset + header.slice().len(),
        end: offset + usize::from(header.total_len()),
        fragment: fragment(header.fragments_offset(), header.more_fragments()),
        offset: header.fragments_offset(),
    }
    .find(frame)
}

/// Tells whether IPv4 options (RFC 791, 3.1) overrun the header or hold a source route.
fn is_faulty(options: &[u8]) -> bool {
    match options {
        [] | [0, ..] => false,
        [1, rest @ ..] => is_faulty(rest),
        [131 | 137, ..] | [_] | [_, 0 | 1, ..] => true,
        [_, length, ..] => options.get(usize::from(*length)..).is_none_or(is_faulty),
    }
}

fn find_in_v6(frame: &[u8], offset: usize) -> Found {
    let ip = &frame[offset..];
    let header = Ipv6HeaderSlice::from_slice(ip).ok()?;
    let behind = ip.len() - header.header_len();
    let payload = match usize::from(header.payload_length()) {
        0 if (1..=65_535).contains(&behind) => {
            let alone = frame[..offset + header.header_len()].to_vec();
            return Some((Difference::V6LengthOfZero, Instead::Like(alone, Fact::None)));
        }
        0 => behind,
        declared => declared,
    };
    let start = offset + header.header_len();
    let mut transport = Transport {
        version: 6,
        protocol: header.next_header(),
        named_at: offset + 6,
        start,
        end: start + payload,
        fragment: Fragment::Whole,
        offset: IpFragOffset::ZERO,
    };
    for nth in 1.. {
        let kind = transport.protocol;
        let rest = frame.get(transport.start..transport.end)?;
        if let Some(difference) = not_walked(kind, nth, rest) {
            // Destination options have the same shape.
            let walked = patched(frame, transport.named_at, &[IPV6_DEST_OPTIONS.0]);
            return Some((difference, Instead::Like(walked, Fact::None)));
        }
        let extension = match kind {
            IPV6_HOP_BY_HOP | IPV6_DEST_OPTIONS | IPV6_ROUTE => Ipv6RawExtHeaderSlice::from_slice(rest).ok()?.slice(),
            IPV6_FRAG => Ipv6FragmentHeaderSlice::from_slice(rest).ok()?.slice(),
            AUTH => IpAuthHeaderSlice::from_slice(rest).ok()?.slice(),
            _ => break,
        };
        if let Some(difference) = not_refused(kind, nth, extension, transport.fragment) {
            return Some((difference, MALFORMED));
        }
        transport.step_over(extension);
        if transport.fragment == Fragment::Later {
            break;
        }
    }
    transport.find(frame)
}

/// Returns the difference at an extension header before which etherparse stops and the parser does not.
fn not_walked(kind: IpNumber, nth: usize, rest: &[u8]) -> Option<Difference> {
    match kind {
        IPV6_HOP_BY_HOP if nth > 1 => Some(Difference::HopByHopNotFirst),
        MOBILITY | HIP | SHIM6 => Some(Difference::RareExtension),
        AUTH if rest.get(1) == Some(&0) => Some(Difference::AuthenticationOfEightBytes),
        _ => None,
    }
}

/// Returns the difference at an extension header that etherparse walks and the parser refuses.
fn not_refused(kind: IpNumber, nth: usize, extension: &[u8], before: Fragment) -> Option<Difference> {
    match kind {
        _ if nth == 9 => Some(Difference::NinthExtension),
        IPV6_ROUTE if extension[2] == 0 => Some(Difference::RoutingType0),
        IPV6_FRAG if before == Fragment::First => Some(Difference::SecondFragmentHeader),
        _ => None,
    }
}

/// Where the IP headers end.
struct Transport {
    version: u8,
    protocol: IpNumber,
    /// The place of the byte that names the protocol.
    named_at: usize,
    start: usize,
    end: usize,
    fragment: Fragment,
    offset: IpFragOffset,
}

impl Transport {
    fn step_over(&mut self, extension: &[u8]) {
        if self.protocol == IPV6_FRAG {
            let header = Ipv6FragmentHeaderSlice::from_slice(extension).expect("it has been read before");
            self.fragment = fragment(header.fragment_offset(), header.more_fragments());
            self.offset = header.fragment_offset();
        }
        self.protocol = IpNumber(extension[0]);
        self.named_at = self.start;
        self.start += extension.len();
    }

    fn find(&self, frame: &[u8]) -> Found {
        let bytes = frame.get(self.start..self.end)?;
        match (self.version, self.protocol) {
            (4, AUTH) => Some((Difference::V4Authentication, self.unread(frame))),
            (6, IPV6_HOP_BY_HOP | IPV6_DEST_OPTIONS | IPV6_ROUTE | IPV6_FRAG | AUTH) => {
                Some((Difference::DataOfLaterFragment, self.unread(frame)))
            }
            (_, TCP) if self.fragment == Fragment::Later && self.offset.byte_offset() < 20 => {
                Some((Difference::TinyFragment, MALFORMED))
            }
            _ if self.fragment == Fragment::Later => None,
            (4, IPV6_ICMP) | (6, ICMP | IGMP) => Some((Difference::ForeignControlMessage, self.unread(frame))),
            (_, UDP) if bytes.get(4..6) == Some(&[0, 0]) => Some((Difference::UdpLengthOfZero, MALFORMED)),
            (4, ICMP) if matches!(bytes, [13 | 14, ..]) => {
                Some((Difference::IcmpTimestamp, self.with_message_type(frame, UNASSIGNED)))
            }
            (4, IGMP) if matches!(bytes, [0x11, ..]) => {
                Some((Difference::IgmpQuery, self.with_message_type(frame, 0x16)))
            }
            _ => None,
        }
    }

    /// The same frame with a protocol that nobody reads.
    fn unread(&self, frame: &[u8]) -> Instead {
        Instead::Like(patched(frame, self.named_at, &[EXP0.0]), Fact::Protocol(self.protocol))
    }

    /// The same frame with a message type that says nothing of the message's length.
    fn with_message_type(&self, frame: &[u8], message_type: u8) -> Instead {
        Instead::Like(patched(frame, self.start, &[message_type]), Fact::MessageType(frame[self.start]))
    }
}

fn patched(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}
