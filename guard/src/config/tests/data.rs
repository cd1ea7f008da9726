//! What is added by command, what ends, and data files that change.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::clock::{Clock, Moment};
use crate::policy::{Effect, Readers};

use super::super::{Basis, Staged, load_at, load_data};
use super::{Loaded, Setup, shown};

const TOML: &str = "interfaces = ['eth0']\nallow.ips = ['10.0.0.0/8']\n[[service]]\nname = 'web'\nports = ['tcp/80']\n\
                    [[service]]\nname = 'db'\nports = ['tcp/5432']\n";
const NOON: &str = "2026-11-22T12:00:00Z";

/// Noon, an hour after boot.
fn noon() -> Moment {
    let clock = Clock { wall: NOON.parse().unwrap(), boot: Duration::from_hours(1) };
    Moment { clock, boot_id: Some("this".to_owned()) }
}

fn load(setup: &Setup, now: &Moment) -> Result<Loaded, Vec<String>> {
    let basis = Arc::new(Basis::read(&setup.sources()));
    load_at(&basis, &Staged::default(), now).map_err(|faults| setup.lines(&faults))
}

fn with_entries(entries: serde_json::Value) -> Setup {
    let file = json!({ "version": 1, "clock": { "boot_id": "this", "boot_ns": 0, "time": "2026-11-22T11:00:00Z" }, "entries": entries });
    Setup::toml(TOML).file("data/entries.json", &file.to_string())
}

/// Each as one line: what, for which services, when it ends in seconds after boot, from where.
fn timed(setup: &Setup, loaded: &Loaded) -> Vec<String> {
    let line = |timed: &crate::policy::Timed| {
        let what = match &timed.effect {
            Effect::Grant { services } => format!("grant [{}]", services.join(" ")),
            Effect::Ban => "ban".to_owned(),
        };
        let origin = shown(&timed.origin, setup.dir.path());
        format!("{what} {} {} {origin}", timed.prefix, timed.ends.as_secs())
    };
    loaded.timed.iter().map(line).collect()
}

