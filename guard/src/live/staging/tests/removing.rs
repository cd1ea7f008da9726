use super::*;

const LIST: &str = r#"["192.0.2.1", {"ip": "192.0.2.2"}, {"ip": "192.0.2.3", "services": ["web", "db"]}, {"ip": "192.0.2.4", "expires": "2100-01-01T00:00:00Z"}, "192.0.2.0/28"]"#;

fn remove(list: List, text: &str) -> Edit {
    Edit::Remove(removal(list, text))
}

fn of_services(services: &[&str], text: &str) -> Edit {
    Edit::Remove(Removal { services: names(services), ..removal(List::Allow, text) })
}

#[test]
fn elements_of_every_form_go() {
    for (case, edit, gone) in [
        ("a string", remove(List::Allow, "192.0.2.0/28"), &[4][..]),
        ("objects", remove(List::Allow, "192.0.2.2 192.0.2.3"), &[1, 2]),
        ("one that ends", remove(List::Allow, "192.0.2.4"), &[3]),
        ("of services", of_services(&["db", "web"], "192.0.2.3"), &[2]),
    ] {
        let mut scene = Scene::with_list(LIST);
        let done = scene.edit(edit).unwrap();
        assert_eq!((done.counts, done.needs_generation), ((0, gone.len(), 0, 0), true), "{case}");
        let text = scene.list();
        let elements: Vec<serde_json::Value> = serde_json::from_str(LIST).unwrap();
        let kept = (0..).zip(elements).filter(|(at, _)| !gone.contains(at)).map(|(_, element)| element);
        let found: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(found, kept.collect::<Vec<_>>(), "{case}");
    }
}

#[test]
fn what_was_added_goes_however_it_was_added() {
    let web = |addition: Addition| Addition { services: names(&["web"]), ..addition };
    for (case, addition, for_good) in [
        ("plain", allow("192.0.2.1"), true),
        ("plain, named", Addition { name: Some("home".to_owned()), ..allow("192.0.2.1") }, true),
        ("scoped", web(allow("192.0.2.1")), true),
        ("timed", Addition { ttl: HOUR, ..allow("192.0.2.1") }, false),
        ("scoped and timed", web(Addition { ttl: HOUR, ..allow("192.0.2.1") }), false),
        ("blocked", block("192.0.2.1"), true),
        ("blocked for a time", Addition { ttl: HOUR, ..block("192.0.2.1") }, false),
    ] {
        let mut scene = Scene::with_list("[\"192.0.2.9\"]");
        let list = addition.list;
        scene.edit(add(addition)).unwrap();
        assert_eq!(scene.edit(remove(list, "192.0.2.1")), Ok(done((0, 1, 0, 0), for_good)), "{case}");
        assert_eq!((scene.live().len(), scene.list().as_str()), (0, "[\"192.0.2.9\"]"), "{case}");
        assert!(scene.loaded.timed.is_empty(), "{case}");
    }
}

