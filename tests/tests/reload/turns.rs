//! Many who want a reload at once, a reload that takes long, and one that an end comes between.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::Instant,
};

use guard_tests::{Guard, Options, Wire, process::Finished, wait};
use nix::sys::signal::Signal;

use super::scene::{ANY_CELL, SOON, Scene, list, long_list};

fn policy(sources: impl IntoIterator<Item = u8>) -> String {
    format!("allow.ips = {}\n[[service]]\nname = 'web'\nports = ['udp/3000']\n", list(sources))
}

/// The control socket, as the test sees it.
fn socket(scene: &Scene) -> PathBuf {
    let host = scene.site.host();
    host.outside(Guard::runtime_directory(host).join("default.sock"))
}

/// Has so many commands ask for a reload at the same time, and does something meanwhile.
fn reload_at_once(scene: &mut Scene, times: usize, meanwhile: impl FnOnce(&mut Scene)) -> Vec<Finished> {
    let host = scene.site.host().clone();
    thread::scope(|scope| {
        let ask = || Guard::invoke(&host, Options::default(), "reload");
        let running: Vec<_> = (0..times).map(|_| scope.spawn(ask)).collect();
        meanwhile(scene);
        running.into_iter().map(|thread| thread.join().expect("a command ends")).collect()
    })
}

#[test]
fn each_waits_its_turn() {
    let mut scene = Scene::new(ANY_CELL, &policy([1]));
    let answers = reload_at_once(&mut scene, 20, |scene| {
        for _ in 0..5 {
            scene.guard.signal(Signal::SIGHUP);
        }
    });
    let mut generations = BTreeSet::new();
    for answer in &answers {
        assert!(answer.status.success(), "{answer:?}");
        let numbers: Vec<u64> = answer.stdout[0].split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers[0], numbers[1] + 1, "{answer:?}");
        generations.insert(numbers[0]);
    }
    assert_eq!(generations.len(), 20, "{generations:?}");
    // Signals that come together are one wish or several.
    wait::eventually("the signals' turn comes", SOON, || (22..=26).contains(&scene.generation()));
}

#[test]
fn the_daemon_goes_on_while_a_long_list_is_read() {
    let mut scene = Scene::new(ANY_CELL, &policy([1]));
    scene.site.host().write("state/data/allowed_ips.json", long_list());
    let start = Instant::now();
    let mut meanwhile = Vec::new();
    let answers = reload_at_once(&mut scene, 1, |scene| {
        let wire = Wire::open(scene.site.peer(), "eth0");
        for source in 10.. {
            let asked = Instant::now();
            wire.send(scene.datagram(source, 3000));
            let line = scene.guard.wait_for_eve(|line| line["src_ip"] == scene.source(source).to_string());
            if line["guard"]["generation"] != 1 || scene.generation() != 1 {
                break;
            }
            meanwhile.push(asked.elapsed());
        }
    });
    assert!(answers[0].stdout.join("\n").contains("allow: 100000 added, 0 removed"), "{answers:?}");
    println!("reloaded in {:?}; lines meanwhile after {meanwhile:?}", start.elapsed());
    assert!(meanwhile.len() > 3, "lines and answers while the reload was under way: {meanwhile:?}");
}

#[test]
fn who_goes_away_gives_its_turn_up() {
    let mut scene = Scene::new(ANY_CELL, &policy([1]));
    scene.site.host().write("state/data/allowed_ips.json", long_list());
    let answers = reload_at_once(&mut scene, 1, |scene| {
        let socket = socket(scene);
        // One is under way, whoever asked for it first; none of the others has begun.
        let request = b"{\"version\":1,\"request\":{\"reload\":{\"force\":false}}}\n";
        for _ in 0..20 {
            UnixStream::connect(&socket).and_then(|mut stream| stream.write_all(request)).expect("the daemon listens");
        }
    });
    assert!(answers[0].status.success(), "{answers:?}");
    scene.reload(&policy([1]));
    assert!(scene.generation() <= 4, "{} generations for two that waited for an answer", scene.generation());
}

#[test]
fn an_end_between_leaves_one_policy_or_the_other() {
    for _ in 0..5 {
        let mut scene = Scene::new(ANY_CELL, &policy([1]));
        scene.write(&policy([2]));
        let answers = reload_at_once(&mut scene, 4, |scene| assert!(scene.guard.stop().success()));
        for answer in &answers {
            assert!(matches!(answer.code(), Some(0 | 69)), "{answer:?}");
        }
        let reloaded = answers.iter().any(|answer| answer.status.success());
        let log = scene.guard.log();
        assert!(log.last().is_some_and(|line| line.contains("enforcement stays")), "{log:#?}");
        let receiver = Wire::open(scene.site.host(), "eth0");
        let frames = [1, 2].map(|source| scene.datagram(source, 3000));
        Wire::open(scene.site.peer(), "eth0").send_all(&frames);
        let passed = receiver.receive(SOON).expect("either policy lets one in");
        let second = passed == frames[1];
        assert!(second || passed == frames[0]);
        assert!(second || !reloaded, "an answer that says it is enforced means it: {answers:?}");
        assert_eq!(receiver.receive(std::time::Duration::from_millis(100)), None, "and not the other");
        scene.guard = scene.site.guard(&policy([3]));
        scene.probe().expect([("the next daemon", scene.datagram(3, 3000), "web pass allowed")]);
    }
}

#[test]
fn the_protocol() {
    let scene = Scene::new(ANY_CELL, &policy([1]));
    let socket = socket(&scene);
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(&socket).expect("the daemon listens");
        stream.write_all(format!("{{\"version\":1,\"request\":{request}}}\n").as_bytes()).expect("the daemon reads");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("the daemon answers");
        serde_json::from_str::<serde_json::Value>(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    };
    for nonsense in ["\"reload\"", "{\"reload\":{\"force\":1}}", "{\"reload\":{\"force\":true,\"more\":1}}"] {
        assert!(ask(nonsense)["error"].as_str().is_some_and(|error| error.contains("no request")), "{nonsense}");
    }
    let answer = ask("{\"reload\":{\"force\":false}}");
    let enforced = &answer["ok"]["enforced"];
    assert_eq!((&enforced["generation_before"], &enforced["generation"]), (&1.into(), &2.into()), "{answer}");
    scene.write("");
    let answer = ask("{\"reload\":{\"force\":true}}");
    let refused = &answer["ok"]["refused"];
    assert_eq!((&refused["generation"], &refused["configuration"]), (&2.into(), &true.into()), "{answer}");
}
