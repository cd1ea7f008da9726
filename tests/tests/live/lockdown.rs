//! A lockdown: at once, over restarts, edits and reloads, and no longer than it was asked for.

use std::{
    thread,
    time::{Duration, Instant},
};

use guard_tests::{in_each_cell, in_each_family, wait::eventually};
use nix::sys::signal::Signal;

use super::{
    scene::{ANY_CELL, ENTRIES, SOON, Scene, policy},
    traffic::{EDITED_TO_DNS, EDITED_TO_WEB, OTHER_TO_WEB, Traffic},
};

const EDITED_PASSES: [u8; 2] = [EDITED_TO_WEB, EDITED_TO_DNS];

#[test]
fn only_who_is_excepted_is_let_in_until_it_is_lifted() {
    in_each_cell(|cell| {
        let mut scene = Scene::new(cell);
        scene.done("allow add {2}");
        scene.done("allow add {3} --ttl 1h");
        let everybody = [EDITED_TO_WEB, EDITED_TO_DNS, OTHER_TO_WEB];
        let mut traffic = Traffic::start(&scene, &everybody);
        let said = traffic.change("a lockdown", &[], || scene.done("lockdown --except {1}"));
        assert!(said.contains("lockdown --lift"), "{cell}: {said}");
        assert!(scene.guard.status()["lockdown"]["until"].is_null(), "{cell}");
        traffic.change("another exception", &EDITED_PASSES, || scene.done("lockdown --except {1} --except {2}"));
        traffic.change("a ban of who is excepted", &[], || scene.done("block add {2} --for 1h"));
        traffic.change("the ban is lifted", &EDITED_PASSES, || scene.done("block remove {2}"));
        // Edits and reloads are for later.
        traffic.change("a grant", &EDITED_PASSES, || scene.done("allow add {9} --ttl 1h"));
        traffic.change("a grant less", &EDITED_PASSES, || scene.done("allow remove {9}"));
        traffic.change("an entry less", &EDITED_PASSES, || scene.done("allow remove {2}"));
        traffic.change("a reload", &EDITED_PASSES, || scene.done("reload"));
        // Neither a daemon that dies nor another one opens what is shut.
        scene.guard.kill();
        traffic.go_on(100);
        scene.restart();
        assert!(scene.guard.status()["lockdown"].is_object(), "{cell}");
        traffic.change("it is lifted", &[OTHER_TO_WEB], || scene.done("lockdown --lift"));
        assert!(scene.guard.status()["lockdown"].is_null(), "{cell}");
        traffic.assert_judged();
        scene.refused("lockdown --lift", 1);
    });
}

#[test]
fn it_ends_when_it_should() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        scene.done("allow add {2}");
        let mut traffic = Traffic::start(&scene, &EDITED_PASSES);
        let asked = Instant::now();
        traffic.change("a lockdown", &[], || scene.done("lockdown --except {1} --for 3s"));
        // Looked for every second.
        traffic.change("its end", &EDITED_PASSES, || {
            eventually("it has ended", SOON, || scene.guard.status()["lockdown"].is_null());
        });
        let after = asked.elapsed();
        assert!(after >= Duration::from_secs(3) && after < Duration::from_secs(6), "{cell}: ended after {after:?}");
        traffic.finish(&scene);
        let actions: Vec<_> = scene.audit().iter().map(|line| line["action"].clone()).collect();
        assert_eq!(actions[actions.len() - 2..], ["lockdown", "expire"], "{cell}");
    });
}

#[test]
fn a_reboot_does_not_end_it_and_its_time_passes_meanwhile() {
    let mut scene = Scene::new(ANY_CELL);
    scene.done("allow add {2}");
    scene.done("lockdown --except {1}");
    scene.guard.down();
    scene.restart();
    let traffic = Traffic::start(&scene, &[]);
    traffic.finish(&scene);
    scene.done("lockdown --except {1} --for 2s");
    scene.guard.down();
    thread::sleep(Duration::from_secs(2));
    scene.restart();
    assert!(scene.guard.status()["lockdown"].is_null());
    let traffic = Traffic::start(&scene, &EDITED_PASSES);
    traffic.finish(&scene);
}

#[test]
fn what_is_configured_meanwhile_holds_afterwards() {
    let mut scene = Scene::new(ANY_CELL);
    let mut traffic = Traffic::start(&scene, &[]);
    traffic.change("a lockdown", &[], || scene.done("lockdown --except {1}"));
    let open = format!(
        "{}[deny]\nips = ['198.51.100.3']\n",
        policy().replace("allow.ips = [", "allow.ips = ['198.51.100.2', ")
    );
    scene.site.host().write("default.toml", scene.site.config(&open));
    traffic.change("another configuration", &[], || {
        scene.guard.signal(Signal::SIGHUP);
        let is_reloaded = || scene.guard.status()["last_reload"]["outcome"] == "ok";
        eventually("it is reloaded", SOON, is_reloaded);
    });
    assert!(scene.site.host().read(ENTRIES).contains("lockdown"));
    traffic.change("it is lifted", &EDITED_PASSES, || scene.done("lockdown --lift"));
    traffic.finish(&scene);
}

#[test]
fn a_file_that_is_broken_is_no_reason_to_stay_open() {
    let scene = Scene::new(ANY_CELL);
    let mut traffic = Traffic::start(&scene, &[]);
    traffic.change("an entry", &EDITED_PASSES, || scene.done("allow add {2}"));
    let kept = scene.site.host().read(ENTRIES);
    scene.site.host().write(ENTRIES, "{");
    scene.refused("block add {3} --for 1h", 78);
    let said = traffic.change("a lockdown", &[], || scene.done("lockdown --except {1}"));
    assert!(said.contains("the next start ends the lockdown"), "{said}");
    scene.site.host().write(ENTRIES, kept);
    traffic.change("the file is mended", &[], || scene.done("reload"));
    assert!(scene.guard.status()["lockdown"].is_object());
    traffic.change("it is lifted", &EDITED_PASSES, || scene.done("lockdown --lift"));
    traffic.finish(&scene);
}
