//! Short and long lists, changed under traffic by command and by reload.

use std::time::Instant;

use guard_tests::in_each_cell;

use super::{
    scene::{ANY_CELL, EDITED, LIST_FILE, OTHER, Scene, json_list, many},
    traffic::{EDITED_TO_DNS, EDITED_TO_WEB, OTHER_TO_WEB, Traffic},
};

/// Entries of a long list.
const MANY: u32 = 100_000;

const EDITED_PASSES: [u8; 2] = [EDITED_TO_WEB, EDITED_TO_DNS];

#[test]
fn reloads_of_short_and_of_long_lists() {
    in_each_cell(|cell| {
        let scene = Scene::new(cell);
        let mut traffic = Traffic::start(&scene, &[]);
        for count in [10, MANY] {
            let reload = |source: u8| {
                scene.site.host().write(LIST_FILE, json_list(count, &[scene.source(source).to_string()]));
                // It may have been taken up by itself already.
                scene.done("reload --force")
            };
            traffic.change(&format!("{cell}: {count} entries"), &EDITED_PASSES, || reload(EDITED));
            traffic.change(&format!("{cell}: others of {count}"), &[OTHER_TO_WEB], || reload(OTHER));
            traffic.change(&format!("{cell}: {count} entries again"), &EDITED_PASSES, || reload(EDITED));
        }
        traffic.finish(&scene);
    });
}

#[test]
fn an_entry_more_or_less_in_a_long_list() {
    in_each_cell(|cell| {
        let scene = Scene::new(cell);
        scene.site.host().write(LIST_FILE, json_list(MANY, &[]));
        scene.done("reload");
        let mut traffic = Traffic::start(&scene, &[]);
        let started = Instant::now();
        traffic.change("an entry more", &EDITED_PASSES, || scene.done("allow add {2}"));
        println!("{cell}: an entry more in {MANY}, with the command's start: {:?}", started.elapsed());
        traffic.change("an entry less", &[], || scene.done("allow remove {2}"));
        traffic.finish(&scene);
    });
}

#[test]
fn many_entries_in_one_edit() {
    let scene = Scene::new(ANY_CELL);
    let lines: Vec<String> = many(MANY - 1).chain([scene.source(EDITED).to_string()]).collect();
    let file = scene.site.host().write("many.txt", format!("# A list of many\n\n{}\n", lines.join("\n")));
    let command = |command: &str| format!("{command} --file {}", file.display());
    let mut traffic = Traffic::start(&scene, &[]);
    for (what, passing, said) in [
        ("allow add", &EDITED_PASSES[..], "added 100000 entries"),
        ("allow add", &EDITED_PASSES, "100000 entries there already"),
        ("allow remove", &[], "removed 100000 entries"),
    ] {
        let started = Instant::now();
        let answer = traffic.change(what, passing, || scene.done(&command(what)));
        println!("{what}, {MANY} entries: {:?}", started.elapsed());
        assert!(answer.contains(said), "{what}: no `{said}` in {answer}");
    }
    // More than there is room for is refused whole.
    let said = scene.refused(&command("allow add --service web --ttl 1h"), 1);
    assert!(said.contains("GRANTS"), "{said}");
    assert_eq!(scene.list("allow").len(), 2, "those of the policy file");
    traffic.finish(&scene);
}
