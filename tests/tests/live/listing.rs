//! What lists show of each entry.

use guard_tests::{Guard, Options, Site, Wire, in_each_family, wait::eventually};
use jiff::Timestamp;
use serde_json::Value;

use super::scene::{ANY_CELL, EDITED, OTHER, SOON, Scene, TALKER, WEB, ip, time};

#[test]
fn an_entry_says_where_it_is_from_who_added_it_and_until_when() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let before = Timestamp::now();
        scene.done("allow add {2} --comment gateway --name home");
        scene.done("allow add {3} --service dns --ttl 2h");
        let of_file = scene.entry("allow", TALKER);
        assert!(of_file["source"].as_str().is_some_and(|source| source.contains("default.toml:")), "{of_file:#}");
        for absent in ["by", "added", "expires", "comment", "name"] {
            assert!(of_file[absent].is_null(), "{cell}: {absent}: {of_file:#}");
        }

        let named = scene.entry("allow", EDITED);
        assert_eq!((&named["comment"], &named["name"]), (&"gateway".into(), &"home".into()), "{named:#}");
        assert!(named["expires"].is_null(), "{named:#}");
        assert_eq!(named["by"]["uid"], 0, "{named:#}");
        let command = named["by"]["command"].as_str().expect("a command is text");
        assert!(command.contains("allow add") && command.contains("--name home"), "{command}");
        let added = time(&named["added"]);
        // The file keeps whole seconds.
        let second = jiff::SignedDuration::from_secs(1);
        assert!(added >= before - second && added <= Timestamp::now() + second, "{added}");

        let granted = scene.entry("allow", OTHER);
        assert_eq!(granted["services"], Value::from(vec!["dns"]), "{granted:#}");
        let left = time(&granted["expires"]).duration_since(Timestamp::now()).as_secs();
        assert!((7_190..=7_200).contains(&left), "{left} s left: {granted:#}");

        let text = scene.done("allow list");
        for part in ["gateway", "home", "dns", "default.toml:"] {
            assert!(text.contains(part), "{cell}: no `{part}` in {text}");
        }
        scene.done("block add 192.0.2.7 --comment scanner");
        let blocked = scene.list("block");
        assert_eq!((blocked.len(), &blocked[0]["comment"]), (1, &"scanner".into()), "{blocked:#?}");
        assert!(scene.done("block list").contains("scanner"));
    });
}

#[test]
fn an_entry_says_when_it_was_last_used() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        scene.done("allow add {2} {3}");
        assert!(scene.entry("allow", EDITED)["last_used"].is_null());
        // Of packets without a connection only some are noted.
        let frame = scene.site.packet(scene.source(EDITED)).udp(1234, WEB).build();
        let wire = Wire::open(scene.site.peer(), "eth0");
        let before = Timestamp::now();
        eventually("it is noted that the entry is used", SOON, || {
            wire.send_all(&vec![&frame; 64]);
            !scene.entry("allow", EDITED)["last_used"].is_null()
        });
        let used = time(&scene.entry("allow", EDITED)["last_used"]);
        let second = jiff::SignedDuration::from_secs(1);
        assert!(used >= before - second && used <= Timestamp::now() + second, "{cell}: {used}, sent from {before} on");
        assert!(scene.entry("allow", OTHER)["last_used"].is_null(), "{cell}");
    });
}

#[test]
fn what_stands_elsewhere_is_not_removed_and_where_is_said() {
    let site = Site::with_silent_peer(ANY_CELL);
    let config = site.config("allow.ips = ['198.51.100.1']\n[[service]]\nname = 'web'\nports = ['udp/3000']\n");
    let env = [("ALLOWED_IPS", "198.51.100.2")];
    let guard = Guard::run(site.host(), Options { config: Some(&config), env: &env, ..Options::default() });
    let scene = Scene { site, guard };
    for (command, place) in [
        ("allow remove {2}", "ALLOWED_IPS"),
        ("allow remove {1}", "default.toml:"),
        ("allow remove {1} {2}", "ALLOWED_IPS"),
    ] {
        let said = scene.refused(command, 1);
        assert!(said.contains(place), "{command}: no `{place}` in {said}");
    }
    let sources: Vec<String> = scene.list("allow").iter().map(|entry| entry["source"].to_string()).collect();
    assert!(sources.iter().any(|source| source.contains("ALLOWED_IPS")), "{sources:?}");
    let prefixes: Vec<String> = scene.list("allow").iter().map(|entry| ip(entry).to_owned()).collect();
    assert_eq!(prefixes.len(), 2, "{prefixes:?}");
}
