//! An interface that somebody else holds: refused, with who it is and what to do, and nothing is changed.

use std::path::Path;

use guard_tests::{
    Guard, Options, wait,
    xdp::{Stranger, program_on},
};

use super::scene::{SOON, assert_guarded, assert_nothing_left, guarded, options, pins, two_hosts};

#[test]
fn another_instance() {
    for mode in ["native", "generic"] {
        let link = two_hosts();
        let env = super::scene::env_with("GUARD_XDP_MODE", mode);
        let mut first = Guard::run(link.left.host(), Options { env: &env, ..Options::default() });
        let program = program_on(&link.left);
        let second = Options { instance: "second", ..options() };
        for daemon in ["with its daemon", "without its daemon"] {
            let case = format!("{mode}, {daemon}");
            let (code, errors) = Guard::expect_refusal(link.left.host(), second);
            let expected = "interface `eth0` is guarded by guard instance `default`: stop that one with `guard \
                            --instance default down`";
            assert!(code == 1 && errors.contains(expected), "{case}: {code}: {errors}");
            assert_eq!(program_on(&link.left), program, "{case}");
            assert!(!pins(link.left.host()).join("second").exists(), "{case}: pins are left");
            first.kill();
        }
        assert_guarded(&link, mode);
        first.down();
        let second = Guard::run(link.left.host(), second);
        assert_eq!(guarded(&second).len(), 1, "{mode}");
    }
}

#[test]
fn the_same_instance() {
    let link = two_hosts();
    let first = Guard::run(link.left.host(), options());
    let program = program_on(&link.left);
    // The pins are the kernel's, so that other directories do not make another guard.
    let elsewhere = ["--runtime-dir", "/run/test/elsewhere"];
    for (case, args) in [("the same directories", &[][..]), ("another runtime directory", &elsewhere)] {
        let (code, errors) = Guard::expect_refusal(link.left.host(), Options { args, ..options() });
        let expected = "guard instance `default` is already running";
        assert!(code == 1 && errors.contains(expected) && errors.contains("--instance"), "{case}: {code}: {errors}");
        assert_eq!(program_on(&link.left), program, "{case}");
        assert_eq!(guarded(&first).len(), 1, "{case}: the first one answers");
    }
}

#[test]
fn a_program_that_is_not_guards() {
    for mode in ["auto", "native", "generic"] {
        let link = two_hosts();
        let env = super::scene::env_with("GUARD_XDP_MODE", mode);
        let stranger = Stranger::attach(&link.left);
        let program = program_on(&link.left).expect("the stranger is attached");
        let (code, errors) = Guard::expect_refusal(link.left.host(), Options { env: &env, ..Options::default() });
        assert_eq!(code, 1, "{mode}: {errors}");
        for part in
            [&format!("interface `eth0` already has an XDP program (id {program}"), "ip link set dev eth0 xdp off"]
        {
            assert!(errors.contains(part), "{mode}: {errors}");
        }
        assert_eq!(program_on(&link.left), Some(program), "{mode}");
        assert!(!pins(link.left.host()).exists(), "{mode}: pins are left");
        drop(stranger);
        Guard::run(link.left.host(), Options { env: &env, ..Options::default() });
        assert_guarded(&link, mode);
    }
}

#[test]
fn two_instances_on_two_interfaces() {
    let link = two_hosts();
    let other = guard_tests::Link::between(link.left.host(), "eth1", link.right.host(), "eth1");
    let first = Guard::run(link.left.host(), options());
    let env = super::scene::env_with("GUARD_INTERFACE", "eth1");
    let mut second = Guard::run(link.left.host(), Options { env: &env, instance: "second", ..Options::default() });
    assert_eq!((guarded(&first).len(), guarded(&second).len()), (1, 1));
    second.down();
    assert_eq!(program_on(&other.left), None);
    assert!(first.ask(&["status"]).status.success());
    assert!(Path::exists(&pins(link.left.host()).join("default")));
}

#[test]
fn two_that_start_at_once() {
    for (case, names) in [("one instance", ["default", "default"]), ("two instances", ["one", "other"])] {
        let link = two_hosts();
        let mut guards = names.map(|instance| Guard::start(link.left.host(), Options { instance, ..options() }));
        let loser = wait::until(SOON, || guards.iter_mut().position(|guard| guard.process().exited().is_some()));
        let loser = loser.unwrap_or_else(|| panic!("{case}: both run"));
        assert_eq!(guards[loser].wait().code(), Some(1), "{case}: {:#?}", guards[loser].log());
        guards[1 - loser].wait_ready();
        assert_eq!(guarded(&guards[1 - loser]).len(), 1, "{case}");
        guards[1 - loser].down();
        assert_nothing_left(&link.left, case);
    }
}
