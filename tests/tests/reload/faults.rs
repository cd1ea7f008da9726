//! Every kind of fault: the old policy stays in force, and that is said until a reload succeeds.

use guard_tests::{Guard, Options};

use super::scene::{ANY_CELL, Scene, list, texts};

/// A policy that is good, with more lines at its end.
fn policy(more: &str) -> String {
    format!("allow.ips = {}\n[[service]]\nname = 'web'\nports = ['udp/3000']\n{more}", list([1]))
}

#[test]
fn every_fault_keeps_the_old_policy() {
    let scene = Scene::new(ANY_CELL, &policy(""));
    let cases: [(&str, String, &[&str]); 10] = [
        ("a bad entry", policy("allow = ['10.0.0.0/33']\n"), &["prefix `10.0.0.0/33`"]),
        ("two bad entries", policy("allow = ['10.0.0.0/33', 'x']\n"), &["prefix `10.0.0.0/33`", "prefix `x`"]),
        ("a missing file", policy("[sets]\noffice = '/run/test/none.txt'\n"), &["no such file"]),
        ("an unknown key", policy("allows = []\n"), &["allows"]),
        ("no TOML", policy("[[[\n"), &["default.toml"]),
        ("too wide", policy("allow = ['0.0.0.0/1']\n"), &["more IPv4 addresses than a /4"]),
        ("an empty list", "[[service]]\nname = 'web'\nports = ['udp/3000']\n".to_owned(), &["no allowlist"]),
        ("no port", format!("allow.ips = {}\n", list([1])), &["no guarded port"]),
        ("a set that is none", policy("allow = ['@office']\n"), &["office"]),
        ("the log", policy("[log]\neve = { path = '/run/test/no/such/eve.json' }\n"), &["can't be opened"]),
    ];
    for (case, config, faults) in cases {
        let answer = scene.refused(&config, 78);
        let (last, said) = answer.stderr.split_last().expect("a refusal says why");
        assert_eq!(last, "guard: not reloaded; generation 1 stays in force", "{case}");
        if !case.contains("the log") {
            let whole = scene.site.config(&config);
            let options = Options { config: Some(&whole), ..Options::default() };
            let checked = Guard::invoke(scene.site.host(), options, "check");
            assert_eq!(said, checked.stderr, "{case}: as at a start");
        }
        assert_eq!(answer.stdout, [] as [&str; 0], "{case}");

        let (said, log) = (said.join("\n"), scene.guard.log());
        let status = scene.guard.status();
        assert_eq!(status["last_reload"]["outcome"], "refused", "{case}: {status:#}");
        let told = texts(&status["last_reload"]["faults"]).join("\n");
        let text = scene.guard.ask(&["status"]).stdout.join("\n");
        assert!(text.contains("LAST RELOAD REFUSED"), "{case}: {text}");
        assert!(
            log.iter().any(|line| line.contains("reload refused, generation 1 stays in force")),
            "{case}: {log:#?}"
        );
        for fault in faults {
            assert!(said.contains(fault), "{case}: no `{fault}` in the answer: {said}");
            assert!(told.contains(fault), "{case}: no `{fault}` in the status: {told}");
            assert!(text.contains(fault), "{case}: no `{fault}` in the status's text: {text}");
            assert!(log.iter().any(|line| line.contains(fault)), "{case}: no `{fault}` in the log: {log:#?}");
        }
        scene.probe().expect([
            (case, scene.datagram(1, 3000), "web pass allowed"),
            (case, scene.datagram(2, 3000), "web drop not_allowed"),
        ]);
    }
    scene.reload(&policy(""));
    let text = scene.guard.ask(&["status"]).stdout.join("\n");
    assert!(text.contains("last reload, by command: ok") && !text.contains("REFUSED"), "{text}");
}

#[test]
fn files_and_the_env_file_are_read_anew() {
    let site = guard_tests::Site::with_silent_peer(ANY_CELL);
    site.host().write("office.txt", "198.51.100.2\n");
    let whole = site.config("allow.ips = ['@office']\n[sets]\noffice = '/run/test/office.txt'\n");
    let options = Options {
        config: Some(&whole),
        env_file: Some("GUARD_PORTS=udp/3000\nALLOWED_IPS=198.51.100.1\n"),
        ..Options::default()
    };
    let guard = Guard::run(site.host(), options);
    let scene = Scene { site, guard };
    let expect = |case: &str, rows: [&'static str; 4]| {
        let sources = (1..).zip(rows);
        scene.probe().expect(
            sources.map(|(source, row)| (format!("{case}: source {source}"), scene.datagram(source, 3000), row)),
        );
    };
    let (pass, drop) = ("default pass allowed", "default drop not_allowed");
    expect("at first", [pass, pass, drop, drop]);
    scene.site.host().write("office.txt", "198.51.100.3\n");
    assert!(scene.guard.ask(&["reload"]).status.success());
    expect("another set", [pass, drop, pass, drop]);
    scene.site.host().write("default.env", "GUARD_PORTS=udp/3000\nALLOWED_IPS=198.51.100.4\n");
    assert!(scene.guard.ask(&["reload"]).status.success());
    expect("another variable", [drop, drop, pass, pass]);
}

#[test]
fn what_cannot_be_changed_in_place_is_refused_with_the_remedy() {
    let scene = Scene::new(ANY_CELL, &policy(""));
    scene.write_whole(&format!("interfaces = ['eth0']\nxdp_mode = 'generic'\n{}", policy("")));
    let answer = scene.guard.ask(&["reload"]);
    let said = answer.stderr.join("\n");
    assert_eq!(answer.code(), Some(1), "{said}");
    assert!(
        said.contains("xdp_mode can't be changed from `native` to `generic`") && said.contains("`guard down`"),
        "{said}"
    );
    let status = scene.guard.status();
    assert_eq!(
        (&status["generation"], &status["interfaces"][0]["xdp_mode"]),
        (&1.into(), &"native".into()),
        "{status:#}"
    );

    let scene = {
        let site = guard_tests::Site::with_silent_peer(ANY_CELL);
        let whole = site.config(&policy(""));
        let options = Options { config: Some(&whole), env_file: Some("LOG_LEVEL=info\n"), ..Options::default() };
        let guard = Guard::run(site.host(), options);
        Scene { site, guard }
    };
    scene.site.host().write("default.env", "LOG_LEVEL=debug\n");
    let answer = scene.guard.ask(&["reload"]);
    let said = answer.stderr.join("\n");
    assert!(answer.code() == Some(1) && said.contains("LOG_LEVEL can't be changed from `info` to `debug`"), "{said}");
}
