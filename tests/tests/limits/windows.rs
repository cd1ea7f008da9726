//! Limits as operators know them, packet by packet: nginx's `rate=1r/s burst=5 nodelay`, and so many in a window.

use std::time::{Duration, SystemTime};

use guard_tests::{Load, frame::SYN, in_each_cell, load::Offer};

use super::{
    measure::Bucket,
    scene::{Scene, quiet},
};

/// How much too early the kernel's clock may make a packet, at 100 ticks a second.
const TICK: Duration = Duration::from_millis(10);
/// How much later than an ideal bucket guard may let a packet pass: the clock's tick, and the time between two attempts.
const LATE: Duration = Duration::from_millis(50);

const TIME: Duration = Duration::from_millis(3_400);

struct Case {
    name: &'static str,
    port: u16,
    rate: &'static str,
    bucket: Bucket,
}

const CASES: [Case; 3] = [
    Case {
        name: "1r/s burst=5",
        port: 3000,
        rate: "limit = 1, window = '1s', burst = 5",
        bucket: Bucket { interval: Duration::from_secs(1), burst: 5 },
    },
    Case {
        name: "10r/s burst=5",
        port: 4000,
        rate: "limit = 10, window = '1s', burst = 5",
        bucket: Bucket { interval: Duration::from_millis(100), burst: 5 },
    },
    Case {
        name: "100 in 60 s",
        port: 5000,
        rate: "limit = 100, window = '60s'",
        bucket: Bucket { interval: Duration::from_millis(600), burst: 99 },
    },
];

#[test]
fn each_packet_passes_when_it_should() {
    let service = |Case { port, rate, .. }: &Case| {
        format!("[[service]]\nname = 's{port}'\nports = ['tcp/{port}']\nrate = {{ unit = 'connections', {rate} }}\n")
    };
    let config: String = CASES.iter().map(service).collect();
    let _quiet = quiet();
    in_each_cell(|cell| {
        let scene = Scene::new(cell, &config);
        let offer = |case: &Case| -> Offer<'_> {
            let (scene, port) = (&scene, case.port);
            let frame = move |number: u32, payload: &[u8]| {
                scene.from(1).tcp(1024 + number as u16, port, SYN).payload(payload).build()
            };
            (Load { at_once: 150, per_s: 100 }, Box::new(frame))
        };
        let passages = scene.offer(&CASES.iter().map(offer).collect::<Vec<_>>(), TIME);

        for (Case { name, bucket, .. }, passage) in CASES.iter().zip(passages) {
            let accuracy = passage.against(format!("{cell}: {name}"), *bucket);
            assert!(accuracy.is_right(), "{accuracy}");
            let first = passage.passed[0];
            let after = |time: &SystemTime| time.duration_since(first).unwrap_or_default();
            let at_once = bucket.burst as usize + 1;
            let later: Vec<Duration> = passage.passed.iter().skip(at_once).map(after).collect();
            println!("{cell}: {name}: {at_once} at once, then after {later:.2?}");
            for (number, after) in (1..).zip(later) {
                assert!(
                    after + TICK >= bucket.interval * number,
                    "{cell}: {name}: {number} too early, after {after:?}"
                );
            }
            for (passed, ideal) in passage.passed.iter().zip(bucket.ideal(&passage.sent)) {
                let late = passed.duration_since(ideal).unwrap_or_default();
                assert!(late < LATE, "{cell}: {name}: a packet passed {late:?} late");
            }
        }
    });
}