#[test]
fn entries_go_where_they_belong() {
    let added = "2026-11-21T08:00:00Z";
    let setup = with_entries(json!([
        { "list": "allow", "ip": "192.0.2.1/32", "comment": "plain", "added": added },
        { "list": "allow", "ip": "192.0.2.2", "services": ["web"], "comment": "scoped", "added": added },
        { "list": "allow", "ip": "192.0.2.3/32", "expires": "2026-11-22T12:01:00Z", "added": added },
        { "list": "allow", "ip": "192.0.2.4/32", "services": ["web", "db"], "expires": "2026-11-22T13:00:00Z", "added": added },
        { "list": "block", "ip": "2001:db8::/48", "added": added, "by": { "uid": 0, "pid": 7, "command": "guard block add" } },
        { "list": "block", "ip": "192.0.2.128/25", "expires": "2026-11-22T12:30:00Z", "added": added },
        { "list": "allow", "ip": "192.0.2.5/32", "expires": NOON, "added": added },
        { "list": "allow", "ip": "192.0.2.6/32", "services": ["gone"], "added": added },
        { "list": "allow", "ip": "192.0.2.7/32", "services": ["gone", "db"], "expires": "2026-11-22T13:00:00Z", "added": added },
        { "list": "allow", "ip": "192.0.2.8/32", "services": ["gone"], "expires": "2026-11-22T13:00:00Z", "added": added },
        { "list": "allow", "ip": "192.0.2.9/32", "comment": "no string says this", "added": added },
    ]))
    .file("data/allowed_ips.json", r#"["192.0.2.1"]"#);
    let loaded = load(&setup, &noon()).unwrap();
    let prefixes = |entries: &crate::policy::Entries| {
        entries
            .iter()
            .map(|entry| format!("{} {}", entry.prefix, shown(&entry.origin, setup.dir.path())))
            .collect::<Vec<_>>()
    };
    assert_eq!(prefixes(&loaded.policy.allow), ["10.0.0.0/8 guard.toml:2", "192.0.2.1/32 data/allowed_ips.json[0]"]);
    assert_eq!(prefixes(&loaded.policy.services[0].allow), ["192.0.2.2/32 data/entries.json[1]"]);
    assert!(loaded.policy.services[1].allow.is_empty());
    assert_eq!(prefixes(&loaded.policy.deny), ["2001:db8::/48 data/entries.json[4]"]);
    assert_eq!(
        timed(&setup, &loaded),
        [
            "grant [] 192.0.2.3/32 3660 data/entries.json[2]",
            "grant [db web] 192.0.2.4/32 7200 data/entries.json[3]",
            "ban 192.0.2.128/25 5400 data/entries.json[5]",
            "grant [db] 192.0.2.7/32 7200 data/entries.json[8]",
        ]
    );
    let live: Vec<String> = loaded.live.entries.iter().map(|entry| entry.prefix.addr().to_string()).collect();
    let kept = ["1", "2", "3", "4", "", "128", "6", "7", "8"];
    let kept: Vec<String> = kept
        .iter()
        .map(|last| if last.is_empty() { "2001:db8::".to_owned() } else { format!("192.0.2.{last}") })
        .collect();
    assert_eq!(live, kept);
    assert_eq!(loaded.live.entries[4].by.as_ref().unwrap().pid, 7);
    let warnings: Vec<String> = loaded.warnings.iter().map(|warning| shown(warning, setup.dir.path())).collect();
    assert_eq!(
        warnings,
        [
            "data/entries.json[7]: service `gone` is not defined: `192.0.2.6/32` is not let in to it",
            "data/entries.json[8]: service `gone` is not defined: `192.0.2.7/32` is not let in to it",
            "data/entries.json[9]: service `gone` is not defined: `192.0.2.8/32` is not let in to it",
        ]
    );
}

#[test]
fn an_end_is_told_by_the_clock_of_its_boot() {
    let setup = with_entries(json!([
        { "list": "block", "ip": "192.0.2.1", "expires": "2026-11-22T13:00:00Z", "added": NOON },
    ]));
    let at = |wall: &str, boot: Option<&str>| {
        let clock = Clock { wall: wall.parse().unwrap(), boot: Duration::from_hours(1) };
        Moment { clock, boot_id: boot.map(str::to_owned) }
    };
    for (case, now, ends) in [
        ("same boot", noon(), Some(7200)),
        ("same boot, wall clock a year ahead", at("2027-11-22T12:00:00Z", Some("this")), Some(7200)),
        ("same boot, wall clock a year behind", at("2025-11-22T12:00:00Z", Some("this")), Some(7200)),
        ("another boot", at("2026-11-22T12:30:00Z", Some("other")), Some(5400)),
        ("another boot, after the end", at("2026-11-22T13:00:00Z", Some("other")), None),
        ("another boot, wall clock a year behind", at("2025-11-22T12:00:00Z", Some("other")), Some(7200)),
        ("no boot known", at("2026-11-22T12:30:00Z", None), Some(5400)),
    ] {
        let loaded = load(&setup, &now).unwrap();
        let found: Vec<u64> = loaded.timed.iter().map(|timed| timed.ends.as_secs()).collect();
        assert_eq!(found, ends.into_iter().collect::<Vec<_>>(), "{case}");
    }
}

#[test]
fn elements_of_the_list_file_may_end() {
    let setup =
        Setup::toml(&format!("{TOML}[sets]\nlab = 'lab.txt'\n")).file("lab.txt", "192.0.2.8\n192.0.2.9\n").file(
            "data/allowed_ips.json",
            r#"[{"ip": "192.0.2.1", "expires": "2026-11-22T12:00:01Z", "comment": "visitor"},
            {"ip": "192.0.2.2", "expires": "2026-11-22T12:00:00Z"},
            {"ip": "@lab", "expires": "2026-11-22T14:00:00+01:00", "services": ["db"]}]"#,
        );
    let loaded = load(&setup, &noon()).unwrap();
    assert_eq!(
        timed(&setup, &loaded),
        [
            "grant [] 192.0.2.1/32 3601 data/allowed_ips.json[0]",
            "grant [db] 192.0.2.8/32 7200 lab.txt:1 (@lab)",
            "grant [db] 192.0.2.9/32 7200 lab.txt:2 (@lab)",
        ]
    );
    assert_eq!(loaded.timed[0].comment.as_deref(), Some("visitor"));
    assert_eq!(loaded.policy.allow.len(), 1);
    let setup = Setup::toml(TOML).file(
        "data/allowed_ips.json",
        r#"[{"ip": "192.0.2.2", "expires": "2026-11-22T12:00:00Z", "services": ["x"]}]"#,
    );
    assert_eq!(load(&setup, &noon()).unwrap_err(), ["data/allowed_ips.json[0]: service `x` is not defined"]);
}

