//! Every kind of edit by command, one after the other, under traffic.

use guard_tests::in_each_cell;

use super::{
    scene::{ANY_CELL, EDITED, Scene},
    traffic::{EDITED_TO_DNS, EDITED_TO_WEB, OTHER_TO_WEB, Traffic},
};

#[test]
fn an_edit_is_in_force_when_it_is_answered() {
    /// A command, the kinds of packets that pass from then on, and a part of what guard says.
    type Step = (&'static str, &'static [u8], &'static str);
    let both = &[EDITED_TO_WEB, EDITED_TO_DNS][..];
    let steps: [Step; 22] = [
        ("allow add {2}", both, "added"),
        ("allow remove {2}", &[], "removed"),
        ("allow add {2} --service web", &[EDITED_TO_WEB], "added"),
        ("allow add {2} --service dns", both, "added"),
        ("allow remove {2} --service web", &[EDITED_TO_DNS], "removed"),
        ("allow remove {2}", &[], "removed"),
        ("allow add {2} --name home", both, "added"),
        ("allow add {3} --name home", &[OTHER_TO_WEB], "in place of what was there"),
        ("allow add {2} --name home", both, "in place of what was there"),
        ("allow remove --name home", &[], "removed"),
        ("allow add {2} {3}", &[EDITED_TO_WEB, EDITED_TO_DNS, OTHER_TO_WEB], "added"),
        ("block add {2}", &[OTHER_TO_WEB], "added"),
        ("block remove {2}", &[EDITED_TO_WEB, EDITED_TO_DNS, OTHER_TO_WEB], "removed"),
        ("block add {2} --for 10m", &[OTHER_TO_WEB], "added"),
        ("block remove {2}", &[EDITED_TO_WEB, EDITED_TO_DNS, OTHER_TO_WEB], "removed"),
        ("allow remove {2} {3}", &[], "removed"),
        ("allow add {2} --ttl 10m", both, "added"),
        ("allow remove {2}", &[], "removed"),
        ("allow add {2} --service web --ttl 10m", &[EDITED_TO_WEB], "added"),
        ("block add {2} --for 10m", &[], "added"),
        ("block remove {2}", &[EDITED_TO_WEB], "removed"),
        ("allow remove {2}", &[], "removed"),
    ];
    in_each_cell(|cell| {
        let scene = Scene::new(cell);
        let mut traffic = Traffic::start(&scene, &[]);
        for (command, passing, said) in steps {
            let answer = traffic.change(&format!("{cell}: {command}"), passing, || scene.done(command));
            assert!(answer.contains(said), "{cell}: {command}: no `{said}` in {answer}");
        }
        traffic.finish(&scene);
    });
}

#[test]
fn what_changes_nothing_is_said_and_what_can_not_be_changes_nothing() {
    let scene = Scene::new(ANY_CELL);
    let mut traffic = Traffic::start(&scene, &[]);
    traffic.change("an entry", &[EDITED_TO_WEB, EDITED_TO_DNS], || scene.done("allow add {2}"));
    let unchanged = scene.done("allow add {2}");
    assert!(unchanged.contains("there already"), "{unchanged}");
    for (command, code, reason) in [
        ("allow remove {3}", 1, "198.51.100.3"),
        ("allow remove {2} {3}", 1, "198.51.100.3"),
        ("block remove {2}", 1, "198.51.100.2"),
        ("allow remove --name nobody", 1, "nobody"),
        ("allow add {3} --service mail", 1, "mail"),
    ] {
        let said = scene.refused(command, code);
        assert!(said.contains(reason), "{command}: no `{reason}` in {said}");
    }
    let covered = scene.done("allow add 198.51.100.0/31");
    assert!(covered.contains("added"), "{covered}");
    for (command, reason) in [
        ("allow add 198.51.100.300", "198.51.100.300"),
        ("allow add 198.51.100.3/33", "198.51.100.3/33"),
        ("allow add {3} --ttl 0s", "0s"),
        ("block add {3} --service web", "--service"),
        ("allow add", "PREFIX"),
    ] {
        let said = scene.refused(command, 2);
        assert!(said.contains(reason), "{command}: no `{reason}` in {said}");
    }
    assert_eq!(scene.entry("allow", EDITED)["ip"], "198.51.100.2/32");
    traffic.finish(&scene);
}
