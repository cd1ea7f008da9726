//! Each sentence of "nothing fails open", with the real binary.

use guard_tests::{Host, Link};

use super::faults::Case;

/// A policy in variables that lacks an allowlist.
const NO_ALLOWLIST: &[(&str, &str)] = &[("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000")];
/// A policy in variables that names a list file.
const LIST_FILE: &[(&str, &str)] =
    &[("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000"), ("ALLOWED_IPS_FILE", "list.json")];
/// A policy in variables that lacks a port.
const NO_PORT: &[(&str, &str)] = &[("GUARD_INTERFACE", "eth0"), ("ALLOWED_IPS", "10.0.0.2")];

fn assert_each_refused(cases: impl IntoIterator<Item = Case<'static>>) {
    let link = Link::between(&Host::new("server"), "eth0", &Host::new("client"), "eth0");
    cases.into_iter().for_each(|case| case.assert_refused(&link.left));
}

/// A case of variables alone.
const fn variables(
    name: &'static str,
    env: &'static [(&'static str, &'static str)],
    faults: &'static [&'static str],
) -> Case<'static> {
    Case { name, config: None, env, files: &[], faults }
}

/// A case of a list file.
const fn list(
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    faults: &'static [&'static str],
) -> Case<'static> {
    Case { name, config: None, env: LIST_FILE, files, faults }
}

/// A case of a policy file's services, with the rest of the policy in variables.
const fn services(name: &'static str, config: &'static str, faults: &'static [&'static str]) -> Case<'static> {
    Case { name, config: Some(config), env: NO_PORT, files: &[], faults }
}

/// A case of a policy file alone.
const fn file(name: &'static str, config: &'static str, faults: &'static [&'static str]) -> Case<'static> {
    Case { name, config: Some(config), env: &[], files: &[], faults }
}

#[test]
fn no_allowlist_and_no_port() {
    const MISSING: &str = "no allowlist: set ALLOWED_IPS";
    assert_each_refused([
        variables("no allowlist at all", NO_ALLOWLIST, &[MISSING]),
        variables(
            "an empty one",
            &[("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000"), ("ALLOWED_IPS", " , ")],
            &[MISSING],
        ),
        list("a list file without entries", &[("state/list.json", "[]")], &[MISSING]),
        variables(
            "no guarded port while the default is pass",
            NO_PORT,
            &["no guarded port while `default` is `pass`: set GUARD_PORTS"],
        ),
        variables(
            "no interface",
            &[("ALLOWED_IPS", "10.0.0.2"), ("GUARD_PORTS", "tcp/3000")],
            &["no interface to guard: set GUARD_INTERFACE"],
        ),
        variables("nothing at all", &[], &[MISSING, "no guarded port", "no interface to guard"]),
    ]);
}

