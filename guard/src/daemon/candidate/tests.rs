use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::config::load;

const LIST: &str = "data/allowed_ips.json";
const ENTRIES: &str = "data/entries.json";
const TOML: &str = "\
interfaces = ['eth0']
allow.ips = ['10.0.0.0/8']
sets.attackers = 'attackers.txt'
deny.ips = ['@attackers']
[[service]]
name = 'web'
ports = ['tcp/80']
";

/// Files, and what of them is in force.
struct Scene {
    dir: TempDir,
    present: Present,
}

impl Scene {
    fn new(entries: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        let attackers: String = (0..20).map(|last| format!("192.0.2.{last}\n")).collect();
        for (name, text) in [("guard.toml", TOML), ("attackers.txt", &attackers), (LIST, "[]"), (ENTRIES, entries)] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let state_dir = dir.path().to_owned();
        let sources = Sources {
            config: Some(dir.path().join("guard.toml")),
            default_config: PathBuf::new(),
            env_file: None,
            environment: Vec::new(),
            state_dir: state_dir.clone(),
        };
        let (in_force, warnings) = InForce::of(load(&sources).unwrap());
        let instance = Instance { name: "default".to_owned(), runtime_dir: state_dir.clone(), state_dir };
        let audit = AuditLog::at(instance.audit_log());
        let startup = Startup { instance, sources, wait: false, log_level: None, audit };
        let guarded = BTreeSet::new();
        Self {
            dir,
            present: Present {
                startup: Arc::new(startup),
                in_force,
                bans: Bans::default(),
                warnings,
                log: None,
                guarded,
                under: None,
            },
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn read(&self, what: What, by: By, forced: bool) -> Result<Option<Candidate>, String> {
        let shown = |error: anyhow::Error| format!("{error:#}").replace(&format!("{}/", self.dir.path().display()), "");
        Candidate::read(&self.present, &what, &by, forced).map_err(shown)
    }

    fn files(&self) -> Result<Option<Candidate>, String> {
        self.read(What::Files, By::Files, false)
    }

    fn add(&self, list: List, prefix: &str, ttl: Option<Duration>) -> Result<Candidate, String> {
        let prefixes = vec![config::parse_prefix(prefix).unwrap()];
        let addition = Addition { list, prefixes, services: Vec::new(), ttl, comment: None, name: None };
        // Whoever is logged in on the host that tests is none of theirs.
        self.read(What::Edit(Edit::Add(addition)), By::Signal, true).map(|candidate| candidate.unwrap())
    }

    /// Puts in force what has ended since it was read.
    fn end(&mut self) {
        let in_force = &mut self.present.in_force;
        let mut live = Live::clone(&in_force.live);
        live.entries.iter_mut().for_each(|entry| entry.ends = entry.ends.and(Some(Duration::ZERO)));
        live.lockdown.iter_mut().for_each(|lockdown| lockdown.ends = lockdown.ends.and(Some(Duration::ZERO)));
        *in_force = in_force.with_live(live, DataFiles::clone(&in_force.files));
    }
}

const HOUR: Option<Duration> = Some(Duration::from_hours(1));
const NO_ENTRIES: &str = r#"{"version": 1, "entries": []}"#;
const FOR_A_TIME: &str = r#"{"version": 1,
    "lockdown": {"except": [], "since": "2026-01-01T00:00:00Z", "expires": "2100-01-01T00:00:00Z"},
    "entries": [{"list": "block", "ip": "192.0.2.66", "expires": "2100-01-01T00:00:00Z", "added": "2026-01-01T00:00:00Z"}]}"#;

#[test]
fn files_are_read_again_when_they_or_the_clock_are_others() {
    let scene = Scene::new(NO_ENTRIES);
    assert!(scene.files().unwrap().is_none());
    assert!(scene.read(What::Files, By::Clock, false).unwrap().is_some_and(|candidate| candidate.generation));
    scene.write(LIST, "[\"192.0.2.99\"]");
    assert!(scene.files().unwrap().is_some_and(|candidate| candidate.generation));
}

#[test]
fn an_edit_takes_up_nothing_that_would_be_refused_without_it() {
    let scene = Scene::new(NO_ENTRIES);
    scene.write("attackers.txt", "192.0.2.1\n");
    let refused = "deny: 19 of 20 entries would vanish, more than half: `guard reload --force` if that is meant";
    assert_eq!(scene.files().err().as_deref(), Some(refused));
    assert_eq!(scene.add(List::Block, "192.0.2.66", None).err().as_deref(), Some(refused));
    // What stands beside generations is another matter.
    assert!(scene.add(List::Block, "192.0.2.66", HOUR).is_ok_and(|candidate| !candidate.generation));
}

#[test]
fn grants_are_judged_by_themselves() {
    let scene = Scene::new(NO_ENTRIES);
    scene.write(LIST, "[");
    assert!(scene.add(List::Allow, "192.0.2.66", HOUR).is_ok_and(|candidate| !candidate.generation));
    let fault = scene.add(List::Allow, "0.0.0.0/1", HOUR).err().unwrap();
    assert!(fault.contains("grants cover more IPv4 addresses than a /4 in all"), "{fault}");
    assert!(scene.add(List::Block, "0.0.0.0/1", HOUR).is_ok());
}

#[test]
fn a_file_that_is_gone_takes_nothing_along_unasked() {
    for (case, entries, accepted) in [("of nothing", NO_ENTRIES, true), ("of a lockdown", FOR_A_TIME, false)] {
        let scene = Scene::new(entries);
        fs::remove_file(scene.dir.path().join(ENTRIES)).unwrap();
        let refused = "data/entries.json: it was there, and is gone with all that was changed by command: \
                       `guard reload --force` if that is meant";
        assert_eq!(scene.files().err().as_deref(), (!accepted).then_some(refused), "{case}");
        let forced = scene.read(What::Reload, By::Signal, true).unwrap().unwrap();
        assert_eq!(*forced.next.live, Live::default(), "{case}");
    }
}

#[test]
fn who_is_let_in_during_a_lockdown_is_told_so() {
    for (case, entries, list, warned) in [
        ("let in", FOR_A_TIME, List::Allow, true),
        ("blocked", FOR_A_TIME, List::Block, false),
        ("no lockdown", NO_ENTRIES, List::Allow, false),
    ] {
        for ttl in [None, HOUR] {
            let warnings = Scene::new(entries).add(list, "192.0.2.67", ttl).unwrap().change_warnings;
            assert_eq!(
                warnings.iter().any(|warning| warning.starts_with("a lockdown")),
                warned,
                "{case}: {warnings:?}"
            );
        }
    }
}

#[test]
fn what_ends_ends_though_it_can_not_be_written() {
    for (case, other_file, warned) in [("written", false, false), ("another program's file", true, true)] {
        let mut scene = Scene::new(FOR_A_TIME);
        assert!(scene.read(What::Ended, By::Clock, false).unwrap().is_none(), "{case}");
        scene.end();
        if other_file {
            scene.write(ENTRIES, "{");
        }
        let ended = scene.read(What::Ended, By::Clock, false).unwrap().unwrap();
        assert_eq!((ended.generation, ended.ended.len(), ended.staged.is_none()), (true, 1, warned), "{case}");
        assert!(ended.next.timed.is_empty() && *ended.next.live == Live::default(), "{case}");
        assert_eq!(!ended.change_warnings.is_empty(), warned, "{case}");
    }
}

#[test]
fn a_lockdown_begins_though_it_can_not_be_written_and_nothing_but_its_end_ends_it() {
    let mut scene = Scene::new(NO_ENTRIES);
    let begin = || What::Lockdown(LockdownRequest::Begin { except: Vec::new(), ttl: None });
    let kept = scene.read(begin(), By::Signal, true).unwrap().unwrap();
    assert!(kept.staged.is_some() && kept.change_warnings.is_empty(), "{:?}", kept.change_warnings);
    drop(kept);
    scene.write(ENTRIES, "{");
    fs::create_dir(scene.dir.path().join("audit.jsonl")).unwrap();
    let unkept = scene.read(begin(), By::Signal, true).unwrap().unwrap();
    assert!(unkept.generation && !unkept.next.policy.grants_hold);
    assert!(unkept.change_warnings[0].starts_with("the next start ends the lockdown"), "{:?}", unkept.change_warnings);
    scene.present.in_force = unkept.next;
    fs::remove_dir(scene.dir.path().join("audit.jsonl")).unwrap();

    scene.write(ENTRIES, NO_ENTRIES);
    for what in [What::Files, What::Reload] {
        let next = scene.read(what.clone(), By::Clock, true).unwrap().unwrap().next;
        assert!(next.live.lockdown.is_some() && !next.policy.grants_hold, "{what:?}");
    }
    // The next edit has it written, whichever.
    scene.present.in_force = scene.read(What::Files, By::Clock, true).unwrap().unwrap().next;
    let banned = scene.add(List::Block, "192.0.2.67", HOUR).unwrap();
    assert!(!banned.generation);
    assert!(banned.next.live.lockdown.as_ref().is_some_and(|lockdown| lockdown.kept));
    drop(banned);
    let mut edited = scene.add(List::Block, "192.0.2.66", None).unwrap();
    edited.staged.as_mut().unwrap().commit().unwrap();
    assert!(edited.next.live.lockdown.as_ref().is_some_and(|lockdown| lockdown.kept));

    scene.write(ENTRIES, "{");
    let lift = || What::Lockdown(LockdownRequest::Lift);
    let lifted = scene.read(lift(), By::Signal, true).unwrap().unwrap();
    assert!(lifted.next.live.lockdown.is_none(), "no file has it");
    scene.present.in_force = edited.next;
    assert!(scene.read(lift(), By::Signal, true).is_err(), "the file would bring it back");
}
