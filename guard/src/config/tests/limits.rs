//! Limits, from `guard.toml` and from the guarded applications' variables.

use super::{Setup, in_cgroup};

/// Ends inside of a service, at line 5, so that `rate` is line 6.
const WEB: &str = "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\n[[service]]\nname = 'web'\nports = ['tcp/80']\n";
const OTHERS: &str = "[[service]]\nname = 'auth'\nports = ['tcp/81']\n[[service]]\nname = 'data'\nports = ['tcp/82']\n";
const NOT_SEEN: &str = "new connections are counted, for the requests inside one cannot be seen; what goes over the limit is \
                        dropped";

/// The services' names, and their limits in words.
#[track_caller]
fn limits(setup: &Setup) -> Vec<(String, Vec<String>)> {
    let services = setup.load().unwrap().policy.services;
    let words = |limits: &[crate::policy::Limit]| limits.iter().map(ToString::to_string).collect();
    services.iter().map(|service| (service.name.clone(), words(&service.limits))).collect()
}

#[track_caller]
fn assert_limits(setup: &Setup, expected: &[(&str, &[&str])]) {
    let expected: Vec<(String, Vec<String>)> = expected
        .iter()
        .map(|(name, limits)| ((*name).to_owned(), limits.iter().map(|limit| (*limit).to_owned()).collect()))
        .collect();
    assert_eq!(limits(setup), expected);
}

#[test]
fn every_form_of_a_rate_is_read() {
    let connections = "100 connections in 60 s, burst 99, per source";
    for (rate, expected) in [
        ("[]", &[][..]),
        ("{ unit = 'connections', limit = 100, window = '60s' }", &[connections]),
        ("[{ unit = 'connections', limit = 100, window = '60s', per = 'source' }]", &[connections]),
        (
            "[{ unit = 'connections', limit = 100, window = '60s', burst = 5 },\n\
             { unit = 'connections', limit = 1_000, window = '1d', burst = 0 },\n\
             { unit = 'packets', limit = 20000, window = '1s', burst = 4000, per = 'service' },\n\
             { unit = 'bytes', limit = '10MB', window = '100ms', burst = '64KiB', per = { v4 = 24, v6 = 56 } }]",
            &[
                "100 connections in 60 s, burst 5, per source",
                "1000 connections in 1 d, burst 0, per source",
                "20000 packets in 1 s, burst 4000, in all",
                "10000000 bytes in 100 ms, burst 65536, per IPv4 /24 and IPv6 /56",
            ],
        ),
        (
            "{ unit = 'bytes', limit = 0x10_0000, window = '1m30s', per = { v4 = 0, v6 = 128 } }",
            &["1048576 bytes in 90 s, burst 1048575, per IPv4 /0 and IPv6 /128"],
        ),
        (
            "{ unit = 'packets', limit = 9, window = '1s', per = { v4 = 32, v6 = 64 } }",
            &["9 packets in 1 s, burst 8, per source"],
        ),
        (
            "{ unit = 'connections', limit = 1, window = '1s', burst = 5 }",
            &["1 connection in 1 s, burst 5, per source"],
        ),
    ] {
        let setup = Setup::toml(&format!("{WEB}rate = {rate}\n"));
        assert_limits(&setup, &[("web", expected)]);
        assert!(setup.warnings().is_empty(), "{rate}: {:?}", setup.warnings());
    }
    let tables = Setup::toml(&format!("{WEB}[[service.rate]]\nunit = 'packets'\nlimit = 1\nwindow = '1s'\n"));
    assert_limits(&tables, &[("web", &["1 packet in 1 s, burst 0, per source"])]);
}

