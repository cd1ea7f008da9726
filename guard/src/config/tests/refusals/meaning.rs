//! What is understood, and can't be meant.

use super::{super::Setup, ALLOW, INTERFACES, NO_ALLOWLIST, NO_INTERFACE, NO_PORT, WEB, refused, refused_setup};

#[test]
fn interfaces() {
    let setup = Setup::toml(&format!("interfaces = [\n'lo',\n'eth0',\n'eth0']\n{ALLOW}{WEB}"));
    refused_setup(
        &setup,
        &[
            "guard.toml:2: interface `lo`: the loopback is not guarded: its packets never leave this host",
            "guard.toml:4: interface `eth0` is given twice",
        ],
    );
    let star = "environment variable GUARD_INTERFACE item 2: \
                interface `*` means every physical interface: no name may stand beside it";
    refused_setup(&Setup::toml(&format!("{ALLOW}{WEB}")).env("GUARD_INTERFACE", "*,eth0"), &[star]);
    refused_setup(&Setup::toml(&format!("{ALLOW}{WEB}")).env("GUARD_INTERFACE", ""), &[NO_INTERFACE]);
    let number = "guard.toml:1: key `interfaces`: `0` is an integer, not a list of strings";
    refused_setup(&Setup::toml(&format!("interfaces = 0\n{ALLOW}{WEB}")), &[number]);
}

#[test]
fn service_names_and_ports() {
    let name = "a name has 1 to 32 of A-Z, a-z, 0-9, `_`, `.` and `-`";
    refused(
        "[[service]]\nports = ['tcp/80']\n[[service]]\nname = ''\nports = ['tcp/81']\n[[service]]\nname = 'a b'\n\
         ports = ['tcp/82']\n[[service]]\nname = 'web'\n[[service]]\nname = 'web'\nports = []\n[[service]]\n\
         name = 'x'\n\
         ports = ['tcp/0', '3000/tcp']\n",
        &[
            "guard.toml:3: a [[service]] without `name`",
            &format!("guard.toml:6: service name ``: {name}"),
            &format!("guard.toml:9: service name `a b`: {name}"),
            "guard.toml:11: service `web` has no `ports`: write `ports = [\"tcp/3000\"]`",
            "guard.toml:13: service `web` has no `ports`: write `ports = [\"tcp/3000\"]`",
            "guard.toml:13: service name `web` is taken, by guard.toml:11",
            "guard.toml:18: port `tcp/0` in `ports`: port 0 cannot be guarded",
            "guard.toml:18: port `3000/tcp` in `ports`: the protocol comes first: write `tcp/3000`",
        ],
    );
}

#[test]
fn a_port_in_two_services() {
    refused(
        &format!("{WEB}[[service]]\nname = 'b'\nports = [\n'udp/80',\n'tcp/80']\n"),
        &["guard.toml:10: port `tcp/80` belongs to another service, by guard.toml:5"],
    );
}

#[test]
fn a_failsafe_port_in_a_service() {
    refused(
        "failsafe_ports = ['tcp/22', 'tcp/80', 'udp/80']\n[[service]]\nname = 'web'\nports = ['tcp/22', 'tcp/80']\n",
        &[
            "guard.toml:6: port `tcp/22` is a failsafe port, which passes before any list is asked: to guard it, write \
             `failsafe_ports = [\"udp/80\"]` at the top of guard.toml",
            "guard.toml:6: port `tcp/80` is a failsafe port, which passes before any list is asked: to guard it, write \
             `failsafe_ports = [\"udp/80\"]` at the top of guard.toml",
        ],
    );
    let setup = Setup::toml(&format!("{INTERFACES}{ALLOW}")).env("GUARD_PORTS", "tcp/22");
    let fault = "environment variable GUARD_PORTS item 1: port `tcp/22` is a failsafe port, which passes before any list \
                 is asked: to guard it, write `failsafe_ports = []` at the top of guard.toml";
    refused_setup(&setup, &[fault]);
}

#[test]
fn ports_in_two_places() {
    let setup = Setup::toml(&format!("{INTERFACES}{ALLOW}{WEB}")).env("GUARD_PORTS", "tcp/3000");
    let fault =
        "environment variable GUARD_PORTS: GUARD_PORTS beside a [[service]] (guard.toml:3): write its ports there too";
    refused_setup(&setup, &[fault]);
}

