//! A flood with other hosts' addresses, and clients that are slow or unlucky: none of it bans anybody. A real offender is banned
//! amid all that.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use guard_tests::{
    Cell, Counted, Counters, Family, Handshakes, Wire, client::Outcome, counted::WEB, host::netstat, in_each_family,
    wait::eventually,
};

use crate::scene::{AFTER, LIMIT, OTHER, SOON, Scene};

/// The listed client whom much of the flood pretends to be, one that sends a SYN again and again, and one that deserves it.
const VICTIM: u16 = 1;
const RETRANSMITTING: u16 = 2;
const OFFENDER: u16 = 3;

/// SYNs between two looks at the clock, and those of them that are the victim's or carry data.
const ROUND: u64 = 4096;
const OF_VICTIM: u64 = ROUND / 8;
const WITH_DATA: u64 = ROUND / 8;

/// Connections that the victim opens, fewer than it may.
const OF_ITS_OWN: usize = LIMIT - 2;

/// More than guard remembers of SYNs.
const REMEMBERED: u64 = 150_000;

/// How often a SYN is sent again; every second, as by a host whose SYNs get lost.
const AGAIN: Duration = Duration::from_secs(1);

#[test]
fn a_flood_bans_nobody_and_hides_no_offender() {
    in_each_family(|cell| withstand(cell, |_, elapsed| elapsed >= Duration::from_secs(8)));
}

#[test]
#[ignore = "takes a minute; `cargo xtask test --long` runs it"]
fn a_million_spoofed_syns_ban_nobody() {
    for family in Family::ALL {
        withstand(Cell { family, xdp_mode: "native" }, |sent, _| sent >= 1_000_000);
    }
}

fn withstand(cell: Cell, is_over: impl Fn(u64, Duration) -> bool + Sync) {
    let counted = Counted::new(cell, 4);
    // TCP Fast Open without cookies (RFC 7413), so that anybody's data reaches the server.
    counted.site.host().sysctl("net/ipv4/tcp_fastopen", "515");
    let scene = &Scene::at(counted, "within = '5m', for = '1h'", "");
    let of_victim = &mut scene.counted.crowd(VICTIM, OF_ITS_OWN);
    of_victim.wait_connected(OF_ITS_OWN, SOON);
    let _of_others = [scene.use_up(RETRANSMITTING), scene.use_up(OFFENDER)];
    // What it may open besides is taken by others, of whose data the server makes connections.
    send_data(&scene.counted, 64, |frame, number| scene.counted.spoof_port(frame, 2000 + number as u16));
    let opened = || netstat(scene.counted.site.host(), "TCPFastOpenPassive");
    eventually("data of others is taken for the victim's", SOON, || opened() == (LIMIT - OF_ITS_OWN) as u64);

    let (sent, ended) = (&AtomicU64::new(0), &AtomicBool::new(false));
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over(sent.load(Ordering::Relaxed), started.elapsed()) {
                sent.fetch_add(flood(&scene.counted, sent.load(Ordering::Relaxed)), Ordering::Relaxed);
            }
            ended.store(true, Ordering::Relaxed);
        });
        let again = Handshakes::at(&scene.counted.site, WEB);
        let retransmitting = SocketAddr::new(scene.client(RETRANSMITTING), 1234);
        let mut tries = 0;
        let mut refused = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            again.begin(&[retransmitting]);
            refused.push(scene.counted.crowd(VICTIM, 1));
            tries += 1;
            if tries == AFTER + 1 {
                refused.push(scene.counted.crowd(OFFENDER, 2 * AFTER));
            }
            thread::sleep(AGAIN);
        }
        assert!(tries > AFTER + 1, "{cell}: it was over too soon");
    });

    scene.wait_for_ban_line("banned", 0);
    let (sent, counters) = (sent.load(Ordering::Relaxed), Counters::read(&scene.guard));
    let lost = scene.counted.site.link.right.lost_frames();
    println!(
        "{cell}: {sent} SYNs in {:.1?}, {lost} lost by the wire, {} opened at once; {} violations; {counters:?}",
        started.elapsed(),
        opened(),
        scene.violations()
    );
    assert!(lost < sent / 2, "{cell}: hardly any came");
    assert_eq!(scene.banned(), [scene.prefix(OFFENDER)], "{cell}");
    assert_eq!(scene.ban_lines("banned").len(), 1, "{cell}: {:#?}", scene.ban_lines("banned"));
    for innocent in [VICTIM, RETRANSMITTING] {
        assert_eq!(scene.connects(scene.client(innocent), OTHER), Outcome::Connected, "{cell}: client {innocent}");
    }
    assert!(of_victim.echoes(SOON) && of_victim.ended() == 0, "{cell}: the victim's connections");
}

/// Sends a round of SYNs; so many were sent before. Returns how many there are in a round.
fn flood(counted: &Counted, before: u64) -> u64 {
    let handshakes = Handshakes::at(&counted.site, WEB);
    let wire = Wire::open(counted.site.peer(), "eth0");
    let syn = handshakes.syn((counted.client(VICTIM), 1234).into()).build();
    wire.send_varied(&syn, ROUND - OF_VICTIM - WITH_DATA, |frame, number| counted.spoof(frame, before + number));
    wire.send_varied(&syn, OF_VICTIM, |frame, number| {
        counted.spoof_port(frame, 4096 + ((before + number) % 28_000) as u16);
    });
    let first = before + ROUND - WITH_DATA;
    send_data(counted, WITH_DATA, |frame, number| counted.spoof(frame, first + number));
    ROUND
}

/// Sends SYNs with data of the victim, but for what `vary` changes.
fn send_data(counted: &Counted, count: u64, vary: impl FnMut(&mut [u8], u64)) {
    let syn = Handshakes::at(&counted.site, WEB).syn((counted.client(VICTIM), 1234).into());
    Wire::open(counted.site.peer(), "eth0").send_varied(&syn.payload("a request").build(), count, vary);
}

#[test]
#[ignore = "takes a minute; `cargo xtask test --long` runs it"]
fn a_syn_sent_again_is_one_violation_also_behind_a_flood() {
    in_each_family(|cell| {
        let scene = Scene::new(cell, "within = '5m', for = '1h'", "");
        let _open = scene.use_up(RETRANSMITTING);
        let again = Handshakes::at(&scene.counted.site, WEB);
        let mut sent = 0;
        for _ in 0..=AFTER {
            again.begin(&[SocketAddr::new(scene.client(RETRANSMITTING), 1234)]);
            let until = sent + REMEMBERED;
            while sent < until {
                sent += flood(&scene.counted, sent);
            }
        }
        assert_eq!((scene.banned(), scene.violations()), (vec![], 1), "{cell}");
    });
}
