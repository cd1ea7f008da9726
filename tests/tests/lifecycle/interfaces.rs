//! Interfaces that are missing, come, go, come back, are renamed, are several, or can't be guarded.

use std::{fs, time::Instant};

use guard_tests::{Guard, Host, Interface, Link, Options, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    hearing::{assert_only_listed, heard},
    scene::{
        LISTED, SOON, UNLISTED, assert_guarded, assert_nothing_left, connect, env_with, equip, guarded, options,
        two_hosts,
    },
};

fn named(interfaces: &str) -> Vec<(&str, &str)> {
    env_with("GUARD_INTERFACE", interfaces)
}

fn unguarded(guard: &Guard) -> Vec<Value> {
    guard.status()["unguarded"].as_array().expect("a status lists what is not guarded").clone()
}

/// Waits until the guard says that it guards just these interfaces.
#[track_caller]
fn wait_until_guarded(guard: &Guard, names: &[&str]) {
    wait::eventually(&format!("{names:?} are guarded"), SOON, || {
        guarded(guard).iter().map(|(name, _)| name.as_str()).eq(names.iter().copied())
    });
}

#[test]
fn missing_ones_are_refused_with_the_remedy() {
    let link = two_hosts();
    for (interfaces, missing) in [("eth9", &["eth9"][..]), ("eth0 eth9", &["eth9"]), ("eth8,eth9", &["eth8", "eth9"])] {
        let env = named(interfaces);
        let (code, errors) = Guard::expect_refusal(link.left.host(), Options { env: &env, ..Options::default() });
        assert_eq!(code, 78, "{interfaces}: {errors}");
        for name in missing {
            let line = errors.lines().find(|line| line.contains(&format!("interface `{name}` does not exist")));
            let line = line.unwrap_or_else(|| panic!("{interfaces}: `{name}` is not named: {errors}"));
            assert!(line.contains("GUARD_INTERFACE") && line.contains("`run --wait`"), "{interfaces}: {line}");
        }
        assert_nothing_left(&link.left, interfaces);
    }
}

#[test]
fn missing_ones_are_guarded_when_they_appear() {
    let (server, client) = (Host::new("server"), Host::new("client"));
    let env = named("eth0,eth1");
    let guard = Guard::run(&server, Options { env: &env, args: &["--wait"], ..Options::default() });
    assert_eq!(guarded(&guard), []);
    assert_eq!(unguarded(&guard).len(), 2);
    let first = connect(&server, "eth0", &client, "eth0");
    wait_until_guarded(&guard, &["eth0"]);
    assert_guarded(&first, "the first that appears");
    let second = Link::between(&server, "eth1", &client, "eth1");
    wait_until_guarded(&guard, &["eth0", "eth1"]);
    assert_only_listed(&second.right, &server, "eth1");
    assert_eq!(unguarded(&guard), [] as [Value; 0]);
}

#[test]
fn one_that_comes_back_is_guarded_again() {
    for mode in ["native", "generic"] {
        let link = two_hosts();
        let env = env_with("GUARD_XDP_MODE", mode);
        let mut guard = Guard::run(link.left.host(), Options { env: &env, ..Options::default() });
        let index = link.left.index();
        link.left.delete();
        wait_until_guarded(&guard, &[]);
        let gone = unguarded(&guard);
        assert!(gone.len() == 1 && gone[0]["name"] == "eth0", "{mode}: {gone:?}");
        let text = guard.ask(&["status"]).stdout.join("\n");
        assert!(text.contains("NOT guarding eth0: it does not exist"), "{mode}: {text}");

        let again = connect(link.left.host(), "eth0", link.right.host(), "eth0");
        assert_ne!(again.left.index(), index);
        let appeared = Instant::now();
        wait_until_guarded(&guard, &["eth0"]);
        assert!(appeared.elapsed().as_secs() < 2, "{mode}: guarded only after {:?}", appeared.elapsed());
        assert_eq!(guarded(&guard), [("eth0".to_owned(), mode.to_owned())]);
        assert_guarded(&again, mode);
        let blocked = guard.wait_for_eve(|event| event["guard"]["reason"] == "not_allowed");
        assert_eq!(blocked["in_iface"], "eth0", "{mode}: {blocked}");
        guard.down();
        assert_nothing_left(&again.left, mode);
    }
}

/// Tells whether some netlink socket of a host had no room for a message.
fn lost_news(host: &Host) -> bool {
    let sockets = host.enter(|| fs::read_to_string("/proc/thread-self/net/netlink"));
    let sockets = sockets.expect("the kernel lists netlink sockets");
    let mut drops = sockets.lines().skip(1).filter_map(|socket| socket.split_whitespace().nth(8));
    drops.any(|drops| drops != "0")
}

