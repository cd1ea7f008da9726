//! Several limits on one service: a packet passes if all agree, and one that any refuses is charged to none.

use std::{thread, time::Duration};

use guard_tests::{frame::ACK, in_each_family};

use super::scene::{Scene, quiet};

/// 10 packets, and all of them again after the pause.
const PACKETS: &str = "{ unit = 'packets', limit = 10, window = '5s' }";
/// 5 connections, for good.
const CONNECTIONS: &str = "{ unit = 'connections', limit = 5, window = '1h' }";
/// 20 packets of 1,000 bytes, for good.
const BYTES: &str = "{ unit = 'bytes', limit = 20000, window = '1h', burst = 19999 }";
/// 28 packets of all sources, for good.
const IN_ALL: &str = "{ unit = 'packets', limit = 28, window = '1h', per = 'service' }";

const PAUSE: Duration = Duration::from_millis(5_200);

/// A service for each order of limits, from this port on.
const FIRST_PORT: u16 = 3000;

fn services(orders: &[Vec<&str>]) -> String {
    let service = |(port, limits): (u16, &Vec<&str>)| {
        let limits = limits.join(", ");
        format!("[[service]]\nname = 's{port}'\nports = ['tcp/{port}']\nrate = [{limits}]\n")
    };
    (FIRST_PORT..).zip(orders).map(service).collect()
}

/// So many packets of a connection, each so long from its IP header on.
fn segments(scene: &Scene, source: u16, port: u16, length: usize, count: usize) -> Vec<Vec<u8>> {
    let empty = || scene.from(source).tcp(1234, port, ACK);
    let headers = empty().build().len() - 14;
    vec![empty().payload(vec![0; length - headers]).build(); count]
}

#[test]
fn what_one_limit_refuses_is_charged_to_no_other() {
    let orders = [vec![PACKETS, CONNECTIONS], vec![CONNECTIONS, PACKETS]];
    let config = services(&orders);
    let _quiet = quiet();
    in_each_family(|cell| {
        let scene = Scene::new(cell, &config);
        let mut probe = scene.probe();
        for (port, limits) in (FIRST_PORT..).zip(&orders) {
            // Of 8 SYNs the connections' limit refuses 3, and those leave the packets' limit as it was.
            let passed =
                [scene.syns(1, port, 8), segments(&scene, 1, port, 100, 8)].map(|frames| probe.passed(&frames));
            println!("{cell}: {limits:?}: of 8 SYNs and 8 segments passed {passed:?}, expected [5, 5]");
            assert_eq!(passed, [5, 5], "{cell}: {limits:?}");
        }
        // Segments use up the packets' limit, which then refuses SYNs, and those leave the connections' limit as it was.
        let mut use_up =
            |port| [segments(&scene, 2, port, 100, 12), scene.syns(2, port, 30)].map(|frames| probe.passed(&frames));
        let before = [FIRST_PORT, FIRST_PORT + 1].map(&mut use_up);
        thread::sleep(PAUSE);
        for ((port, limits), [of_segments, of_syns]) in (FIRST_PORT..).zip(&orders).zip(before) {
            let later = probe.passed(&scene.syns(2, port, 8));
            println!(
                "{cell}: {limits:?}: of 12 segments and 30 SYNs passed {of_segments} and {of_syns}, of 8 SYNs later {later}"
            );
            assert_eq!((of_segments, of_syns + later), (10, 5), "{cell}: {limits:?}");
        }
    });
}

#[test]
fn four_limits_agree_or_nothing_passes() {
    let limits = [PACKETS, CONNECTIONS, BYTES, IN_ALL];
    let rotated = |by| {
        let mut limits = limits.to_vec();
        limits.rotate_left(by);
        limits
    };
    // Each limit is the last once.
    let orders: Vec<Vec<&str>> = (0..limits.len()).map(rotated).collect();
    let config = services(&orders);
    let _quiet = quiet();
    in_each_family(|cell| {
        let scene = Scene::new(cell, &config);
        let mut probe = scene.probe();
        let mut passed: Vec<Vec<u64>> = Vec::new();
        for port in (FIRST_PORT..).take(orders.len()) {
            passed.push(vec![
                // The packets' limit; the connections' one has no part in it.
                probe.passed(&segments(&scene, 1, port, 1000, 15)),
                // Of another source the connections' limit, and then the packets' one again.
                probe.passed(&scene.syns(2, port, 7)),
                probe.passed(&segments(&scene, 2, port, 1000, 9)),
            ]);
        }
        thread::sleep(PAUSE);
        for ((port, limits), mut passed) in (FIRST_PORT..).zip(&orders).zip(passed) {
            // Of 10 packets that the first source may send again, its 10,000 bytes are enough for 6.
            passed.push(probe.passed(&segments(&scene, 1, port, 1500, 9)));
            // For shorter ones there is room, but 26 have passed in all.
            passed.push(probe.passed(&segments(&scene, 1, port, 100, 9)));
            passed.push(probe.passed(&segments(&scene, 3, port, 100, 9)));
            println!("{cell}: {limits:?}: passed {passed:?}, expected [10, 5, 5, 6, 2, 0]");
            assert_eq!(passed, [10, 5, 5, 6, 2, 0], "{cell}: {limits:?}");
        }
        let counters = scene.counters();
        for port in (FIRST_PORT..).take(orders.len()) {
            let rows = ["pass allowed", "drop rate_connections"].map(|row| counters.packets(&format!("s{port} {row}")));
            assert_eq!(rows, [28, 2], "{cell}: {counters:?}");
        }
        let dropped: u64 = counters.with_verdict("drop").values().sum();
        assert_eq!(dropped, 4 * (15 + 7 + 9 + 9 + 9 + 9 - 28), "{cell}: {counters:?}");
    });
}
