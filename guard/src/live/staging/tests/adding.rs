use super::*;

#[test]
fn a_plain_entry_is_a_string_in_the_list_file() {
    let mut scene = Scene::with_list("[\"192.0.2.1\"]\n");
    let edit = add(Addition { comment: Some("printer".to_owned()), ..allow("192.0.2.2 2001:db8::/48") });
    assert_eq!(scene.edit(edit), Ok(done((2, 0, 0, 0), true)));
    assert_eq!(scene.list(), "[\"192.0.2.1\", \"192.0.2.2\", \"2001:db8::/48\"]\n");
    assert_eq!(scene.live(), ["allow 192.0.2.2/32 # printer", "allow 2001:db8::/48 # printer"]);
    assert_eq!(scene.loaded.live.entries[0].by, Some(who()));
    assert_eq!(scene.loaded.policy.allow.len(), 6);
}

#[test]
fn a_list_file_that_is_missing_is_made() {
    let mut scene = Scene::new();
    assert_eq!(scene.edit(add(allow("192.0.2.1 192.0.2.0/28"))), Ok(done((2, 0, 0, 0), true)));
    assert_eq!(scene.list(), "[\n  \"192.0.2.1\",\n  \"192.0.2.0/28\"\n]\n");
}

#[test]
fn what_is_no_plain_entry_stands_beside() {
    let web = || names(&["web"]);
    let both = || names(&["web", "db", "web"]);
    for (case, addition, live, for_good) in [
        ("for a service", Addition { services: web(), ..allow("192.0.2.1") }, "allow 192.0.2.1/32 web", true),
        ("for two", Addition { services: both(), ..allow("192.0.2.1") }, "allow 192.0.2.1/32 db,web", true),
        ("for a time", Addition { ttl: HOUR, ..allow("192.0.2.1") }, "allow 192.0.2.1/32 ends", false),
        (
            "for a time and a service",
            Addition { ttl: HOUR, services: web(), ..allow("192.0.2.1") },
            "allow 192.0.2.1/32 web ends",
            false,
        ),
        ("blocked", block("192.0.2.1"), "block 192.0.2.1/32", true),
        ("blocked for a time", Addition { ttl: HOUR, ..block("192.0.2.1") }, "block 192.0.2.1/32 ends", false),
    ] {
        let mut scene = Scene::with_list("[ ]");
        assert_eq!(scene.edit(add(addition)), Ok(done((1, 0, 0, 0), for_good)), "{case}");
        assert_eq!((scene.live(), scene.list().as_str()), (vec![live.to_owned()], "[ ]"), "{case}");
        assert_eq!(scene.loaded.timed.len(), usize::from(!for_good), "{case}");
    }
}

#[test]
fn an_end_is_as_far_away_as_asked_for() {
    let mut scene = Scene::new();
    let clock = Clock::now();
    scene.edit_at(add(Addition { ttl: HOUR, ..block("192.0.2.1") }), &clock).unwrap();
    assert_eq!(scene.loaded.timed[0].ends, clock.boot + Duration::from_hours(1));
}