#[test]
fn one_that_comes_back_is_guarded_although_the_news_of_it_were_lost() {
    let link = two_hosts();
    let server = link.left.host();
    let mut guard = Guard::run(server, options());
    // More news than a netlink socket holds for a daemon that does not read.
    let churn = |number| format!("link set lo alias number{number}\n");
    let churn = server.write("churn", (0..1000).map(churn).collect::<String>());
    guard.signal(Signal::SIGSTOP);
    server.ip(&["-batch", churn.to_str().expect("the path is ASCII")]);
    assert!(lost_news(server), "the daemon's socket held all news");
    guard.signal(Signal::SIGCONT);
    link.left.delete();
    let again = connect(server, "eth0", link.right.host(), "eth0");
    wait_until_guarded(&guard, &["eth0"]);
    assert_guarded(&again, "after the churn");
}

#[test]
fn one_that_went_while_no_daemon_ran_is_guarded_again() {
    let link = two_hosts();
    let mut first = Guard::run(link.left.host(), options());
    first.kill();
    link.left.delete();
    let again = connect(link.left.host(), "eth0", link.right.host(), "eth0");
    let second = Guard::run(link.left.host(), options());
    assert_guarded(&again, "after the restart");
    drop(second);
}

#[test]
fn one_that_is_renamed_stays_guarded() {
    let link = two_hosts();
    let (server, client) = (link.left.host(), link.right.host());
    let guard = Guard::run(server, options());
    link.left.set_down();
    server.ip(&["link", "set", "eth0", "name", "wan0"]);
    server.ip(&["link", "set", "wan0", "up"]);
    wait::eventually("the status shows the new name", SOON, || guarded(&guard).iter().any(|(name, _)| name == "wan0"));
    assert_eq!(unguarded(&guard)[0]["name"], "eth0");
    assert_only_listed(&link.right, server, "wan0");

    let successor = Link::between(server, "eth0", client, "eth1");
    wait::eventually("its successor is guarded too", SOON, || guarded(&guard).len() == 2);
    assert_only_listed(&successor.right, server, "eth0");
    assert_only_listed(&link.right, server, "wan0");
}

#[test]
fn two_are_guarded_and_a_third_is_not() {
    let (server, client) = (Host::new("server"), Host::new("client"));
    let links = ["eth0", "eth1", "eth2"].map(|name| Link::between(&server, name, &client, name));
    let env = named("eth0 eth1");
    let mut guard = Guard::run(&server, Options { env: &env, ..Options::default() });
    wait_until_guarded(&guard, &["eth0", "eth1"]);
    assert_only_listed(&links[0].right, &server, "eth0");
    assert_only_listed(&links[1].right, &server, "eth1");
    assert_eq!(heard(&links[2].right, &server, "eth2"), [LISTED, UNLISTED].concat());
    guard.down();
    links.iter().for_each(|link| assert_nothing_left(&link.left, "after `guard down`"));
}

#[test]
fn ones_without_ethernet_are_refused() {
    let link = two_hosts();
    link.left.host().ip(&["tuntap", "add", "dev", "tun0", "mode", "tun"]);
    for (interfaces, why) in [
        ("lo", "loopback"),
        ("tun0", "is not Ethernet"),
        ("eth0 tun0", "is not Ethernet"),
        ("eth0 lo", "loopback"),
        ("*", "no physical Ethernet interface or bond"),
    ] {
        let env = named(interfaces);
        let (code, errors) = Guard::expect_refusal(link.left.host(), Options { env: &env, ..Options::default() });
        assert!(code == 78 && errors.contains(why), "{interfaces}: {code}: {errors}");
        assert_nothing_left(&link.left, interfaces);
    }
}

/// A bridge, whose driver takes no XDP program, with one port.
fn bridge() -> (Host, Interface) {
    let (server, client) = (Host::new("server"), Host::new("client"));
    let port = Link::between(&server, "port0", &client, "eth0");
    equip(&port);
    for command in ["link add br0 type bridge stp_state 0", "link set port0 master br0", "link set br0 up"] {
        server.ip(&command.split(' ').collect::<Vec<_>>());
    }
    (server, port.right)
}

#[test]
fn one_without_native_xdp_is_guarded_generically_by_default() {
    let (server, peer) = bridge();
    let env = named("br0");
    let guard = Guard::run(&server, Options { env: &env, ..Options::default() });
    assert_eq!(guarded(&guard), [("br0".to_owned(), "generic".to_owned())]);
    let log = guard.log();
    assert!(log.iter().any(|line| line.contains("`br0`") && line.contains("generic")), "{log:#?}");
    assert_only_listed(&peer, &server, "br0");
}

#[test]
fn one_without_native_xdp_is_refused_where_native_is_asked_for() {
    let (server, _peer) = bridge();
    let env = [named("br0"), vec![("GUARD_XDP_MODE", "native")]].concat();
    let (code, errors) = Guard::expect_refusal(&server, Options { env: &env, ..Options::default() });
    assert!(code == 1 && errors.contains("interface `br0` takes no program in native mode"), "{code}: {errors}");
    assert!(!server.outside("/sys/fs/bpf/guard").exists());
}
