//! Caps, idle timeouts and bans, from `guard.toml` and from the guarded applications' variables.

use super::{Setup, cgroup, in_cgroup};

/// Ends inside of a service, at line 6, so that what follows is line 7.
const WEB: &str = "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\n[[service]]\nname = 'web'\nports = ['tcp/80']\n\
                   rate = { unit = 'connections', limit = 100, window = '60s' }\n";
const NOT_SEEN: &str = "new connections are counted, for the requests inside one cannot be seen; what goes over the limit is \
                        dropped";

/// The services' names, and what their connections are held to in words.
#[track_caller]
fn connections(setup: &Setup) -> Vec<(String, String)> {
    let services = setup.load().unwrap().policy.services;
    services.into_iter().map(|service| (service.name, service.connections.to_string())).collect()
}

#[track_caller]
fn assert_connections(setup: &Setup, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned())).collect();
    assert_eq!(connections(setup), expected);
}

#[test]
fn every_form_is_read() {
    for (keys, expected) in [
        ("", "none"),
        ("max_connections = 100", "at most 100 in all"),
        (
            "max_connections = 1_000_000\nmax_connections_per_source = 4095",
            "at most 1000000 in all, at most 4095 per source",
        ),
        ("idle_timeout = '5m'", "closed when idle for 5 min"),
        ("idle_timeout = '1500ms'", "closed when idle for 1500 ms"),
        ("ban = {}", "bans after 5 violations in 60 s for 15 min, x2 up to 1 d"),
        (
            "ban = { after = 1, within = '1s', for = '1h', factor = 1.5, max = '366d', widen = 256 }",
            "bans after 1 violation in 1 s for 1 h, x1.5 up to 366 d, wider from 256 offenders on",
        ),
        ("ban = { for = '2d' }", "bans after 5 violations in 60 s for 2 d"),
        ("ban = { factor = 0x10 }", "bans after 5 violations in 60 s for 15 min, x16 up to 1 d"),
        ("ban = { factor = 1 }", "bans after 5 violations in 60 s for 15 min"),
        ("ban = { factor = 100, max = '15m' }", "bans after 5 violations in 60 s for 15 min"),
        (
            "max_connections = 1\nidle_timeout = '1s'\n[service.ban]\nwiden = 2",
            "at most 1 in all, closed when idle for 1 s, bans after 5 violations in 60 s for 15 min, x2 up to 1 d, wider \
             from 2 offenders on",
        ),
    ] {
        let setup = in_cgroup(&format!("{WEB}{keys}\n"));
        assert_connections(&setup, &[("web", expected)]);
        assert!(setup.warnings().is_empty(), "{keys}: {:?}", setup.warnings());
    }
}

#[test]
fn bad_values() {
    for (keys, faults) in [
        ("max_connections = 0", &["key `max_connections`: `0` is under 1"][..]),
        ("max_connections = 1000001", &["key `max_connections`: `1000001` is over 1000000"]),
        ("max_connections_per_source = 4096", &["key `max_connections_per_source`: `4096` is over 4095"]),
        (
            "max_connections_per_source = '20'",
            &["key `max_connections_per_source`: `'20'` is a string, not an integer"],
        ),
        ("idle_timeout = '999ms'", &["key `idle_timeout`: `999ms` is not from 1 s to 366 days"]),
        ("idle_timeout = 300", &["key `idle_timeout`: `300` is an integer, not a duration such as \"5m\""]),
        ("ban = true", &["key `ban`: `true` is a boolean, not a table"]),
        (
            "ban = { after = 0, within = '0s', for = '367d', factor = 0.9, max = 1, widen = 1, duration = '1h' }",
            &[
                "key `for`: `367d` is not from 1 s to 366 days",
                "key `after`: `0` is under 1",
                "key `within`: `0s` is not from 1 s to 366 days",
                "key `factor`: `0.9` is not from 1 to 100",
                "key `max`: `1` is an integer, not a duration such as \"5m\"",
                "key `widen`: `1` is under 2",
                "unknown key `duration` in `ban`; known are after, factor, for, max, widen, within",
            ],
        ),
        (
            "ban = { after = 1001, factor = 101, widen = 257 }",
            &[
                "key `after`: `1001` is over 1000",
                "key `factor`: `101` is not from 1 to 100",
                "key `widen`: `257` is over 256",
            ],
        ),
        ("ban = { factor = nan }", &["key `factor`: `nan` is not from 1 to 100"]),
        ("ban = { factor = '2' }", &["key `factor`: `'2'` is a string, not a number"]),
        ("ban = { max = '14m' }", &["`ban`: `max`, the longest ban, is shorter than `for`, the first one"]),
    ] {
        let expected: Vec<String> = faults.iter().map(|fault| format!("guard.toml:8: {fault}")).collect();
        assert_eq!(in_cgroup(&format!("{WEB}{keys}\n")).load().unwrap_err(), expected, "{keys}");
    }
}