#[test]
fn entries_that_are_no_prefixes() {
    assert_each_refused([
        variables(
            "in ALLOWED_IPS",
            &[
                ("GUARD_INTERFACE", "eth0"),
                ("GUARD_PORTS", "tcp/3000"),
                ("ALLOWED_IPS", "10.0.0.2,10.0.0.0/33 2001:db8::/129,10.0.0"),
            ],
            &[
                "environment variable ALLOWED_IPS item 2: prefix `10.0.0.0/33`: length over 32",
                "environment variable ALLOWED_IPS item 3: prefix `2001:db8::/129`: length over 128",
                "environment variable ALLOWED_IPS item 4: prefix `10.0.0`",
            ],
        ),
        list(
            "in a list file",
            &[("state/list.json", r#"["10.0.0.2", "10.0.0.300", {"ip": "example.org"}]"#)],
            &["state/list.json[1]: prefix `10.0.0.300`", "state/list.json[2]: prefix `example.org`"],
        ),
        list(
            "an expiry, which this version would not keep",
            &[("state/list.json", r#"[{"ip": "10.0.0.2", "expires": "2030-01-01"}]"#)],
            &["state/list.json[0]: key `expires` is `2030-01-01`, no time such as `2026-11-30T18:00:00Z`"],
        ),
        file(
            "in guard.toml",
            "interfaces = ['eth0']\n[allow]\nips = [\n  '10.0.0.2',\n  '10.0.0.2/x',\n]\n[deny]\nips = ['bad']\n\
             [[service]]\nname = 'web'\nports = ['tcp/80']\nallow = ['@office']\n",
            &[
                "default.toml:5: prefix `10.0.0.2/x`",
                "default.toml:8: prefix `bad`",
                "default.toml:12: set `@office` is not defined",
            ],
        ),
    ]);
}

#[test]
fn lists_that_are_unreadable_or_of_another_shape() {
    const SET: &str =
        "sets.office = 'office.txt'\n[[service]]\nname = 'web'\nports = ['tcp/80']\nallow = ['@office']\n";
    const SHAPE: &str = "state/list.json: another shape";
    assert_each_refused([
        variables(
            "a named file that is missing",
            LIST_FILE,
            &["environment variable ALLOWED_IPS_FILE: list file `/run/test/state/list.json`: no such file"],
        ),
        list("no JSON", &[("state/list.json", "[\"10.0.0.2\",\n  10.0.0.3]")], &["state/list.json:2:"]),
        list("cut short", &[("state/list.json", "[\"10.0.0.2\", \"10.0")], &["state/list.json:1:"]),
        list("an empty file", &[("state/list.json", "")], &["state/list.json: an empty file is no list"]),
        list("an object of another name", &[("state/list.json", r#"{"allowed": ["10.0.0.2"]}"#)], &[SHAPE]),
        list("a string", &[("state/list.json", r#""10.0.0.2""#)], &[SHAPE]),
        list("a number among entries", &[("state/list.json", r#"["10.0.0.2", 7]"#)], &["state/list.json[1]: "]),
        list("a directory", &[("state/list.json/file", "")], &["state/list.json: a directory, not a file"]),
        services("a set that is missing", SET, &["default.toml:1: set `office`: `/run/test/office.txt`: no such file"]),
        Case {
            name: "a set with a bad line",
            config: Some(SET),
            env: NO_PORT,
            files: &[("office.txt", "# the office\n10.1.0.0/16\n10.2.0.0/161\n")],
            faults: &["office.txt:3 (@office): prefix `10.2.0.0/161`"],
        },
    ]);
}

#[test]
fn unknown_names() {
    assert_each_refused([
        variables(
            "a misspelt variable",
            &[
                ("GUARD_INTERFACE", "eth0"),
                ("GUARD_PORT", "tcp/3000"),
                ("GUARD_PORTS", "tcp/3000"),
                ("ALLOWED_IPS", "10.0.0.2"),
            ],
            &["environment variable GUARD_PORT: unknown variable `GUARD_PORT`"],
        ),
        services(
            "misspelt keys",
            "intefaces = ['eth0']\n[alow]\nips = []\n[[service]]\nname = 'web'\nports = ['tcp/80']\nallows = []\n",
            &[
                "default.toml:1: unknown key `intefaces`",
                "default.toml:2: unknown key `alow`",
                "default.toml:7: unknown key `allows`",
            ],
        ),
        services(
            "sections of later versions",
            "[metrics]\nlisten = '127.0.0.1:9090'\n[log]\njournald = true\n[[service]]\n\
                          name = 'web'\nports = ['tcp/80']\n",
            &["`metrics`: not supported by this version", "`journald` in [log]: not supported"],
        ),
        variables(
            "words that are none",
            &[
                ("GUARD_INTERFACE", "eth0"),
                ("GUARD_PORTS", "tcp/3000"),
                ("ALLOWED_IPS", "10.0.0.2"),
                ("GUARD_MODE", "off"),
                ("GUARD_DEFAULT", "accept"),
                ("GUARD_XDP_MODE", "skb"),
            ],
            &["GUARD_MODE: `off` is none of", "GUARD_DEFAULT: `accept` is none of", "GUARD_XDP_MODE: `skb` is none of"],
        ),
    ]);
}

#[test]
fn ports_that_contradict_each_other() {
    const TWO: &str =
        "[[service]]\nname = 'a'\nports = ['tcp/80']\n[[service]]\nname = 'b'\nports = ['udp/80', 'tcp/80']\n";
    const SSH: &str = "[[service]]\nname = 'ssh'\nports = ['tcp/22']\n";
    assert_each_refused([
        services("a port in two services", TWO, &["default.toml:6: port `tcp/80` belongs to another service"]),
        services(
            "a failsafe port",
            SSH,
            &["default.toml:3: port `tcp/22` is a failsafe port, which passes before any list is asked: to \
                 guard it, write `failsafe_ports = []`"],
        ),
        Case {
            name: "GUARD_PORTS beside a service",
            config: Some("[[service]]\nname = 'web'\nports = ['tcp/80']\n"),
            env: &[("GUARD_INTERFACE", "eth0"), ("ALLOWED_IPS", "10.0.0.2"), ("GUARD_PORTS", "tcp/3000")],
            files: &[],
            faults: &["environment variable GUARD_PORTS: GUARD_PORTS beside a [[service]]"],
        },
        variables(
            "ports that are none",
            &[("GUARD_INTERFACE", "eth0"), ("ALLOWED_IPS", "10.0.0.2"), ("GUARD_PORTS", "3000 tcp/0 tcp/65536 sctp/1")],
            &["item 1: port `3000`", "item 2: port `tcp/0`", "item 3: port `tcp/65536`", "item 4: port `sctp/1`"],
        ),
    ]);
}

#[test]
fn rates_that_limit_nothing_or_cannot_be_kept() {
    const RATES: &str = "\
echo_rate = { unit = 'packets', limit = 10, window = '1s' }
[[service]]
name = 'web'
ports = ['tcp/80']
rate = [
  { unit = 'requests', limit = 100, window = '60s' },
  { unit = 'packets', limit = 0, window = 60, per = 'ip' },
  { unit = 'connections', window = '2y', burst = -1, per = { v4 = 33, v6 = 64 } },
  { unit = 'bytes', limit = '1000B', window = '1s' },
  { unit = 'packets', limit = 60000000, window = '1s' },
]
[[service]]
name = 'auth'
ports = ['tcp/81']
rate = { unit = 'bytes', limit = '64 kbit', window = '1s' }
";
    const PACKETS: &str = "{ unit = 'packets', limit = 1, window = '1s' },";
    let full = format!("[[service]]\nname = 'auth'\nports = ['tcp/81']\nrate = [{}]\n", PACKETS.repeat(4));
    let link = Link::between(&Host::new("server"), "eth0", &Host::new("client"), "eth0");
    let cases = [
        services(
            "rates of the file",
            RATES,
            &[
                "default.toml:1: unknown key `unit` in `echo_rate`",
                "default.toml:10: 5 limits in `rate`, over the limit of 4",
                "default.toml:6: key `unit`: `requests` is none of",
                "default.toml:7: key `limit`: `0` is under 1",
                "default.toml:7: key `window`: `60` is an integer, not a duration",
                "default.toml:7: key `per`: `ip` is none of",
                "default.toml:8: `rate` has no `limit`: write `limit = 100`",
                "default.toml:8: key `window`: `2y` is no duration",
                "default.toml:8: key `burst`: `-1` is under 0",
                "default.toml:8: key `v4`: `33` is over 32",
                "default.toml:9: `rate`: burst 999 lets no packet of 1514 bytes pass",
                "default.toml:10: `rate`: 60000000 packets in 1 s are over 50000000 a second",
                "default.toml:15: key `limit`: `64 kbit` is no size",
            ],
        ),
        variables(
            "rates of variables",
            &[
                ("GUARD_INTERFACE", "eth0"),
                ("GUARD_PORTS", "tcp/3000"),
                ("ALLOWED_IPS", "10.0.0.2"),
                ("RATE_LIMIT_MAX_REQUESTS", "-1"),
                ("RATE_LIMIT_WINDOW_MS", "60s"),
                ("AUTH_RATE_LIMIT_MAX", "0"),
                ("DATA_RATE_LIMIT_MAX", "many"),
            ],
            &[
                "RATE_LIMIT_MAX_REQUESTS: `-1` is under 1",
                "RATE_LIMIT_WINDOW_MS: `60s` is no whole number",
                "AUTH_RATE_LIMIT_MAX: `0` is under 1",
                "DATA_RATE_LIMIT_MAX: `many` is no whole number",
            ],
        ),
        Case {
            name: "a variable's limit beside four of the file",
            config: Some(&full),
            env: &[("GUARD_INTERFACE", "eth0"), ("ALLOWED_IPS", "10.0.0.2"), ("AUTH_RATE_LIMIT_MAX", "10")],
            files: &[],
            faults: &["AUTH_RATE_LIMIT_MAX: service `auth`"],
        },
    ];
    cases.into_iter().for_each(|case| case.assert_refused(&link.left));
}

#[test]
fn allowlists_that_are_too_wide() {
    assert_each_refused([
        variables(
            "everybody",
            &[("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000"), ("ALLOWED_IPS", "0.0.0.0/0,::/0")],
            &[
                "item 1: prefix `0.0.0.0/0`: the allowlist covers more IPv4 addresses than a /4",
                "item 2: prefix `::/0`: the allowlist covers more IPv6 addresses than a /4",
            ],
        ),
        variables(
            "two halves",
            &[("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000"), ("ALLOWED_IPS", "16.0.0.0/4 32.0.0.0/32")],
            &["the allowlist covers more IPv4 addresses than a /4 in all; `allow_wide = true` in guard.toml accepts \
                 it"],
        ),
        list(
            "together with the list file",
            &[("state/list.json", r#"["16.0.0.0/5", "24.0.0.0/5", "32.0.0.1"]"#)],
            &["the allowlist covers more IPv4 addresses than a /4"],
        ),
    ]);
}

#[test]
fn everything_at_once() {
    assert_each_refused([Case {
        name: "everything at once",
        config: Some(
            "interfaces = ['lo']\nmode = 'off'\ncolour = 'red'\n[allow]\nips = ['10.0.0']\n[[service]]\nname = 'web'\n\
             ports = ['tcp/22']\n",
        ),
        env: &[("ALLOWED_IPS", "10.0.0.0/33"), ("GUARD_PROTS", "tcp/1"), ("ALLOWED_IPS_FILE", "list.json")],
        files: &[("state/list.json", "{}")],
        faults: &[
            "environment variable ALLOWED_IPS item 1: prefix `10.0.0.0/33`: length over 32",
            "environment variable GUARD_PROTS: unknown variable",
            "default.toml:1: interface `lo`: the loopback",
            "default.toml:2: key `mode`: `off` is none of",
            "default.toml:3: unknown key `colour`",
            "default.toml:5: prefix `10.0.0`",
            "default.toml:8: port `tcp/22` is a failsafe port",
            "state/list.json: another shape",
        ],
    }]);
}
