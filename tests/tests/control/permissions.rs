//! Who may do what, by real users and groups.

use std::{io::ErrorKind, os::unix::fs::PermissionsExt as _};

use guard_tests::{Guard, User};

use super::scene::{MEMBER, NOBODY, PRIMARY, ROOT, STATUS, Scene, answer};

const NOT_PERMITTED: Option<i32> = Some(77);

/// What asks, and what changes.
const QUESTIONS: [&[&str]; 3] = [&["status"], &["allow", "list"], &["block", "list", "--json"]];
const CHANGES: [&[&str]; 7] = [
    &["allow", "add", "198.51.100.1"],
    &["allow", "remove", "198.51.100.1"],
    &["block", "add", "198.51.100.2", "--for", "1h"],
    &["block", "remove", "198.51.100.2"],
    &["lockdown", "--except", "192.0.2.1"],
    &["lockdown", "--lift"],
    &["reload"],
];

fn mode(scene: &Scene) -> u32 {
    let host = scene.site.host();
    let socket = host.outside(Guard::runtime_directory(host).join("default.sock"));
    socket.metadata().expect("the daemon listens").permissions().mode() & 0o777
}

#[track_caller]
fn assert_may(scene: &Scene, user: User<'_>, commands: &[&[&str]], code: Option<i32>, case: &str) {
    for command in commands {
        let answer = scene.ask_as(user, command);
        assert_eq!(answer.code(), code, "{case}: uid {}: {command:?}: {answer:?}", user.uid);
    }
}

#[test]
fn the_matrix_holds() {
    let scene = Scene::new("group");
    for (readers, expected_mode, nobody_asks) in
        [("group", 0o660, NOT_PERMITTED), ("everyone", 0o666, Some(0)), ("group", 0o660, NOT_PERMITTED)]
    {
        scene.set_readers(readers);
        assert_eq!(mode(&scene), expected_mode, "{readers}");
        for user in [ROOT, MEMBER, PRIMARY] {
            assert_may(&scene, user, &QUESTIONS, Some(0), readers);
            assert_may(&scene, user, &CHANGES, Some(0), readers);
        }
        let generation = scene.guard.status()["generation"].clone();
        assert_may(&scene, NOBODY, &QUESTIONS, nobody_asks, readers);
        assert_may(&scene, NOBODY, &CHANGES, NOT_PERMITTED, readers);
        assert_eq!(scene.guard.status()["generation"], generation, "{readers}: nobody changed it");
        assert_eq!(scene.guard.status()["readers"], readers);
    }
}

#[test]
fn who_is_connected_is_held_to_what_is_said_later() {
    let scene = Scene::new("everyone");
    let status = |stream: &_| answer(stream, STATUS);
    let stream = scene.connect_as(NOBODY).expect("everybody may connect");
    assert_eq!(status(&stream)["ok"]["instance"], "default");
    scene.set_readers("group");
    let refused = status(&stream);
    assert_eq!(refused["kind"], "not_permitted", "{refused}");
    assert_eq!(scene.connect_as(NOBODY).map_err(|error| error.kind()).err(), Some(ErrorKind::PermissionDenied));
}

#[test]
fn a_change_is_known_by_its_author() {
    let scene = Scene::new("group");
    let add = ["allow", "add", "198.51.100.7", "--comment", "two words", "--name", "home"];
    assert!(scene.ask_as(MEMBER, &add).status.success());
    let answer = scene.guard.ask(&["allow", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&answer.stdout.join("\n")).expect("JSON is asked for");
    let entries = list["entries"].as_array().expect("a list has entries");
    let entry = entries.iter().find(|entry| entry["ip"] == "198.51.100.7/32").expect("it was added");
    assert_eq!((&entry["by"]["uid"], &entry["name"]), (&54_330.into(), &"home".into()), "{entry}");
    let command = entry["by"]["command"].as_str().expect("a command is text");
    assert!(command.ends_with("allow add 198.51.100.7 --comment two words --name home"), "{command}");
}
