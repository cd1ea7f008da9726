//! The journal's thread, and disks that are full.

use std::{fs, thread, time::Instant};

use nix::mount::{MsFlags, mount};

use super::*;
use crate::{bans::scribe::Scribe, kernel::tests::machine::in_own_namespaces};

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < 20 * SECOND, "{what}: it never came");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn lines_are_on_the_disk_within_a_second_or_when_they_must_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bans.jsonl");
    let bans = Bans::default();
    let (journal, _) = Journal::restore(path.clone(), &bans, &Moment::now()).unwrap();
    let scribe = Scribe::start(journal, bans.clone());
    let lines = || fs::read_to_string(&path).map_or(0, |text| text.lines().count());
    scribe.keep().unwrap();
    assert!(!path.exists(), "there is nothing to tell");
    for (nth, source) in ["192.0.2.1", "192.0.2.2", "192.0.2.3"].into_iter().enumerate() {
        ban(&bans, source, rule(), Duration::ZERO);
        scribe.append(bans.lines_of([party(ip(source))], &Moment::now()));
        scribe.keep().unwrap();
        assert_eq!(lines(), nth + 1);
    }
    bans.lift(&[net("192.0.2.1/32")]);
    scribe.append(bans.lines_of([net("192.0.2.1/32")], &Moment::now()));
    scribe.keep().unwrap();
    assert_eq!(lines(), 4);
    scribe.rewrite();
    scribe.keep().unwrap();
    assert_eq!((lines(), scribe.trouble()), (2, None));
}

#[test]
fn a_disk_that_is_full_is_said_and_made_good_later() {
    in_own_namespaces(|| {
        let dir = tempfile::tempdir().unwrap();
        let size = Some("size=64k");
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), size).unwrap();
        let bans = Bans::default();
        let (mut journal, _) = Journal::restore(dir.path().join("bans.jsonl"), &bans, &Moment::now()).unwrap();
        let filler = dir.path().join("filler");
        let tell = |journal: &mut Journal, source: &str| {
            let clock = Clock::now();
            let offence = Offence { at: clock.boot, ..offence(source, "web", rule(), Duration::ZERO) };
            bans.judge(&vec![offence; 3], |_| false, &clock);
            journal.append(&bans.lines_of([party(ip(source))], &Moment::now()), &bans)
        };
        tell(&mut journal, "192.0.2.1").unwrap();
        assert!(fs::write(&filler, vec![1; 1 << 20]).is_err(), "it is full");
        // The rest of the last page is still to be had.
        let failed = (2..100).find_map(|nth| tell(&mut journal, &format!("192.0.2.{nth}")).err().map(|_| nth)).unwrap();
        let scribe = Scribe::start(journal, bans.clone());
        wait_for("trouble", || scribe.trouble().is_some());
        let trouble = scribe.trouble().unwrap();
        assert!(trouble.contains("bans.jsonl: ") && trouble.contains("No space left"), "{trouble}");
        assert_eq!(scribe.keep(), Err(trouble));
        fs::remove_file(filler).unwrap();
        wait_for("another try", || scribe.trouble().is_none());
        let found = Bans::default();
        Journal::restore(dir.path().join("bans.jsonl"), &found, &Moment::now()).unwrap();
        assert_eq!(found.in_force(Duration::ZERO).len(), failed, "none is missing");
    });
}