#[test]
fn no_guarded_port() {
    refused("", &[NO_PORT]);
    refused("default = 'pass'", &[NO_PORT]);
}

#[test]
fn too_many_services() {
    let service = |n: u16| format!("[[service]]\nname = 's{n}'\nports = ['tcp/{}']\n", 100 + n);
    let services = |count| (0..count).map(service).collect::<String>();
    assert_eq!(Setup::toml(&format!("{INTERFACES}{ALLOW}{}", services(63))).load().unwrap().policy.services.len(), 63);
    refused(&services(65), &["guard.toml:192: 65 services, over the limit of 63"]);
}

#[test]
fn an_allowlist_that_is_too_wide() {
    let more = |prefix: &str, who: &str, family: &str| {
        let limit = if family == "IPv4" { "a /4" } else { "a /4 or, of 2000::/3, a /16" };
        format!(
            "prefix `{prefix}`: {who} more {family} addresses than {limit} in all; \
             `allow_wide = true` in guard.toml accepts it"
        )
    };
    let setup = Setup::toml(&format!("{INTERFACES}{WEB}"))
        .env("ALLOWED_IPS", "0.0.0.0/1 128.0.0.0/1")
        .file("data/allowed_ips.json", "[\"2000::/3\", \"::/0\"]");
    refused_setup(
        &setup,
        &[
            &format!("environment variable ALLOWED_IPS item 1: {}", more("0.0.0.0/1", "the allowlist covers", "IPv4")),
            &format!("data/allowed_ips.json[1]: {}", more("::/0", "the allowlist covers", "IPv6")),
        ],
    );
    let nested = format!("{INTERFACES}allow.ips = ['16.0.0.0/4']\n{WEB}allow = ['17.0.0.0/8']");
    assert!(Setup::toml(&nested).load().is_ok(), "what both lists cover counts once");
    let sets = "[sets]\nhalf = 'half.txt'\n";
    let services = "[[service]]\nname = 'a'\nports = ['tcp/80']\nallow = ['16.0.0.0/5']\n\
                    [[service]]\nname = 'b'\nports = ['tcp/81']\nallow = ['any', '@half', '::1']\n\
                    [[service]]\nname = 'c'\nports = ['tcp/82']\nallow = ['any']\n";
    let setup = Setup::toml(&format!("{INTERFACES}allow.ips = ['24.0.0.0/5', '25.0.0.0/8']\n{sets}{services}"))
        .file("half.txt", "32.0.0.0/6\n40.0.0.0/5\n");
    refused_setup(
        &setup,
        &[&format!("half.txt:2 (@half): {}", more("40.0.0.0/5", "service `b` and the allowlist cover", "IPv4"))],
    );
}

#[test]
fn list_elements_for_no_service() {
    let list = r#"[{"ip": "10.0.0.1", "services": ["web"]}, {"ip": "10.0.0.2", "services": ["web", "wbe"]}]"#;
    let setup = Setup::toml(&format!("{INTERFACES}{ALLOW}{WEB}")).file("data/allowed_ips.json", list);
    refused_setup(&setup, &["data/allowed_ips.json[1]: service `wbe` is not defined"]);
}

#[test]
fn trusted_lets_nobody_in() {
    let trusted = "trusted.ips = ['10.0.0.1']\n";
    refused_setup(&Setup::toml(&format!("{INTERFACES}{trusted}{WEB}")), &[NO_ALLOWLIST]);
    refused(
        &format!("trusted.ips = ['any', '@none', '10.0.0.0/33']\n{WEB}"),
        &[
            "guard.toml:3: `any` may stand only in the `allow` of a [[service]], which makes it public",
            "guard.toml:3: prefix `10.0.0.0/33`: length over 32",
            "guard.toml:3: set `@none` is not defined under [sets] in guard.toml",
        ],
    );
}

#[test]
fn a_great_many_bad_lines() {
    let lines: String = (0..5_000).map(|n| format!("10.0.0.{n}\n")).collect();
    let text = format!("{INTERFACES}{ALLOW}sets.big = 'big.txt'\nsets.also = 'also.txt'\n{WEB}");
    let setup = Setup::toml(&text).file("big.txt", &lines).file("also.txt", "\nx\n");
    let faults = setup.load().unwrap_err();
    assert_eq!(faults.len(), 201);
    assert_eq!(faults[0], "big.txt:257 (@big): prefix `10.0.0.256`: neither an IPv4 nor an IPv6 address");
    assert_eq!(faults[200], format!("and {} more", 5_000 - 256 + 1 - 200));
}

