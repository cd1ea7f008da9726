//! Connections that guard did not see begin: they are counted, and cease to be when they end.

use std::time::Duration;

use guard_tests::{
    Counted, Counters,
    counted::{WEB, open},
    in_each_family,
    wait::eventually,
};

use crate::scene::{SOON, wait_open};

/// How soon what the kernel does not tell is found: by two looks.
const FOUND: Duration = Duration::from_secs(3);

#[test]
fn connections_older_than_guard_count_and_uncount() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 2);
        let _server = counted.serve(WEB);
        let mut older = counted.crowd(1, 30);
        older.wait_connected(30, SOON);
        let guard = counted.web("max_connections_per_source = 40");
        wait_open(&guard, &format!("{cell}: found"), 30, FOUND);
        let mut newer = counted.crowd(1, 30);
        newer.wait_connected(10, SOON);
        eventually("the rest is dropped", SOON, || Counters::read(&guard).packets("web drop connections") >= 20);
        assert_eq!((newer.give_up(), open(&guard)), (20, 40), "{cell}");
        older.close(25);
        wait_open(&guard, &format!("{cell}: older ones closed"), 15, FOUND);
        newer.close(10);
        wait_open(&guard, &format!("{cell}: newer ones closed"), 5, FOUND);
        older.reset(5);
        wait_open(&guard, &format!("{cell}: older ones reset"), 0, FOUND);
    });
}

#[test]
fn counts_outlive_the_daemon_and_what_happens_meanwhile_is_counted() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 2);
        let _server = counted.serve(WEB);
        let keys = "max_connections_per_source = 40";
        let mut older = counted.crowd(1, 10);
        older.wait_connected(10, SOON);
        let mut guard = counted.web(keys);
        wait_open(&guard, "found", 10, FOUND);
        let mut newer = counted.crowd(1, 20);
        newer.wait_connected(20, SOON);
        wait_open(&guard, "opened", 30, SOON);
        for end in ["SIGTERM", "SIGKILL"] {
            match end {
                "SIGTERM" => assert!(guard.stop().success()),
                _ => guard.kill(),
            }
            newer.close(5);
            older.close(2);
            let mut more = counted.crowd(1, 1);
            more.wait_connected(1, SOON);
            more.close(1);
            guard = counted.web(keys);
            let left = if end == "SIGTERM" { 23 } else { 16 };
            wait_open(&guard, &format!("{cell}: after {end}"), left, FOUND);
        }
        newer.close(10);
        older.close(6);
        wait_open(&guard, &format!("{cell}: all closed"), 0, FOUND);
    });
}
