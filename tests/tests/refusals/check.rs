//! What `guard check` prints of a good configuration, and what guard says of variables that it does not act on yet.

use guard_tests::{Guard, Host, Link, Options, process::Finished};
use serde_json::{Value, json};

const CONFIG: &str = "\
interfaces = ['eth0', 'eth1']
default = 'drop'
failsafe_ports = []
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
        env: &[("GUARD_MODE", "enforce"), ("LOG_LEVEL", "debug"), ("TRUST_PROXY", "true")],
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
        "block log: standard output",
        "allow (3):",
        "172.16.0.0/12 /run/test/default.env:1 (ALLOWED_IPS item 1)",
        "10.0.0.0/8 /run/test/default.toml:5",
        "2001:db8::/48 /run/test/state/data/allowed_ips.json[0]",
        "deny (1):",
        "10.66.0.0/16 /run/test/default.toml:7",
        "trusted (1):",
        "10.0.0.9/32 /run/test/default.toml:16",
        "service web, tcp/80, tcp/443, monitor, allow (2):",
        "192.0.2.0/24 /run/test/office.txt:2 (@office) # ground floor",
        "198.51.100.7/32 /run/test/state/data/allowed_ips.json[1]",
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
    assert_eq!(policy["deny"], json!([{ "prefix": "10.66.0.0/16", "origin": "/run/test/default.toml:7" }]));
    assert_eq!(
        policy["services"][0]["allow"][0],
        json!({ "prefix": "192.0.2.0/24", "origin": "/run/test/office.txt:2 (@office)", "comment": "ground floor" })
    );
    let warnings = printed["warnings"].as_array().expect("warnings are a list");
    assert_eq!(warnings.len(), 2, "{printed}");
    for (warning, about) in warnings.iter().zip(["TRUST_PROXY", "[trusted] changes nothing yet"]) {
        assert!(warning.as_str().is_some_and(|text| text.contains(about)), "{printed}");
    }
}

#[test]
fn variables_of_later_versions_are_answered_loudly() {
    const LATER: [(&str, &str); 13] = [
        ("RATE_LIMIT_WINDOW_MS", "60000"),
        ("RATE_LIMIT_MAX_REQUESTS", "100"),
        ("TCP_MAX_CONNECTIONS", "10"),
        ("WS_MAX_CONNECTIONS", "10"),
        ("TCP_CONNECTION_TIMEOUT", "1000"),
        ("WS_CONNECTION_TIMEOUT", "1000"),
        ("AUTH_RATE_LIMIT_MAX", "5"),
        ("DATA_RATE_LIMIT_MAX", "5"),
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