#[test]
fn grants_are_no_allowlist() {
    let toml = TOML.replace("allow.ips = ['10.0.0.0/8']\n", "");
    let entry = json!({ "list": "allow", "ip": "192.0.2.1", "expires": "2026-11-22T13:00:00Z", "added": NOON });
    let file = json!({ "version": 1, "entries": [entry] }).to_string();
    let faults = load(&Setup::toml(&toml).file("data/entries.json", &file), &noon()).unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("no allowlist: "), "{faults:?}");
}

#[test]
fn grants_are_not_wide_unasked() {
    let entry = json!({ "list": "allow", "ip": "128.0.0.0/1", "services": ["web"], "expires": "2026-11-22T13:00:00Z", "added": NOON });
    let file = json!({ "version": 1, "entries": [entry] }).to_string();
    let faults = load(&Setup::toml(TOML).file("data/entries.json", &file), &noon()).unwrap_err();
    let expected = "data/entries.json[0]: prefix `128.0.0.0/1`: grants cover more IPv4 addresses than a /4 in all; \
                    `allow_wide = true` in guard.toml accepts it";
    assert_eq!(faults, [expected]);
    let setup = Setup::toml(&format!("allow_wide = true\n{TOML}")).file("data/entries.json", &file);
    let warnings = load(&setup, &noon()).unwrap().warnings;
    assert!(
        warnings[0].to_string().starts_with("grants cover more IPv4 addresses than a /4 in all, which"),
        "{warnings:?}"
    );
}

