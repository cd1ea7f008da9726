//! The audit log: a line for each change, whatever asked for it and whatever it came to.

use std::fs;

use guard_tests::{Site, wait::eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::scene::{ANY_CELL, AUDIT, LIST_FILE, SOON, Scene};

/// What a line says was done, by whom, and what it came to.
fn short(line: &Value) -> String {
    let by = match &line["by"] {
        Value::String(cause) => cause.clone(),
        who => format!("uid {}", who["uid"]),
    };
    let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {line}")).to_owned();
    format!("{} by {by}: {}", text("action"), text("outcome"))
}

/// Waits until the last line is this one, and returns it.
#[track_caller]
fn last(scene: &Scene, expected: &str) -> Value {
    let last = || scene.audit().last().cloned().unwrap_or_default();
    eventually(&format!("`{expected}` is in the log"), SOON, || last().is_object() && short(&last()) == expected);
    last()
}

#[test]
fn each_change_is_a_line() {
    let mut scene = Scene::new(ANY_CELL);
    last(&scene, "start by uid 0: enforced");
    for (command, code, expected) in [
        ("allow add {2} --comment office", 0, "allow add by uid 0: enforced"),
        ("allow add {3} --service web --ttl 1h", 0, "allow add by uid 0: enforced"),
        ("allow remove {2}", 0, "allow remove by uid 0: enforced"),
        ("allow remove {2}", 1, "allow remove by uid 0: refused"),
        ("block add {2} --name pest", 0, "block add by uid 0: enforced"),
        ("block remove --name pest", 0, "block remove by uid 0: enforced"),
        ("lockdown --except {2} --for 1h", 0, "lockdown by uid 0: enforced"),
        ("lockdown --lift", 0, "lift by uid 0: enforced"),
        ("reload", 0, "reload by uid 0: enforced"),
    ] {
        let before = (scene.generation(), scene.audit().len());
        let answer = scene.ask(command);
        assert_eq!(answer.code(), Some(code), "{command}: {answer:?}");
        let line = last(&scene, expected);
        assert_eq!(scene.audit().len(), before.1 + 1, "{command}: one line");
        assert_eq!(line["generation_before"], before.0, "{command}: {line:#}");
        assert_eq!(line["generation_after"], scene.generation(), "{command}: {line:#}");
        let asked_by = line["by"]["command"].as_str().expect("a command is text");
        let words = command.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert!(asked_by.contains(&words), "{command}: {line:#}");
    }
    let lines = scene.audit();
    let of = |action: &str| lines.iter().find(|line| line["action"] == action).expect("each is there").clone();
    let added = of("allow add");
    assert_eq!(added["prefixes"], Value::from(vec!["198.51.100.2/32"]), "{added:#}");
    assert_eq!((&added["comment"], &added["forced"]), (&"office".into(), &false.into()), "{added:#}");
    let granted = &lines[2];
    assert_eq!((&granted["ttl_s"], &granted["services"]), (&3600.into(), &Value::from(vec!["web"])), "{granted:#}");
    let refused = &lines[4];
    assert!(refused["faults"].to_string().contains("198.51.100.2"), "{refused:#}");
    assert_eq!(of("lockdown")["prefixes"], Value::from(vec!["198.51.100.2/32"]));

    scene.guard.signal(Signal::SIGHUP);
    last(&scene, "reload by signal: enforced");
    scene.site.host().write(LIST_FILE, "[\"192.0.2.1\"]");
    last(&scene, "files by files: enforced");
    scene.site.host().write(LIST_FILE, "[");
    let refused = last(&scene, "files by files: refused");
    assert!(refused["faults"].to_string().contains("allowed_ips.json"), "{refused:#}");
    scene.site.host().write(LIST_FILE, "[\"192.0.2.1\"]");
    scene.done("allow add {2} --ttl 1s");
    let expired = last(&scene, "expire by clock: enforced");
    assert_eq!(expired["prefixes"], Value::from(vec!["198.51.100.2/32"]), "{expired:#}");
}

#[test]
fn a_log_that_was_rotated_goes_on_and_one_that_can_not_be_opened_refuses_changes() {
    let scene = Scene::new(ANY_CELL);
    scene.done("allow add {2}");
    let path = scene.site.host().outside(AUDIT);
    let (rotated, lines) = (path.with_extension("1"), scene.audit().len());
    fs::rename(&path, &rotated).expect("the log can be renamed");
    scene.done("allow add {3}");
    assert_eq!(scene.audit().len(), 1);
    assert_eq!(fs::read_to_string(&rotated).expect("it is there").lines().count(), lines);

    fs::remove_file(&path).expect("the log can be removed");
    fs::create_dir(&path).expect("a directory can be made");
    let said = scene.refused("allow remove {3}", 1);
    assert!(said.contains("audit.jsonl"), "{said}");
    assert_eq!(scene.list("allow").len(), 4, "two of the policy file, and both edits");
    fs::remove_dir(&path).expect("a directory can be removed");
    scene.done("allow remove {3}");
    assert_eq!(scene.audit().len(), 1);
}

#[test]
fn a_host_is_guarded_though_nothing_can_be_noted() {
    let site = Site::with_silent_peer(ANY_CELL);
    let path = site.host().outside(AUDIT);
    fs::create_dir_all(&path).expect("a directory can be made");
    let scene = Scene::on(site);
    let warnings = scene.guard.status()["warnings"].to_string();
    assert!(warnings.contains("audit.jsonl"), "{warnings}");
    let said = scene.refused("allow add {2}", 1);
    assert!(said.contains("audit.jsonl"), "{said}");
    fs::remove_dir(&path).expect("a directory can be removed");
    scene.done("allow add {2}");
    assert_eq!(scene.audit().len(), 1);
}
