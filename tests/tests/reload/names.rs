//! Services that change places, names and numbers: what was counted for one stays with its name.

use std::collections::BTreeMap;

use guard_tests::{Counters, Guard, Link, Options, in_each_cell, xdp};

use super::scene::{ANY_CELL, Scene, list};

/// A policy of services by name and port, reached by source 1 alone.
fn policy<'a>(services: impl IntoIterator<Item = (&'a str, u16)>) -> String {
    let service = |(name, port): (&str, u16)| format!("[[service]]\nname = '{name}'\nports = ['udp/{port}']\n");
    let services: String = services.into_iter().map(service).collect();
    format!("allow.ips = {}\n{services}", list([1]))
}

impl Scene {
    /// Starts another daemon in place of this one.
    fn restart(&mut self, config: &str) {
        self.guard.stop();
        self.guard = self.site.guard(config);
    }
}

/// Asserts that just so many packets of each service are dropped.
#[track_caller]
fn assert_dropped(counters: &Counters, expected: &[(&str, u64)], case: &str) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, count)| (format!("{name} drop not_allowed"), *count)).collect();
    assert_eq!(counters.with_verdict("drop"), expected, "{case}");
}

/// The packets that drop lines stand for, by service.
fn told(log: &[serde_json::Value]) -> BTreeMap<String, u64> {
    let mut told = BTreeMap::new();
    for line in log.iter().filter(|line| line["event_type"] == "drop") {
        let service = line["guard"]["service"].as_str().unwrap_or("-").to_owned();
        *told.entry(service).or_insert(0) += line["guard"]["count"].as_u64().expect("a count is a number");
    }
    told
}

#[test]
fn counts_stay_with_their_names() {
    in_each_cell(|cell| {
        let mut scene = Scene::new(cell, &policy([("a", 3000), ("b", 4000)]));
        scene.knock(3000, 10..13);
        scene.knock(4000, 20..25);
        let (three, five) = (("a", 3), ("b", 5));
        assert_dropped(&scene.counters(), &[three, five], "at first");

        scene.reload(&policy([("b", 4000), ("a", 3000)]));
        assert_dropped(&scene.counters(), &[three, five], "reordered");
        scene.knock(3000, 30..31);
        assert_dropped(&scene.counters(), &[("a", 4), five], "reordered, and one more");

        scene.reload(&policy([("c", 4000), ("a", 3000)]));
        assert_dropped(&scene.counters(), &[("a", 4), five], "renamed");
        scene.knock(4000, 40..42);
        let all = [("a", 4), five, ("c", 2)];
        assert_dropped(&scene.counters(), &all, "renamed, and two more");

        scene.reload(&policy([("c", 4000)]));
        assert_dropped(&scene.counters(), &all, "removed");
        let names: Vec<_> = scene.guard.status()["services"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| row["name"].clone())
            .collect();
        assert_eq!(names, ["c"]);

        scene.restart(&policy([("new", 5000), ("b", 4000), ("a", 3000)]));
        assert_dropped(&scene.counters(), &all, "after a restart");
        scene.knock(4000, 50..51);
        scene.knock(5000, 60..66);
        assert_dropped(&scene.counters(), &[("a", 4), ("b", 6), ("c", 2), ("new", 6)], "after a restart, and more");
    });
}

