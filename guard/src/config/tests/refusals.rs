//! Nothing fails open: each refusal, with its place and its words, and all of them at once.

mod meaning;

use super::Setup;

const INTERFACES: &str = "interfaces = ['eth0']\n";
const ALLOW: &str = "allow.ips = ['10.0.0.0/8']\n";
const WEB: &str = "[[service]]\nname = 'web'\nports = ['tcp/80']\n";

/// Asserts that `INTERFACES`, `ALLOW` and then `text` from line 3 on are refused with just these faults.
#[track_caller]
fn refused(text: &str, faults: &[&str]) {
    refused_setup(&Setup::toml(&format!("{INTERFACES}{ALLOW}{text}")), faults);
}

#[track_caller]
fn refused_setup(setup: &Setup, faults: &[&str]) {
    match setup.load() {
        Ok(loaded) => panic!("accepted: {loaded:?}"),
        Err(found) => assert_eq!(found, faults),
    }
}

const NO_INTERFACE: &str = "no interface to guard: set GUARD_INTERFACE, or `interfaces` in guard.toml";
const NO_ALLOWLIST: &str = "no allowlist: set ALLOWED_IPS, or `ips` or `file` under [allow] in guard.toml, \
                            or `allow_empty = true` there to let nobody in";
const NO_PORT: &str = "no guarded port while `default` is `pass`: set GUARD_PORTS, \
                       or add a [[service]] or `default = \"drop\"` to guard.toml";

#[test]
fn nothing_at_all() {
    refused_setup(&Setup::empty(), &[NO_PORT, NO_ALLOWLIST, NO_INTERFACE]);
    refused_setup(&Setup::toml(""), &[NO_PORT, NO_ALLOWLIST, NO_INTERFACE]);
    refused_setup(
        &Setup::toml("interfaces = []\nservice = []\nallow.ips = []"),
        &[NO_PORT, NO_ALLOWLIST, NO_INTERFACE],
    );
}

#[test]
fn no_allowlist() {
    for allow in ["", "allow.ips = []\n", "allow_empty = false\n", "allow.ips = ['@none']\nsets.none = 'none.txt'\n"] {
        let setup = Setup::toml(&format!("{INTERFACES}{allow}{WEB}")).file("none.txt", "# nobody\n");
        refused_setup(&setup, &[NO_ALLOWLIST]);
        refused_setup(&setup.env("ALLOWED_IPS", " ,"), &[NO_ALLOWLIST]);
    }
    let setup = Setup::toml(&format!("{INTERFACES}{WEB}"));
    refused_setup(&setup.file("data/allowed_ips.json", "[]"), &[NO_ALLOWLIST]);
}

