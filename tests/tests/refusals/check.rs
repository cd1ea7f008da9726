//! What `guard check` prints of a good configuration, and what guard says of variables that it does not act on yet.

use guard_tests::{Guard, Host, Link, Options, process::Finished};
use serde_json::{Value, json};

const CONFIG: &str = "\
interfaces = ['eth0', 'eth1']
default = 'drop'
failsafe_ports = []
echo_rate = { limit = 10, window = '1s', burst = 20 }
[allow]
ips = ['10.0.0.0/8']
[deny]
ips = ['10.66.0.0/16']
[sets]
office = 'office.txt'
[[service]]
name = 'web'
ports = ['tcp/80', 'tcp/443']
allow = ['@office']
mode = 'monitor'
rate = [{ unit = 'connections', limit = 100, window = '15m' },
        { unit = 'bytes', limit = '10MB', window = '1s', burst = '64KiB', per = { v4 = 24, v6 = 56 } }]
[trusted]
ips = ['10.0.0.9']
";

/// Checks the whole of a configuration: environment, env-file, policy file, list file and set.
fn check(args: &[&str]) -> Finished {
    let host = Host::new("server");
    host.write("office.txt", "# the office\n192.0.2.0/24 # ground floor\n");
    host.write("state/data/allowed_ips.json", r#"["2001:db8::/48", {"ip": "198.51.100.7", "services": ["web"]}]"#);
    let options = Options {
        config: Some(CONFIG),
        env_file: Some("ALLOWED-IPS=172.16.0.0/12\nGUARD_XDP_MODE=generic\n"),
        env: &[
            ("GUARD_MODE", "enforce"),
            ("LOG_LEVEL", "debug"),
            ("TRUST_PROXY", "true"),
            ("AUTH_RATE_LIMIT_MAX", "10"),
        ],
        args,
        ..Options::default()
    };
    Guard::invoke(&host, options, "check")
}

#[test]
fn the_effective_policy_with_every_origin() {
    let checked = check(&[]);
    assert_eq!(checked.code(), Some(0), "{checked:?}");
    let words: Vec<String> =
        checked.stdout.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "interfaces: eth0, eth1",
        "xdp mode: generic",
        "mode: enforce",
        "default: drop",
        "failsafe ports: none",
        "echo rate: 10 packets in 1 s, burst 20, per source",
        "block log: standard output",
        "allow (3):",
        "172.16.0.0/12 /run/test/default.env:1 (ALLOWED_IPS item 1)",
        "10.0.0.0/8 /run/test/default.toml:6",
        "2001:db8::/48 /run/test/state/data/allowed_ips.json[0]",
        "deny (1):",
        "10.66.0.0/16 /run/test/default.toml:8",
        "trusted (1):",
        "10.0.0.9/32 /run/test/default.toml:19",
        "service web, tcp/80, tcp/443, monitor, allow (2):",
        "192.0.2.0/24 /run/test/office.txt:2 (@office) # ground floor",
        "198.51.100.7/32 /run/test/state/data/allowed_ips.json[1]",
        "service web, limits (2):",
        "100 connections in 15 min, burst 99, per source",
        "10000000 bytes in 1 s, burst 65536, per IPv4 /24 and IPv6 /56",
        "warnings (2):",
    ] {
        assert_eq!(words.iter().filter(|line| *line == expected).count(), 1, "`{expected}` in {:#?}", checked.stdout);
    }
}

