//! What a source owes outlives reloads and restarts, as long as the limit is the same.

use std::thread;

use guard_tests::{Sniffer, Wire, in_each_family};

use super::scene::{SHORTLY, Scene, quiet};

/// Two services with a limit per source and one in all; `others` stands before them.
fn policy(others: &str, limit: u32) -> String {
    format!(
        "{others}\
         [[service]]\nname = 'auth'\nports = ['tcp/3000']\n\
         rate = {{ unit = 'connections', limit = {limit}, window = '15m' }}\n\
         [[service]]\nname = 'data'\nports = ['udp/4000']\n\
         rate = {{ unit = 'packets', limit = {limit}, window = '15m', per = 'service' }}\n"
    )
}

/// Of 15 SYNs and 15 datagrams from a source to the services, those that pass.
fn passed(scene: &Scene, source: u16) -> [u64; 2] {
    let mut probe = scene.probe();
    [scene.syns(source, 3000, 15), scene.datagrams(source, 4000, 15)].map(|frames| probe.passed(&frames))
}

/// Of some packets those that pass, without asking guard.
fn passed_unwatched(scene: &Scene, frames: &[Vec<u8>]) -> u64 {
    let sent = frames.to_vec();
    let seen = Sniffer::start(scene.site.host(), "eth0", move |frame| sent.iter().any(|sent| sent == frame));
    Wire::open(scene.site.peer(), "eth0").send_all(frames);
    thread::sleep(SHORTLY);
    seen.stop()
}

#[track_caller]
fn expect(scene: &Scene, what: &str, source: u16, expected: [u64; 2]) {
    let (cell, passed) = (scene.site.cell, passed(scene, source));
    println!("{cell}: {what}: of 15 passed {passed:?}, expected {expected:?}");
    assert_eq!(passed, expected, "{cell}: {what}");
}

#[test]
fn a_reload_keeps_what_is_owed_to_a_limit_unless_that_changes() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let scene = Scene::new(cell, &policy("", 10));
        expect(&scene, "at first", 1, [10, 10]);
        scene.reload(&policy("deny.ips = ['203.0.113.9']\n", 10));
        expect(&scene, "after another list", 1, [0, 0]);
        let other =
            "[[service]]\nname = 'a'\nports = ['udp/2000']\nrate = { unit = 'packets', limit = 9, window = '1s' }\n";
        scene.reload(&policy(other, 10));
        expect(&scene, "after another service", 1, [0, 0]);
        scene.reload(&policy("", 10));
        expect(&scene, "after that is gone", 1, [0, 0]);
        expect(&scene, "another source", 2, [10, 0]);

        scene.reload(&policy("", 12));
        expect(&scene, "with a limit of 12", 1, [12, 12]);
        expect(&scene, "with a limit of 12 again", 1, [0, 0]);
        scene.reload(&policy("", 10));
        expect(&scene, "with a limit of 10 again", 1, [10, 10]);
        scene.reload(&policy("", 10));
        expect(&scene, "with the same limit", 1, [0, 0]);
    });
}

#[test]
fn limits_hold_without_a_daemon_and_after_a_restart() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let mut scene = Scene::new(cell, &policy("", 10));
        expect(&scene, "at first", 1, [10, 10]);
        assert!(scene.guard.stop().success());
        scene.start_again();
        expect(&scene, "after SIGTERM", 1, [0, 0]);
        expect(&scene, "another source", 2, [10, 0]);
        scene.guard.kill();
        let passed = passed_unwatched(&scene, &scene.syns(3, 3000, 15));
        println!("{cell}: without a daemon: of 15 passed {passed}, expected 10");
        assert_eq!(passed, 10, "{cell}");
        scene.start_again();
        expect(&scene, "after SIGKILL", 1, [0, 0]);
        expect(&scene, "the other source", 2, [0, 0]);
        expect(&scene, "the source that came without a daemon", 3, [0, 0]);
        expect(&scene, "a fourth source", 4, [10, 0]);
        scene.reload(&policy("", 10));
        expect(&scene, "after a reload", 4, [0, 0]);
    });
}
