//! What becomes of the files, whatever else happens to them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

use super::*;

const LIST: &str = "data/allowed_ips.json";
const ENTRIES: &str = "data/entries.json";

fn mode(scene: &Scene, name: &str) -> u32 {
    fs::metadata(scene.path(name)).unwrap().mode() & 0o7777
}

#[test]
fn nothing_is_changed_before_it_is_committed() {
    let scene = Scene::with_list("[\"192.0.2.9\"]");
    let staged = scene.stage(&add(allow("192.0.2.1")), &Clock::now()).unwrap();
    assert_eq!(scene.list(), "[\"192.0.2.9\"]");
    assert_eq!(scene.names(), [".allowed_ips.json.guard-new", ".entries.json.guard-new", "allowed_ips.json"]);
    drop(staged);
    assert_eq!(scene.names(), ["allowed_ips.json"]);

    // A run that is killed leaves what it staged; the next one to stage takes it away.
    std::mem::forget(scene.stage(&add(allow("192.0.2.1")), &Clock::now()).unwrap());
    assert_eq!(scene.names().len(), 3);
    let mut staged = scene.stage(&add(allow("192.0.2.2")), &Clock::now()).unwrap();
    staged.commit().unwrap();
    assert_eq!(scene.names(), ["allowed_ips.json", "entries.json"]);
    assert_eq!(scene.list(), "[\"192.0.2.9\", \"192.0.2.2\"]");
}

#[test]
fn a_stop_between_two_renames_takes_nothing_away_that_was_to_be_replaced() {
    let named = |addition: Addition| add(Addition { name: Some("home".to_owned()), ..addition });
    let timed = |text| Addition { ttl: HOUR, ..allow(text) };
    for (case, before, then, both) in [
        // Of a list file that loses one for another, all is seen at once.
        ("plain to plain", allow("192.0.2.1"), allow("192.0.2.2"), false),
        ("plain to timed", allow("192.0.2.1"), timed("192.0.2.2"), true),
        ("timed to plain", timed("192.0.2.1"), allow("192.0.2.2"), true),
    ] {
        let mut scene = Scene::new();
        scene.edit(named(before)).unwrap();
        let mut staged = scene.stage(&named(then), &Clock::now()).unwrap();
        let [first, second] = staged.in_order();
        first.as_mut().unwrap().put().unwrap();
        assert!(second.is_some(), "{case}");
        std::mem::forget(staged);
        let torn = load_data(&scene.loaded.basis, &Staged::default()).unwrap();
        let lets_in = |ip: &str| {
            let prefix = parse_prefix(ip).unwrap();
            let mut timed = torn.timed.iter();
            torn.policy.allow.prefixes().any(|entry| entry == prefix) || timed.any(|timed| timed.prefix == prefix)
        };
        assert_eq!((lets_in("192.0.2.1"), lets_in("192.0.2.2")), (both, true), "{case}");
    }
}

#[test]
fn owner_and_mode_stay() {
    let mut scene = Scene::with_list("[]\n");
    fs::set_permissions(scene.path(LIST), fs::Permissions::from_mode(0o604)).unwrap();
    chown(scene.path(LIST), Some(1234), Some(5678)).unwrap();
    scene.edit(add(allow("192.0.2.1"))).unwrap();
    let metadata = fs::metadata(scene.path(LIST)).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), mode(&scene, LIST)), (1234, 5678, 0o604));
    assert_eq!(mode(&scene, ENTRIES), 0o640);
    let mut scene = Scene::new();
    scene.edit(add(allow("192.0.2.1"))).unwrap();
    assert_eq!((mode(&scene, LIST), mode(&scene, ENTRIES), mode(&scene, "data")), (0o640, 0o640, 0o750));
}