#[test]
fn the_effective_policy_as_json() {
    let checked = check(&["--json"]);
    assert_eq!(checked.code(), Some(0), "{checked:?}");
    let printed: Value = serde_json::from_str(&checked.stdout.join("\n")).expect("`--json` prints JSON");
    let policy = &printed["policy"];
    assert_eq!(policy["interfaces"], json!(["eth0", "eth1"]));
    assert_eq!((&policy["mode"], &policy["default"]), (&json!("enforce"), &json!("drop")));
    assert_eq!(policy["deny"], json!([{ "prefix": "10.66.0.0/16", "origin": "/run/test/default.toml:8" }]));
    assert_eq!(
        policy["services"][0]["allow"][0],
        json!({ "prefix": "192.0.2.0/24", "origin": "/run/test/office.txt:2 (@office)", "comment": "ground floor" })
    );
    assert_eq!(
        policy["echo_rate"],
        json!({ "unit": "packets", "limit": 10, "window_ms": 1000, "burst": 20, "per": "source" })
    );
    assert_eq!(
        policy["services"][0]["limits"],
        json!([
            { "unit": "connections", "limit": 100, "window_ms": 900_000, "burst": 99, "per": "source" },
            {
                "unit": "bytes",
                "limit": 10_000_000,
                "window_ms": 1000,
                "burst": 65_536,
                "per": { "v4": 24, "v6": 56 },
            },
        ])
    );
    let warnings = printed["warnings"].as_array().expect("warnings are a list");
    assert_eq!(warnings.len(), 2, "{printed}");
    for (warning, about) in warnings.iter().zip(["TRUST_PROXY", "AUTH_RATE_LIMIT_MAX: limits nothing"]) {
        assert!(warning.as_str().is_some_and(|text| text.contains(about)), "{printed}");
    }
}

#[test]
fn variables_of_the_applications_become_limits() {
    let options = Options {
        // No cgroup, so that nobody is banned.
        config: Some(
            "cgroup = '/proc'\n[[service]]\nname = 'web'\nports = ['tcp/80']\n[[service]]\nname = 'auth'\nports = \
             ['tcp/81']\n",
        ),
        env_file: Some("RATE-LIMIT-WINDOW-MS=60000\nRATE-LIMIT-MAX-REQUESTS=100\n"),
        env: &[("ALLOWED_IPS", "10.0.0.2"), ("GUARD_INTERFACE", "eth0"), ("AUTH_RATE_LIMIT_MAX", "10")],
        args: &["--json"],
        ..Options::default()
    };
    let checked = Guard::invoke(&Host::new("server"), options, "check");
    assert_eq!(checked.code(), Some(0), "{checked:?}");
    let printed: Value = serde_json::from_str(&checked.stdout.join("\n")).expect("`--json` prints JSON");
    for (service, name, limit, window_ms) in [(0, "web", 100, 60_000), (1, "auth", 10, 900_000)] {
        let service = &printed["policy"]["services"][service];
        assert_eq!(service["name"], name);
        let burst = limit - 1;
        let expected =
            json!({ "unit": "connections", "limit": limit, "window_ms": window_ms, "burst": burst, "per": "source" });
        assert_eq!(service["limits"], json!([expected]));
    }
    let warnings = printed["warnings"].as_array().expect("warnings are a list");
    assert_eq!(warnings.len(), 2, "{printed}");
    for (warning, part) in warnings.iter().zip(["bans are off", "the requests inside one cannot be seen"]) {
        assert!(warning.as_str().is_some_and(|text| text.contains(part)), "{printed}");
    }
}

#[test]
fn variables_of_later_versions_are_answered_loudly() {
    const LATER: [(&str, &str); 5] = [
        ("PROMETHEUS_ENABLED", "true"),
        ("PROMETHEUS_PORT", "9090"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
        ("OTEL_SERVICE_NAME", "guard"),
        ("ALLOW_PRIVATE_NETWORKS", "false"),
    ];
    let link = Link::between(&Host::new("server"), "eth0", &Host::new("client"), "eth0");
    let policy = [("ALLOWED_IPS", "10.0.0.2"), ("GUARD_INTERFACE", "eth0"), ("GUARD_PORTS", "tcp/3000")];
    let env = [&policy[..], &LATER].concat();
    let options = Options { env: &env, ..Options::default() };
    let checked = Guard::invoke(link.left.host(), options, "check").stdout.join("\n");
    let guard = Guard::run(link.left.host(), options);
    let log = guard.log();
    let status = guard.status()["warnings"].to_string();
    for (name, value) in LATER {
        let said = format!("environment variable {name}: `{name}={value}` is not enforced by this version");
        assert!(checked.contains(&said), "`guard check`: {checked}");
        assert!(log.iter().any(|line| line.contains("WARN") && line.contains(&said)), "the log: {log:#?}");
        assert!(status.contains(&said), "`guard status`: {status}");
    }
}
