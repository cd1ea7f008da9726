//! A thousand clients against a cap: as many connect as it says, and as many more as leave.

use guard_tests::{
    Counted, Counters, Crowd,
    counted::{WEB, open},
    in_each_cell, in_each_family,
    wait::eventually,
};

use crate::scene::{SOON, wait_open};

const CLIENTS: usize = 1000;
const CAP: usize = 100;

/// Connections beyond a service's cap, whose handshakes are under way when it is reached: of one thread that connects, hardly any.
const OVERSHOOT: usize = 10;

#[test]
fn as_many_connect_as_may_and_as_many_more_as_leave() {
    in_each_cell(|cell| {
        let counted = Counted::new(cell, 4);
        let _server = counted.serve(WEB);
        // The rest of the source's attempts are dropped; so are those of all sources together.
        let caps =
            [("per source", "max_connections_per_source = 100", 1), ("of the service", "max_connections = 100", 4)];
        for (cap, keys, clients) in caps {
            let case = format!("{cell}: {cap}");
            let mut guard = counted.web(keys);
            let sources = (0..CLIENTS).map(|number| counted.client(1 + number as u16 % clients));
            let mut crowd = Crowd::start(counted.site.peer(), sources, counted.site.at(WEB));
            crowd.wait_connected(CAP, SOON);
            // Twice: as they try again after a second.
            let dropped = || Counters::read(&guard).packets("web drop connections");
            eventually(&case, SOON, || dropped() >= 2 * (CLIENTS - CAP - OVERSHOOT) as u64);
            wait_open(&guard, &case, CAP as u64, SOON);
            let (refused, given_up) = (crowd.refused(), crowd.give_up());
            let overshoot = crowd.ended();
            println!("{case}: {overshoot} connected beyond it and were closed");
            assert_eq!((crowd.connected(), given_up, refused), (CAP, CLIENTS - CAP - overshoot, 0), "{case}");
            // Handshakes under way count for a source, but for no service.
            assert!(overshoot <= if clients == 1 { 0 } else { OVERSHOOT }, "{case}: {overshoot}");
            assert!(crowd.echoes(SOON), "{case}");

            crowd.close(30);
            wait_open(&guard, &case, CAP as u64 - 30, SOON);
            let before = dropped();
            let mut others = counted.crowd(1, 50);
            others.wait_connected(30, SOON);
            eventually(&case, SOON, || dropped() >= before + 20 - OVERSHOOT as u64);
            wait_open(&guard, &case, CAP as u64, SOON);
            let overshoot = others.ended();
            assert_eq!((others.connected(), crowd.ended()), (30, 0), "{case}: {overshoot} beyond it");

            drop((crowd, others));
            wait_open(&guard, &case, 0, SOON);
            guard.down();
        }
    });
}

#[test]
fn what_one_source_holds_is_no_other_ones_concern() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 2);
        let _server = counted.serve(WEB);
        let guard = counted.web("max_connections_per_source = 5\nmax_connections = 8");
        let mut first = counted.crowd(1, 20);
        first.wait_connected(5, SOON);
        let mut second = counted.crowd(2, 20);
        second.wait_connected(3, SOON);
        let dropped = || Counters::read(&guard).packets("web drop connections");
        eventually("all are decided", SOON, || dropped() >= 30);
        wait_open(&guard, "all places are taken", 8, SOON);
        let (given_up, beyond) = (first.give_up(), first.ended() + second.ended());
        second.give_up();
        println!("{cell}: {beyond} connected beyond the cap of the service");
        assert_eq!((given_up, first.connected(), second.connected()), (15, 5, 3), "{cell}");
        // The first source's places are the second's, which may have five itself.
        first.close(4);
        wait_open(&guard, "places", 4, SOON);
        let before = dropped();
        let mut third = counted.crowd(2, 20);
        third.wait_connected(2, SOON);
        eventually("all are decided", SOON, || dropped() >= before + 18);
        assert_eq!((third.connected(), open(&guard)), (2, 6), "{cell}");
    });
}
