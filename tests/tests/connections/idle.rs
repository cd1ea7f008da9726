//! Connections on which nothing is said for a time: they are closed, and no others.

use std::{
    thread,
    time::{Duration, Instant},
};

use guard_tests::{
    Counted,
    counted::{WEB, open},
    in_each_family,
    server::kept::SPEAK,
    wait::eventually,
};

use crate::scene::{SOON, close_lines, closed, wait_open};

const TIMEOUT: Duration = Duration::from_secs(2);
/// How much later a connection may be closed, with the time to see it.
const LATE: Duration = Duration::from_millis(1500);

#[test]
fn idle_connections_are_closed_and_others_are_not() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 3);
        let _server = counted.serve(WEB);
        let guard = counted.web("idle_timeout = '2s'");
        // Those that hear something from time to time, and those that say something.
        let mut hearing = counted.crowd(1, 10);
        hearing.wait_connected(10, SOON);
        hearing.say(SPEAK);
        let mut talking = counted.crowd(2, 10);
        talking.wait_connected(10, SOON);
        let mut idle = counted.crowd(3, 10);
        idle.wait_connected(10, SOON);
        let since = Instant::now();
        wait_open(&guard, &cell.to_string(), 30, SOON);
        let mut times = Vec::new();
        while times.len() < 10 && since.elapsed() < TIMEOUT + LATE {
            talking.say(b'.');
            times.extend((0..idle.ended()).map(|_| since.elapsed()));
            thread::sleep(Duration::from_millis(20));
        }
        println!("{cell}: closed after {times:?}");
        assert!(times.len() == 10 && times[0] + Duration::from_millis(100) >= TIMEOUT, "{cell}: {times:?}");
        assert_eq!((hearing.ended(), talking.ended()), (0, 0), "{cell}");
        assert_eq!((closed(&guard, "web", "idle"), open(&guard)), (10, 20), "{cell}");
        eventually("the log has them", SOON, || close_lines(&guard, "idle") == 10);
        let line = guard.wait_for_eve(|line| line["event_type"] == "close");
        assert_eq!(line["src_ip"], counted.client(3).to_string(), "{cell}: {line}");
        assert_eq!((&line["dest_port"], &line["guard"]["service"]), (&WEB.into(), &"web".into()), "{cell}: {line}");
        assert!(line["guard"]["idle_s"].as_u64() >= Some(2), "{cell}: {line}");

        // Who falls silent is idle from then on.
        eventually("those that talked are idle", SOON, || talking.ended() == 10 || open(&guard) == 10);
        assert_eq!((hearing.ended(), closed(&guard, "web", "idle")), (0, 20), "{cell}");
    });
}
