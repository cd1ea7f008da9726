//! Limits with bursts shorter than the kernel's ticks, held against an ideal bucket with each packet's own time.

use std::time::Duration;

use guard_tests::{Load, in_each_family, load::Offer};

use super::{
    measure::{Accuracy, Bucket},
    scene::{Scene, quiet},
};

const TIME: Duration = Duration::from_secs(2);

/// Each limit's port, packets a second and burst.
const LIMITS: [(u16, u32, u32); 3] = [(3000, 500, 1), (4000, 2_000, 3), (5000, 10_000, 5)];

#[test]
fn short_bursts_are_measured_by_a_clock_that_is_fine_enough() {
    let service = |(port, per_s, burst): (u16, u32, u32)| {
        format!(
            "[[service]]\nname = 's{port}'\nports = ['udp/{port}']\n\
             rate = {{ unit = 'packets', limit = {per_s}, window = '1s', burst = {burst} }}\n"
        )
    };
    // In monitor mode the packets that are refused are seen as well, each with its time.
    let config = format!("mode = 'monitor'\n{}", LIMITS.map(service).concat());
    let _quiet = quiet();
    in_each_family(|cell| {
        let scene = Scene::new(cell, &config);
        let offers = LIMITS.map(|(port, per_s, _)| -> Offer<'_> {
            let scene = &scene;
            let frame = move |_, payload: &[u8]| scene.from(1).udp(1234, port).payload(payload).build();
            // Those of a millisecond come at once.
            (Load { at_once: 0, per_s: 2 * per_s }, Box::new(frame))
        });
        let passages = scene.offer(&offers, TIME);
        let counters = scene.counters();
        for ((port, per_s, burst), passage) in LIMITS.into_iter().zip(passages) {
            let [passed, refused] =
                ["pass allowed", "monitor rate_packets"].map(|row| counters.packets(&format!("s{port} {row}")));
            let accuracy = Accuracy {
                what: format!("{cell}: {per_s} a second, burst {burst}"),
                offered: passage.sent.len() as u64,
                expected: Bucket::per_s(per_s, burst).ideal(&passage.passed).len() as f64,
                passed,
            };
            assert!(accuracy.is_right(), "{accuracy}");
            assert_eq!(passed + refused, accuracy.offered, "{cell}: {counters:?}");
        }
    });
}