#[test]
fn entries_that_are_none_are_refused() {
    let entry = |entry: serde_json::Value| json!({ "version": 1, "entries": [entry] }).to_string();
    let element = "data/entries.json[0]";
    for (text, fault) in [
        (String::new(), "data/entries.json:1:0: not JSON: EOF while parsing a value".to_owned()),
        (
            "[]".to_owned(),
            "data/entries.json:1:2: invalid length 0, expected an object with `version` and `entries`".to_owned(),
        ),
        (r#"{"version": 1}"#.to_owned(), "data/entries.json:1:14: missing field `entries`".to_owned()),
        (
            r#"{"version": 1, "entries": [], "more": 1}"#.to_owned(),
            "data/entries.json:1:36: unknown field `more`, expected one of `version`, `clock`, `lockdown`, `entries`"
                .to_owned(),
        ),
        (r#"{"version": 2, "entries": [7]}"#.to_owned(), "data/entries.json: version 2, where 1 is known".to_owned()),
        (
            entry(json!("10.0.0.1")),
            format!("{element}: invalid type: string \"10.0.0.1\", expected an object with `list`, `ip` and `added`"),
        ),
        (
            entry(json!({ "list": "allow", "ip": "10.0.0.0/33", "added": NOON })),
            format!("{element}: prefix `10.0.0.0/33`: length over 32"),
        ),
        (
            entry(json!({ "list": "deny", "ip": "10.0.0.1", "added": NOON })),
            format!("{element}: unknown variant `deny`, expected `allow` or `block`"),
        ),
        (
            entry(json!({ "list": "block", "ip": "10.0.0.1", "services": ["web"], "added": NOON })),
            format!("{element}: key `services` in an entry of `block`, which holds for every port"),
        ),
        (
            entry(json!({ "list": "allow", "ip": "10.0.0.1", "services": [], "added": NOON })),
            format!("{element}: key `services` names no service: leave it out to mean every service"),
        ),
        (entry(json!({ "list": "allow", "ip": "10.0.0.1" })), format!("{element}: missing field `added`")),
        (
            json!({ "version": 1, "lockdown": { "except": ["x"], "since": NOON }, "entries": [] }).to_string(),
            "data/entries.json: prefix `x`: neither an IPv4 nor an IPv6 address".to_owned(),
        ),
    ] {
        let setup = Setup::toml(TOML).file("data/entries.json", &text);
        assert_eq!(load(&setup, &noon()).unwrap_err(), [fault], "{text}");
    }
}

#[test]
fn a_lockdown_is_kept_until_it_ends() {
    for (expires, holds) in [(None, true), (Some("2026-11-22T12:00:01Z"), true), (Some(NOON), false)] {
        let lockdown = json!({ "except": ["192.0.2.0/24"], "expires": expires, "since": NOON });
        let file = json!({ "version": 1, "lockdown": lockdown, "entries": [] }).to_string();
        let loaded = load(&Setup::toml(TOML).file("data/entries.json", &file), &noon()).unwrap();
        assert_eq!(loaded.live.lockdown.is_some(), holds, "{expires:?}");
    }
}

#[test]
fn who_may_ask_is_read() {
    for (text, readers) in [
        ("", Readers::Group),
        ("[control]\nreaders = 'group'\n", Readers::Group),
        ("[control]\nreaders = 'everyone'\n", Readers::Everyone),
    ] {
        assert_eq!(Setup::toml(&format!("{TOML}{text}")).load().unwrap().policy.control_readers, readers, "{text}");
    }
    let faults = Setup::toml(&format!("{TOML}[control]\nreaders = 'nobody'\nwriters = 1\n")).load().unwrap_err();
    assert_eq!(
        faults,
        [
            "guard.toml:10: key `readers`: `nobody` is none of `group`, `everyone`",
            "guard.toml:11: unknown key `writers` in [control]; known are readers",
        ]
    );
}

#[test]
fn only_data_files_are_read_again() {
    let setup = Setup::toml(&format!("{TOML}[sets]\noffice = 'office.txt'\n[deny]\nips = ['@office']\n"))
        .file("office.txt", "192.0.2.1\n")
        .env_file("GUARD_MODE=monitor\n");
    let first = setup.load().unwrap();
    let setup = setup
        .file("guard.toml", "half of")
        .env_file("nonsense\n")
        .file("office.txt", "192.0.2.2\n")
        .file("data/allowed_ips.json", r#"["192.0.2.3"]"#);
    setup.load().unwrap_err();
    let again = load_data(&first.basis, &Staged::default()).unwrap();
    assert_eq!(again.policy.mode, first.policy.mode);
    assert_eq!(again.policy.deny.prefixes().next().unwrap().to_string(), "192.0.2.2/32");
    assert_eq!(again.policy.allow.len(), 2);
}

#[test]
fn a_data_file_that_is_another_is_seen() {
    let (list, office, entries) = ("data/allowed_ips.json", "office.txt", "data/entries.json");
    let setup = || {
        let setup = Setup::toml(&format!("{TOML}[sets]\noffice = 'office.txt'\n[deny]\nips = ['@office']\n"));
        let setup = setup.file("real/one/office.txt", "192.0.2.1\n").file("real/two/office.txt", "192.0.2.2\n");
        symlink("one", setup.path("real/..data")).unwrap();
        symlink("real/..data/office.txt", setup.path(office)).unwrap();
        setup.file(list, r#"["10.0.0.1"]"#)
    };
    type Change = dyn Fn(&Setup);
    let changes: [(&str, &Change); 9] = [
        ("written in place", &|setup| fs::write(setup.path(list), r#"["10.0.0.2"]"#).unwrap()),
        ("written in place, with the time of before", &|setup| {
            let before = fs::metadata(setup.path(list)).unwrap().modified().unwrap();
            fs::write(setup.path(list), r#"["10.0.0.2"]"#).unwrap();
            fs::File::options().write(true).open(setup.path(list)).unwrap().set_modified(before).unwrap();
        }),
        ("another renamed over it", &|setup| {
            fs::write(setup.path("new"), r#"["10.0.0.1"]"#).unwrap();
            fs::rename(setup.path("new"), setup.path(list)).unwrap();
        }),
        ("gone", &|setup| fs::remove_file(setup.path(list)).unwrap()),
        ("a file that was not there", &|setup| fs::write(setup.path(entries), "").unwrap()),
        ("a link on the way leads elsewhere", &|setup| {
            symlink("two", setup.path("real/..new")).unwrap();
            fs::rename(setup.path("real/..new"), setup.path("real/..data")).unwrap();
        }),
        ("where a link leads, in place", &|setup| fs::write(setup.path("real/one/office.txt"), "192.0.2.9\n").unwrap()),
        ("a link that leads nowhere", &|setup| fs::remove_dir_all(setup.path("real/one")).unwrap()),
        ("a link in place of it, to the same contents", &|setup| {
            fs::copy(setup.path(list), setup.path("copy")).unwrap();
            fs::remove_file(setup.path(list)).unwrap();
            symlink("../copy", setup.path(list)).unwrap();
        }),
    ];
    for (case, change) in changes {
        let setup = setup();
        let loaded = setup.load().unwrap();
        let look = loaded.files.look();
        assert!(!loaded.files.have_changed(), "before: {case}");
        fs::write(setup.path("other"), "x").unwrap();
        assert!(!loaded.files.have_changed(), "another file: {case}");
        // Times of files go by the kernel's ticks.
        std::thread::sleep(Duration::from_millis(20));
        change(&setup);
        assert!(loaded.files.have_changed(), "{case}");
        assert_ne!(loaded.files.look(), look, "{case}");
        assert_eq!(loaded.files.look(), loaded.files.look(), "{case}");
    }
}
