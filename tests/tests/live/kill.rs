//! A daemon that is killed over and over while edits are under way.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    scene::{ANY_CELL, AUDIT, ENTRIES, LIST_FILE, Scene, ip},
    traffic::Traffic,
};

/// Entries that edits are about.
const PREFIXES: u32 = 12;

/// What is known of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    In,
    Out,
    /// The daemon was killed before it answered.
    Either,
}

type Entries = BTreeMap<(&'static str, String), Known>;

#[test]
fn no_edit_that_was_answered_is_lost() {
    kill_over_and_over(8);
}

#[test]
#[ignore = "takes minutes; `cargo xtask test --long` runs it"]
fn no_edit_that_was_answered_is_lost_in_fifty_runs() {
    kill_over_and_over(50);
}

fn kill_over_and_over(kills: u32) {
    let mut scene = Scene::new(ANY_CELL);
    // So that there are files to tear, and a list is never empty.
    scene.done("allow add 192.0.2.0/24");
    scene.done("block add 192.0.2.128/25 --for 10h");
    let traffic = Traffic::start(&scene, &[]);
    let mut known = Entries::new();
    let mut answered = 0;
    for kill in 0..kills {
        let round = traffic.round();
        answered += edit_until_killed(&mut scene, &mut known, kill);
        assert_whole(&scene);
        traffic.go_on(50);
        scene.restart();
        assert_kept(&scene, &mut known, kill);
        assert!(traffic.round() > round + 50);
    }

    println!("{answered} edits answered in {kills} runs");
    assert!(answered >= kills, "hardly any edit was answered: {answered}");
    traffic.assert_uninterrupted("killed over and over");
}

/// Makes one edit after the other, on two threads, until the daemon is killed in the middle of them; returns how many were
/// answered.
fn edit_until_killed(scene: &mut Scene, known: &mut Entries, kill: u32) -> u32 {
    let killed = AtomicBool::new(false);
    let pid = scene.guard.process().id();
    let lists = [("allow", "--comment edited"), ("block", "--for 1h")];
    let before = &*known;
    let made: Vec<Entries> = thread::scope(|scope| {
        let (scene, killed) = (&*scene, &killed);
        let editors: Vec<_> = lists
            .into_iter()
            .map(|(list, options)| scope.spawn(move || edit(scene, list, options, before, killed, kill)))
            .collect();
        // Each time somewhere else in an edit.
        thread::sleep(Duration::from_millis(50 + u64::from(kill * 97 % 600)));
        let pid = i32::try_from(pid).expect("process ids fit");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("it runs");
        killed.store(true, Ordering::SeqCst);
        editors.into_iter().map(|editor| editor.join().expect("an editor does not panic")).collect()
    });
    let answered = made.iter().flatten().filter(|(_, state)| **state != Known::Either).count() as u32;
    known.extend(made.into_iter().flatten());
    scene.guard.kill();
    answered
}

fn edit(
    scene: &Scene,
    list: &'static str,
    options: &str,
    before: &Entries,
    killed: &AtomicBool,
    first: u32,
) -> Entries {
    let mut known = Entries::new();
    for number in (0..PREFIXES).cycle().skip(first as usize) {
        let prefix = format!("203.0.113.{number}/32");
        let key = (list, prefix.clone());
        let is_in = known.get(&key).or(before.get(&key)) == Some(&Known::In);
        let command = if is_in { format!("{list} remove {prefix}") } else { format!("{list} add {prefix} {options}") };
        let answer = scene.ask(&command);
        let state = match answer.code() {
            Some(0) if is_in => Known::Out,
            Some(0) => Known::In,
            _ => Known::Either,
        };
        known.insert(key, state);
        if state == Known::Either {
            assert!(killed.load(Ordering::SeqCst) || was_killed_soon(killed), "{command}: {answer:?}");
            break;
        }
    }
    known
}

/// Waits for the kill whose effect was seen before it was noted.
fn was_killed_soon(killed: &AtomicBool) -> bool {
    let started = Instant::now();
    while !killed.load(Ordering::SeqCst) && started.elapsed() < Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(1));
    }
    killed.load(Ordering::SeqCst)
}

/// Every file is whole, whenever the daemon was killed.
#[track_caller]
fn assert_whole(scene: &Scene) {
    for file in [LIST_FILE, ENTRIES] {
        let text = scene.site.host().read(file);
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{file} is torn ({error}): {text}"));
    }
    let log = scene.site.host().read(AUDIT);
    assert!(log.ends_with('\n'), "the audit log ends in the middle of a line: {:?}", log.lines().last());
    scene.audit();
}

/// Every edit that was answered is in the lists; which way the others went is known from now on.
#[track_caller]
fn assert_kept(scene: &Scene, known: &mut Entries, kill: u32) {
    for list in ["allow", "block"] {
        let entries = scene.list(list);
        for ((_, prefix), state) in known.iter_mut().filter(|((of, _), _)| *of == list) {
            let found = entries.iter().filter(|entry| ip(entry) == *prefix).count();
            match *state {
                Known::In => assert_eq!(found, 1, "run {kill}: {list} {prefix} was added: {entries:#?}"),
                Known::Out => assert_eq!(found, 0, "run {kill}: {list} {prefix} was removed: {entries:#?}"),
                Known::Either => {
                    assert!(found <= 1, "run {kill}: {list} {prefix}: {entries:#?}");
                    *state = if found == 1 { Known::In } else { Known::Out };
                }
            }
        }
    }
}
