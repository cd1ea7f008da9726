//! A guard whose tables have one layout is replaced by one whose have another, under traffic.

use std::path::{Path, PathBuf};

use guard_tests::{
    Guard,
    guard::{binary, other_layout},
    in_each_cell,
    sums::Sums,
    xdp::program_on,
};
use serde_json::Value;

use super::{
    scene::{Scene, packets},
    traffic::Traffic,
};

/// An end of a daemon by name.
type Way = (&'static str, fn(&mut Guard));

const SIGTERM: Way = ("SIGTERM", |guard| assert!(guard.stop().success()));
const SIGKILL: Way = ("SIGKILL", Guard::kill);

/// The layout of either build, by name.
fn layouts() -> [(&'static str, PathBuf); 2] {
    [("one", binary()), ("another", other_layout())]
}

#[test]
fn ended_and_replaced_by_another_layout() {
    in_each_cell(|cell| {
        let [(_, one), (_, another)] = layouts();
        succession(&Scene::new(cell), SIGTERM, &[&one, &another], &format!("{cell}, forth"));
        succession(&Scene::new(cell), SIGTERM, &[&another, &one], &format!("{cell}, back"));
    });
}

#[test]
fn killed_and_replaced_by_another_layout() {
    in_each_cell(|cell| {
        let [(_, one), (_, another)] = layouts();
        succession(&Scene::new(cell), SIGKILL, &[&one, &another], &format!("{cell}, forth"));
        succession(&Scene::new(cell), SIGKILL, &[&another, &one], &format!("{cell}, back"));
    });
}

#[test]
fn replaced_back_and_forth() {
    in_each_cell(|cell| {
        let [(_, one), (_, another)] = layouts();
        let binaries = [&one, &another, &one, &one, &another].map(PathBuf::as_path);
        succession(&Scene::new(cell), SIGTERM, &binaries, &format!("{cell}, back and forth"));
    });
}

/// Runs one guard after the other under traffic, each of which is ended in a way, but for the last.
#[track_caller]
fn succession(scene: &Scene, (way, end): Way, binaries: &[&Path], case: &str) {
    let case = &format!("{case}, {way}");
    let (first, others) = binaries.split_first().expect("there is a first");
    let mut guard = scene.guard(first);
    assert_eq!(scene.pass_limits(&guard), [10, 10], "{case}: of 15 under limits of 10");
    let refused = packets(&guard, "auth drop rate_connections") + packets(&guard, "data drop rate_packets");
    assert_eq!(refused, 10, "{case}: beyond limits");
    let traffic = Traffic::start(scene);
    let mut log = Vec::new();
    for binary in others {
        let program = program_on(scene.site.guarded()).expect("a program is attached");
        end(&mut guard);
        traffic.go_on(200);
        assert_eq!(program_on(scene.site.guarded()), Some(program), "{case}: the program stays");
        log.extend(guard.eve());
        let former = std::mem::replace(&mut guard, scene.guard(binary));
        assert_ne!(program_on(scene.site.guarded()), Some(program), "{case}: the program is another");
        assert_no_table_lost(&guard, case);
        drop(former);
        traffic.go_on(200);
    }
    let ended = traffic.end(&guard, case);
    println!("{case}: {} rounds", ended.rounds);
    assert_eq!(scene.pass_limits(&guard), [0, 0], "{case}: limits are used up still");
    if way == SIGTERM.0 {
        assert!(guard.stop().success(), "{case}");
        log.extend(guard.eve());
        assert_log(&log, refused + ended.dropped() + 30, case);
    }
}

/// Asserts that a guard's log does not say that something could not be taken over.
#[track_caller]
fn assert_no_table_lost(guard: &Guard, case: &str) {
    let log = guard.log();
    let lost: Vec<_> = log.iter().filter(|line| line.contains("not taken over")).collect();
    assert!(lost.is_empty(), "{case}: {lost:#?}");
}

/// Asserts that the lines of all guards together stand for so many packets.
#[track_caller]
fn assert_log(log: &[Value], dropped: u64, case: &str) {
    assert_eq!(Sums::of(log).all(), dropped, "{case}: lines, merged and lost");
}
