//! What limits refuse is counted and reported under their reasons, and in monitor mode passes all the same.

use guard_tests::{
    Counters, Guard,
    frame::Icmp,
    in_each_family,
    sums::{Sums, number},
};

use super::scene::{Scene, quiet};

/// Packets of each kind, of which limits let [`PASS`] through.
const SENT: u64 = 300;
const PASS: u64 = 10;

/// Each reason, and the service whose limit gives it.
const REASONS: [(&str, Option<&str>); 4] =
    [("rate_packets", Some("p")), ("rate_bytes", Some("b")), ("rate_connections", Some("c")), ("rate_echo", None)];

fn config(mode: &str) -> String {
    format!(
        "mode = '{mode}'\n\
         echo_rate = {{ limit = {PASS}, window = '1h' }}\n\
         [[service]]\nname = 'p'\nports = ['udp/3000']\nrate = {{ unit = 'packets', limit = {PASS}, window = '1h' }}\n\
         [[service]]\nname = 'b'\nports = ['udp/4000']\nrate = {{ unit = 'bytes', limit = 10000, window = '1h' }}\n\
         [[service]]\nname = 'c'\nports = ['tcp/5000']\nrate = {{ unit = 'connections', limit = {PASS}, window = '1h' }}\n"
    )
}

/// Sends packets of each kind, in the order of [`REASONS`], and tells how many of each come through.
fn send(scene: &Scene) -> [u64; 4] {
    let count = SENT as usize;
    let empty = scene.from(1).udp(1234, 4000).build().len() - 14;
    let large = scene.from(1).udp(1234, 4000).payload(vec![0; 1000 - empty]).build();
    let request = scene.site.cell.pick(Icmp::echo_request_v4(1, 1), Icmp::echo_request_v6(1, 1));
    let kinds = [
        scene.datagrams(1, 3000, count),
        vec![large; count],
        scene.syns(1, 5000, SENT as u16),
        vec![scene.from(1).layer(request).build(); count],
    ];
    let mut probe = scene.probe();
    kinds.map(|frames| probe.passed(&frames))
}

/// Ends the guard and holds its counters and its log against what limits refused.
fn assert_reported(scene: &mut Scene, mode: &str, verdict: &str) {
    let cell = scene.site.cell;
    let counters = Counters::read(&scene.guard);
    let guard: &mut Guard = &mut scene.guard;
    assert!(guard.stop().success(), "{cell}: {mode}");
    let log = guard.eve();
    for (reason, service) in REASONS {
        let row = format!("{} {verdict} {reason}", service.unwrap_or("-"));
        assert_eq!(counters.packets(&row), SENT - PASS, "{cell}: {row}: {counters:?}");
        let lines: Vec<_> = log.iter().filter(|line| line["guard"]["reason"] == reason).collect();
        let counted: u64 = lines.iter().map(|line| number(&line["guard"]["count"])).sum();
        assert_eq!(counted, SENT - PASS, "{cell}: {reason}: {lines:?}");
        for line in lines {
            let of = (line["guard"]["mode"].as_str(), line["guard"]["service"].as_str());
            assert_eq!(of, (Some(mode), service), "{cell}: {line}");
            assert_eq!(line["src_ip"], scene.source(1).to_string(), "{cell}: {line}");
        }
    }
    let sums = Sums::of(&log);
    assert_eq!((sums.all(), sums.lost), (4 * (SENT - PASS), 0), "{cell}: {sums:?}");
}

#[test]
fn what_limits_refuse_is_counted_and_reported() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let mut scene = Scene::new(cell, &config("enforce"));
        let passed = send(&scene);
        println!("{cell}: of {SENT} packets each passed {passed:?}, expected {PASS}");
        assert_eq!(passed, [PASS; 4], "{cell}");
        assert_reported(&mut scene, "enforce", "drop");
    });
}

#[test]
fn in_monitor_mode_it_passes_all_the_same() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let mut scene = Scene::new(cell, &config("monitor"));
        let passed = send(&scene);
        println!("{cell}: of {SENT} packets each passed {passed:?}, expected all");
        assert_eq!(passed, [SENT; 4], "{cell}");
        assert_reported(&mut scene, "monitor", "monitor");
    });
}
