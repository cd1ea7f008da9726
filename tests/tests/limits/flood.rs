//! A flood from random sources that a list lets in: it lifts nobody's limit. Who stays below a limit of so many a second loses
//! nothing; what the flood costs those of a slow one is shown.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use guard_tests::{
    Cell, Counters, Family, Guard, Link, Load, Options, Recorder, Site, Wire,
    cpu::{cpus, stay_on},
    frame::{Frame, SYN},
    load::Offer,
};

use super::{
    measure::{Bucket, Passage},
    scene::alone,
};

/// Sources of a flood, all different.
const SOURCES: u64 = 1_050_000;
/// How many sources are sent from in turn to each service.
const TURN: u64 = 1024;
/// One source of so many sends to the service that has one limit for all.
const SHARE: u64 = 4;

/// Sources that a limit can tell apart; beyond them, one takes over what another owes.
const BUCKETS: u64 = 65_536;

/// How long clients are alone before the flood and after it.
const PEACE: Duration = Duration::from_millis(700);

const PER_SOURCE: Bucket = Bucket::per_s(1_000, 999);
const IN_ALL: Bucket = Bucket::per_s(20_000, 19_999);

/// Services with limits as an operator would write them: per source, in all, and per source but slow.
const CONFIG: &str = "interfaces = ['eth0', 'eth1', 'eth2']\n\
    allow.ips = ['10.0.0.0/8', '172.16.0.0/12', '2001:db8:51::/48', 'fd00::/8']\n\
    [[service]]\nname = 'own'\nports = ['udp/3000']\n\
    rate = { unit = 'packets', limit = 1000, window = '1s' }\n\
    [[service]]\nname = 'all'\nports = ['udp/4000']\n\
    rate = { unit = 'packets', limit = 20000, window = '1s', per = 'service' }\n\
    [[service]]\nname = 'rare'\nports = ['tcp/5000']\n\
    rate = { unit = 'connections', limit = 10, window = '15m' }\n";

/// Writes the source of a number into a frame, from all over 10.0.0.0/8 or 2001:db8:51::/48, of which the latter's 65,536
/// networks count as one source each. The frame's checksums go wrong, so that behind guard the host forgets it at once.
fn spoof(family: Family, frame: &mut [u8], number: u64) {
    // An odd factor leads each number to another, in an order that looks random.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let [.., b, c, d] = mixed;
    match family {
        Family::V4 => frame[26..30].copy_from_slice(&[10, b, c, d]),
        Family::V6 => {
            frame[22..30].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0x51, c, d]);
            frame[30..38].copy_from_slice(&mixed);
        }
    }
}

/// Listed clients whom the flood does not pretend to be.
#[derive(Clone, Copy, Debug)]
enum Client {
    /// Half of what it may.
    Steady,
    /// Five times what it may.
    Greedy,
    /// Its ten connections at once, and attempts from then on.
    UsedUp,
    /// A connection a second, fewer than its ten in all.
    Returning,
    /// Each connection from another source.
    Fresh,
}

impl Client {
    const ALL: [Self; 5] = [Self::Steady, Self::Greedy, Self::UsedUp, Self::Returning, Self::Fresh];

    const fn load(self) -> Load {
        match self {
            Self::Steady => Load { at_once: 0, per_s: 500 },
            Self::Greedy => Load { at_once: 0, per_s: 5_000 },
            Self::UsedUp => Load { at_once: 15, per_s: 100 },
            Self::Returning => Load { at_once: 0, per_s: 1 },
            Self::Fresh => Load { at_once: 0, per_s: 100 },
        }
    }

    fn offer<'a>(self, site: &'a Site, link: &'a Link) -> Offer<'a> {
        let frame = move |number: u32, payload: &[u8]| {
            let host = if let Self::Fresh = self { 0x100 + number as u16 } else { self as u16 + 1 };
            let [high, low] = host.to_be_bytes();
            let v6 = IpAddr::from([0xfd00, 0, 0, host, 0, 0, 0, 1]);
            let source = site.cell.pick(IpAddr::from([172, 16, high, low]), v6);
            let frame = Frame::ethernet(link.right.mac(), link.left.mac()).ip(source, site.address());
            let frame = match self {
                Self::Steady | Self::Greedy => frame.udp(1234, 3000),
                Self::UsedUp | Self::Returning | Self::Fresh => frame.tcp(1024 + number as u16, 5000, SYN),
            };
            frame.payload(payload).build()
        };
        (self.load(), Box::new(frame))
    }
}

#[test]
fn a_flood_of_random_sources_lifts_no_limit() {
    let _alone = alone();
    for family in Family::ALL {
        withstand(Cell { family, xdp_mode: "native" });
    }
}

