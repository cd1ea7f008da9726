//! The list file changed by hand or by another program: taken up within a second, or refused loudly.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use guard_tests::{in_each_family, wait::eventually};

use super::{
    scene::{ANY_CELL, EDITED, LIST_FILE, OTHER, SOON, Scene},
    traffic::{EDITED_TO_DNS, EDITED_TO_WEB, OTHER_TO_WEB, Traffic},
};

/// Within which a change is in force: a second, and what a busy machine adds.
const TAKEN_UP: Duration = Duration::from_millis(1_500);

const EDITED_PASSES: [u8; 2] = [EDITED_TO_WEB, EDITED_TO_DNS];

/// A way to give the list file another text.
type Write = fn(&Path, &str) -> io::Result<()>;

fn in_place(file: &Path, text: &str) -> io::Result<()> {
    fs::write(file, text)
}

fn by_rename(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(beside, file)
}

/// As Kubernetes does: the file is a link into a directory that is a link itself, which is replaced.
fn by_link(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().expect("a file lies in a directory");
    let versions = fs::read_dir(directory)?.count();
    let version = format!("..version_{versions}");
    fs::create_dir(directory.join(&version))?;
    fs::write(directory.join(&version).join("allowed_ips.json"), text)?;
    symlink(&version, directory.join("..data_tmp"))?;
    fs::rename(directory.join("..data_tmp"), directory.join("..data"))?;
    if fs::symlink_metadata(file).is_ok_and(|file| file.is_symlink()) {
        return Ok(());
    }
    symlink("..data/allowed_ips.json", directory.join("link"))?;
    fs::rename(directory.join("link"), file)
}

fn list_file(scene: &Scene) -> PathBuf {
    scene.site.host().outside(LIST_FILE)
}

/// Waits until a newer generation is in force, and returns how long that took.
#[track_caller]
fn taken_up(scene: &Scene, generation: u64) -> Duration {
    let started = Instant::now();
    eventually("the file is taken up", SOON, || scene.generation() > generation);
    started.elapsed()
}

#[test]
fn however_it_is_written_it_is_taken_up() {
    in_each_family(|cell| {
        let ways: [(&str, Write); 3] = [("in place", in_place), ("by rename", by_rename), ("by a link", by_link)];
        for (way, write) in ways {
            let scene = Scene::new(cell);
            scene.done("allow add {3}");
            let file = list_file(&scene);
            let mut traffic = Traffic::start(&scene, &[OTHER_TO_WEB]);
            for (source, passing) in [(EDITED, &EDITED_PASSES[..]), (OTHER, &[OTHER_TO_WEB]), (EDITED, &EDITED_PASSES)]
            {
                let text = format!("{{\"allowedIps\": [\"{}\"]}}\n", scene.source(source));
                let generation = scene.generation();
                let took = traffic.change(&format!("{cell}: {way}"), passing, || {
                    write(&file, &text).expect("the file can be written");
                    taken_up(&scene, generation)
                });
                println!("{cell}: {way}: {took:?}");
                assert!(took < TAKEN_UP, "{cell}: {way}: {took:?}");
                assert_eq!(scene.entry("allow", source)["ip"], scene.prefix(source), "{cell}: {way}");
            }
            traffic.finish(&scene);
        }
    });
}

#[test]
fn a_live_edit_replaces_what_a_link_leads_to() {
    let scene = Scene::new(ANY_CELL);
    scene.done("allow add {3}");
    let file = list_file(&scene);
    let generation = scene.generation();
    by_link(&file, "[\n  \"198.51.100.3\"\n]\n").expect("links can be made");
    taken_up(&scene, generation);
    scene.done("allow add {2}");
    assert!(fs::symlink_metadata(&file).expect("it is there").is_symlink());
    let text = fs::read_to_string(&file).expect("the link leads to a file");
    assert!(text.contains("198.51.100.3") && text.contains("198.51.100.2"), "{text}");
}

#[test]
fn a_broken_file_keeps_what_is_in_force() {
    let scene = Scene::new(ANY_CELL);
    scene.done("allow add {2}");
    let file = list_file(&scene);
    let good = fs::read_to_string(&file).expect("it is there");
    let mut traffic = Traffic::start(&scene, &EDITED_PASSES);
    for broken in ["[\"198.51.100.2\"", "", "{\"allowedIps\": 7}", "[\"198.51.100.300\"]"] {
        in_place(&file, broken).expect("the file can be written");
        let refused = |status: &serde_json::Value| status["last_reload"]["outcome"] == "refused";
        eventually("the fault is in the status", SOON, || refused(&scene.guard.status()));
        let log = scene.guard.log().join("\n");
        assert!(log.contains("allowed_ips.json"), "{broken:?}: {log}");
        let text = scene.guard.ask(&["status"]).stdout.join("\n");
        assert!(text.contains("REFUSED"), "{broken:?}: {text}");

        let said = scene.refused("allow add {3}", 78);
        assert!(said.contains("allowed_ips.json"), "{broken:?}: {said}");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), broken, "the file stays as it is");
        let generation = scene.generation();
        by_rename(&file, &good).expect("the file can be written");
        eventually("the mended file is taken up", SOON, || !refused(&scene.guard.status()));
        assert!(scene.generation() >= generation);
    }
    let generation = scene.generation();
    traffic.change("another list", &[OTHER_TO_WEB], || {
        in_place(&file, "[\"198.51.100.3\"]").expect("the file can be written");
        taken_up(&scene, generation)
    });
    traffic.finish(&scene);
}

#[test]
fn an_edit_keeps_the_file_as_it_was_written() {
    let scene = Scene::new(ANY_CELL);
    let file = list_file(&scene);
    let generation = scene.generation();
    let text = "{\n\t\"allowedIps\": [ \"198.51.100.3\",  {\"ip\": \"192.0.2.0/24\", \"comment\": \"office\"}\n\t]\n}";
    fs::create_dir_all(file.parent().expect("a file lies in a directory")).expect("directories can be made");
    in_place(&file, text).expect("the file can be written");
    taken_up(&scene, generation);
    scene.done("allow add {2} --comment another");
    let added = fs::read_to_string(&file).expect("it is there");
    assert!(added.contains("\"198.51.100.2"), "{added}");
    for kept in ["{\n\t\"allowedIps\": [ ", "\"198.51.100.3\",  {\"ip\": \"192.0.2.0/24\", \"comment\": \"office\"}"] {
        assert!(added.contains(kept), "no `{kept}` in {added}");
    }
    assert!(!added.ends_with('\n'), "{added:?}");
    serde_json::from_str::<serde_json::Value>(&added).expect("it is JSON");
    scene.done("allow remove {2}");
    let removed = fs::read_to_string(&file).expect("it is there");
    assert_eq!(removed, text);
}