#[test]
fn a_ban_needs_a_limit_that_proves_it() {
    let unrated =
        WEB.replace("rate = {", "rate2 = {").lines().take(5).map(|line| format!("{line}\n")).collect::<String>();
    let unproven = "guard.toml:4: service `web` has a `ban`, but no limit that proves who goes beyond it: one of `unit = \
                    \"connections\"`, per source or prefix (IPv6: /64 or shorter)";
    let limit =
        |unit: &str, per: &str| format!("rate = {{ unit = '{unit}', limit = 9, window = '1s', per = {per} }}\n");
    for (rate, is_proven) in [
        (String::new(), false),
        ("rate = []\n".to_owned(), false),
        (limit("connections", "'source'"), true),
        (limit("connections", "{ v4 = 24, v6 = 48 }"), true),
        (limit("connections", "{ v4 = 32, v6 = 65 }"), false),
        (limit("connections", "'service'"), false),
        (limit("packets", "'source'"), false),
    ] {
        let setup = in_cgroup(&format!("{unrated}{rate}ban = {{}}\n"));
        match is_proven {
            true => assert!(setup.load().is_ok(), "{rate}"),
            false => assert_eq!(setup.load().unwrap_err(), [unproven], "{rate}"),
        }
    }
    // Limits of variables prove as well.
    let unrated = in_cgroup(&format!("{unrated}ban = {{}}\n"));
    let words = "bans after 5 violations in 60 s for 15 min, x2 up to 1 d";
    assert_connections(
        &unrated.env("RATE_LIMIT_MAX_REQUESTS", "10").env("RATE_LIMIT_WINDOW_MS", "1000"),
        &[("web", words)],
    );
    let auth = WEB.replace("web", "auth").lines().take(5).map(|line| format!("{line}\n")).collect::<String>();
    assert_connections(&in_cgroup(&format!("{auth}ban = {{}}\n")).env("AUTH_RATE_LIMIT_MAX", "10"), &[("auth", words)]);
    // Of a limit that is refused it is not known whether it would prove anything.
    let refused = in_cgroup(&format!("{auth}rate = {{ unit = 'connections', limit = 9 }}\nban = {{}}\n"));
    assert_eq!(refused.load().unwrap_err(), ["guard.toml:7: `rate` has no `window`: write `window = \"60s\"`"]);
}

#[test]
fn only_tcp_has_connections_to_hold() {
    let udp = WEB.replace("tcp/80", "udp/80");
    for key in ["max_connections = 1", "max_connections_per_source = 1", "idle_timeout = '1s'", "ban = {}"] {
        let name = key.split(' ').next().unwrap();
        let fault = format!("guard.toml:4: service `web` has no TCP port, and `{name}` is about nothing else");
        assert_eq!(in_cgroup(&format!("{udp}{key}\n")).load().unwrap_err(), [fault]);
        assert!(in_cgroup(&format!("{}{key}\n", WEB.replace("'tcp/80'", "'udp/80', 'tcp/80'"))).load().is_ok());
    }
}

