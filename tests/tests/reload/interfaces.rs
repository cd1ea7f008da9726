//! Interfaces that a reload adds and removes, under traffic.

use std::ops::RangeBounds;

use guard_tests::{Arrivals, Guard, Link, Options, Stream, frame::Frame, in_each_cell, xdp};

use super::scene::{ANY_CELL, Scene, list, long_list};

const LISTED: u8 = 0;
const UNLISTED: u8 = 1;

fn policy(scene_mode: &str, interfaces: &str) -> String {
    let services = "[[service]]\nname = 'web'\nports = ['udp/3000']\n";
    format!("interfaces = {interfaces}\nxdp_mode = '{scene_mode}'\nallow.ips = {}\n{services}", list([1]))
}

/// Sends a packet of a listed and one of an unlisted source in each round.
fn stream(scene: &Scene, link: &Link, unlisted: u8) -> Stream {
    let (from, to, address) = (link.right.mac(), link.left.mac(), scene.site.address());
    let sources = [scene.source(1), scene.source(unlisted)];
    Stream::start(link, 2, move |kind, payload| {
        Frame::ethernet(from, to).ip(sources[usize::from(kind)], address).udp(1234, 3000).payload(payload).build()
    })
}

/// The rounds from one on in which a kind did not pass. Nothing may be lost on the way.
fn missing(arrivals: &Arrivals, kind: u8, first: u32) -> Vec<u32> {
    assert_eq!(arrivals.lost, 0, "the wire lost packets, so that the others prove nothing");
    (first..=arrivals.rounds).filter(|round| !arrivals.passed.contains(&(*round, kind))).collect()
}

/// In how many rounds a kind passed.
fn passed(arrivals: &Arrivals, kind: u8, rounds: impl RangeBounds<u32>) -> usize {
    arrivals.passed.iter().filter(|(round, of)| *of == kind && rounds.contains(round)).count()
}

#[test]
fn one_is_added_and_removed() {
    in_each_cell(|cell| {
        let site = guard_tests::Site::with_silent_peer(cell);
        let other = Link::between(site.host(), "eth1", site.peer(), "eth1");
        let config = policy(cell.xdp_mode, "['eth0']");
        let guard = Guard::run(site.host(), Options { config: Some(&config), ..Options::default() });
        let mut scene = Scene { site, guard };
        let always = stream(&scene, &scene.site.link, 2);
        let sometimes = stream(&scene, &other, 3);

        let before = sometimes.round();
        scene.write_whole(&policy(cell.xdp_mode, "['eth0', 'eth1']"));
        assert!(scene.guard.ask(&["reload"]).status.success());
        let guarded = sometimes.round();
        let modes: Vec<_> = scene.guard.status()["interfaces"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| row["xdp_mode"].clone())
            .collect();
        assert_eq!(modes, [cell.xdp_mode; 2]);
        sometimes.go_on(100);
        let line = scene.guard.wait_for_eve(|line| line["in_iface"] == "eth1");
        assert_eq!(line["src_ip"], scene.source(3).to_string(), "{line}");

        let still_guarded = sometimes.round();
        scene.write_whole(&policy(cell.xdp_mode, "['eth0']"));
        assert!(scene.guard.ask(&["reload"]).status.success());
        let open = sometimes.round();
        assert_eq!(xdp::program_on(&other.left), None);
        assert!(scene.guard.log().iter().any(|line| line.contains("is guarded no more")), "{:#?}", scene.guard.log());
        sometimes.go_on(100);

        let arrivals = sometimes.stop();
        assert_eq!(missing(&arrivals, LISTED, 1), [] as [u32; 0], "listed packets, through all changes");
        assert_eq!(passed(&arrivals, UNLISTED, ..before) as u32, before - 1, "before");
        assert_eq!(passed(&arrivals, UNLISTED, guarded + 1..still_guarded), 0, "while it was guarded");
        assert_eq!(missing(&arrivals, UNLISTED, open + 1), [] as [u32; 0], "after that");
        let blocked = arrivals.rounds as usize - passed(&arrivals, UNLISTED, ..);
        let arrivals = always.stop();
        assert_eq!(missing(&arrivals, LISTED, 1), [] as [u32; 0], "on the other interface");
        assert_eq!(passed(&arrivals, UNLISTED, ..), 0, "on the other interface");

        // Also what was held back while its interface was let go is told by the interface's name.
        let expected = scene.dropped();
        scene.guard.stop();
        let (mut told, mut lines) = (0, scene.guard.eve());
        lines.retain(|line| line["event_type"] == "drop");
        for line in &lines {
            let of_other = line["src_ip"] == scene.source(3).to_string();
            assert_eq!(line["in_iface"], if of_other { "eth1" } else { "eth0" }, "{line}");
            told += line["guard"]["count"].as_u64().expect("a count is a number");
        }
        assert_eq!((told, expected), (expected, blocked as u64 + u64::from(arrivals.rounds)));
    });
}