#[test]
fn a_broken_list_is_not_called_a_missing_one() {
    let setup = Setup::toml(&format!("{INTERFACES}{WEB}")).file("data/allowed_ips.json", "[");
    refused_setup(&setup, &["data/allowed_ips.json:1:1: not JSON: EOF while parsing a list"]);
    for (allow, fault) in [
        ("allow = ['10.0.0.1']\n", "guard.toml:2: key `allow`: `['10.0.0.1']` is a list, not a table"),
        ("allow.ips = '10.0.0.1'\n", "guard.toml:2: key `ips`: `'10.0.0.1'` is a string, not a list of strings"),
        ("allow.ips = ['10.0.0.1/x']\n", "guard.toml:2: prefix `10.0.0.1/x`: length `x` is not a number"),
        ("allow.ips = ['@x']\n", "guard.toml:2: set `@x` is not defined under [sets] in guard.toml"),
    ] {
        refused_setup(&Setup::toml(&format!("{INTERFACES}{allow}{WEB}")), &[fault]);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let setup = Setup { config: Some("no/such.toml".into()), env_file: Some("no/such.env".into()), ..Setup::empty() };
    refused_setup(&setup, &["no/such.env: the env-file: no such file", "no/such.toml: no such file"]);
    let setup = Setup::empty().file("default.toml/x", "").env("GUARD_MODE", "x");
    refused_setup(
        &setup,
        &[
            "environment variable GUARD_MODE: `x` is none of `enforce`, `monitor`",
            "default.toml: a directory, not a file",
        ],
    );
    let setup = Setup::toml(&format!("{INTERFACES}allow.file = 'data/allowed_ips.json'\n{WEB}"));
    refused_setup(&setup, &["guard.toml:2: list file `data/allowed_ips.json`: no such file"]);
}

#[test]
fn what_is_no_toml() {
    let text = "interfaces = ['eth0'\nmode = \nallow.ips = ['@office']\n";
    let faults = Setup::toml(text).env("ALLOWED_IPS", "@office, 10.0.0").load().unwrap_err();
    let (toml, rest): (Vec<_>, Vec<_>) = faults.into_iter().partition(|fault| fault.contains(": not TOML"));
    assert!(!toml.is_empty() && toml.iter().all(|fault| fault.starts_with("guard.toml:")), "{toml:?}");
    assert_eq!(rest, ["environment variable ALLOWED_IPS item 2: prefix `10.0.0`: neither an IPv4 nor an IPv6 address"]);
    refused(
        &format!("mode = 'enforce'\nmode = 'monitor'\n{WEB}"),
        &["guard.toml:4: not TOML at `mode`: duplicate key"],
    );
}

#[test]
fn unknown_keys() {
    let top = "allow, allow_empty, allow_wide, cgroup, control, default, deny, echo_rate, failsafe_ports, interfaces, log, mode, service, \
               sets, shared_addresses, trusted, xdp_mode";
    refused(
        &format!(
            "colour = 1\n{WEB}port = 1\n[allow2]\n[log]\nfile = 'x'\neve = {{ path = 'x', size = 1 }}\n[deny]\n\
            file = 'x'\n[trusted]\nip = 'x'"
        ),
        &[
            &format!("guard.toml:3: unknown key `colour`; known are {top}"),
            "guard.toml:7: unknown key `port` in [[service]]; known are allow, ban, idle_timeout, max_connections, max_connections_per_source, mode, name, ports, rate",
            &format!("guard.toml:8: unknown key `allow2`; known are {top}"),
            "guard.toml:10: unknown key `file` in [log]; known are eve, stdout",
            "guard.toml:11: unknown key `size` in `eve`; known are path",
            "guard.toml:13: unknown key `file` in [deny]; known are ips",
            "guard.toml:15: unknown key `ip` in [trusted]; known are ips",
        ],
    );
}

#[test]
fn keys_of_later_versions() {
    let text = "[[service]]\nname = 'web'\nports = ['tcp/80']\n[log]\njournald = true\n\
                anonymize = false\neve = { path = 'x', max_size = '1', keep = '1' }\n[metrics]\n[otlp]\n[tables]\n";
    let faults = Setup::toml(&format!("{INTERFACES}{ALLOW}{text}")).load().unwrap_err();
    for (line, key) in [
        (7, "journald` in [log]"),
        (8, "anonymize` in [log]"),
        (9, "max_size` in `eve`"),
        (9, "keep` in `eve`"),
        (10, "metrics`"),
        (11, "otlp`"),
        (12, "tables`"),
    ] {
        let fault = format!("guard.toml:{line}: unknown key `{key}: not supported by this version");
        assert!(faults.contains(&fault), "{fault} is not in {faults:#?}");
    }
    assert_eq!(faults.len(), 7, "{faults:#?}");
}

#[test]
fn wrong_types() {
    refused(
        "xdp_mode = 1\nmode = ['enforce']\ndefault = true\nfailsafe_ports = 22\nshared_addresses = [1.5]\n\
        allow_empty = 'no'\n\
         allow_wide = 2026-01-01\nsets = []\ndeny = 'x'\nlog = false\nservice = { name = 'web' }\n",
        &[
            "guard.toml:3: key `xdp_mode`: `1` is an integer, not a string",
            "guard.toml:4: key `mode`: `['enforce']` is a list, not a string",
            "guard.toml:5: key `default`: `true` is a boolean, not a string",
            "guard.toml:6: key `failsafe_ports`: `22` is an integer, not a list of strings",
            "guard.toml:7: key `shared_addresses`: `1.5` is a float, not a string",
            "guard.toml:8: key `allow_empty`: `'no'` is a string, not `true` or `false`",
            "guard.toml:9: key `allow_wide`: `2026-01-01` is a date, not `true` or `false`",
            "guard.toml:10: key `sets`: `[]` is a list, not a table",
            "guard.toml:11: key `deny`: `'x'` is a string, not a table",
            "guard.toml:12: key `log`: `false` is a boolean, not a table",
            "guard.toml:13: key `service`: `{ name = 'web' }` is a table, not a list of tables",
        ],
    );
}

#[test]
fn wrong_types_inside_tables() {
    refused(
        "service = ['web']\n[sets]\na = 1\n[log]\nstdout = 'yes'\neve = 'eve.json'",
        &[
            "guard.toml:3: key `service`: `'web'` is a string, not a table",
            "guard.toml:5: key `a`: `1` is an integer, not a string",
            "guard.toml:7: key `stdout`: `'yes'` is a string, not `true` or `false`",
            "guard.toml:8: key `eve`: `'eve.json'` is a string, not a table",
        ],
    );
    refused(
        "[[service]]\nname = 1\nports = 'tcp/80'\nallow = [1, 'any']\nmode = 'off'\n[log.eve]\npath = ''",
        &[
            "guard.toml:4: key `name`: `1` is an integer, not a string",
            "guard.toml:5: key `ports`: `'tcp/80'` is a string, not a list of strings",
            "guard.toml:6: key `allow`: `1` is an integer, not a string",
            "guard.toml:7: key `mode`: `off` is none of `enforce`, `monitor`",
            "guard.toml:9: key `path` is an empty path",
        ],
    );
    refused(
        &format!("{WEB}[log]\neve = {{}}"),
        &["guard.toml:7: key `eve` has no `path`: write `eve = { path = \"eve.json\" }`"],
    );
}

#[test]
fn bad_values() {
    refused(
        &format!(
            "xdp_mode = 'skb'\nmode = 'off'\ndefault = 'accept'\nfailsafe_ports = ['22']\n\
            shared_addresses = ['10.0.0.0/8', 'x']\n\
             deny.ips = ['any']\n{WEB}"
        ),
        &[
            "guard.toml:3: key `xdp_mode`: `skb` is none of `auto`, `native`, `generic`",
            "guard.toml:4: key `mode`: `off` is none of `enforce`, `monitor`",
            "guard.toml:5: key `default`: `accept` is none of `pass`, `drop`",
            "guard.toml:6: port `22` in `failsafe_ports`: write `tcp/22` or `udp/22`",
            "guard.toml:7: address `10.0.0.0/8` in `shared_addresses`: a prefix, where one address is wanted",
            "guard.toml:7: address `x` in `shared_addresses`: neither an IPv4 nor an IPv6 address",
            "guard.toml:8: `any` may stand only in the `allow` of a [[service]], which makes it public",
        ],
    );
}