#[test]
fn links_stay_and_what_they_lead_to_is_replaced() {
    let mut scene = Scene::with(&[("real/list.json", "[\"192.0.2.9\"]"), ("data/x", "")]);
    symlink("../real/list.json", scene.path(LIST)).unwrap();
    scene.edit(add(allow("192.0.2.1"))).unwrap();
    assert_eq!(fs::read_link(scene.path(LIST)).unwrap(), PathBuf::from("../real/list.json"));
    assert_eq!(fs::read_to_string(scene.path("real/list.json")).unwrap(), "[\"192.0.2.9\", \"192.0.2.1\"]");
    assert_eq!(scene.names(), ["allowed_ips.json", "entries.json", "x"]);
}

#[test]
fn a_list_file_that_is_broken_stays_as_it_is() {
    for (case, text, fault) in [
        ("no JSON", "[\"192.0.2.9\"", "EOF while parsing a list"),
        ("another shape", r#"{"ips": []}"#, "unknown field `ips`"),
        ("empty", "", "an empty file is no list"),
        ("blank", " \n", "EOF while parsing a value"),
    ] {
        let mut scene = Scene::with_list("[\"192.0.2.9\"]");
        fs::write(scene.path(LIST), text).unwrap();
        for edit in [add(allow("192.0.2.1")), Edit::Remove(removal(List::Allow, "192.0.2.9"))] {
            let faults = scene.edit(edit).unwrap_err();
            let is_named = faults[0].starts_with(LIST) && faults[0].contains(fault);
            assert!(faults.len() == 1 && is_named, "{case}: {faults:?}");
        }
        assert_eq!((scene.list().as_str(), scene.names()), (text, names(&["allowed_ips.json"])), "{case}");
    }
    let mut scene = Scene::with_list("[\"192.0.2.9\"]");
    fs::remove_file(scene.path(LIST)).unwrap();
    assert_eq!(scene.edit(add(allow("192.0.2.1"))).unwrap_err(), ["data/allowed_ips.json: it was there, and is gone"]);
    symlink("nowhere", scene.path(LIST)).unwrap();
    for edit in [add(allow("192.0.2.1")), add(block("192.0.2.1"))] {
        assert_eq!(scene.edit(edit).unwrap_err(), ["data/allowed_ips.json: no such file"]);
    }
    assert_eq!(scene.names(), ["allowed_ips.json"]);
}

#[test]
fn what_another_program_wrote_is_built_on_or_the_edit_refused() {
    let mut scene = Scene::with_list("[\"192.0.2.9\"]");
    scene.edit(add(block("192.0.2.66"))).unwrap();
    // Before the edit: it is taken up with it.
    fs::write(scene.path(LIST), "[\"192.0.2.9\", \"192.0.2.10\"]").unwrap();
    let entries = fs::read_to_string(scene.path(ENTRIES)).unwrap();
    fs::write(scene.path(ENTRIES), entries.replace("192.0.2.66", "192.0.2.167")).unwrap();
    scene.edit(add(allow("192.0.2.1"))).unwrap();
    assert_eq!(scene.list(), "[\"192.0.2.9\", \"192.0.2.10\", \"192.0.2.1\"]");
    assert_eq!(scene.live(), ["block 192.0.2.167/32", "allow 192.0.2.1/32"]);
    // While the edit is under way: it is not made.
    for name in [LIST, ENTRIES] {
        let mut staged = scene.stage(&add(allow("192.0.2.2")), &Clock::now()).unwrap();
        let text = fs::read_to_string(scene.path(name)).unwrap();
        fs::write(scene.path("data/other"), &text).unwrap();
        fs::rename(scene.path("data/other"), scene.path(name)).unwrap();
        let error = scene.shown(&staged.commit().unwrap_err().to_string());
        assert_eq!(error, format!("{name} was changed by another program meanwhile: try again"));
        drop(staged);
        assert_eq!((fs::read_to_string(scene.path(name)).unwrap(), scene.names().len()), (text, 2));
    }
    // A link on the way leads elsewhere meanwhile, to a file of the same contents.
    fs::create_dir(scene.path("real")).unwrap();
    fs::rename(scene.path(LIST), scene.path("real/one")).unwrap();
    fs::copy(scene.path("real/one"), scene.path("real/two")).unwrap();
    symlink("../real/one", scene.path(LIST)).unwrap();
    let mut staged = scene.stage(&add(allow("192.0.2.2")), &Clock::now()).unwrap();
    fs::remove_file(scene.path(LIST)).unwrap();
    symlink("../real/two", scene.path(LIST)).unwrap();
    staged.commit().unwrap_err();
    // Broken: it stays for whoever broke it to mend.
    fs::write(scene.path(ENTRIES), "{").unwrap();
    let faults = scene.edit(add(allow("192.0.2.2"))).unwrap_err();
    assert_eq!(faults, ["data/entries.json:1:1: not JSON: EOF while parsing an object"]);
    assert_eq!(fs::read_to_string(scene.path(ENTRIES)).unwrap(), "{");
}

#[test]
fn what_nobody_has_taken_up_comes_into_force_with_the_edit() {
    let timed = add(Addition { ttl: HOUR, ..block("192.0.2.1") });
    let mut scene = Scene::new();
    assert!(!scene.edit(timed.clone()).unwrap().needs_generation);
    let entries = fs::read_to_string(scene.path(ENTRIES)).unwrap();
    let block = r#"{"list":"block","ip":"192.0.2.66","added":"2026-01-01T00:00:00Z"},"#;
    fs::write(scene.path(ENTRIES), entries.replace("\"entries\": [", &format!("\"entries\": [{block}"))).unwrap();
    assert!(scene.edit(timed.clone()).unwrap().needs_generation);
    assert!(!scene.edit(timed.clone()).unwrap().needs_generation);

    fs::remove_file(scene.path(ENTRIES)).unwrap();
    assert_eq!(scene.edit(timed).unwrap_err(), ["data/entries.json: it was there, and is gone"]);
}

#[test]
fn two_that_stage_the_same_file_do_not_mix() {
    let scene = Scene::with_list("[]\n");
    let mut first = scene.stage(&add(allow("192.0.2.1")), &Clock::now()).unwrap();
    let mut second = scene.stage(&add(allow("192.0.2.2")), &Clock::now()).unwrap();
    first.commit().unwrap_err();
    second.commit().unwrap();
    drop(first);
    assert_eq!(scene.list(), "[\n  \"192.0.2.2\"\n]\n");
    assert_eq!(scene.names(), ["allowed_ips.json", "entries.json"]);
}

#[test]
fn what_is_no_edit_is_written_the_same_way() {
    let mut scene = Scene::new();
    scene.edit(add(Addition { ttl: HOUR, ..block("192.0.2.66") })).unwrap();
    let clock = Clock::now();
    let lockdown = crate::live::Lockdown {
        except: prefixes("192.0.2.0/24"),
        ends: Some(clock.boot + Duration::from_hours(2)),
        since: clock.wall,
        by: Some(who()),
        kept: true,
    };
    let live = Live { lockdown: Some(lockdown), ..scene.loaded.live.clone() };
    let mut staged = stage_live(live.clone(), &scene.loaded.files, &clock).unwrap();
    let mut files = scene.loaded.files.clone();
    staged.note(&mut files).unwrap();
    staged.commit().unwrap();
    staged.sync().unwrap();
    assert!(!files.have_changed() && scene.loaded.files.have_changed());
    assert_eq!(load_data(&scene.loaded.basis, &Staged::default()).unwrap().live, live);
    // By what was read before it, the file is somebody else's.
    let error = stage_live(live, &scene.loaded.files, &clock).unwrap_err().to_string();
    assert!(error.ends_with("was changed by another program, which is not taken up yet"), "{error}");
}

#[test]
fn what_has_ended_goes_with_the_next_write() {
    let mut scene = Scene::new();
    let clock = Clock::now();
    scene.edit_at(add(Addition { ttl: HOUR, ..block("192.0.2.66") }), &clock).unwrap();
    let later = Clock { boot: clock.boot + Duration::from_hours(1), ..clock };
    let staged = scene.stage(&add(block("192.0.2.67")), &later).unwrap();
    let prefixes: Vec<String> = staged.live.entries.iter().map(|entry| entry.prefix.to_string()).collect();
    assert_eq!(prefixes, ["192.0.2.67/32"]);
}