#[test]
fn bad_rates() {
    for (rate, faults) in [
        (
            "{}",
            &[
                "`rate` has no `unit`: write `unit = \"connections\"`",
                "`rate` has no `limit`: write `limit = 100`",
                "`rate` has no `window`: write `window = \"60s\"`",
            ][..],
        ),
        ("1", &["key `rate`: `1` is an integer, not a list of tables"]),
        ("['60/m']", &["key `rate`: `'60/m'` is a string, not a table"]),
        (
            "{ unit = 'requests', limit = 0, window = 60, burst = -1, per = 'ip', ban = true }",
            &[
                "key `unit`: `requests` is none of `packets`, `bytes`, `connections`",
                "key `limit`: `0` is under 1",
                "key `window`: `60` is an integer, not a duration such as \"60s\"",
                "key `burst`: `-1` is under 0",
                "key `per`: `ip` is none of `source`, `service` and a table such as `{ v4 = 24, v6 = 56 }`",
                "unknown key `ban` in `rate`; known are burst, limit, per, unit, window",
            ],
        ),
        (
            "{ unit = 'packets', limit = '64KiB', window = '60', burst = 4294967296, per = 24 }",
            &[
                "key `limit`: `'64KiB'` is a string, not an integer",
                "key `window`: `60` is no duration: write it as `100ms`, `60s`, `15m`, `1h30m` or `1d`",
                "key `burst`: `4294967296` is over 4294967295",
                "key `per`: `24` is an integer, not \"source\", \"service\" or a table",
            ],
        ),
        (
            "{ unit = 'bytes', limit = '64 kbit', window = '367d', burst = '1PB', per = { v4 = 33, v6 = -1, v5 = 1 } }",
            &[
                "key `limit`: `64 kbit` is no size: write it as `65536`, `64KiB` or `10MB`",
                "key `window`: `367d` is not in whole ms from 1 ms to 366 days",
                "key `burst`: `1PB` is no size: write it as `65536`, `64KiB` or `10MB`",
                "key `v4`: `33` is over 32",
                "key `v6`: `-1` is under 0",
                "unknown key `v5` in `per`; known are v4, v6",
            ],
        ),
        (
            "{ unit = 'bytes', limit = 1.5, window = '0s', burst = [], per = {} }",
            &[
                "key `limit`: `1.5` is a float, not an integer",
                "key `window`: `0s` is not in whole ms from 1 ms to 366 days",
                "key `burst`: `[]` is a list, not an integer",
                "`per` has no `v4`: write `v4 = 24`",
                "`per` has no `v6`: write `v6 = 56`",
            ],
        ),
        (
            "{ unit = 'packets', limit = 99999999999999999999999999999999999999999, window = '1s' }",
            &["key `limit`: `99999999999999999999999999999999999999999` is over 18446744073709551615"],
        ),
        (
            "[{ unit = 'packets', limit = 50000001, window = '1s' },\n\
             { unit = 'connections', limit = 50001, window = '1ms', burst = 1 },\n\
             { unit = 'bytes', limit = '9GB', window = '1s', burst = '1MiB' }]",
            &[
                "`rate`: 50000001 packets in 1 s are over 50000000 a second",
                "`rate`: 50001 connections in 1 ms are over 50000000 a second",
                "`rate`: 9000000000 bytes in 1 s are over 8589934592 a second",
            ],
        ),
        (
            "[{ unit = 'packets', limit = 5000000000, window = '1d' },\n\
             { unit = 'bytes', limit = 1000, window = '1s' },\n\
             { unit = 'bytes', limit = '1MB', window = '1s', burst = 1512 }]",
            &[
                "`rate`: burst 4999999999 is over 4294967295; where none is given it is the limit less one",
                "`rate`: burst 999 lets no packet of 1514 bytes pass, which takes a burst of at least 1513",
                "`rate`: burst 1512 lets no packet of 1514 bytes pass, which takes a burst of at least 1513",
            ],
        ),
    ] {
        let faults_by_line = Setup::toml(&format!("{WEB}rate = {rate}\n")).load().unwrap_err();
        let lines: Vec<&str> = rate.lines().collect();
        // Where a rate has a line for each limit, its faults are one for each.
        let line = |at: usize| if lines.len() > 1 { 6 + at } else { 6 };
        let expected: Vec<String> =
            faults.iter().enumerate().map(|(at, fault)| format!("guard.toml:{}: {fault}", line(at))).collect();
        assert_eq!(faults_by_line, expected, "{rate}");
    }
}

#[test]
fn too_many_limits() {
    let limit = "{ unit = 'packets', limit = 1, window = '1s' },\n";
    assert_eq!(limits(&Setup::toml(&format!("{WEB}rate = [\n{}]", limit.repeat(4))))[0].1.len(), 4);
    let faults = Setup::toml(&format!("{WEB}rate = [\n{}]", limit.repeat(6))).load().unwrap_err();
    assert_eq!(faults, ["guard.toml:11: 6 limits in `rate`, over the limit of 4"]);
}

#[test]
fn a_burst_that_stops_long_packets_is_said() {
    for (burst, longest) in [("1513", Some(1514)), ("65533", Some(65534)), ("65534", None), ("'64KiB'", None)] {
        let setup = Setup::toml(&format!(
            "{WEB}rate = [\n{{ unit = 'bytes', limit = '1MiB', window = '1s', burst = {burst} }}]\n"
        ));
        let expected: Vec<String> = longest
            .iter()
            .map(|longest| {
                format!(
                    "guard.toml:7: `rate`: packets of over {longest} bytes, such as jumbo frames or what offloading puts \
                     together, never pass; `burst = 65534` lets them"
                )
            })
            .collect();
        assert_eq!(setup.warnings(), expected, "{burst}");
    }
}