#[test]
fn what_is_there_already() {
    let first = || Addition { comment: Some("a".to_owned()), name: Some("n".to_owned()), ..allow("192.0.2.1") };
    let renamed = Addition { name: Some("m".to_owned()), ..allow("192.0.2.1") };
    let scoped = || Addition { services: names(&["web"]), ..allow("192.0.2.1") };
    let timed = || Addition { ttl: HOUR, ..allow("192.0.2.1") };
    let denied = || block("192.0.2.1");
    let said = |comment: &str, addition: Addition| Addition { comment: Some(comment.to_owned()), ..addition };
    let (unchanged, replaced) = (done((0, 0, 0, 1), false), done((0, 0, 1, 0), false));
    for (case, before, then, expected, live) in [
        ("the same", first(), first(), &unchanged, "allow 192.0.2.1/32 name n # a"),
        ("nothing said of it", first(), allow("192.0.2.1"), &unchanged, "allow 192.0.2.1/32 name n # a"),
        ("another comment", first(), said("b", allow("192.0.2.1")), &replaced, "allow 192.0.2.1/32 name n # b"),
        ("another name", first(), renamed, &replaced, "allow 192.0.2.1/32 name m # a"),
        ("scoped, the same", scoped(), scoped(), &unchanged, "allow 192.0.2.1/32 web"),
        ("scoped, another comment", scoped(), said("b", scoped()), &replaced, "allow 192.0.2.1/32 web # b"),
        ("timed, another end", timed(), timed(), &replaced, "allow 192.0.2.1/32 ends"),
        ("blocked, the same", denied(), denied(), &unchanged, "block 192.0.2.1/32"),
        ("blocked, another comment", denied(), said("b", denied()), &replaced, "block 192.0.2.1/32 # b"),
    ] {
        let mut scene = Scene::new();
        scene.edit(add(before)).unwrap();
        let list = scene.list();
        assert_eq!(scene.edit(add(then)).as_ref(), Ok(expected), "{case}");
        assert_eq!((scene.live(), scene.list()), (vec![live.to_owned()], list), "{case}");
    }
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut scene = Scene::new();
    let edit = || add(Addition { services: names(&["web"]), ..allow("192.0.2.1") });
    assert!(scene.stage(&edit(), &Clock::now()).unwrap().files().next().is_some());
    scene.edit(edit()).unwrap();
    let before = scene.loaded.files.look();
    assert!(scene.stage(&edit(), &Clock::now()).unwrap().files().next().is_none());
    scene.edit(edit()).unwrap();
    assert_eq!(scene.loaded.files.look(), before);
}

#[test]
fn what_somebody_wrote_into_the_list_file_gets_what_is_said_of_it() {
    let list = r#"[{"ip": "192.0.2.1", "comment": "by hand"}]"#;
    let mut scene = Scene::with_list(list);
    assert_eq!(scene.edit(add(allow("192.0.2.1"))), Ok(done((0, 0, 0, 1), false)));
    let named = Addition { name: Some("home".to_owned()), ..allow("192.0.2.1") };
    assert_eq!(scene.edit(add(named)), Ok(done((0, 0, 1, 0), false)));
    assert_eq!((scene.live(), scene.list().as_str()), (names(&["allow 192.0.2.1/32 name home"]), list));
    // Somebody takes it out again: what was said of it means nothing any more, also where it comes back.
    fs::write(scene.path("data/allowed_ips.json"), "[\"192.0.2.9\"]").unwrap();
    assert_eq!(scene.edit(add(allow("192.0.2.1"))), Ok(done((1, 0, 0, 0), true)));
    assert_eq!(scene.live(), ["allow 192.0.2.1/32"]);
}

#[test]
fn one_for_good_takes_the_place_of_one_for_a_time() {
    for (case, services) in [("plain", &[][..]), ("scoped", &["web"])] {
        let mut scene = Scene::new();
        let one = |ttl| add(Addition { ttl, services: names(services), ..allow("192.0.2.1") });
        scene.edit(one(HOUR)).unwrap();
        assert_eq!(scene.edit(one(None)), Ok(done((0, 0, 1, 0), true)), "{case}");
        assert_eq!((scene.live().len(), scene.loaded.timed.len()), (1, 0), "{case}");
    }
}

#[test]
fn one_for_a_time_leaves_one_for_good_alone() {
    for (case, addition, by) in [
        ("allow", allow("192.0.2.1"), "let in for good, by 192.0.2.1/32 (data/allowed_ips.json[0])"),
        ("block", block("192.0.2.1"), "blocked for good, by 192.0.2.1/32 (data/entries.json[0])"),
    ] {
        let mut scene = Scene::new();
        scene.edit(add(addition.clone())).unwrap();
        let done = scene.edit(add(Addition { ttl: HOUR, ..addition })).unwrap();
        let warning = format!("192.0.2.1/32 is {by}: its end changes nothing");
        assert_eq!((done.counts, done.warnings), ((1, 0, 0, 0), vec![warning]), "{case}");
        assert_eq!(scene.live().len(), 2, "{case}");
    }
}