#[test]
fn all_of_a_prefix_goes_at_once() {
    let mut scene = Scene::with_list(r#"["192.0.2.1"]"#);
    scene.edit(add(Addition { services: names(&["web", "db"]), ..allow("192.0.2.1") })).unwrap();
    scene.edit(add(Addition { ttl: HOUR, ..allow("192.0.2.1") })).unwrap();
    assert_eq!(scene.edit(remove(List::Allow, "192.0.2.1")), Ok(done((0, 3, 0, 0), true)));
    assert_eq!((scene.live().len(), scene.list().as_str()), (0, "[]"));
}

#[test]
fn only_services_that_are_asked_for_go() {
    let mut scene = Scene::new();
    scene.edit(add(Addition { services: names(&["web", "db"]), ..allow("192.0.2.1") })).unwrap();
    scene.edit(add(allow("192.0.2.2"))).unwrap();
    assert_eq!(scene.edit(of_services(&["web"], "192.0.2.1")), Ok(done((0, 1, 0, 0), true)));
    assert_eq!(scene.live(), ["allow 192.0.2.2/32", "allow 192.0.2.1/32 db"]);
    let faults = scene.edit(of_services(&["web"], "192.0.2.1 192.0.2.2")).unwrap_err();
    let none = "is no entry of the allowlist for service web";
    assert_eq!(
        faults,
        [
            format!("192.0.2.1/32 {none}"),
            format!("192.0.2.2/32 {none}: it is let in by 192.0.2.2/32 (data/allowed_ips.json[0])"),
        ]
    );
    assert_eq!(scene.live().len(), 2);
    let faults = Scene::with_list(LIST).edit(of_services(&["web"], "192.0.2.3")).unwrap_err();
    assert_eq!(faults, ["192.0.2.3/32 stands in data/allowed_ips.json[2] together with service db: edit it there"]);
}

#[test]
fn a_name_takes_all_its_entries_along() {
    let named = |addition: Addition| add(Addition { name: Some("home".to_owned()), ..addition });
    let by_name = |list| Edit::Remove(Removal { name: Some("home".to_owned()), ..removal(list, "") });
    let mut scene = Scene::with_list("[\"192.0.2.9\"]");
    scene.edit(named(allow("192.0.2.1 192.0.2.2"))).unwrap();
    scene.edit(named(block("192.0.2.66"))).unwrap();
    assert_eq!(scene.edit(by_name(List::Allow)), Ok(done((0, 2, 0, 0), true)));
    assert_eq!((scene.list().as_str(), scene.live()), ("[\"192.0.2.9\"]", names(&["block 192.0.2.66/32 name home"])));
    assert_eq!(scene.edit(by_name(List::Allow)).unwrap_err(), ["no entry of the allowlist is named `home`"]);
    assert_eq!(scene.edit(by_name(List::Block)), Ok(done((0, 1, 0, 0), true)));
    assert_eq!(scene.edit(by_name(List::Block)).unwrap_err(), ["no entry of the block list is named `home`"]);
}

#[test]
fn what_can_not_be_removed_is_said_and_nothing_goes() {
    let guard_toml = ": edit it there, then `guard reload`";
    for (list, asked, expected) in [
        (
            List::Allow,
            "192.0.2.1 192.0.2.200 10.0.0.0/8 10.0.0.5 192.0.2.128/25 198.51.100.0/24 192.0.2.7",
            vec![
                "192.0.2.200/32 stands in environment variable ALLOWED_IPS item 1, which is read at the start only: \
                 change it there, and start guard again"
                    .to_owned(),
                format!("10.0.0.0/8 stands in guard.toml:2{guard_toml}"),
                "10.0.0.5/32 is no entry of the allowlist: it is let in by 10.0.0.0/8 (guard.toml:2)".to_owned(),
                "192.0.2.128/25 stands in office.txt:1 (@office): edit it there, which is taken up at once".to_owned(),
                format!("198.51.100.0/24 stands in guard.toml:8{guard_toml}"),
                "192.0.2.7/32 is no entry of the allowlist: it is let in by 192.0.2.0/28 (data/allowed_ips.json[4])"
                    .to_owned(),
            ],
        ),
        (
            List::Block,
            "203.0.113.0/24 203.0.113.5 192.0.2.1",
            vec![
                format!("203.0.113.0/24 stands in guard.toml:3{guard_toml}"),
                "203.0.113.5/32 is no entry of the block list: it is blocked by 203.0.113.0/24 (guard.toml:3)"
                    .to_owned(),
                "192.0.2.1/32 is no entry of the block list".to_owned(),
            ],
        ),
    ] {
        let mut scene = Scene::with_list(LIST);
        assert_eq!(scene.edit(remove(list, asked)).unwrap_err(), expected);
        assert_eq!((scene.list().as_str(), scene.names()), (LIST, names(&["allowed_ips.json"])));
    }
}

#[test]
fn what_still_holds_is_said() {
    let mut scene = Scene::with_list(LIST);
    let done = scene.edit(remove(List::Allow, "192.0.2.1")).unwrap();
    assert_eq!(done.warnings, ["192.0.2.1/32 is still let in, by 192.0.2.0/28 (data/allowed_ips.json[4])"]);
    let done = scene.edit(remove(List::Allow, "192.0.2.0/28")).unwrap();
    assert!(done.warnings.is_empty(), "{done:?}");

    let mut scene = Scene::new();
    scene.edit(add(Addition { ttl: HOUR, ..allow("192.0.2.0/24") })).unwrap();
    scene.edit(add(Addition { services: names(&["web"]), ..allow("192.0.2.0/25") })).unwrap();
    scene.edit(add(allow("192.0.2.1"))).unwrap();
    let done = scene.edit(remove(List::Allow, "192.0.2.1")).unwrap();
    assert_eq!(done.warnings, ["192.0.2.1/32 is still let in, by 192.0.2.0/24 (until T, added by command)"]);
    let done = scene.edit(remove(List::Allow, "192.0.2.0/24")).unwrap();
    assert!(done.warnings.is_empty(), "{done:?}");

    let mut scene = Scene::new();
    scene.edit(add(block("203.0.113.5"))).unwrap();
    let done = scene.edit(remove(List::Block, "203.0.113.5")).unwrap();
    assert_eq!(done.warnings, ["203.0.113.5/32 is still blocked, by 203.0.113.0/24 (guard.toml:3)"]);
}

#[test]
fn the_last_entry_does_not_go_unasked() {
    let toml = TOML.replace("allow.ips = ['10.0.0.0/8']\n", "").replace("allow = ['198.51.100.0/24', '@office']\n", "");
    let mut scene =
        Scene::with_environment(&[], &[("guard.toml", &toml), ("data/allowed_ips.json", "[\"192.0.2.1\"]")]);
    let faults = scene.edit(remove(List::Allow, "192.0.2.1")).unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("no allowlist: "), "{faults:?}");
    assert_eq!(scene.list(), "[\"192.0.2.1\"]");
}

