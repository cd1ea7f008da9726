//! Below a limit everything passes, at it all but one, far above it the burst and then the rate: for everything that is
//! counted and for all who may share a limit.

use std::{net::IpAddr, time::Duration};

use guard_tests::{
    Cell, Load,
    frame::{Frame, SYN},
    in_each_family,
    load::Offer,
};

use super::{
    measure::Bucket,
    scene::{Scene, quiet, source},
};

const PER_S: u32 = 100;
const BURST: u32 = 100;
const BUCKET: Bucket = Bucket::per_s(PER_S, BURST);

/// What a packet of a limit of bytes has, from its IP header on.
const BYTES: u32 = 1000;

const TIME: Duration = Duration::from_secs(3);

const FIRST_PORT: u16 = 10_000;

const UNITS: [Unit; 4] = [Unit::Packets, Unit::Bytes, Unit::TcpConnections, Unit::UdpFlows];
const SHARES: [Share; 3] = [Share::Source, Share::Service, Share::Prefix];
const OFFERED: [Offered; 3] = [Offered::Below, Offered::At, Offered::FarAbove];

#[derive(Clone, Copy, Debug)]
enum Unit {
    Packets,
    Bytes,
    TcpConnections,
    UdpFlows,
}

/// Who shares a limit.
#[derive(Clone, Copy, Debug)]
enum Share {
    Source,
    Service,
    Prefix,
}

#[derive(Clone, Copy, Debug)]
enum Offered {
    Below,
    At,
    FarAbove,
}

/// A service with one limit, and what is offered to it.
#[derive(Clone, Copy, Debug)]
struct Case {
    unit: Unit,
    share: Share,
    offered: Offered,
    port: u16,
}

#[test]
fn what_is_offered_passes_as_far_as_the_limit_goes() {
    let cases: Vec<Case> = cases();
    let config: String = cases.iter().map(Case::service).collect();
    let _quiet = quiet();
    in_each_family(|cell| {
        let scene = Scene::new(cell, &config);
        let parties: Vec<(Case, Vec<IpAddr>)> =
            cases.iter().flat_map(|case| case.share.parties(cell).into_iter().map(|party| (*case, party))).collect();
        let offers: Vec<Offer<'_>> = parties.iter().map(|(case, party)| case.offer(&scene, party)).collect();
        let passages = scene.offer(&offers, TIME);

        let counters = scene.counters();
        let mut faults = Vec::new();
        for ((case, party), passage) in parties.iter().zip(&passages) {
            let Case { unit, share, offered, .. } = case;
            let what = format!("{cell}: {unit:?} per {share:?}, {offered:?}, {} sources", party.len());
            let accuracy = passage.against(what, BUCKET);
            let right = match offered {
                Offered::Below => accuracy.is_within(0.0),
                Offered::At => accuracy.is_within(1.0),
                Offered::FarAbove => accuracy.is_right(),
            };
            if !right {
                faults.push(accuracy.to_string());
            }
        }
        for case in &cases {
            let of_case = parties.iter().zip(&passages).filter(|((other, _), _)| other.port == case.port);
            let (offered, passed) = of_case.fold((0, 0), |(offered, passed), (_, passage)| {
                (offered + passage.sent.len() as u64, passed + passage.passed.len() as u64)
            });
            let rows =
                [format!("{} pass allowed", case.name()), format!("{} drop {}", case.name(), case.unit.reason())];
            let counted = rows.map(|row| counters.packets(&row));
            if counted != [passed, offered - passed] {
                faults.push(format!("{cell}: {case:?}: {passed} of {offered} passed, counted {counted:?}"));
            }
        }
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    });
}

fn cases() -> Vec<Case> {
    let each = UNITS.into_iter().flat_map(|unit| SHARES.into_iter().map(move |share| (unit, share)));
    let each = each.flat_map(|(unit, share)| OFFERED.into_iter().map(move |offered| (unit, share, offered)));
    (FIRST_PORT..).zip(each).map(|(port, (unit, share, offered))| Case { unit, share, offered, port }).collect()
}

impl Case {
    fn name(&self) -> String {
        format!("s{}", self.port)
    }

    fn service(&self) -> String {
        let (protocol, unit) = match self.unit {
            Unit::Packets => ("udp", "packets"),
            Unit::Bytes => ("udp", "bytes"),
            Unit::TcpConnections => ("tcp", "connections"),
            Unit::UdpFlows => ("udp", "connections"),
        };
        let (limit, burst) = match self.unit {
            Unit::Bytes => (PER_S * BYTES, (BURST + 1) * BYTES - 1),
            _ => (PER_S, BURST),
        };
        let per = match self.share {
            Share::Source => "'source'",
            Share::Service => "'service'",
            Share::Prefix => "{ v4 = 24, v6 = 56 }",
        };
        format!(
            "[[service]]\nname = '{}'\nports = ['{protocol}/{}']\n\
             rate = {{ unit = '{unit}', limit = {limit}, window = '1s', burst = {burst}, per = {per} }}\n",
            self.name(),
            self.port
        )
    }

    /// What a party offers, each packet from the next of its sources.
    fn offer<'a>(&self, scene: &'a Scene, party: &'a [IpAddr]) -> Offer<'a> {
        let load = match self.offered {
            Offered::Below => Load { at_once: 0, per_s: PER_S / 2 },
            // Half of the burst beforehand; the other half is for a sender that is held up.
            Offered::At => Load { at_once: BURST / 2, per_s: PER_S },
            Offered::FarAbove => Load { at_once: BURST, per_s: 10 * PER_S },
        };
        let Self { unit, port, .. } = *self;
        let frame = move |number: u32, payload: &[u8]| {
            let frame = scene.site.packet(party[number as usize % party.len()]);
            unit.packet(frame, port, number, payload).build()
        };
        (load, Box::new(frame))
    }
}

impl Unit {
    fn packet(self, frame: Frame, port: u16, number: u32, payload: &[u8]) -> Frame {
        // Ports come again, those of a flow not before all others.
        let source_port = 1024 + (number % 60_000) as u16;
        match self {
            Self::Packets => frame.udp(1234, port).payload(payload),
            Self::Bytes => {
                let empty = frame.udp(1234, port);
                let headers = empty.build().len() - 14;
                empty.payload(vec![0; BYTES as usize - headers - payload.len()]).payload(payload)
            }
            Self::TcpConnections => frame.tcp(source_port, port, SYN).payload(payload),
            Self::UdpFlows => frame.udp(source_port, port).payload(payload),
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Packets => "rate_packets",
            Self::Bytes => "rate_bytes",
            Self::TcpConnections | Self::UdpFlows => "rate_connections",
        }
    }
}

impl Share {
    /// Sources that share one bucket, for some buckets.
    fn parties(self, cell: Cell) -> Vec<Vec<IpAddr>> {
        let neighbour = |number: u16| match source(cell, number) {
            IpAddr::V6(address) => IpAddr::from(u128::from(address).wrapping_add(0xbad).to_be_bytes()),
            v4 @ IpAddr::V4(_) => v4,
        };
        let all = |numbers: &[u16]| numbers.iter().map(|number| source(cell, *number)).collect();
        match self {
            // Of IPv6, two of one /64.
            Self::Source => vec![vec![source(cell, 1), neighbour(1)], all(&[2])],
            Self::Service => vec![all(&[1, 2, 0x101, 0x202])],
            Self::Prefix => vec![all(&[1, 0xfe]), all(&[0x101, 0x1fe])],
        }
    }
}
