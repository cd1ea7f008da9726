//! From nothing to enforcement, and starts that fail without a trace.

use guard_tests::{
    Guard, Link, Options,
    xdp::{Stranger, program_on},
};

use super::{
    scene::{
        SOON, UNLISTED, assert_guarded, assert_nothing_left, assert_open, env_with, guarded, options, pins, two_hosts,
    },
    traffic::Traffic,
};

/// A way to learn that a guard enforces, by name.
type Way = (&'static str, fn(&mut Guard));

const WAYS: [Way; 2] = [
    ("the log line", |guard| {
        guard.process().wait_for_line("guarding `eth0`", SOON);
    }),
    ("the status", Guard::wait_ready),
];

#[test]
fn no_stranger_passes_from_the_moment_it_says_so() {
    for mode in ["native", "generic"] {
        for (way, wait_until_told) in WAYS {
            let case = format!("{mode}, told by {way}");
            let link = two_hosts();
            let traffic = Traffic::start(&link);
            let started = traffic.round();
            let env = env_with("GUARD_XDP_MODE", mode);
            let mut guard = Guard::start(link.left.host(), Options { env: &env, ..Options::default() });
            wait_until_told(&mut guard);
            let told = traffic.round();
            traffic.go_on(300);
            assert_eq!(guarded(&guard), [("eth0".to_owned(), mode.to_owned())], "{case}");
            let arrivals = traffic.stop();
            arrivals.assert_strangers_before(started, &case);
            arrivals.assert_no_stranger_after(told, &case);
            arrivals.assert_every_listed(&case);
        }
    }
}

#[test]
fn what_it_makes_is_private() {
    let link = two_hosts();
    let guard = Guard::run(link.left.host(), options());
    let mode = |path: &str| {
        let listing = link.left.host().command("stat").args(["--format=%a %U:%G", path]).output();
        String::from_utf8(listing.expect("coreutils' `stat` can be started").stdout).expect("`stat` prints ASCII")
    };
    let socket = Guard::runtime_directory(link.left.host()).join("default.sock");
    for (path, expected) in [
        ("/sys/fs/bpf/guard", "700 root:root"),
        ("/sys/fs/bpf/guard/default", "700 root:root"),
        (socket.to_str().expect("the path is ASCII"), "660 root:root"),
    ] {
        assert_eq!(mode(path).trim(), expected, "{path}");
    }
    drop(guard);
}

/// A start that fails: its name, the variables that make it fail, and what is done before.
type Failure = (&'static str, &'static [(&'static str, &'static str)], fn(&Link));

#[test]
fn a_start_that_fails_leaves_nothing() {
    let cases: [Failure; 4] = [
        ("a socket that can't be made", &[], |link| {
            let socket = Guard::runtime_directory(link.left.host()).join("default.sock/in-the-way");
            link.left.host().write(socket, "");
        }),
        ("a block log that can't be opened", &[("GUARD_EVE_FILE", "/run/test/no/such/directory/eve.json")], |_| {}),
        ("a list that is no list", &[("ALLOWED_IPS_FILE", "list.json")], |link| {
            link.left.host().write(Guard::state_directory(link.left.host()).join("list.json"), "[\"10.0.0\"]");
        }),
        ("an interface that is missing", &[("GUARD_INTERFACE", "eth0,eth9")], |_| {}),
    ];
    for (case, variables, prepare) in cases {
        let link = two_hosts();
        prepare(&link);
        let env = variables.iter().fold(options().env.to_vec(), |mut env, (name, value)| {
            env.retain(|(other, _)| other != name);
            env.push((name, value));
            env
        });
        let (_, errors) = Guard::expect_refusal(link.left.host(), Options { env: &env, ..Options::default() });
        assert!(errors.contains("guard: "), "{case}: {errors}");
        assert_nothing_left(&link.left, case);
    }
}

#[test]
fn a_start_that_fails_halfway_lets_go_of_what_it_took() {
    let link = two_hosts();
    let other = Link::between(link.left.host(), "eth1", link.right.host(), "eth1");
    let stranger = Stranger::attach(&other.left);
    let env = env_with("GUARD_INTERFACE", "eth0,eth1");
    let both = Options { env: &env, ..Options::default() };
    let (code, errors) = Guard::expect_refusal(link.left.host(), both);
    assert!(code == 1 && errors.contains("interface `eth1` already has an XDP program"), "{code}: {errors}");
    assert_nothing_left(&link.left, "after the refusal");
    assert_open(&link, "after the refusal");
    drop(stranger);
    let guard = Guard::run(link.left.host(), both);
    assert_eq!(guarded(&guard).len(), 2);
}

#[test]
fn a_start_that_fails_halfway_replaces_no_program() {
    let link = two_hosts();
    let other = Link::between(link.left.host(), "eth1", link.right.host(), "eth1");
    let mut first = Guard::run(link.left.host(), options());
    first.kill();
    let program = program_on(&link.left);
    let _stranger = Stranger::attach(&other.left);
    let env = [("ALLOWED_IPS", UNLISTED[0]), ("GUARD_INTERFACE", "eth0,eth1"), ("GUARD_PORTS", "tcp/3000")];
    let (code, errors) = Guard::expect_refusal(link.left.host(), Options { env: &env, ..Options::default() });
    assert!(code == 1 && errors.contains("interface `eth1` already has an XDP program"), "{code}: {errors}");
    assert_eq!(program_on(&link.left), program);
    assert_guarded(&link, "after the refusal");
}

#[test]
fn a_start_that_fails_leaves_an_earlier_guard_in_force() {
    let link = two_hosts();
    let mut first = Guard::run(link.left.host(), options());
    first.kill();
    let program = program_on(&link.left);
    let env = env_with("GUARD_EVE_FILE", "/run/test/no/such/directory/eve.json");
    Guard::expect_refusal(link.left.host(), Options { env: &env, ..Options::default() });
    assert_eq!(program_on(&link.left), program);
    assert!(pins(link.left.host()).join("default").exists());
    assert_guarded(&link, "after the refusal");
}

#[test]
fn a_torn_policy_file_is_not_half_a_policy() {
    let link = two_hosts();
    let whole = "interfaces = ['eth0']\n[allow]\nips = ['10.0.0.2', '2001:db8::2']\n[[service]]\nname = 'web'\n\
                 ports = ['tcp/3000']\n";
    for length in [whole.len() - 3, whole.len() / 2] {
        let torn = Options { config: Some(&whole[..length]), ..Options::default() };
        let (code, errors) = Guard::expect_refusal(link.left.host(), torn);
        assert_eq!(code, 78, "{length} bytes of the file: {errors}");
        assert_nothing_left(&link.left, &format!("{length} bytes of the file"));
    }
    let guard = Guard::run(link.left.host(), Options { config: Some(whole), ..Options::default() });
    assert_guarded(&link, "the whole file");
    drop(guard);
}