fn withstand(cell: Cell) {
    let site = Site::with_silent_peer(cell);
    let [clients, crowd] = ["eth1", "eth2"].map(|name| Link::between(site.host(), name, site.peer(), name));
    let guard = Guard::run(site.host(), Options { config: Some(CONFIG), ..Options::default() });
    let [first, second, ..] = cpus()[..] else { panic!("this test needs two CPUs") };

    let of_clients = Recorder::start(site.host(), "eth1", Client::ALL.len(), Load::of);
    let of_crowd = Recorder::start(site.host(), "eth2", 1, |_| Some(0));
    let ended = AtomicBool::new(false);
    let (sent, crowd_sent) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            stay_on(second);
            let offers = Client::ALL.map(|client| client.offer(&site, &clients));
            Load::offer(&Wire::open(site.peer(), "eth1"), &offers, |_| ended.load(Ordering::Relaxed))
        });
        let flood = scope.spawn(|| {
            stay_on(first);
            thread::sleep(PEACE);
            let crowd_sent = flood(&site, &crowd);
            thread::sleep(PEACE);
            crowd_sent
        });
        let crowd_sent = flood.join().expect("sending does not panic");
        ended.store(true, Ordering::Relaxed);
        (sender.join().expect("sending does not panic"), crowd_sent)
    });
    let passages = sent.into_iter().zip(of_clients.stop()).map(|(sent, passed)| Passage { sent, passed });
    let [steady, greedy, used_up, returning, fresh] = passages.collect::<Vec<_>>().try_into().ok().expect("one each");
    let of_all = Passage { sent: crowd_sent, passed: of_crowd.stop().remove(0) };
    let counters = Counters::read(&guard);

    let lost = [&site.link, &clients, &crowd].map(|link| link.right.lost_frames());
    let (packets, took) = (2 * SOURCES + SOURCES / SHARE, of_all.time());
    println!("{cell}: {packets} packets of {SOURCES} sources in {took:.1?}; lost by the wires {lost:?}; {counters:?}");
    assert!(
        lost[0] < SOURCES / 100 && lost[1..] == [0, 0],
        "{cell}: the wires lost packets, so that the rest proves nothing"
    );
    let accuracy = steady.against_number(format!("{cell}: half of 1,000 a second"), steady.sent.len() as f64);
    assert!(accuracy.is_within(0.0), "{accuracy}");
    let accuracy = greedy.against(format!("{cell}: five times 1,000 a second"), PER_SOURCE);
    assert!(accuracy.is_right(), "{accuracy}");
    let accuracy = used_up.against_number(format!("{cell}: 10 in 15 minutes, used up"), 10.0);
    assert!(accuracy.is_within(0.0), "{accuracy}");
    let accuracy = of_all.against(format!("{cell}: all sources, 20,000 a second"), IN_ALL);
    assert!(accuracy.is_right(), "{accuracy}");
    let rare = counters.packets("rare pass allowed");
    assert!(rare <= 10 * BUCKETS, "{cell}: {rare} connections of 10 in 15 minutes from each of {BUCKETS}");
    // What a flood costs others of a slow limit, whose buckets it takes over, debts and all: shown, not promised.
    for (what, passage) in [("one a second", returning), ("one from each source", fresh)] {
        let what = format!("{cell}: {what}, of 10 in 15 minutes");
        println!("{}", passage.against_number(what, passage.sent.len() as f64));
    }
}

/// Sends from every source to the services that have a limit per source, and from some to the one with a limit in all; returns
/// when each of the latter's packets was sent.
fn flood(site: &Site, crowd: &Link) -> Vec<SystemTime> {
    let family = site.cell.family;
    let frame = |link: &Link| {
        let source = family.pick(IpAddr::from([10, 0, 0, 0]), IpAddr::from([0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0]));
        Frame::ethernet(link.right.mac(), link.left.mac()).ip(source, site.address())
    };
    let [own, rare, all] = [
        frame(&site.link).udp(1234, 3000).build(),
        frame(&site.link).tcp(1234, 5000, SYN).build(),
        frame(crowd).udp(1234, 4000).build(),
    ];
    let [wire, crowd] = ["eth0", "eth2"].map(|name| Wire::open(site.peer(), name));
    let mut crowd_sent = Vec::new();
    for first in (0..SOURCES).step_by(TURN as usize) {
        let count = TURN.min(SOURCES - first);
        let vary = |frame: &mut [u8], number| spoof(family, frame, first + number);
        wire.send_varied(&own, count, vary);
        wire.send_varied(&rare, count, vary);
        crowd_sent.extend((0..count / SHARE).map(|_| SystemTime::now()));
        crowd.send_varied(&all, count / SHARE, vary);
    }
    crowd_sent
}
