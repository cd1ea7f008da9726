//! What is attached to the cgroup: nothing unless a policy needs it, and nothing that stays behind.

use guard_tests::{
    Cell, Counted, Family, Guard, Options,
    counted::{WEB, service},
    in_each_family,
    wait::eventually,
};
use nix::sys::signal::Signal;

use crate::scene::{SOON, wait_open};

const ANY_CELL: Cell = Cell { family: Family::V4, xdp_mode: "native" };
const PLAIN: &str = "rate = { unit = 'connections', limit = 1000, window = '1s' }";

#[test]
fn only_a_policy_that_needs_it_attaches_and_its_end_removes_it() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 1);
        let _server = counted.serve(WEB);
        let mut guard = counted.web(PLAIN);
        assert_eq!(counted.cgroup.sock_ops(), 0, "{cell}: attached without need");
        let mut older = counted.crowd(1, 3);
        older.wait_connected(3, SOON);
        let reload = |guard: &mut Guard, keys: &str, attached| {
            counted.site.host().write("default.toml", counted.site.config(&counted.policy(&service(keys))));
            let generation = guard.status()["generation"].as_u64();
            guard.signal(Signal::SIGHUP);
            eventually("it is reloaded", SOON, || guard.status()["generation"].as_u64() > generation);
            assert_eq!(guard.status()["last_reload"]["outcome"], "ok", "{cell}");
            assert_eq!(counted.cgroup.sock_ops(), attached, "{cell}: {keys}");
        };
        reload(&mut guard, "max_connections_per_source = 5", 1);
        wait_open(&guard, &format!("{cell}: what was open before"), 3, SOON);
        let mut crowd = counted.crowd(1, 20);
        crowd.wait_connected(2, SOON);
        wait_open(&guard, &format!("{cell}: a cap that is new"), 5, SOON);
        crowd.give_up();
        reload(&mut guard, "max_connections_per_source = 8", 1);
        let mut more = counted.crowd(1, 20);
        more.wait_connected(3, SOON);
        wait_open(&guard, &format!("{cell}: a cap that is higher"), 8, SOON);
        more.give_up();
        reload(&mut guard, PLAIN, 0);
        let mut all = counted.crowd(1, 30);
        all.wait_connected(30, SOON);
        // What ended meanwhile is no more, whoever looks.
        all.close(30);
        crowd.close(2);
        reload(&mut guard, "max_connections_per_source = 8", 1);
        wait_open(&guard, &format!("{cell}: a cap again"), 6, SOON);

        guard.kill();
        assert_eq!(counted.cgroup.sock_ops(), 1, "{cell}: it stays without a daemon");
        let mut guard = counted.web("max_connections = 100");
        assert_eq!(counted.cgroup.sock_ops(), 1, "{cell}: after another start");
        guard.down();
        assert_eq!(counted.cgroup.sock_ops(), 0, "{cell}: left behind");
    });
}

#[test]
fn two_guards_share_a_cgroup() {
    in_each_family(|cell| {
        let first = Counted::new(cell, 1);
        let second = Counted { cgroup: first.cgroup.child("second"), ..Counted::new(cell, 1) };
        let _servers = [first.serve(WEB), second.serve(WEB)];
        let mut guards = [
            first.web("max_connections_per_source = 5"),
            second.site.guard(&first.policy(&service("max_connections_per_source = 7"))),
        ];
        assert_eq!(first.cgroup.sock_ops(), 2, "{cell}");
        let mut crowds = [first.crowd(1, 20), second.crowd(1, 20)];
        for ((crowd, guard), cap) in crowds.iter_mut().zip(&guards).zip([5, 7]) {
            crowd.wait_connected(cap, SOON);
            wait_open(guard, &cell.to_string(), cap as u64, SOON);
        }
        guards[0].down();
        assert_eq!(first.cgroup.sock_ops(), 1, "{cell}");
        crowds.iter_mut().for_each(|crowd| _ = crowd.give_up());
        crowds[1].close(3);
        wait_open(&guards[1], &cell.to_string(), 4, SOON);
    });
}

#[test]
fn what_is_no_cgroup_is_a_fault_only_where_one_is_asked_for() {
    let counted = Counted::new(ANY_CELL, 1);
    let host = counted.site.host();
    host.write("no-cgroup/file", "");
    let config = |keys: &str| {
        counted
            .site
            .config(&counted.policy(&service(keys)))
            .replace(&format!("{:?}", counted.cgroup.path()), "'/run/test/no-cgroup'")
    };
    let asked_for = [
        "max_connections = 5",
        "max_connections_per_source = 5",
        "idle_timeout = '5m'",
        "rate = { unit = 'connections', limit = 10, window = '1s' }\nban = {}",
    ];
    for keys in asked_for {
        let (code, said) = Guard::expect_refusal(host, Options { config: Some(&config(keys)), ..Options::default() });
        assert_eq!(code, 78, "{keys}: {said}");
        assert!(said.contains("cgroup") && said.contains("/run/test/no-cgroup"), "{keys}: {said}");
    }
    let limits = [("RATE_LIMIT_WINDOW_MS", "60000"), ("RATE_LIMIT_MAX_REQUESTS", "100")];
    let guard = Guard::run(host, Options { config: Some(&config("")), env: &limits, ..Options::default() });
    let warnings = guard.status()["warnings"].to_string();
    assert!(warnings.contains("ban") && warnings.contains("/run/test/no-cgroup"), "{warnings}");
    drop(guard);
    let with_cgroup = counted.site.config(&counted.policy(&service("")));
    let guard = Guard::run(host, Options { config: Some(&with_cgroup), env: &limits, ..Options::default() });
    assert_eq!(counted.cgroup.sock_ops(), 1, "bans need to know who completes handshakes");
    drop(guard);
}
