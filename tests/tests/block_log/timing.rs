//! When lines come: the first at once, then one a second for a (source, reason), and what is left over soon after.

use std::{
    thread,
    time::{Duration, Instant},
};

use guard_tests::{
    Guard, Options, Wire,
    cpu::{cpus, stay_on},
    sums::{Sums, number},
    wait,
};
use serde_json::Value;

use super::scene::{ENV, SOON, datagram, silent_peer, wait_until_dropped};

const OPTIONS: Options<'static> =
    Options { env: &ENV, config: None, env_file: None, args: &[], instance: "default", binary: None };

fn counts(guard: &Guard) -> Vec<u64> {
    let events = guard.eve();
    events.iter().filter(|event| event["event_type"] == "drop").map(|event| number(&event["guard"]["count"])).collect()
}

#[test]
fn the_first_line_comes_at_once_and_the_rest_within_two_seconds() {
    for source in [0, 1] {
        let link = silent_peer();
        let guard = Guard::run(link.left.host(), OPTIONS);
        let wire = Wire::open(link.right.host(), "eth0");
        wire.send_all(&vec![datagram(&link, source); 7]);
        wait::eventually("the first packet has a line", Duration::from_millis(500), || counts(&guard) == [1]);
        wait::eventually("the others have a line", Duration::from_secs(2), || counts(&guard) == [1, 6]);
    }
}

#[test]
fn a_source_on_two_cpus_has_one_line_a_second() {
    const ROUNDS: u32 = 1250;
    let cpus = cpus();
    assert!(cpus.len() >= 2, "this test needs two CPUs");
    let link = silent_peer();
    let mut guard = Guard::run(link.left.host(), OPTIONS);
    let frame = datagram(&link, 0);
    let start = Instant::now();
    thread::scope(|scope| {
        for cpu in &cpus[..2] {
            let wire = Wire::open(link.right.host(), "eth0");
            let frame = &frame;
            scope.spawn(move || {
                stay_on(*cpu);
                for _ in 0..ROUNDS {
                    wire.send(frame);
                    thread::sleep(Duration::from_millis(2));
                }
            });
        }
    });
    let dropped = wait_until_dropped(&guard, &link, u64::from(2 * ROUNDS));
    let (lines, seconds) = (counts(&guard).len() as u64, start.elapsed().as_secs());
    assert!(lines <= seconds + 1, "{lines} lines in {seconds} s");
    guard.stop();
    let sums = Sums::of(&guard.eve());
    assert_eq!((sums.all(), sums.merged, sums.lost), (dropped, 0, 0), "{sums:?}");
}

#[test]
fn stats_come_every_ten_seconds() {
    let link = silent_peer();
    let guard = Guard::run(link.left.host(), OPTIONS);
    let start = Instant::now();
    let stats =
        |guard: &Guard| guard.eve().into_iter().filter(|event| event["event_type"] == "stats").collect::<Vec<_>>();
    wait::eventually("the first stats come", SOON, || !stats(&guard).is_empty());
    assert!(start.elapsed() > Duration::from_secs(8), "stats after {:?}", start.elapsed());
    let stats: Value = stats(&guard).remove(0);
    let keys: Vec<_> = stats.as_object().expect("a line is an object").keys().collect();
    assert_eq!(keys, ["event_type", "guard", "timestamp"], "{stats}");
    assert_eq!(stats["guard"], serde_json::json!({ "merged": 0, "lost": 0 }));
}
