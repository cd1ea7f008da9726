use std::{os::unix::fs::PermissionsExt as _, thread};

use serde_json::{Value, json};
use tempfile::tempdir;

use super::*;
use crate::live::{Addition, Removal};

fn who() -> Who {
    Who { uid: 1000, user: Some("alice".to_owned()), pid: 812, command: "guard allow add".to_owned() }
}

fn record(by: Actor, edit: &Edit, outcome: Outcome) -> AuditRecord {
    AuditRecord {
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        by,
        action: Action::of(edit),
        request: Request::of(edit, false),
        lists: Vec::new(),
        outcome,
        generation_before: 6,
        generation_after: 7,
    }
}

fn addition() -> Edit {
    Edit::Add(Addition {
        list: List::Allow,
        prefixes: vec!["192.0.2.7/32".parse().unwrap(), "2001:db8::/48".parse().unwrap()],
        services: vec!["web".to_owned()],
        ttl: Some(std::time::Duration::from_secs(7200)),
        comment: Some("two\nlines".to_owned()),
        name: None,
    })
}

fn removal() -> Edit {
    let list = List::Block;
    Edit::Remove(Removal { list, prefixes: vec![], services: vec![], name: Some("home".to_owned()) })
}

fn enforced() -> AuditRecord {
    record(Actor::Who(who()), &addition(), Outcome::Enforced)
}

fn reload() -> AuditRecord {
    let change = |list: &str, added, removed| ListChange { list: list.to_owned(), before: 9, added, removed };
    AuditRecord {
        action: Action::Reload,
        request: Request::default(),
        lists: vec![change("allow", 2, 1)],
        ..record(Actor::Cause(Cause::Files), &removal(), Outcome::Enforced)
    }
}

/// Reads the lines of a log, each of which must be whole.
fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_says_who_what_when_and_what_it_came_to() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let log = AuditLog::at(path.clone());
    let refused = Outcome::Refused { faults: vec!["no entry is named `home`".to_owned()] };
    for record in [enforced(), record(Actor::Cause(Cause::Signal), &removal(), refused), reload()] {
        log.append(&record).unwrap();
    }
    let time = "2026-01-02T03:04:05Z";
    let by = json!({"uid": 1000, "user": "alice", "pid": 812, "command": "guard allow add"});
    assert_eq!(
        lines(&path),
        [
            json!({"time": time, "by": by, "action": "allow add", "prefixes": ["192.0.2.7/32", "2001:db8::/48"],
                "services": ["web"], "ttl_s": 7200, "comment": "two\nlines", "forced": false, "outcome": "enforced",
                "generation_before": 6, "generation_after": 7}),
            json!({"time": time, "by": "signal", "action": "block remove", "name": "home", "forced": false,
                "outcome": "refused", "faults": ["no entry is named `home`"], "generation_before": 6,
                "generation_after": 7}),
            json!({"time": time, "by": "files", "action": "reload", "forced": false, "outcome": "enforced",
                "lists": [{"list": "allow", "before": 9, "added": 2, "removed": 1}], "generation_before": 6,
                "generation_after": 7}),
        ]
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn lines_are_only_added() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    for run in 1..=3 {
        let log = AuditLog::at(path.clone());
        log.append(&enforced()).unwrap();
        assert_eq!(lines(&path).len(), run);
    }
}

#[test]
fn a_log_that_was_moved_away_is_made_anew() {
    let directory = tempdir().unwrap();
    let (path, moved) = (directory.path().join("audit.jsonl"), directory.path().join("audit.jsonl.1"));
    let log = AuditLog::at(path.clone());
    log.append(&enforced()).unwrap();
    fs::rename(&path, &moved).unwrap();
    log.append(&enforced()).unwrap();
    log.append(&enforced()).unwrap();
    assert_eq!((lines(&moved).len(), lines(&path).len()), (1, 2));
    fs::remove_file(&path).unwrap();
    log.prepare().unwrap();
    assert_eq!(lines(&path).len(), 0);
}

#[test]
fn half_a_line_is_ended() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    fs::write(&path, "{\"time\": \"2026-01-0").unwrap();
    AuditLog::at(path.clone()).append(&enforced()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let (half, whole) = text.split_once('\n').unwrap();
    assert_eq!(half, "{\"time\": \"2026-01-0");
    assert_eq!(serde_json::from_str::<Value>(whole).unwrap()["action"], "allow add");
}

#[test]
fn what_cannot_be_written_is_said() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("none/audit.jsonl");
    let log = AuditLog::at(path.clone());
    let error = log.prepare().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
    assert_eq!(log.append(&enforced()).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::create_dir(directory.path().join("none")).unwrap();
    log.append(&enforced()).unwrap();
    assert_eq!(lines(&path).len(), 1);

    // A disk that is full.
    let full = AuditLog::at("/dev/full".into());
    *full.lock() = Some(OpenOptions::new().append(true).open("/dev/full").unwrap());
    assert_eq!(full.append(&enforced()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(full.lock().is_none(), "it is opened again, and half a line ended");
}

#[test]
fn lines_of_many_threads_stay_whole() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let log = AuditLog::at(path.clone());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| log.append(&enforced()).unwrap()));
        }
    });
    assert_eq!(lines(&path).len(), 100);
}