#[test]
fn what_stands_elsewhere_is_not_added() {
    let scoped = |service, text| Addition { services: names(&[service]), ..allow(text) };
    for (case, addition, note) in [
        ("environment", allow("192.0.2.201"), "192.0.2.201/32 stands in environment variable ALLOWED_IPS item 2"),
        ("guard.toml", allow("10.0.0.0/8"), "10.0.0.0/8 stands in guard.toml:2"),
        ("a set", scoped("web", "192.0.2.128/25"), "192.0.2.128/25 stands in office.txt:1 (@office)"),
        ("the list file", scoped("db", "192.0.2.9"), "192.0.2.9/32 stands in data/allowed_ips.json[0]"),
        ("deny", block("203.0.113.0/24"), "203.0.113.0/24 stands in guard.toml:3"),
    ] {
        let list = r#"[{"ip": "192.0.2.9", "services": ["db"]}]"#;
        let mut scene = Scene::with_list(list);
        let expected = Done { notes: vec![format!("{note} already")], ..done((0, 0, 0, 1), false) };
        assert_eq!(scene.edit(add(addition)), Ok(expected), "{case}");
        assert_eq!((scene.live().len(), scene.list().as_str()), (0, list), "{case}");
    }
    let both = Addition { services: names(&["web", "db"]), ..allow("198.51.100.0/24") };
    assert_eq!(Scene::new().edit(add(both)), Ok(done((1, 0, 0, 0), true)), "elsewhere for one of two services only");
}

#[test]
fn what_covers_an_entry_is_said() {
    let scoped = |service, text| Addition { services: names(&[service]), ..allow(text) };
    let timed = |addition| Addition { ttl: HOUR, ..addition };
    let allow_cover = "10.0.0.5/32 is in 10.0.0.0/8 (guard.toml:2) already";
    for (case, addition, notes, warnings) in [
        ("allow", allow("10.0.0.5 192.0.2.1"), &[allow_cover][..], &[][..]),
        (
            "a service",
            scoped("web", "198.51.100.7"),
            &["198.51.100.7/32 is in 198.51.100.0/24 (guard.toml:8) already"],
            &[],
        ),
        ("a service, by allow", scoped("web", "10.0.0.5"), &[allow_cover], &[]),
        ("another service's", scoped("db", "198.51.100.7"), &[], &[]),
        ("deny", block("203.0.113.5"), &["203.0.113.5/32 is in 203.0.113.0/24 (guard.toml:3) already"], &[]),
        (
            "for a time",
            timed(allow("10.0.0.5")),
            &[],
            &["10.0.0.5/32 is let in for good, by 10.0.0.0/8 (guard.toml:2): its end changes nothing"],
        ),
        (
            "blocked for a time",
            timed(block("203.0.113.5")),
            &[],
            &["203.0.113.5/32 is blocked for good, by 203.0.113.0/24 (guard.toml:3): its end changes nothing"],
        ),
        ("denied", allow("203.0.113.5"), &[], &["203.0.113.5/32 stays blocked, by 203.0.113.0/24 (guard.toml:3)"]),
    ] {
        let done = Scene::new().edit(add(addition)).unwrap();
        assert_eq!((done.notes, done.warnings), (names(notes), names(warnings)), "{case}");
    }
    let mut scene = Scene::new();
    scene.edit(add(timed(block("192.0.2.0/28")))).unwrap();
    let done = scene.edit(add(timed(allow("192.0.2.1")))).unwrap();
    assert_eq!(done.warnings, ["192.0.2.1/32 stays blocked, by 192.0.2.0/28 (until T, data/entries.json[0])"]);
}

