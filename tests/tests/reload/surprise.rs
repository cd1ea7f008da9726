//! Lists that would lose most of their entries: not unless that is meant.

use super::scene::{ANY_CELL, Scene, list_v4, texts};

/// A policy out of the three kinds of list, each by how many entries it has.
fn policy(allow: u8, deny: u8, own: u8) -> String {
    let service = |name: &str, port: u16, own: u8| {
        format!("[[service]]\nname = '{name}'\nports = ['udp/{port}']\nallow = {}\n", list_v4(1..=own))
    };
    let lists = format!("allow.ips = {}\ndeny.ips = {}\n", list_v4(1..=allow), list_v4(200..200 + deny));
    let services = if own == 0 { String::new() } else { service("web", 3000, own) };
    lists + &services + &service("other", 4000, 0)
}

#[test]
fn more_than_half_of_ten_or_more_needs_force() {
    // Before, after, and the refusal.
    let cases = [
        ("half of ten", (10, 0, 0), (5, 0, 0), None),
        ("more than half of ten", (10, 0, 0), (4, 0, 0), Some("allow: 6 of 10 entries would vanish")),
        ("most of nine", (9, 0, 0), (1, 0, 0), None),
        ("half of eleven", (11, 0, 0), (6, 0, 0), None),
        ("more than half of eleven", (11, 0, 0), (5, 0, 0), Some("allow: 6 of 11 entries would vanish")),
        ("blocked ones", (1, 10, 0), (1, 0, 0), Some("deny: 10 of 10 entries would vanish")),
        ("a service's", (1, 0, 10), (1, 0, 4), Some("service web: 6 of 10 entries would vanish")),
        ("half of a service's", (1, 0, 10), (1, 0, 5), None),
        ("a whole service", (1, 0, 10), (1, 0, 0), Some("service web: 10 of 10 entries would vanish")),
        ("a whole service of nine", (1, 0, 9), (1, 0, 0), None),
    ];
    let scene = Scene::new(ANY_CELL, &policy(1, 0, 0));
    for (case, (allow, deny, own), after, refusal) in cases {
        scene.write(&policy(allow, deny, own));
        assert!(scene.guard.ask(&["reload", "--force"]).status.success(), "{case}: before");
        let after = policy(after.0, after.1, after.2);
        let Some(refusal) = refusal else {
            scene.reload(&after);
            continue;
        };
        let answer = scene.refused(&after, 1);
        let said = answer.stderr.join("\n");
        assert!(said.contains(refusal) && said.contains("`guard reload --force`"), "{case}: {said}");
        let faults = texts(&scene.guard.status()["last_reload"]["faults"]).join("\n");
        assert!(faults.contains(refusal), "{case}: {faults}");
    }
}

#[test]
fn a_forced_one_is_said_until_the_next() {
    let ten = policy(10, 0, 0);
    let mut scene = Scene::new(ANY_CELL, &ten);
    scene.refused(&policy(4, 0, 0), 1);
    scene.probe().expect([("still listed", scene.datagram(9, 4000), "other pass allowed")]);
    let answer = scene.guard.ask(&["reload", "--force"]);
    assert!(answer.status.success(), "{answer:?}");
    scene.probe().expect([("not listed any more", scene.datagram(9, 4000), "other drop not_allowed")]);

    const SAID: &str = "the last reload was forced: 6 of 10 entries of allow vanished";
    assert!(answer.stdout.join("\n").contains("allow: 0 added, 6 removed"), "{answer:?}");
    let said = || {
        let status = scene.guard.status();
        texts(&status["warnings"]).iter().any(|warning| warning == SAID)
    };
    assert!(said(), "{:#}", scene.guard.status());
    assert!(
        scene.guard.log().iter().any(|line| line.contains("WARN") && line.contains(SAID)),
        "{:#?}",
        scene.guard.log()
    );
    assert!(scene.guard.ask(&["status"]).stdout.iter().any(|line| line.contains(SAID)));
    scene.reload(&policy(5, 0, 0));
    assert!(!texts(&scene.guard.status()["warnings"]).iter().any(|warning| warning == SAID));

    scene.reload(&ten);
    scene.write(&policy(1, 0, 0));
    scene.guard.signal(nix::sys::signal::Signal::SIGHUP);
    scene.guard.process().wait_for_line("allow: 9 of 10 entries would vanish", super::scene::SOON);
    scene.probe().expect([("a signal does not force", scene.datagram(9, 4000), "other pass allowed")]);
}

#[test]
fn entries_are_prefixes_wherever_they_stand() {
    let scene = Scene::new(ANY_CELL, &policy(10, 0, 0));
    scene.site.host().write("state/data/allowed_ips.json", list_v4(1..=10));
    let moved = "allow.ips = []\n[[service]]\nname = 'other'\nports = ['udp/4000']\n";
    let said = scene.reload(moved);
    assert!(said.contains("allow: 0 added, 0 removed"), "{said}");
}
