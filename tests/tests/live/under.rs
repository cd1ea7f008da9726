//! What lies under a proposed block is shown, and nothing is changed.

use guard_tests::{Wire, in_each_family, wait::eventually};
use serde_json::Value;

use super::scene::{ANY_CELL, EDITED, SOON, Scene, WEB};

#[test]
fn a_dry_run_shows_what_a_block_would_cut_and_changes_nothing() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let network = cell.pick("198.51.100.0/24", "2001:db8:51::/64");
        let around = cell.pick("198.51.0.0/16", "2001:db8::/32");
        scene.done("allow add {2} --service web --ttl 1h");
        scene.done(&format!("block add {}", cell.pick("198.51.100.128/25", "2001:db8:51:0:8000::/65")));
        let frame = scene.site.packet(scene.source(EDITED)).udp(1234, WEB).build();
        let wire = Wire::open(scene.site.peer(), "eth0");
        let dry_run = format!("block add {network} --for 1h --dry-run --json");
        let ask = || -> Value { serde_json::from_str(&scene.done(&dry_run)).expect("JSON") };
        // Of packets without a connection only some are noted.
        eventually("it is noted that the source is let in", SOON, || {
            wire.send_all(&vec![&frame; 64]);
            ask()["prefixes"][0]["let_in"]["count"] == 1
        });
        let (generation, audited) = (scene.generation(), scene.audit().len());
        let answer = ask();
        assert_eq!(answer["failsafe_ports"], Value::from(vec!["tcp/22"]), "{answer:#}");
        let under = &answer["prefixes"][0];
        assert_eq!(under["ip"], network);
        let inside = |kind: &str| (under[kind]["inside"].as_u64(), under[kind]["around"].as_u64());
        for (kind, expected) in [("allowed", 1), ("granted", 1), ("trusted", 0), ("blocked", 1)] {
            assert_eq!(inside(kind), (Some(expected), Some(0)), "{cell}: {kind}: {answer:#}");
        }
        assert_eq!(under["let_in"]["latest"][0]["ip"], scene.source(EDITED).to_string(), "{answer:#}");
        let granted = &under["granted"]["first"][0];
        assert_eq!(granted["services"], Value::from(vec!["web"]), "{granted:#}");

        let text = scene.done(&format!("block add {} 192.0.2.0/24 --dry-run", scene.source(EDITED)));
        for part in ["granted for a time: 1 inside, 0 around", "under 192.0.2.0/24: nothing", "nothing is changed"] {
            assert!(text.contains(part), "{cell}: no `{part}` in {text}");
        }
        assert_eq!((scene.generation(), scene.audit().len()), (generation, audited), "{cell}");
        assert_eq!(scene.list("block").len(), 1, "{cell}");

        // The same is said in short once it is done.
        let said = scene.done(&format!("block add {around} --for 1h"));
        let wanted = format!("under {around} lie: ");
        assert!(said.contains(&wanted) && said.contains("1 grant, 1 source let in lately"), "{cell}: {said}");
        let said = scene.done("block add {9} --for 1h");
        assert!(!said.contains("lie: "), "{cell}: of one host it is not said: {said}");
    });
}

#[test]
fn so_many_prefixes_are_looked_at_together() {
    let scene = Scene::new(ANY_CELL);
    let file = |count: u32| {
        let lines: Vec<String> = super::scene::many(count).collect();
        scene.site.host().write("many.txt", lines.join("\n")).display().to_string()
    };
    assert!(scene.done(&format!("block add --file {} --dry-run", file(1000))).contains("nothing is changed"));
    let said = scene.refused(&format!("block add --file {} --dry-run", file(1001)), 1);
    assert!(said.contains("1001 prefixes: 1 to 1000"), "{said}");
    let said = scene.refused("block add 192.0.2.1 --json", 2);
    assert!(said.contains("--dry-run"), "{said}");
}