/// Has the machine ban a prefix for an hour from now on.
fn ban_by_machine(scene: &Scene, prefix: &str) {
    let clock = Clock::now();
    scene.bans.adopt(prefix.parse().unwrap(), clock.boot + Duration::from_hours(1), &clock);
}

#[test]
fn a_ban_by_machine_is_lifted_with_whatever_else_there_is_of_its_prefix() {
    let ttl = |addition| Addition { ttl: HOUR, ..addition };
    for (case, prefix, by_hand, removed, for_good) in [
        ("alone", "192.0.2.66/32", None, 1, false),
        ("alone, v6", "2001:db8::/64", None, 1, false),
        ("beside one by hand", "192.0.2.66/32", Some(ttl(block("192.0.2.66"))), 2, false),
        ("beside a block for good", "192.0.2.66/32", Some(block("192.0.2.66")), 2, true),
    ] {
        let mut scene = Scene::new();
        by_hand.into_iter().for_each(|addition| drop(scene.edit(add(addition)).unwrap()));
        ban_by_machine(&scene, prefix);
        let staged = scene.stage(&remove(List::Block, prefix), &Clock::now()).unwrap();
        assert_eq!(staged.lifted, [prefix.parse().unwrap()], "{case}");
        drop(staged);
        let mut expected = done((0, removed, 0, 0), for_good);
        expected.notes = vec![format!("the ban of {prefix} by the machine is lifted, and what led to it is forgotten")];
        assert_eq!(scene.edit(remove(List::Block, prefix)), Ok(expected), "{case}");
    }
}

#[test]
fn bans_by_machine_are_told_where_they_are_in_the_way() {
    let mut scene = Scene::new();
    scene.edit(add(block("192.0.2.67"))).unwrap();
    ["192.0.2.66/32", "192.0.2.0/24", "2001:db8::/64"].iter().for_each(|prefix| ban_by_machine(&scene, prefix));
    for (case, edit, expected) in [
        ("in the /64", remove(List::Block, "2001:db8::5"), "2001:db8::/64"),
        ("in the /24", remove(List::Block, "192.0.2.65"), "192.0.2.0/24"),
    ] {
        let faults = scene.edit(edit).unwrap_err();
        let by = format!("is no entry of the block list: it is blocked by {expected} (until T, banned by the machine)");
        assert!(faults.len() == 1 && faults[0].ends_with(&by), "{case}: {faults:?}");
    }
    let still = |prefix| format!("{prefix} is still blocked, by 192.0.2.0/24 (until T, banned by the machine)");
    assert_eq!(scene.edit(remove(List::Block, "192.0.2.67")).unwrap().warnings, [still("192.0.2.67/32")]);
    assert_eq!(scene.edit(remove(List::Block, "192.0.2.66")).unwrap().warnings, [still("192.0.2.66/32")]);
    let warnings = scene.edit(add(allow("2001:db8::5"))).unwrap().warnings;
    assert_eq!(warnings, ["2001:db8::5/128 stays blocked, by 2001:db8::/64 (until T, banned by the machine)"]);
    assert!(scene.edit(remove(List::Allow, "192.0.2.66")).is_err(), "it is no entry of that list");
}
