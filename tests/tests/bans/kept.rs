//! Bans and what is remembered of them outlive the daemon and the kernel.

use guard_tests::{client::Outcome, in_each_family, wait::eventually};

use crate::scene::{OTHER, SOON, Scene, duration_s};

const ENDS: [&str; 3] = ["SIGKILL", "SIGTERM", "a reboot"];

/// Ends the daemon, and in a reboot everything that it has in the kernel.
fn end(scene: &mut Scene, how: &str) {
    match how {
        "SIGKILL" => scene.guard.kill(),
        "SIGTERM" => assert!(scene.guard.stop().success()),
        _ => scene.guard.down(),
    }
}

#[test]
fn bans_outlive_kills_restarts_and_reboots() {
    in_each_family(|cell| {
        let mut scene = Scene::new(cell, "for = '1h', max = '2h'", "");
        scene.offend(1);
        let listed = scene.bans();
        for how in ENDS {
            end(&mut scene, how);
            if how != "a reboot" {
                assert_eq!(scene.connects(scene.client(1), OTHER), Outcome::TimedOut, "{cell}: {how}, no daemon");
            }
            scene.start_again();
            assert_eq!(scene.connects(scene.client(1), OTHER), Outcome::TimedOut, "{cell}: {how}, and a start");
            assert_eq!(scene.connects(scene.client(2), OTHER), Outcome::Connected, "{cell}: {how}, another client");
            assert_eq!(scene.bans(), listed, "{cell}: {how}, and a start");
        }
    });
}

#[test]
fn bans_end_without_a_daemon_and_are_remembered() {
    in_each_family(|cell| {
        let mut scene = Scene::new(cell, "for = '1s', factor = 2.0, max = '1m'", "");
        let mut line = scene.offend(1);
        for (past, how) in (0_u64..).zip(ENDS) {
            let lasts_s = 1 << past;
            assert_eq!((line["guard"]["past"].as_u64(), duration_s(&line)), (Some(past), lasts_s), "{cell}: {line}");
            end(&mut scene, how);
            let connects = |scene: &Scene| scene.connects(scene.client(1), OTHER) == Outcome::Connected;
            if how != "a reboot" {
                eventually(&format!("{cell}: its end, after {how}"), SOON, || connects(&scene));
            }
            scene.start_again();
            eventually(&format!("{cell}: it is gone, after {how}"), SOON, || scene.bans().is_empty());
            assert!(connects(&scene), "{cell}: it has ended, after {how}");
            // What a source owes ends with the kernel's tables, what it did does not.
            line = if how == "a reboot" { scene.offend(1) } else { scene.offend_again(1) };
        }
        assert_eq!((line["guard"]["past"].as_u64(), duration_s(&line)), (Some(3), 8), "{cell}: {line}");
    });
}