#[test]
fn what_was_attached_is_let_go_again_if_another_refuses() {
    let scene = Scene::new(ANY_CELL, &policy("native", "['eth0']").lines().skip(2).collect::<Vec<_>>().join("\n"));
    let host = scene.site.host();
    let [free, occupied] = ["eth1", "eth2"].map(|name| Link::between(host, name, scene.site.peer(), name));
    let stranger = xdp::Stranger::attach(&occupied.left);
    scene.write_whole(&policy("native", "['eth0', 'eth1', 'eth2']"));
    let answer = scene.guard.ask(&["reload"]);
    let said = answer.stderr.join("\n");
    assert_eq!(answer.code(), Some(1), "{said}");
    assert!(said.contains("interface `eth2` already has an XDP program"), "{said}");
    assert_eq!(xdp::program_on(&free.left), None);
    let names = |guard: &Guard| guard.status()["interfaces"].as_array().expect("a list").len();
    assert_eq!((names(&scene.guard), scene.generation()), (1, 1));
    drop(stranger);
    assert!(scene.guard.ask(&["reload"]).status.success());
    assert_eq!((names(&scene.guard), scene.generation()), (3, 2));
    assert!(xdp::program_on(&free.left).is_some() && xdp::program_on(&occupied.left).is_some());
}

#[test]
fn a_missing_one_is_refused_unless_it_is_waited_for() {
    for wait in [false, true] {
        let site = guard_tests::Site::with_silent_peer(ANY_CELL);
        let config = policy("native", "['eth0']");
        let args: &[&str] = if wait { &["--wait"] } else { &[] };
        let guard = Guard::run(site.host(), Options { config: Some(&config), args, ..Options::default() });
        let scene = Scene { site, guard };
        scene.write_whole(&policy("native", "['eth0', 'eth9']"));
        let answer = scene.guard.ask(&["reload"]);
        if wait {
            assert!(answer.status.success(), "{answer:?}");
            assert_eq!(scene.guard.status()["unguarded"][0]["name"], "eth9");
        } else {
            let said = answer.stderr.join("\n");
            assert!(answer.code() == Some(78) && said.contains("interface `eth9` does not exist"), "{answer:?}");
            assert_eq!(scene.generation(), 1);
        }
        scene.write_whole(&policy("native", "['lo']"));
        assert_eq!(scene.guard.ask(&["reload"]).code(), Some(78));
    }
}

#[test]
fn one_that_went_away_keeps_no_change_out() {
    let site = guard_tests::Site::with_silent_peer(ANY_CELL);
    let _other = Link::between(site.host(), "eth1", site.peer(), "eth1");
    let config = policy("native", "['eth0', 'eth1']");
    let guard = Guard::run(site.host(), Options { config: Some(&config), ..Options::default() });
    let scene = Scene { site, guard };
    scene.site.host().ip(&["link", "del", "eth1"]);
    scene.write_whole(&format!("deny.ips = {}\n{config}", list([1])));
    let answer = scene.guard.ask(&["reload"]);
    assert!(answer.status.success(), "{answer:?}");
    scene.probe().expect([("now denied", scene.datagram(1, 3000), "web drop blocked")]);
    assert_eq!(scene.guard.status()["unguarded"][0]["name"], "eth1");

    scene.write_whole(&policy("native", "['eth0', 'eth1', 'eth9']"));
    let answer = scene.guard.ask(&["reload"]);
    let said = answer.stderr.join("\n");
    assert!(answer.code() == Some(78) && said.contains("`eth9`") && !said.contains("`eth1`"), "{answer:?}");
}

#[test]
fn a_new_one_does_not_wait_for_the_policy_that_it_comes_with() {
    let site = guard_tests::Site::with_silent_peer(ANY_CELL);
    let other = Link::between(site.host(), "eth1", site.peer(), "eth1");
    let config = policy("native", "['eth0']");
    let guard = Guard::run(site.host(), Options { config: Some(&config), ..Options::default() });
    let scene = Scene { site, guard };
    // Source 3 is listed by the new policy only, with so many others that a generation of them takes long to compile.
    let stream = stream(&scene, &other, 3);
    scene.site.host().write("state/data/allowed_ips.json", long_list());
    scene.write_whole(&policy("native", "['eth0', 'eth1']").replace(&list([1]), &list([1, 3])));
    assert!(scene.guard.ask(&["reload"]).status.success());
    assert!(xdp::program_on(&other.left).is_some());
    let arrivals = stream.stop();
    let missing = missing(&arrivals, UNLISTED, 1).len();
    println!("{missing} of {} rounds were judged by the former policy", arrivals.rounds);
    assert!(missing < 60, "{missing} rounds of half a millisecond and more were judged by the former policy");
}