#[test]
fn a_monitored_service_says_that_it_bans_nobody() {
    for (text, warned) in [
        (format!("mode = 'monitor'\n{WEB}ban = {{}}\n"), true),
        (format!("{WEB}mode = 'monitor'\nban = {{}}\n"), true),
        (format!("mode = 'monitor'\n{WEB}mode = 'enforce'\nban = {{}}\n"), false),
        (format!("{WEB}mode = 'monitor'\nmax_connections = 1\n"), false),
    ] {
        let expected: &[&str] = if warned { &["service `web` bans nobody: its mode is `monitor`"] } else { &[] };
        assert_eq!(in_cgroup(&text).warnings(), expected, "{text}");
    }
}

#[test]
fn a_cgroup_is_needed_where_connections_are() {
    let mounted = cgroup();
    let none = |path: &str, needs: &str| {
        format!(
            "`{needs}` needs `cgroup`, in which connections are counted: `{path}` is no directory of a cgroup v2 \
             hierarchy; one is mounted at `{mounted}`: `cgroup = \"{mounted}\"` at the top of guard.toml takes it"
        )
    };
    let with = |path: &str, keys: &str| Setup::toml(&format!("cgroup = '{path}'\n{WEB}{keys}\n"));
    assert_eq!(
        with("/proc", "max_connections = 1").load().unwrap_err(),
        [format!("guard.toml:1: {}", none("/proc", "max_connections"))]
    );
    let file = format!("{mounted}/cgroup.procs");
    assert_eq!(
        with(&file, "idle_timeout = '1m'").load().unwrap_err(),
        [format!("guard.toml:1: {}", none(&file, "idle_timeout"))]
    );
    let gone =
        "guard.toml:1: `ban` needs `cgroup`, in which connections are counted: `/no/such`: No such file or directory";
    assert_eq!(with("/no/such", "ban = {}").load().unwrap_err(), [gone]);
    assert_eq!(
        with("/proc", "").env("TCP_MAX_CONNECTIONS", "9").load().unwrap_err(),
        [format!("guard.toml:1: {}", none("/proc", "TCP_MAX_CONNECTIONS"))]
    );
    // Where nothing needs it, it may be anything but nonsense.
    assert!(with("/proc", "").load().is_ok());
    for path in ["sys/fs/cgroup", "./x"] {
        let fault = format!("guard.toml:1: key `cgroup`: `{path}` does not begin with `/`");
        assert_eq!(with(path, "max_connections = 1").load().unwrap_err(), [fault]);
    }
    assert_eq!(with("", "").load().unwrap_err(), ["guard.toml:1: key `cgroup` is an empty path"]);
    let loaded = with(&mounted, "max_connections = 1").load().unwrap();
    assert_eq!(loaded.policy.cgroup.to_str(), Some(&*mounted));
    assert!(loaded.policy.tracks_connections());
}

#[test]
fn the_applications_rate_limit_bans_for_one_window() {
    let services = "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\n[[service]]\nname = 'web'\nports = ['tcp/80']\n\
                    [[service]]\nname = 'own'\nports = ['tcp/81']\nban = { after = 2 }\n\
                    [[service]]\nname = 'dns'\nports = ['udp/53']\n\
                    [[service]]\nname = 'auth'\nports = ['tcp/82']\n";
    let with = |setup: Setup| {
        setup.env("RATE_LIMIT_MAX_REQUESTS", "50").env("RATE_LIMIT_WINDOW_MS", "90000").env("AUTH_RATE_LIMIT_MAX", "5")
    };
    let setup = with(in_cgroup(services));
    assert_connections(
        &setup,
        &[
            ("web", "bans after 1 violation in 90 s for 90 s"),
            ("own", "bans after 2 violations in 60 s for 15 min, x2 up to 1 d"),
            ("dns", "none"),
            ("auth", "none"),
        ],
    );
    assert_eq!(setup.warnings(), [format!("environment variable AUTH_RATE_LIMIT_MAX: {NOT_SEEN}")]);

    let off = with(Setup::toml(&format!("cgroup = '/no/such'\n{}", services.replace("ban = { after = 2 }\n", ""))));
    assert_connections(&off, &[("web", "none"), ("own", "none"), ("dns", "none"), ("auth", "none")]);
    assert!(!off.load().unwrap().policy.tracks_connections());
    let why = "environment variable RATE_LIMIT_MAX_REQUESTS: bans are off, for nobody's connections can be known: \
               `/no/such`: No such file or directory";
    assert_eq!(off.warnings()[0], why);
}