#[test]
fn echo_rates() {
    let echo = |text: &str| Setup::toml(&format!("echo_rate = {text}\n{WEB}"));
    for (text, words) in [
        ("{ limit = 10, window = '1s', burst = 20, per = 'source' }", "10 packets in 1 s, burst 20, per source"),
        ("{ limit = 10, window = '1s', per = 'service' }", "10 packets in 1 s, burst 9, in all"),
    ] {
        assert_eq!(echo(text).load().unwrap().policy.echo_rate.unwrap().to_string(), words);
    }
    assert_eq!(Setup::toml(WEB).load().unwrap().policy.echo_rate, None);
    for (text, faults) in [
        (
            "{}",
            &[
                "`echo_rate` has no `limit`: write `limit = 100`",
                "`echo_rate` has no `window`: write `window = \"60s\"`",
            ][..],
        ),
        ("[]", &["key `echo_rate`: `[]` is a list, not a table"]),
        (
            "{ unit = 'packets', limit = '1KiB', window = '1s' }",
            &[
                "key `limit`: `'1KiB'` is a string, not an integer",
                "unknown key `unit` in `echo_rate`; known are burst, limit, per, window",
            ],
        ),
        ("{ limit = 60000000, window = '1s' }", &["`echo_rate`: 60000000 packets in 1 s are over 50000000 a second"]),
    ] {
        let expected: Vec<String> = faults.iter().map(|fault| format!("guard.toml:1: {fault}")).collect();
        assert_eq!(echo(text).load().unwrap_err(), expected, "{text}");
    }
}

#[test]
fn the_applications_rate_limit_is_for_services_without_a_rate() {
    let text = format!("{WEB}rate = {{ unit = 'packets', limit = 9, window = '1s' }}\n{OTHERS}");
    let packets = "9 packets in 1 s, burst 8, per source";
    let with = |max: &str, window: &str| {
        in_cgroup(&text).env("RATE_LIMIT_MAX_REQUESTS", max).env("RATE_LIMIT_WINDOW_MS", window)
    };
    let said = |name: &str, text: &str| format!("environment variable RATE_LIMIT_{name}: {text}");
    for (max, window, limit, warnings) in [
        ("50", "1500", "50 connections in 1500 ms, burst 49, per source", vec![said("MAX_REQUESTS", NOT_SEEN)]),
        (
            " 50 ",
            "",
            "50 connections in 60 s, burst 49, per source",
            vec![
                said("MAX_REQUESTS", "RATE_LIMIT_WINDOW_MS is not given: 60000 is taken, as the application does"),
                said("MAX_REQUESTS", NOT_SEEN),
            ],
        ),
        (
            "",
            "900000",
            "100 connections in 15 min, burst 99, per source",
            vec![
                said("WINDOW_MS", "RATE_LIMIT_MAX_REQUESTS is not given: 100 is taken, as the application does"),
                said("WINDOW_MS", NOT_SEEN),
            ],
        ),
    ] {
        let setup = with(max, window);
        assert_limits(&setup, &[("web", &[packets]), ("auth", &[limit]), ("data", &[limit])]);
        assert_eq!(setup.warnings(), warnings, "{max:?} in {window:?}");
    }
    assert_limits(&with("", ""), &[("web", &[packets]), ("auth", &[]), ("data", &[])]);
    let variables = Setup::empty()
        .env("ALLOWED_IPS", "10.0.0.1")
        .env("GUARD_INTERFACE", "eth0")
        .env("GUARD_PORTS", "tcp/3000")
        .env_file("RATE-LIMIT-MAX-REQUESTS=7\nRATE-LIMIT-WINDOW-MS=1000\n");
    assert_limits(&variables, &[("default", &["7 connections in 1 s, burst 6, per source"])]);
    // Whether bans are off depends on the host: where the v2 hierarchy is, no variable says.
    let said = format!("guard.env:1 (RATE_LIMIT_MAX_REQUESTS): {NOT_SEEN}");
    assert_eq!(variables.warnings().last(), Some(&said));
}

