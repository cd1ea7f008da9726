//! A cgroup that is removed and made anew while guard runs, as that of a service is when it is started again.

use guard_tests::{
    Counted, KeptServer,
    counted::{WEB, connections, service},
    in_each_family,
    wait::eventually,
};

use crate::scene::{SOON, wait_open};

#[test]
fn connections_in_it_count_again() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 1);
        let first = counted.cgroup.child("service");
        let policy = counted.policy(&service("max_connections_per_source = 5"));
        let policy = policy.replace(&format!("{:?}", counted.cgroup.path()), &format!("{:?}", first.path()));
        let mut server = KeptServer::start(counted.site.host(), &first, WEB);
        let guard = counted.site.guard(&policy);
        let mut before = counted.crowd(1, 3);
        before.wait_connected(3, SOON);
        wait_open(&guard, &format!("{cell}: before"), 3, SOON);
        server.kill();
        let path = first.path().display().to_string();
        drop(first);
        let warnings = || guard.status()["warnings"].to_string();
        eventually("it is told that it is gone", SOON, || warnings().contains(&path));

        let second = counted.cgroup.child("service");
        eventually("it is followed", SOON, || second.sock_ops() == 1);
        eventually("nothing is the matter any more", SOON, || !warnings().contains(&path));
        let _server = KeptServer::start(counted.site.host(), &second, WEB);
        let mut after = counted.crowd(1, 9);
        after.wait_connected(5, SOON);
        wait_open(&guard, &format!("{cell}: after"), 5, SOON);
        after.give_up();
        after.close(5);
        wait_open(&guard, &format!("{cell}: closed, {}", connections(&guard, "web")), 0, SOON);
    });
}
