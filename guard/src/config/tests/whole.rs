//! Configurations that are good, and what they come to.

use std::path::Path;

use crate::clock::Clock;
use crate::policy::{DefaultVerdict, Interfaces, LogPolicy, Mode, Policy, XdpMode};

use super::Setup;

const SERVICE: &str =
    "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\n[[service]]\nname = 'web'\nports = ['tcp/80']\n";

fn policy(setup: &Setup) -> Policy {
    setup.load().unwrap().policy
}

#[test]
fn three_variables_make_a_policy() {
    let setup = Setup::empty()
        .env("ALLOWED_IPS", "127.0.0.1,192.168.1.5,10.0.0.0/8")
        .env("GUARD_INTERFACE", "eth0")
        .env("GUARD_PORTS", "tcp/3000");
    let policy = policy(&setup);
    assert_eq!(policy.interfaces, Interfaces::Named(vec!["eth0".to_owned()]));
    assert_eq!((policy.xdp_mode, policy.mode), (XdpMode::Auto, Mode::Enforce));
    assert_eq!(policy.default, DefaultVerdict::Pass);
    assert_eq!(policy.failsafe_ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tcp/22"]);
    assert!(policy.shared_addresses.is_empty() && policy.deny.is_empty());
    assert_eq!(policy.log, LogPolicy { eve: None, stdout: true });
    let [service] = policy.services.as_slice() else { panic!("{policy:?}") };
    assert_eq!((service.name.as_str(), service.mode), ("default", Mode::Enforce));
    assert_eq!(service.ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tcp/3000"]);
    assert!(service.allow.is_empty());
    assert_eq!(
        setup.entries(|loaded| &loaded.policy.allow),
        [
            "127.0.0.1/32 from environment variable ALLOWED_IPS item 1",
            "192.168.1.5/32 from environment variable ALLOWED_IPS item 2",
            "10.0.0.0/8 from environment variable ALLOWED_IPS item 3",
        ]
    );
    assert!(setup.warnings().is_empty());
}

#[test]
fn every_key_of_the_file_is_read() {
    let setup = Setup::toml(
        r#"
interfaces = ["*"]
xdp_mode = "generic"
mode = "monitor"
default = "drop"
failsafe_ports = ["tcp/2222", "udp/51820", "tcp/2222"]
echo_rate = { limit = 10, window = "1s", burst = 20 }
shared_addresses = ["192.0.2.1", "[2001:db8::1]", "::ffff:192.0.2.1"]
allow_empty = false
allow_wide = true
[allow]
ips = ["127.0.0.1", "2001:db8::/48", "@office"]
file = "lists/mine.json"
[deny]
ips = ["203.0.113.0/24"]
[sets]
office = "sets/office.txt"
[[service]]
name = "flowise"
ports = ["tcp/3000", "udp/3000", "tcp/3000"]
allow = ["192.168.1.0/24", "@office"]
mode = "enforce"
rate = { unit = "packets", limit = 100, window = "1s" }
[[service]]
name = "public"
ports = ["tcp/443"]
allow = ["any"]
[log]
eve = { path = "log/eve.json" }
stdout = true
"#,
    )
    .file("sets/office.txt", "10.1.0.0/16\n")
    .file("lists/mine.json", r#"["0.0.0.0/0", {"ip": "10.2.0.0/16", "services": ["flowise"], "comment": "lab"}]"#);
    let policy = policy(&setup);
    assert_eq!(policy.interfaces, Interfaces::Physical);
    assert_eq!((policy.xdp_mode, policy.mode), (XdpMode::Generic, Mode::Monitor));
    assert_eq!(policy.default, DefaultVerdict::Drop);
    assert_eq!(policy.failsafe_ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tcp/2222", "udp/51820"]);
    let shared: Vec<String> = policy.shared_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shared, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(policy.log, LogPolicy { eve: Some(setup.path("log/eve.json")), stdout: true });
    assert_eq!(
        setup.entries(|loaded| &loaded.policy.allow),
        [
            "127.0.0.1/32 from guard.toml:12",
            "2001:db8::/48 from guard.toml:12",
            "10.1.0.0/16 from sets/office.txt:1 (@office)",
            "0.0.0.0/0 from lists/mine.json[0]",
        ]
    );
    assert_eq!(setup.entries(|loaded| &loaded.policy.deny), ["203.0.113.0/24 from guard.toml:15"]);
    let echo_rate = policy.echo_rate.map(|limit| limit.to_string());
    assert_eq!(echo_rate.as_deref(), Some("10 packets in 1 s, burst 20, per source"));
    let [flowise, public] = policy.services.as_slice() else { panic!("{policy:?}") };
    assert_eq!((flowise.mode, public.mode), (Mode::Enforce, Mode::Monitor));
    assert_eq!(flowise.ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tcp/3000", "udp/3000"]);
    assert_eq!(
        setup.entries(|loaded| &loaded.policy.services[0].allow),
        [
            "192.168.1.0/24 from guard.toml:21",
            "10.1.0.0/16 from sets/office.txt:1 (@office)",
            "10.2.0.0/16 from lists/mine.json[1]",
        ]
    );
    let limits: Vec<String> = flowise.limits.iter().map(ToString::to_string).collect();
    assert_eq!(limits, ["100 packets in 1 s, burst 99, per source"]);
    assert!(public.limits.is_empty());
    assert_eq!(flowise.allow.iter().nth(2).unwrap().comment, Some("lab"));
    let public = setup.entries(|loaded| &loaded.policy.services[1].allow);
    assert_eq!(public, ["0.0.0.0/0 from guard.toml:27", "::/0 from guard.toml:27"]);
}

#[test]
fn a_variable_wins_over_the_file_and_lists_are_joined() {
    let setup = Setup::toml(&format!("xdp_mode = 'auto'\nmode = 'enforce'\ndefault = 'pass'\n{SERVICE}"))
        .env("GUARD_INTERFACE", "eth1")
        .env("GUARD_MODE", "monitor")
        .env("GUARD_DEFAULT", "drop")
        .env("GUARD_XDP_MODE", "native")
        .env("GUARD_EVE_FILE", "eve.json")
        .env("LOG_LEVEL", "debug")
        .env("ALLOWED_IPS", "192.0.2.1")
        .file("data/allowed_ips.json", r#"["192.0.2.2"]"#);
    let policy = policy(&setup);
    assert_eq!(policy.interfaces, Interfaces::Named(vec!["eth1".to_owned()]));
    assert_eq!((policy.xdp_mode, policy.mode), (XdpMode::Native, Mode::Monitor));
    assert_eq!(policy.default, DefaultVerdict::Drop);
    assert_eq!(policy.services[0].mode, Mode::Monitor);
    assert_eq!(policy.log, LogPolicy { eve: Some(setup.path("eve.json")), stdout: false });
    assert_eq!(setup.load().unwrap().log_level.as_deref(), Some("debug"));
    assert_eq!(
        setup.entries(|loaded| &loaded.policy.allow),
        [
            "192.0.2.1/32 from environment variable ALLOWED_IPS item 1",
            "10.0.0.0/8 from guard.toml:5",
            "192.0.2.2/32 from data/allowed_ips.json[0]",
        ]
    );
}

#[test]
fn the_variable_names_the_list_file_in_place_of_the_key() {
    let text = SERVICE.replace("allow.ips = ['10.0.0.0/8']", "allow.file = 'one.json'");
    let setup = Setup::toml(&text)
        .file("one.json", r#"["192.0.2.1"]"#)
        .file("two.json", r#"["192.0.2.2"]"#)
        .file("data/allowed_ips.json", r#"["192.0.2.3"]"#);
    assert_eq!(setup.entries(|loaded| &loaded.policy.allow), ["192.0.2.1/32 from one.json[0]"]);
    let setup = setup.env("ALLOWED_IPS_FILE", "two.json");
    assert_eq!(setup.entries(|loaded| &loaded.policy.allow), ["192.0.2.2/32 from two.json[0]"]);
}

#[test]
fn the_process_wins_over_the_env_file() {
    let setup = Setup::empty()
        .env_file(
            "# the application's own\nSECRET=hunter2\nexport ALLOWED-IPS='10.0.0.1, 10.0.0.2'\n\
             GUARD_INTERFACE=eth0\nGUARD_PORTS=\"tcp/3000\"\nPROMETHEUS-PORT=9100\nGUARD_MODE=monitor\n",
        )
        .env("GUARD_MODE", "enforce");
    assert_eq!(policy(&setup).mode, Mode::Enforce);
    assert_eq!(
        setup.entries(|loaded| &loaded.policy.allow),
        ["10.0.0.1/32 from guard.env:3 (ALLOWED_IPS item 1)", "10.0.0.2/32 from guard.env:3 (ALLOWED_IPS item 2)"]
    );
    let warning = "guard.env:6 (PROMETHEUS_PORT): `PROMETHEUS_PORT=9100` is not enforced by this version";
    assert_eq!(setup.warnings(), [warning]);
}

#[test]
fn the_default_file_is_read_where_it_exists() {
    let setup = Setup::empty().file("default.toml", SERVICE);
    assert_eq!(policy(&setup).services[0].name, "web");
}

#[test]
fn the_block_log_goes_where_it_was_asked_to() {
    for (log, eve, stdout) in [
        ("", None, true),
        ("[log]", None, true),
        ("[log]\nstdout = true", None, true),
        ("[log]\neve = { path = '/var/log/eve.json' }", Some("/var/log/eve.json"), false),
        ("[log.eve]\npath = '/var/log/eve.json'", Some("/var/log/eve.json"), false),
        ("[log]\neve.path = '/var/log/eve.json'\nstdout = true", Some("/var/log/eve.json"), true),
        ("[log]\nstdout = false", None, false),
    ] {
        let setup = Setup::toml(&format!("{SERVICE}{log}"));
        assert_eq!(policy(&setup).log, LogPolicy { eve: eve.map(Into::into), stdout }, "{log}");
        assert_eq!(setup.warnings().len(), usize::from(eve.is_none() && !stdout), "{log}");
        let setup = setup.env("GUARD_EVE_FILE", "/tmp/eve.json");
        let expected = LogPolicy { eve: Some("/tmp/eve.json".into()), stdout: log.contains("stdout = true") };
        assert_eq!(policy(&setup).log, expected, "{log} with GUARD_EVE_FILE");
    }
}

#[test]
fn on_purpose_is_accepted() {
    let closed = SERVICE.replace("allow.ips = ['10.0.0.0/8']", "allow_empty = true");
    assert!(policy(&Setup::toml(&closed)).allow.is_empty());
    let wide = SERVICE.replace("10.0.0.0/8']", "0.0.0.0/0', '::/0']\nallow_wide = true");
    let setup = Setup::toml(&wide);
    assert_eq!(policy(&setup).allow.len(), 2);
    assert_eq!(
        setup.warnings(),
        [
            "the allowlist covers more IPv4 addresses than a /4 in all, which `allow_wide = true` accepts; the widest \
             prefix is `0.0.0.0/0`, by guard.toml:2",
            "the allowlist covers more IPv6 addresses than a /4 or, of 2000::/3, a /16 in all, which `allow_wide = \
             true` accepts; the widest prefix is `::/0`, by guard.toml:2",
        ]
    );
    let setup = Setup::toml(&format!("allow_wide = true\n{SERVICE}allow = ['16.0.0.0/4', 'any']"));
    assert_eq!(
        setup.warnings(),
        ["service `web` and the allowlist cover more IPv4 addresses than a /4 in all, which `allow_wide = true` \
          accepts; the widest prefix is `16.0.0.0/4`, by guard.toml:7"]
    );
    let setup = Setup::toml(&format!("{wide}allow = ['32.0.0.0/3', '2001:db8::/32']"));
    assert_eq!(
        setup.warnings()[2..],
        [
            "service `web` covers more IPv4 addresses than a /4 in all, which `allow_wide = true` accepts; the widest prefix \
          is `32.0.0.0/3`, by guard.toml:7"
        ]
    );
    assert!(Setup::toml(&format!("allow_wide = true\n{SERVICE}")).warnings().is_empty());
    let ssh = SERVICE.replace("tcp/80", "tcp/22");
    assert_eq!(policy(&Setup::toml(&format!("failsafe_ports = []\n{ssh}"))).failsafe_ports, []);
    let drop = "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\ndefault = 'drop'";
    assert!(policy(&Setup::toml(drop)).services.is_empty());
    let public = SERVICE.replace("allow.ips = ['10.0.0.0/8']\n", "") + "allow = ['any']";
    assert_eq!(policy(&Setup::toml(&public)).services[0].allow.len(), 2);
}

#[test]
fn what_may_not_be_meant_is_said() {
    let text = SERVICE.replace("'10.0.0.0/8'", "'10.0.0.1/8', '10.0.0.0/8', '10.0.0.0/8', '192.0.2.1'");
    let setup = Setup::toml(&format!("{text}allow = ['192.0.2.9', '192.0.2.9']"));
    assert_eq!(
        setup.warnings(),
        [
            "guard.toml:2: prefix `10.0.0.1/8` has host bits: read as `10.0.0.0/8`",
            "2 entries of the allowlist repeat others",
            "1 entry of service `web` repeats another",
        ]
    );
    let text = SERVICE.replace("allow.ips = ['10.0.0.0/8']\n", "");
    let setup = Setup::toml(&format!("{text}allow = ['192.0.2.9']\n[[service]]\nname = 'db'\nports = ['tcp/5432']"));
    assert_eq!(setup.warnings(), ["service `db` is reached by nobody: no allowlist names a source"]);
}

#[test]
fn trusted_sources_are_known() {
    let setup = Setup::toml(&format!("{SERVICE}[trusted]\nips = ['10.0.0.1', '@office']\n[sets]\noffice = 'o.txt'"))
        .file("o.txt", "192.0.2.0/24\n10.0.0.1\n");
    assert_eq!(
        setup.entries(|loaded| &loaded.policy.trusted),
        ["10.0.0.1/32 from guard.toml:7", "192.0.2.0/24 from o.txt:1 (@office)", "10.0.0.1/32 from o.txt:2 (@office)"]
    );
    assert_eq!(setup.entries(|loaded| &loaded.policy.allow), ["10.0.0.0/8 from guard.toml:2"]);
    assert_eq!(
        setup.warnings(),
        [
            "1 entry of `trusted` repeats another",
            "[trusted] changes nothing: there is no limit that it could exempt from",
        ]
    );
    let trusted = "[trusted]\nips = ['10.0.0.1']";
    let rate = "{ unit = 'packets', limit = 1, window = '1s' }";
    for limited in [
        format!("{SERVICE}rate = {rate}\n{trusted}"),
        format!("echo_rate = {{ limit = 1, window = '1s' }}\n{SERVICE}{trusted}"),
    ] {
        assert!(Setup::toml(&limited).warnings().is_empty(), "{limited}");
    }
    for none in ["[trusted]", "[trusted]\nips = []"] {
        assert!(Setup::toml(&format!("{SERVICE}{none}")).warnings().is_empty(), "{none}");
    }
}

#[test]
fn services_have_numbers() {
    let text = format!("{SERVICE}[[service]]\nname = 'db'\nports = ['tcp/5432']");
    let numbers: Vec<_> = policy(&Setup::toml(&text)).services.into_iter().map(|s| (s.number, s.name)).collect();
    assert_eq!(numbers, [(1, "web".to_owned()), (2, "db".to_owned())]);
}

#[test]
fn of_a_great_many_warnings_the_first_are_kept() {
    let lines: String = (0..5_000u32).map(|n| format!("10.{}.{}.1/24\n", n >> 8, n & 255)).collect();
    let text = SERVICE.replace("'10.0.0.0/8'", "'@big'");
    let setup = Setup::toml(&format!("allow_wide = true\n{text}[sets]\nbig = 'big.txt'"))
        .file("big.txt", &format!("{lines}0.0.0.0/0\n"));
    let warnings = setup.warnings();
    assert_eq!(warnings.len(), 202);
    assert_eq!(warnings[199], "big.txt:200 (@big): prefix `10.0.199.1/24` has host bits: read as `10.0.199.0/24`");
    assert!(warnings[200].ends_with("the widest prefix is `0.0.0.0/0`, by big.txt:5001 (@big)"), "{}", warnings[200]);
    assert_eq!(warnings[201], "big.txt: warnings left out: 4800");
}

#[test]
fn long_lists_are_read_in_linear_time() {
    let ips: Vec<String> = (0..100_000u32).map(|n| std::net::Ipv4Addr::from_bits(n * 40_009).to_string()).collect();
    let services: String =
        (0..63).map(|n| format!("[[service]]\nname = 's{n}'\nports = ['tcp/{}']\n", n + 100)).collect();
    let setup = Setup::toml(&format!("interfaces = ['eth0']\n{services}"))
        .env("ALLOWED_IPS", &ips.join(","))
        .file("data/allowed_ips.json", &serde_json::to_string(&ips).unwrap());
    let loaded = setup.load().unwrap();
    assert_eq!(loaded.policy.allow.len(), 200_000);
    assert!(loaded.policy.render(&loaded.timed, &Clock::now(), &loaded.warnings).lines().count() > 200_000);
    assert_eq!(loaded.warnings[0].to_string(), "100000 entries of the allowlist repeat others");
}

#[test]
fn a_relative_set_stands_beside_guard_toml() {
    let (conf, state) = (tempfile::tempdir().unwrap(), Setup::empty());
    let write = |name: &str, text: &str| std::fs::write(conf.path().join(name), text).unwrap();
    write(
        "guard.toml",
        &SERVICE.replace("'10.0.0.0/8'", "'@office'").replace("[[service]]", "sets.office = 'o.txt'\n[[service]]"),
    );
    write("o.txt", "192.0.2.1");
    let setup = Setup { config: Some(conf.path().join("guard.toml")), ..state };
    let entries = setup.entries(|loaded| &loaded.policy.allow);
    assert_eq!(entries, [format!("192.0.2.1/32 from {}:1 (@office)", Path::new(conf.path()).join("o.txt").display())]);
}