#[test]
fn limits_of_the_services_auth_and_data() {
    let auth = "10 connections in 15 min, burst 9, per source";
    let data = "100 connections in 15 min, burst 99, per source";
    let setup = |text: &str| Setup::toml(text).env("AUTH_RATE_LIMIT_MAX", "10").env("DATA_RATE_LIMIT_MAX", "100");
    let both = setup(&format!("{WEB}{OTHERS}"));
    assert_limits(&both, &[("web", &[]), ("auth", &[auth]), ("data", &[data])]);
    assert_eq!(both.warnings(), [format!("environment variable AUTH_RATE_LIMIT_MAX: {NOT_SEEN}")]);
    assert_limits(
        &both.env("RATE_LIMIT_MAX_REQUESTS", "5").env("RATE_LIMIT_WINDOW_MS", "1000"),
        &[("web", &["5 connections in 1 s, burst 4, per source"]), ("auth", &[auth]), ("data", &[data])],
    );
    let rates = "rate = [{ unit = 'connections', limit = 1, window = '1s' },\n\
                 { unit = 'connections', limit = 2, window = '1s', per = 'service' },\n\
                 { unit = 'packets', limit = 3, window = '1s' },\n\
                 { unit = 'connections', limit = 4, window = '1h' }]\n";
    let replaced = setup(&format!("{WEB}{OTHERS}{rates}"));
    let kept = ["2 connections in 1 s, burst 1, in all", "3 packets in 1 s, burst 2, per source", data];
    assert_limits(&replaced, &[("web", &[]), ("auth", &[auth]), ("data", &kept)]);
}

#[test]
fn a_variable_that_limits_nothing_is_said() {
    let rate = "rate = { unit = 'packets', limit = 9, window = '1s' }\n";
    let nobody = "limits nothing: there is no service without a `rate` of its own";
    let setup = Setup::toml(&format!("{WEB}{rate}"))
        .env("AUTH_RATE_LIMIT_MAX", "10")
        .env("DATA_RATE_LIMIT_MAX", "10")
        .env("RATE_LIMIT_MAX_REQUESTS", "10")
        .env("RATE_LIMIT_WINDOW_MS", "10");
    assert_eq!(
        setup.warnings(),
        [
            "environment variable AUTH_RATE_LIMIT_MAX: limits nothing: no service is named `auth`".to_owned(),
            "environment variable DATA_RATE_LIMIT_MAX: limits nothing: no service is named `data`".to_owned(),
            format!("environment variable RATE_LIMIT_MAX_REQUESTS: {nobody}"),
        ]
    );
    let drop = "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\ndefault = 'drop'\n";
    let setup = Setup::toml(drop).env("RATE_LIMIT_MAX_REQUESTS", "10").env("RATE_LIMIT_WINDOW_MS", "10");
    assert_eq!(setup.warnings(), [format!("environment variable RATE_LIMIT_MAX_REQUESTS: {nobody}")]);
}

#[test]
fn bad_variables() {
    let setup = Setup::toml(&format!("{WEB}{OTHERS}"))
        .env("RATE_LIMIT_MAX_REQUESTS", "0")
        .env("RATE_LIMIT_WINDOW_MS", "31622400001")
        .env("AUTH_RATE_LIMIT_MAX", "ten")
        .env("DATA_RATE_LIMIT_MAX", "4294967297");
    assert_eq!(
        setup.load().unwrap_err(),
        [
            "environment variable RATE_LIMIT_MAX_REQUESTS: `0` is under 1",
            "environment variable RATE_LIMIT_WINDOW_MS: `31622400001` is over 31622400000",
            "environment variable AUTH_RATE_LIMIT_MAX: `ten` is no whole number",
            "environment variable DATA_RATE_LIMIT_MAX: `4294967297` is over 4294967296",
        ]
    );
    for (max, window, fault) in [
        ("-1", "", "RATE_LIMIT_MAX_REQUESTS: `-1` is under 1"),
        ("1.5", "", "RATE_LIMIT_MAX_REQUESTS: `1.5` is no whole number"),
        ("", "60s", "RATE_LIMIT_WINDOW_MS: `60s` is no whole number"),
        ("3000000001", "60000", "RATE_LIMIT_MAX_REQUESTS: 3000000001 connections in 60 s are over 50000000 a second"),
    ] {
        let setup = Setup::toml(WEB).env("RATE_LIMIT_MAX_REQUESTS", max).env("RATE_LIMIT_WINDOW_MS", window);
        assert_eq!(setup.load().unwrap_err(), [format!("environment variable {fault}")]);
    }
    let four = "{ unit = 'packets', limit = 1, window = '1s' },\n".repeat(4);
    let setup = Setup::toml(&format!("{WEB}{OTHERS}rate = [\n{four}]\n")).env("DATA_RATE_LIMIT_MAX", "10");
    let full = "environment variable DATA_RATE_LIMIT_MAX: service `data` (guard.toml:9) has 4 limits of other kinds in its \
                `rate`, and may have no more";
    assert_eq!(setup.load().unwrap_err(), [full]);
}
