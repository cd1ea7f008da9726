//! Floods: a bounded number of lines, and not one packet that no number stands for.

use std::{
    thread,
    time::{Duration, Instant},
};

use guard_tests::{
    Guard, Options, Wire,
    cpu::{cpus, stay_on},
    sums::Sums,
};

use super::scene::{ENV, datagram, env_and, silent_peer, wait_until_dropped};

const PACKETS: u32 = 100_000;

/// The cap of lines a second and CPU.
const CAP: u64 = 1000;

/// Floods a guard from so many sources, ends it, and returns the sums of its log with the seconds that it took.
fn flood(mode: &str, source_of: impl Fn(u32) -> u32) -> (Sums, u64) {
    let link = silent_peer();
    let frames: Vec<Vec<u8>> = (0..PACKETS).map(|number| datagram(&link, source_of(number))).collect();
    let env = env_and(&[("GUARD_XDP_MODE", mode)]);
    let mut guard = Guard::run(link.left.host(), Options { env: &env, ..Options::default() });
    let start = Instant::now();
    Wire::open(link.right.host(), "eth0").send_all(&frames);
    let dropped = wait_until_dropped(&guard, &link, PACKETS.into());
    assert!(dropped > u64::from(PACKETS) / 2, "{mode}: the wire lost nearly all, {dropped} are left");
    assert!(guard.stop().success(), "{mode}");
    let seconds = start.elapsed().as_secs() + 1;
    let sums = Sums::of(&guard.eve());
    println!("{mode}: {dropped} dropped in {:?}: {sums:?}", start.elapsed());
    assert_eq!(sums.all(), dropped, "{mode}: {sums:?}");
    (sums, seconds)
}

#[test]
fn three_hundred_sources() {
    for mode in ["native", "generic"] {
        let (sums, seconds) = flood(mode, |number| number % 300);
        assert!(sums.lines >= 300, "{mode}: every source has a line: {sums:?}");
        assert!(sums.lines <= 300 * (seconds + 2), "{mode}: {sums:?} in {seconds} s");
    }
}

#[test]
fn fifty_thousand_sources() {
    for mode in ["native", "generic"] {
        // A multiplicative generator with a prime modulus: each source twice, in an order that looks random.
        let (sums, seconds) = flood(mode, |number| (u64::from(number) * 22_695_477 % 50_021) as u32);
        let cpus = std::thread::available_parallelism().expect("there are CPUs").get() as u64;
        assert!(sums.merged > 0, "{mode}: above the cap packets are merged: {sums:?}");
        assert!(sums.lines <= CAP * cpus * (seconds + 2), "{mode}: {sums:?} in {seconds} s");
    }
}

#[test]
fn no_packet_falls_between_two_runs() {
    let link = silent_peer();
    let frames: Vec<Vec<u8>> = (0..3000).map(|number| datagram(&link, number % 10)).collect();
    let options = Options { env: &ENV, ..Options::default() };
    let mut first = Guard::run(link.left.host(), options);
    let (mut second, mut log) = thread::scope(|scope| {
        scope.spawn(|| {
            let wire = Wire::open(link.right.host(), "eth0");
            for frame in &frames {
                wire.send(frame);
                thread::sleep(Duration::from_micros(500));
            }
        });
        first.wait_for_eve(|line| line["event_type"] == "drop");
        first.stop();
        (Guard::run(link.left.host(), options), first.eve())
    });
    let dropped = wait_until_dropped(&second, &link, frames.len() as u64);
    second.stop();
    // The kernel's totals go on, so that the last stats are those of both runs.
    log.extend(second.eve());
    let sums = Sums::of(&log);
    assert_eq!(sums.all(), dropped, "{sums:?}");
}

#[test]
fn what_finds_no_room_while_no_daemon_reads_is_counted() {
    let link = silent_peer();
    let options = Options { env: &ENV, ..Options::default() };
    Guard::run(link.left.host(), options).kill();
    // Each CPU reports a thousand events a second into a ring that has room for less than twelve thousand.
    let (rounds, burst) = (1400 / cpus().len() as u32, 50);
    thread::scope(|scope| {
        for (place, cpu) in (0..).zip(cpus()) {
            let wire = Wire::open(link.right.host(), "eth0");
            let link = &link;
            scope.spawn(move || {
                stay_on(cpu);
                for round in 0..rounds {
                    let first = (place * rounds + round) * burst;
                    let frames: Vec<_> = (first..first + burst).map(|source| datagram(link, source)).collect();
                    wire.send_all(&frames);
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
    });
    let mut guard = Guard::run(link.left.host(), options);
    let sent = u64::from(rounds * burst) * cpus().len() as u64;
    let dropped = wait_until_dropped(&guard, &link, sent);
    guard.stop();
    let sums = Sums::of(&guard.eve());
    println!("{dropped} dropped: {sums:?}");
    assert_eq!(sums.all(), dropped, "{sums:?}");
    assert!(sums.merged > 0 && sums.lost > 0, "{sums:?}");
}
