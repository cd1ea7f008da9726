//! What holds for a time ends in the kernel's time, also when nobody is there to end it.

use std::{
    thread,
    time::{Duration, Instant},
};

use guard_tests::{in_each_family, wait::eventually};
use jiff::Timestamp;

use super::{
    scene::{ANY_CELL, EDITED, ENTRIES, SOON, Scene, time},
    traffic::{EDITED_TO_DNS, EDITED_TO_WEB, Traffic},
};

const TTL: Duration = Duration::from_secs(4);
/// How much later than its end something may be seen to have ended: the kernel's coarse clock, and this test's own sleep.
const LATE: Duration = Duration::from_millis(250);

const EDITED_PASSES: [u8; 2] = [EDITED_TO_WEB, EDITED_TO_DNS];

#[test]
fn a_grant_ends_without_a_daemon() {
    in_each_family(|cell| {
        let mut scene = Scene::new(cell);
        let traffic = Traffic::start(&scene, &[]);
        assert_ends(&mut scene, traffic, "allow add {2} --ttl 4s", &EDITED_PASSES);
    });
}

#[test]
fn a_grant_of_a_service_ends_without_a_daemon() {
    in_each_family(|cell| {
        let mut scene = Scene::new(cell);
        let traffic = Traffic::start(&scene, &[]);
        assert_ends(&mut scene, traffic, "allow add {2} --service web --ttl 4s", &[EDITED_TO_WEB]);
    });
}

#[test]
fn a_ban_ends_without_a_daemon() {
    in_each_family(|cell| {
        let mut scene = Scene::new(cell);
        scene.done("allow add {2}");
        let traffic = Traffic::start(&scene, &EDITED_PASSES);
        assert_ends(&mut scene, traffic, "block add {2} --for 4s", &[]);
    });
}

/// Makes a change that ends by itself, and kills the daemon before that.
fn assert_ends(scene: &mut Scene, mut traffic: Traffic, command: &str, passing: &[u8]) {
    let cell = scene.site.cell;
    let (mut asked, mut answered) = (Instant::now(), Instant::now());
    traffic.change(command, passing, || {
        asked = Instant::now();
        scene.done(command);
        answered = Instant::now();
    });
    let list = command.split(' ').next().expect("a command has words");
    let expires = time(&scene.entry(list, EDITED)["expires"]);
    let left = Duration::try_from(expires.duration_since(Timestamp::now())).expect("it has not ended yet");
    assert!(left <= TTL && left + asked.elapsed() + Duration::from_secs(1) > TTL, "{cell}: {left:?} left");
    scene.guard.kill();

    let (earliest, latest) = (asked + TTL, answered + TTL + LATE);
    let end = traffic.time_of_end(EDITED_TO_WEB, latest + Duration::from_secs(1) - Instant::now());
    println!("{cell}: {command}: ended {:?} after it could", end.saturating_duration_since(earliest));
    assert!(end >= earliest, "{cell}: ended {:?} too early", earliest - end);
    assert!(end <= latest, "{cell}: ended {:?} too late", end - latest);
}

#[test]
fn what_has_ended_is_gone_from_lists_and_files() {
    let scene = Scene::new(ANY_CELL);
    scene.done("allow add {2} --ttl 2s");
    scene.done("block add {3} --for 2s");
    assert_eq!(scene.list("block").len(), 1);
    thread::sleep(Duration::from_secs(2));
    let gone = || scene.list("block").is_empty() && scene.guard.status()["grants"] == 0;
    eventually("both are swept", SOON, gone);
    let kept = || scene.site.host().read(ENTRIES);
    eventually("the file says so", SOON, || !kept().contains("198.51.100."));
}

#[test]
fn another_end_takes_the_place_of_the_first() {
    let scene = Scene::new(ANY_CELL);
    let mut traffic = Traffic::start(&scene, &[]);
    traffic.change("a short grant", &EDITED_PASSES, || scene.done("allow add {2} --ttl 2s"));
    let answer = scene.done("allow add {2} --ttl 1h");
    assert!(answer.contains("in place of what was there"), "{answer}");
    thread::sleep(Duration::from_secs(3));
    traffic.change("no grant", &[], || scene.done("allow remove {2}"));
    traffic.change("for good", &EDITED_PASSES, || {
        scene.done("allow add {2} --ttl 2s");
        scene.done("allow add {2}")
    });
    thread::sleep(Duration::from_secs(3));
    assert!(scene.entry("allow", EDITED)["expires"].is_null());
    traffic.finish(&scene);
}