#[test]
fn a_name_moves_its_entries() {
    let named = |addition: Addition| add(Addition { name: Some("home".to_owned()), ..addition });
    let web = |text| Addition { services: names(&["web"]), ..allow(text) };
    let timed = |text| Addition { ttl: HOUR, ..allow(text) };
    let (one, two) = (|| allow("192.0.2.1"), || allow("192.0.2.2"));
    for (case, before, then, counts, list, live, for_good) in [
        ("plain", one(), two(), (0, 0, 1, 0), &["2"][..], &["allow 192.0.2.2/32"][..], true),
        (
            "more",
            one(),
            allow("192.0.2.1 192.0.2.2"),
            (1, 0, 0, 1),
            &["1", "2"],
            &["allow 192.0.2.1/32", "allow 192.0.2.2/32"],
            true,
        ),
        ("fewer", allow("192.0.2.1 192.0.2.2"), two(), (0, 1, 0, 1), &["2"], &["allow 192.0.2.2/32"], true),
        (
            "fewer, others",
            allow("192.0.2.1 192.0.2.2"),
            allow("192.0.2.3"),
            (0, 1, 1, 0),
            &["3"],
            &["allow 192.0.2.3/32"],
            true,
        ),
        ("plain to timed", one(), timed("192.0.2.1"), (0, 0, 1, 0), &[], &["allow 192.0.2.1/32 ends"], true),
        ("timed", timed("192.0.2.1"), timed("192.0.2.2"), (0, 0, 1, 0), &[], &["allow 192.0.2.2/32 ends"], false),
        ("timed to plain", timed("192.0.2.1"), two(), (0, 0, 1, 0), &["2"], &["allow 192.0.2.2/32"], true),
        ("scoped", web("192.0.2.1"), web("192.0.2.2"), (0, 0, 1, 0), &[], &["allow 192.0.2.2/32 web"], true),
        ("to where it stands already", one(), allow("192.0.2.200"), (0, 1, 0, 1), &[], &[], true),
        ("blocked", block("192.0.2.1"), block("192.0.2.2"), (0, 0, 1, 0), &[], &["block 192.0.2.2/32"], true),
        (
            "of the other list",
            block("192.0.2.1"),
            two(),
            (1, 0, 0, 0),
            &["2"],
            &["block 192.0.2.1/32", "allow 192.0.2.2/32"],
            true,
        ),
    ] {
        let mut scene = Scene::with_list("[\"192.0.2.9\"]");
        scene.edit(named(before)).unwrap();
        let done = scene.edit(named(then)).unwrap();
        assert_eq!((done.counts, done.needs_generation), (counts, for_good), "{case}");
        let list: String = list.iter().map(|last| format!(", \"192.0.2.{last}\"")).collect();
        let live: Vec<String> = live.iter().map(|line| format!("{line} name home")).collect();
        assert_eq!((scene.list(), scene.live()), (format!("[\"192.0.2.9\"{list}]"), live), "{case}");
    }
}

#[test]
fn a_name_that_moves_inside_what_it_had_is_not_covered() {
    let named = |text| add(Addition { name: Some("home".to_owned()), ..allow(text) });
    let mut scene = Scene::new();
    scene.edit(named("192.0.2.0/28")).unwrap();
    assert_eq!(scene.edit(named("192.0.2.1")), Ok(done((0, 0, 1, 0), true)));
}

#[test]
fn services_must_be_defined() {
    let edit = add(Addition { services: names(&["web", "wbe", "x"]), ..allow("192.0.2.1") });
    let faults = Scene::new().edit(edit).unwrap_err();
    assert_eq!(
        faults,
        ["service `wbe` is not defined; there are web, db", "service `x` is not defined; there are web, db"]
    );
}

#[test]
fn an_edit_that_makes_a_bad_configuration_is_refused_with_its_faults() {
    let mut scene = Scene::with_list("[]\n");
    let faults = scene.edit(add(allow("128.0.0.0/1"))).unwrap_err();
    let expected = "data/allowed_ips.json[0]: prefix `128.0.0.0/1`: the allowlist covers more";
    assert!(faults.len() == 1 && faults[0].starts_with(expected), "{faults:?}");
    assert_eq!((scene.list().as_str(), scene.names()), ("[]\n", names(&["allowed_ips.json"])));
}