#[test]
fn the_applications_variables_hold_the_services_named_after_them() {
    let both = "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\n\
                [[service]]\nname = 'tcp'\nports = ['tcp/9500']\nmax_connections = 7\nidle_timeout = '7s'\n\
                [[service]]\nname = 'ws'\nports = ['tcp/3002']\nmax_connections_per_source = 3\n";
    let with = |setup: Setup, variables: &[(&str, &str)]| {
        variables.iter().fold(setup, |setup, (name, value)| setup.env(name, value))
    };
    let all = [
        ("TCP_MAX_CONNECTIONS", "50"),
        ("WS_MAX_CONNECTIONS", "100"),
        ("TCP_CONNECTION_TIMEOUT", "300000"),
        ("WS_CONNECTION_TIMEOUT", "1001"),
    ];
    let setup = with(in_cgroup(both), &all);
    assert_connections(
        &setup,
        &[
            ("tcp", "at most 50 in all, closed when idle for 5 min"),
            ("ws", "at most 100 in all, at most 3 per source, closed when idle for 2 s"),
        ],
    );
    assert!(setup.warnings().is_empty(), "{:?}", setup.warnings());
    let only = |name: &str| in_cgroup(&WEB.replace("web", name));
    let variable = |name: &str, text: &str| format!("environment variable {name}: {text}");
    for (name, setup, words, warnings) in [
        (
            "the only service",
            with(only("web"), &all),
            "at most 50 in all, closed when idle for 2 s",
            vec![
                variable("WS_MAX_CONNECTIONS", "changes nothing: TCP_MAX_CONNECTIONS allows the same service no more"),
                variable(
                    "TCP_CONNECTION_TIMEOUT",
                    "changes nothing: WS_CONNECTION_TIMEOUT allows the same service no more",
                ),
            ],
        ),
        (
            "the only service is the other one",
            with(only("ws"), &all[..2]),
            "at most 100 in all",
            vec![variable("TCP_MAX_CONNECTIONS", "limits nothing: no service is named `tcp`")],
        ),
        (
            "the shortest timeout",
            with(only("tcp"), &[("TCP_CONNECTION_TIMEOUT", "1")]),
            "closed when idle for 1 s",
            vec![],
        ),
        (
            "no TCP port",
            with(in_cgroup(&WEB.replace("tcp/80", "udp/80")), &all[..1]),
            "none",
            vec![variable("TCP_MAX_CONNECTIONS", "limits nothing: service `web` has no TCP port")],
        ),
    ] {
        assert_eq!(connections(&setup)[0].1, words, "{name}");
        assert_eq!(setup.warnings(), warnings, "{name}");
    }
    let others = in_cgroup(&both.replace("'tcp'\n", "'a'\n").replace("'ws'", "'b'")).env("WS_MAX_CONNECTIONS", "9");
    assert_eq!(others.warnings(), [variable("WS_MAX_CONNECTIONS", "limits nothing: no service is named `ws`")]);
    for (name, value, fault) in [
        ("TCP_MAX_CONNECTIONS", "0", "`0` is under 1"),
        ("WS_MAX_CONNECTIONS", "1000001", "`1000001` is over 1000000"),
        ("TCP_CONNECTION_TIMEOUT", "5m", "`5m` is no whole number"),
        ("WS_CONNECTION_TIMEOUT", "31622400001", "`31622400001` is over 31622400000"),
    ] {
        assert_eq!(only("web").env(name, value).load().unwrap_err(), [variable(name, fault)]);
    }
}

#[test]
fn trusted_sources_are_exempt_from_caps() {
    let unrated = WEB.replace("rate = { unit = 'connections', limit = 100, window = '60s' }\n", "");
    let capped = in_cgroup(&format!("{unrated}max_connections_per_source = 1\n[trusted]\nips = ['10.0.0.1']\n"));
    assert!(capped.warnings().is_empty(), "{:?}", capped.warnings());
}