#[test]
fn a_file_that_breaks_off() {
    for (name, text, fault) in [
        ("encoding", &b"10.0.0.1\n10.0.0.\xff\n"[..], "line 2 is not UTF-8".to_owned()),
        ("length", &[b"10.0.0.1\n", vec![b' '; 70_000].as_slice()].concat(), "line 2 is longer than 64 KiB".to_owned()),
    ] {
        let setup = Setup::toml(&format!("{INTERFACES}allow.ips = ['@big']\nsets.big = 'big.txt'\n{WEB}"));
        std::fs::write(setup.path("big.txt"), text).unwrap();
        assert_eq!(setup.load().unwrap_err(), [format!("guard.toml:3: set `big`: `big.txt`: {fault}")], "{name}");
    }
}

#[test]
fn set_names_and_files() {
    let name = "a name has 1 to 32 of A-Z, a-z, 0-9, `_`, `.` and `-`";
    refused(
        &format!("{WEB}allow = ['@gone', '@un known']\n[sets]\ngone = 'gone.txt'\n'un known' = 'gone.txt'\n"),
        &[
            &format!("guard.toml:6: `@un known` names no set: {name}"),
            "guard.toml:8: set `gone`: `gone.txt`: no such file",
            &format!("guard.toml:9: set name `un known`: {name}"),
        ],
    );
}

#[test]
fn every_fault_is_named_at_once() {
    let setup = Setup::toml(
        "interfaces = ['lo']\nmode = 'off'\nfailsafe_ports = ['tcp/22', '22']\ncolour = 'red'\n[allow]\n\
        ips = ['10.0.0', '@home']\n\
         [sets]\noffice = 'office.txt'\n[[service]]\nname = 'web'\nports = ['tcp/22']\n\
         allow = ['@office', '0.0.0.0/0']\n\
         [[service]]\nname = 'web'\nports = ['tcp/22']\nrate = { unit = 'flows', limit = 1, window = '1s' }\n",
    )
    .env_file("GUARD_PROTS=tcp/3000\nnonsense\n")
    .env("ALLOWED_IPS", "10.0.0.0/33")
    .env("GUARD_DEFAULT", "accept")
    .file("office.txt", "10.0.0.1 10.0.0.2\n")
    .file("data/allowed_ips.json", r#"["10.0.0.300", {"ip": "10.0.0.1", "expires": "2030-01-01"}]"#);
    let faults = setup.load().unwrap_err();
    for expected in [
        "guard.env:1: unknown variable `GUARD_PROTS`",
        "guard.env:2: `nonsense` is not NAME=value",
        "environment variable ALLOWED_IPS item 1: prefix `10.0.0.0/33`: length over 32",
        "environment variable GUARD_DEFAULT: `accept` is none of",
        "guard.toml:1: interface `lo`: the loopback",
        "guard.toml:2: key `mode`: `off` is none of",
        "guard.toml:3: port `22` in `failsafe_ports`",
        "guard.toml:4: unknown key `colour`",
        "guard.toml:6: prefix `10.0.0`",
        "guard.toml:6: set `@home` is not defined",
        "guard.toml:16: key `unit`: `flows` is none of",
        "office.txt:1 (@office): prefix `10.0.0.1 10.0.0.2`",
        "data/allowed_ips.json[0]: prefix `10.0.0.300`",
        "data/allowed_ips.json[1]: key `expires` is `2030-01-01`, no time such as",
        "guard.toml:13: service name `web` is taken, by guard.toml:9",
        "guard.toml:15: port `tcp/22` belongs to another service, by guard.toml:11",
        "guard.toml:11: port `tcp/22` is a failsafe port",
        "guard.toml:15: port `tcp/22` is a failsafe port",
        "guard.toml:12: prefix `0.0.0.0/0`: service `web` and the allowlist cover more IPv4 addresses than a /4",
    ] {
        let found = faults.iter().filter(|fault| fault.starts_with(expected)).count();
        assert_eq!(found, 1, "{expected:?} in {faults:#?}");
    }
    assert_eq!(faults.len(), 19, "{faults:#?}");
}
