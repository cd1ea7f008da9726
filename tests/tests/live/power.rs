//! A power loss: the kernel has nothing, and the disk has everything.

use guard_tests::in_each_family;
use jiff::SignedDuration;
use serde_json::Value;

use super::{
    scene::{AUDIT, Scene, time},
    traffic::{EDITED_TO_DNS, OTHER_TO_WEB, Traffic},
};

#[test]
fn everything_that_was_added_live_is_back() {
    in_each_family(|cell| {
        let mut scene = Scene::new(cell);
        for command in [
            "allow add {3} --comment office --name office",
            "allow add {2} --service dns --ttl 1h --comment guest",
            "allow add 192.0.2.0/24 --service web",
            "block add 203.0.113.0/24 --comment scanners",
            "block add 203.0.113.7 2001:db8:7::/48 --for 2h --name night",
        ] {
            scene.done(command);
        }
        let before = ["allow", "block"].map(|list| scene.list(list));
        let status = scene.guard.status();
        assert_eq!((&status["grants"], &status["bans"]), (&1.into(), &2.into()), "{status:#}");
        scene.guard.down();
        let pins = scene.site.host().outside("/sys/fs/bpf/guard");
        assert!(!pins.exists(), "{cell}: pins are left");

        scene.restart();
        let after = ["allow", "block"].map(|list| scene.list(list));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.len(), after.len(), "{cell}: {before:#?} and {after:#?}");
            for (before, after) in before.iter().zip(after) {
                assert_same(before, after);
            }
        }
        let status = scene.guard.status();
        assert_eq!((&status["grants"], &status["bans"]), (&1.into(), &2.into()), "{status:#}");
        let traffic = Traffic::start(&scene, &[EDITED_TO_DNS, OTHER_TO_WEB]);
        traffic.finish(&scene);
        assert!(scene.site.host().read(AUDIT).lines().count() >= 7, "{cell}: five edits and two starts");
    });
}

/// An entry after a restart is the same, but for when it was last used, and where in a file it now stands.
#[track_caller]
fn assert_same(before: &Value, after: &Value) {
    for key in ["ip", "services", "added", "by", "comment", "name"] {
        assert_eq!(before[key], after[key], "{key} of {before:#}, after: {after:#}");
    }
    assert_eq!(before["expires"].is_null(), after["expires"].is_null(), "{before:#}, after: {after:#}");
    if !before["expires"].is_null() {
        let apart = time(&before["expires"]).duration_since(time(&after["expires"])).abs();
        assert!(apart <= SignedDuration::from_secs(1), "ends {apart} apart: {before:#}, after: {after:#}");
    }
}
