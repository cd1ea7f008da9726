//! What bytes are these: a frame read into a [`Packet`], or found to be something else, or malformed.
//!
//! The parser knows nothing of policy. IPv4 and IPv6 leave it in one shape.

mod link;
mod network;
mod quoted;
mod transport;

use crate::address::Address;
pub use quoted::read_answer_to_quoted;

/// The bytes of a frame, from the Ethernet header on.
pub trait Frame {
    /// Returns the length of the frame in bytes, also where only its beginning can be read at once.
    ///
    /// A beginning may be given as a frame of its own: the answer is `Malformed` unless it is that for the whole frame, but for
    /// the length of a packet whose header says none (BIG TCP).
    fn length(&self) -> u32;

    /// Returns `N` bytes from `offset` on, or nothing where the frame does not have them.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

    /// Returns `value`, as one of which the kernel's verifier knows nothing.
    ///
    /// The verifier walks the code behind a branch once for each value that it can tell apart; where branches meet
    /// again, forgetting lets it see that the walks are the same.
    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        value
    }
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// An IP packet, every field of [`Packet`] read.
    Ip,
    /// No IP packet: what it carries.
    NotIp(LinkType),
    /// Headers that contradict the frame or each other; what had been read before the fault is in the [`Packet`].
    Malformed,
}

/// What a frame without an IP packet carries; also the index of its counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum LinkType {
    Arp = 0,
    Lldp = 1,
    /// EAP over LAN (802.1X).
    Eapol = 2,
    /// MPLS, in which IP packets travel that guard can't see.
    Mpls = 3,
    /// MACsec (802.1AE), in which IP packets travel that guard can't see.
    Macsec = 4,
    PppoeDiscovery = 5,
    /// A PPPoE session frame that carries no IP packet, such as LCP.
    Ppp = 6,
    /// IEEE 802.2 LLC: the EtherType field holds a length.
    Llc = 7,
    Other = 8,
}

impl LinkType {
    pub const ALL: [Self; 9] = [
        Self::Arp,
        Self::Lldp,
        Self::Eapol,
        Self::Mpls,
        Self::Macsec,
        Self::PppoeDiscovery,
        Self::Ppp,
        Self::Llc,
        Self::Other,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Lldp => "lldp",
            Self::Eapol => "eapol",
            Self::Mpls => "mpls",
            Self::Macsec => "macsec",
            Self::PppoeDiscovery => "pppoe_discovery",
            Self::Ppp => "ppp",
            Self::Llc => "llc",
            Self::Other => "other",
        }
    }

    /// Tells whether IP packets may be hidden in such frames, where no rule of guard reaches them.
    pub const fn hides_packets(self) -> bool {
        matches!(self, Self::Mpls | Self::Macsec)
    }
}

/// Which part of a fragmented packet this is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Fragment {
    #[default]
    Whole = 0,
    /// The first fragment; its transport header is whole.
    First = 1,
    /// A later fragment: no ports, no flags.
    Later = 2,
}

/// An IP packet's facts.
///
/// Laid out without padding, and its small fields in [`BlockEvent`](crate::records::BlockEvent)'s order: LLVM clears and
/// copies them in words, which the verifier accepts on the stack only where they are aligned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Packet {
    pub source: Address,
    pub destination: Address,
    /// Zero unless [`Packet::has_ports`].
    pub source_port: u16,
    pub destination_port: u16,
    /// 4 or 6; 0 while no IP header has been read.
    pub version: u8,
    /// The transport protocol, after IPv6's extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The TCP header's flags byte (RFC 9293, 3.1), else zero.
    pub tcp_flags: u8,
    /// The type of an ICMP, ICMPv6 or IGMP message, else zero.
    pub message_type: u8,
    pub fragment: Fragment,
    /// Of an ICMP or ICMPv6 echo message, its identifier; of an error, where in the frame the packet begins that it quotes;
    /// else zero.
    pub detail: u16,
    /// Bytes from the IP header to the end of the payload, as the header says.
    pub length: u32,
    /// The TCP header's sequence and acknowledgment numbers, else zero.
    pub tcp_sequence: u32,
    pub tcp_acknowledgment: u32,
}

const _: () = assert!(size_of::<Packet>() == 56);

impl Packet {
    /// Tells whether the packet names ports: TCP or UDP, and not a later fragment.
    #[inline(always)]
    pub const fn has_ports(&self) -> bool {
        matches!(self.protocol, protocol::TCP | protocol::UDP) && !matches!(self.fragment, Fragment::Later)
    }

    #[inline(always)]
    pub const fn is_whole(&self) -> bool {
        matches!(self.fragment, Fragment::Whole)
    }

    #[inline(always)]
    pub const fn is_later_fragment(&self) -> bool {
        matches!(self.fragment, Fragment::Later)
    }

    /// Tells whether the packet is, or is part of, a message of its IP version's ICMP.
    #[inline(always)]
    pub const fn is_control_message(&self) -> bool {
        matches!((self.version, self.protocol), (4, protocol::ICMP) | (6, protocol::ICMPV6))
    }

    #[inline(always)]
    pub const fn is_echo_request(&self) -> bool {
        self.is_control_message() && !self.is_later_fragment() && self.message_type == echo_request(self.version)
    }

    /// Tells whether the packet is an ICMP error, which quotes the packet that it is about: destination unreachable, time
    /// exceeded, parameter problem (RFC 792), or ICMPv6's types 1 to 4 (RFC 4443).
    #[inline(always)]
    pub const fn is_error(&self) -> bool {
        self.is_control_message() && !self.is_later_fragment() && is_error_type(self.version, self.message_type)
    }
}

/// IANA's protocol numbers.
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const ESP: u8 = 50;
    pub const AH: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const HIP: u8 = 139;
    pub const SHIM6: u8 = 140;
}

/// TCP's flags (RFC 9293, 3.1).
pub mod tcp_flag {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
    pub const URG: u8 = 0x20;
}

/// Returns the type of an echo request (RFC 792, RFC 4443).
#[inline(always)]
pub const fn echo_request(version: u8) -> u8 {
    if version == 4 { 8 } else { 128 }
}

/// Returns the type of an echo reply (RFC 792, RFC 4443).
#[inline(always)]
pub const fn echo_reply(version: u8) -> u8 {
    if version == 4 { 0 } else { 129 }
}

#[inline(always)]
const fn is_error_type(version: u8, message_type: u8) -> bool {
    if version == 4 { matches!(message_type, 3 | 11 | 12) } else { matches!(message_type, 1..=4) }
}

/// Reads a frame's headers into `packet`, which starts out as [`Packet::default`].
#[inline(always)]
pub fn parse<F: Frame>(frame: &F, packet: &mut Packet) -> Parsed {
    match link::parse(frame) {
        link::Carries::Ip(span) => match network::parse(frame, span, packet) {
            Some(transport) => transport::parse(frame, transport, packet),
            None => Parsed::Malformed,
        },
        link::Carries::NotIp(link_type) => Parsed::NotIp(link_type),
        link::Carries::Malformed => Parsed::Malformed,
    }
}

/// Where a layer's bytes lie in the frame: from `offset` up to, not including, `end`.
#[derive(Clone, Copy)]
struct Span {
    offset: u32,
    end: u32,
}

impl Span {
    #[inline(always)]
    const fn length(self) -> u32 {
        self.end.saturating_sub(self.offset)
    }
}