#[test]
fn lines_name_the_service_that_was_meant() {
    let mut scene = Scene::new(ANY_CELL, &policy([("a", 3000), ("b", 4000)]));
    for round in 0..3_u8 {
        // The rest of each count is held back over the reload.
        for _ in 0..4 {
            scene.knock(3000, 100 + round..101 + round);
            scene.knock(4000, 110 + round..111 + round);
        }
        scene.reload(&policy(match round {
            0 => [("b", 4000), ("a", 3000)],
            1 => [("c", 4000), ("d", 3000)],
            _ => [("d", 4000), ("e", 3000)],
        }));
    }
    scene.guard.stop();
    let expected = [("a", 8), ("b", 8), ("c", 4), ("d", 4)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(told(&scene.guard.eve()), BTreeMap::from(expected));
}

#[test]
fn a_number_is_given_on_only_when_all_are_taken() {
    let names: Vec<String> = (1..=63).map(|number| format!("s{number}")).collect();
    let all: Vec<(&str, u16)> = names.iter().map(String::as_str).zip(3000..).collect();
    let mut scene = Scene::new(ANY_CELL, &policy(all.iter().copied()));
    scene.knock(3004, 10..17);
    scene.knock(3062, 20..22);
    let (gone, last) = (("s5", 12), ("s63", 2));

    let renamed = |(name, port)| if port == 3004 { ("new", port) } else { (name, port) };
    let with_new = policy(all.iter().copied().map(renamed));
    let said = scene.refused(&with_new, 1).stderr.join("\n");
    assert!(said.contains("service `new`") && said.contains("more than 63 services"), "{said}");
    // The rest of this count is still held back when the number goes to another.
    scene.knock(3004, [10; 5]);
    scene.reload(&policy(all.iter().copied().filter(|(_, port)| *port != 3004)));
    assert_dropped(&scene.counters(), &[gone, last], "gone, and its number with nobody");
    scene.reload(&with_new);
    assert_dropped(&scene.counters(), &[last], "its number given on");
    scene.knock(3004, 30..34);
    let expected = [("new", 4), last];
    assert_dropped(&scene.counters(), &expected, "counted for the new one");
    scene.guard.stop();
    let mut lines = told(&scene.guard.eve());
    assert_eq!(
        (lines.remove("s5"), lines.remove("new"), lines.remove("s63")),
        (Some(12), Some(4), Some(2)),
        "{lines:?}"
    );

    // The program of the daemon that ended still counts under all of its numbers.
    let other = |(name, port)| if port == 3010 { ("other", port) } else { (name, port) };
    let config = scene.site.config(&policy(all.iter().copied().map(renamed).map(other)));
    let (code, said) =
        Guard::expect_refusal(scene.site.host(), Options { config: Some(&config), ..Options::default() });
    assert!(code == 1 && said.contains("service `other`"), "{code}: {said}");
    scene.restart(&with_new);
    assert_dropped(&scene.counters(), &expected, "after a restart");
}

#[test]
fn what_is_refused_takes_no_number() {
    let names: Vec<String> = (1..=63).map(|number| format!("s{number}")).collect();
    let all: Vec<(&str, u16)> = names.iter().map(String::as_str).zip(3000..).collect();
    let with =
        |name| policy(all.iter().copied().map(|(of, port)| if port == 3004 { (name, port) } else { (of, port) }));
    let without = policy(all.iter().copied().filter(|(_, port)| *port != 3004));
    let mut scene = Scene::new(ANY_CELL, &with("s5"));
    scene.knock(3004, 10..17);
    scene.reload(&without);
    let other = Link::between(scene.site.host(), "eth1", scene.site.peer(), "eth1");
    let stranger = xdp::Stranger::attach(&other.left);

    // Refused only once the generation is made and interfaces are attached to.
    let occupied = |config: &str| scene.site.config(config).replace("\"eth0\"", "\"eth0\", \"eth1\"");
    let lost = occupied(&with("lost"));
    scene.write_whole(&lost);
    let answer = scene.guard.ask(&["reload"]);
    assert!(answer.code() == Some(1) && answer.stderr.join("\n").contains("`eth1` already has"), "{answer:?}");
    assert_dropped(&scene.counters(), &[("s5", 7)], "after a reload that was refused");

    // The same at a start: the number is nobody's yet, and a third may have it.
    scene.guard.stop();
    let (code, said) = Guard::expect_refusal(scene.site.host(), Options { config: Some(&lost), ..Options::default() });
    assert!(code == 1 && said.contains("`eth1` already has"), "{code}: {said}");
    drop(stranger);
    scene.guard = scene.site.guard(&with("third"));
    scene.reload(&without);
    scene.write_whole(&scene.site.config(&with("fourth")).replace("\"eth0\"", "\"eth0\", \"eth1\""));
    let stranger = xdp::Stranger::attach(&other.left);
    assert_eq!(scene.guard.ask(&["reload"]).code(), Some(1));
    scene.reload(&with("fifth"));
    drop(stranger);
}
