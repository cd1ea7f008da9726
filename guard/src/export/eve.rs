//! Blocked packets in the form of Suricata's EVE `drop` events, one JSON object a line.

use std::{collections::BTreeMap, net::IpAddr};

use guard_common::{
    address::Address,
    packet::{protocol, tcp_flag},
    policy::{Mode, Reason},
    records::BlockEvent,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Serialize, Serializer};

/// What an event's numbers are called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// By number; 0 has none. Those of services that are gone as well: their last events may be still to come.
    pub(crate) services: BTreeMap<u8, String>,
    /// By interface index.
    pub(crate) interfaces: BTreeMap<u32, String>,
}

impl Names {
    /// Returns a service's name, or nothing for the ports that no service names.
    pub(crate) fn service(&self, number: u8) -> Option<&str> {
        self.services.get(&number).map(String::as_str)
    }
}

/// A line of `event_type` `drop`.
#[derive(Debug, Serialize)]
pub(crate) struct BlockLine<'a> {
    #[serde(serialize_with = "timestamp")]
    timestamp: Timestamp,
    event_type: &'static str,
    in_iface: String,
    #[serde(flatten)]
    endpoints: Option<Endpoints>,
    drop: Dropped,
    guard: Guarded<'a>,
}

/// Who sent it to whom; absent where the packet was refused before an IP header was read.
#[derive(Debug, Serialize)]
struct Endpoints {
    src_ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    dest_ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    proto: String,
}

#[derive(Debug, Serialize)]
struct Dropped {
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(flatten)]
    tcp: Option<TcpFlags>,
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct TcpFlags {
    syn: bool,
    ack: bool,
    psh: bool,
    rst: bool,
    urg: bool,
    fin: bool,
}

#[derive(Debug, Serialize)]
struct Guarded<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    reason: &'static str,
    count: u64,
    generation: u64,
    mode: &'static str,
}

impl<'a> BlockLine<'a> {
    /// Describes an event that happened at `time`.
    pub(crate) fn new(event: &BlockEvent, time: Timestamp, names: &'a Names) -> Self {
        let reason = Reason::from_number(event.reason).map_or("unknown", Reason::name);
        let known = event.version != 0;
        let is_tcp = known && event.protocol == protocol::TCP;
        Self {
            timestamp: time,
            event_type: "drop",
            in_iface: match names.interfaces.get(&event.interface) {
                Some(name) => name.clone(),
                None => format!("#{}", event.interface),
            },
            endpoints: known.then(|| endpoints(event)),
            drop: Dropped {
                len: known.then_some(event.length),
                ttl: known.then_some(event.hop_limit),
                tcp: is_tcp.then(|| tcp_flags(event.tcp_flags)),
                reason,
            },
            guard: Guarded {
                service: names.service(event.service),
                reason,
                count: event.packets,
                generation: event.generation,
                mode: if event.mode == Mode::Monitor as u32 { "monitor" } else { "enforce" },
            },
        }
    }
}

fn endpoints(event: &BlockEvent) -> Endpoints {
    let ip = |octets: [u8; 16]| Address::from_octets(octets).to_ip(event.version);
    // Where a header ended too early, its ports were never read.
    let ports = (event.source_port, event.destination_port) != (0, 0);
    Endpoints {
        src_ip: ip(event.source),
        src_port: ports.then_some(event.source_port),
        dest_ip: ip(event.destination),
        dest_port: ports.then_some(event.destination_port),
        proto: proto(event.protocol),
    }
}

fn tcp_flags(flags: u8) -> TcpFlags {
    let has = |flag: u8| flags & flag != 0;
    TcpFlags {
        syn: has(tcp_flag::SYN),
        ack: has(tcp_flag::ACK),
        psh: has(tcp_flag::PSH),
        rst: has(tcp_flag::RST),
        urg: has(tcp_flag::URG),
        fin: has(tcp_flag::FIN),
    }
}

/// Suricata's name of a protocol, or its number as Suricata pads it.
fn proto(number: u8) -> String {
    match number {
        protocol::ICMP => "ICMP".to_owned(),
        protocol::IGMP => "IGMP".to_owned(),
        protocol::TCP => "TCP".to_owned(),
        protocol::UDP => "UDP".to_owned(),
        47 => "GRE".to_owned(),
        protocol::ESP => "ESP".to_owned(),
        protocol::AH => "AH".to_owned(),
        protocol::ICMPV6 => "IPv6-ICMP".to_owned(),
        132 => "SCTP".to_owned(),
        other => format!("{other:03}"),
    }
}

/// A line of `event_type` `stats`: totals of blocked packets that no other line stands for.
#[derive(Debug, Serialize)]
pub(crate) struct StatsLine {
    #[serde(serialize_with = "timestamp")]
    timestamp: Timestamp,
    event_type: &'static str,
    guard: Totals,
}

#[derive(Debug, Serialize)]
struct Totals {
    merged: u64,
    lost: u64,
}

impl StatsLine {
    pub(crate) fn new(time: Timestamp, merged: u64, lost: u64) -> Self {
        Self { timestamp: time, event_type: "stats", guard: Totals { merged, lost } }
    }
}

/// ISO 8601 with microseconds and a numeric offset, as Suricata writes it.
pub(super) fn timestamp<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%6f%z"))
}
