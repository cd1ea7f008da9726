//! Connections that end, in every way that there is: none is counted afterwards.

use std::time::Duration;

use guard_tests::{
    Counted, Crowd, Guard,
    counted::WEB,
    in_each_family,
    server::{KeptServer, kept::END},
};

use crate::scene::{SOON, wait_open};

/// How soon the end of a connection is counted.
const AT_ONCE: Duration = Duration::from_secs(1);
const COUNT: usize = 50;

type End = fn(&Counted, &mut Crowd, &mut KeptServer);

#[test]
fn every_end_is_counted() {
    // In this order: the last leaves no wire.
    let ends: [(&str, Duration, End); 6] = [
        ("closed by the clients", AT_ONCE, |_, crowd, _| crowd.close(COUNT)),
        ("reset by the clients", AT_ONCE, |_, crowd, _| crowd.reset(COUNT)),
        ("half closed by the clients, closed by the server", AT_ONCE, |_, crowd, _| crowd.shut(COUNT)),
        ("closed by the server, left open by the clients", AT_ONCE, |_, crowd, _| crowd.say(END)),
        ("by the server's death", AT_ONCE, |_, _, server| server.kill()),
        // The server asks after a second, and gives them up after another.
        ("given up by the server", SOON, |counted, _, _| counted.site.link.right.set_down()),
    ];
    in_each_family(|cell| {
        let counted = Counted::new(cell, 1);
        let guard = counted.web("max_connections = 100\nmax_connections_per_source = 60");
        for (end, limit, make_end) in ends {
            let case = format!("{cell}: {end}");
            let mut server = KeptServer::start_asking(counted.site.host(), &counted.cgroup, WEB);
            let mut crowd = open_some(&counted, &guard, &case);
            make_end(&counted, &mut crowd, &mut server);
            wait_open(&guard, &case, 0, limit);
        }
    });
}

#[test]
fn ends_are_counted_without_a_daemon() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 1);
        let _server = counted.serve(WEB);
        let keys = "max_connections = 100";
        let mut guard = counted.web(keys);
        let mut crowd = open_some(&counted, &guard, "at first");
        guard.kill();
        crowd.close(20);
        let mut more = counted.crowd(1, 10);
        more.wait_connected(10, SOON);
        let guard = counted.web(keys);
        wait_open(&guard, &format!("{cell}: after another start"), 40, AT_ONCE);
        crowd.close(30);
        more.close(10);
        wait_open(&guard, &format!("{cell}: all closed"), 0, AT_ONCE);
    });
}

#[test]
fn connections_count_before_they_are_accepted() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 1);
        let mut server = KeptServer::start_unaccepting(counted.site.host(), &counted.cgroup, WEB);
        let guard = counted.web("max_connections = 100");
        let mut crowd = open_some(&counted, &guard, &cell.to_string());
        crowd.reset(10);
        wait_open(&guard, &format!("{cell}: reset"), COUNT as u64 - 10, AT_ONCE);
        server.kill();
        wait_open(&guard, &format!("{cell}: by the server's death"), 0, AT_ONCE);
    });
}

fn open_some(counted: &Counted, guard: &Guard, case: &str) -> Crowd {
    let mut crowd = counted.crowd(1, COUNT);
    crowd.wait_connected(COUNT, SOON);
    wait_open(guard, case, COUNT as u64, AT_ONCE);
    crowd
}
