//! What notes the host's flows comes, stays and goes with guard.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use guard_tests::{
    Guard, Link, Options, Stream, client, egress::programs_at_egress, frame::Frame, in_each_family, server::UdpEcho,
    wait, xdp::program_on,
};

use crate::scene::{DROP, End, SOON, Scene, run};

const PORTS: [u16; 2] = [50_001, 9000];
/// Leaves the machine time for the restarts.
const PAUSE: Duration = Duration::from_millis(1);

#[test]
fn down_removes_every_program_and_nobody_elses() {
    type Way = (&'static str, fn(&mut Guard));
    let ways: [Way; 3] =
        [("with a daemon", |_| {}), ("after SIGTERM", |guard| _ = guard.stop()), ("after SIGKILL", Guard::kill)];
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let routing = routing_interface(&scene);
        let interfaces = [&scene.site.link.left, &routing.left];
        let programs = || interfaces.map(programs_at_egress);
        // Somebody else's: classic BPF that returns 0, no match.
        run(scene.host(), "tc", &["qdisc", "add", "dev", "eth0", "clsact"]);
        run(scene.host(), "tc", &["filter", "add", "dev", "eth0", "egress", "bpf", "bytecode", "1,6 0 0 0,"]);
        assert_eq!(programs(), [1, 0]);
        for (way, end) in ways {
            let mut guard = scene.site.guard(DROP);
            assert_eq!(programs(), [2, 1], "{way}: before");
            let exits = guard.status()["exits"].clone();
            assert_eq!([&exits[0]["name"], &exits[1]["name"]], ["eth0", "out0"], "{way}: {exits}");
            end(&mut guard);
            assert_eq!(programs(), [2, 1], "{way}: flows go on being noted");
            let answer = guard.ask(&["down"]);
            assert!(answer.status.success(), "{way}: {answer:?}");
            guard.wait();
            assert_eq!(programs(), [1, 0], "{way}: only the other is left");
            assert!(interfaces.iter().all(|interface| program_on(interface).is_none()), "{way}");
            assert!(!scene.host().outside("/sys/fs/bpf/guard").exists(), "{way}: pins are left");
        }
    });
}

#[test]
fn interfaces_that_leave_the_policy_or_the_way_out_are_let_go() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let second = Link::between(scene.host(), "eth1", scene.peer(), "eth1");
        let routing = routing_interface(&scene);
        let config = |interfaces| format!("interfaces = [{interfaces}]\nxdp_mode = '{}'\n{DROP}", cell.xdp_mode);
        let both = config("'eth0', 'eth1'");
        // By such an interface nothing can come in that guard would see.
        for command in [
            "tuntap add dev tunnel mode tun",
            "link set tunnel up",
            "address add 10.9.0.1/24 dev tunnel",
            "route add 10.10.0.0/16 via 10.9.0.2 dev tunnel",
        ] {
            scene.host().ip(&command.split(' ').collect::<Vec<_>>());
        }
        let guard = Guard::run(scene.host(), Options { config: Some(&both), ..Options::default() });
        let text = guard.ask(&["status"]).stdout.join("\n");
        assert!(text.contains("noting what leaves by eth0 (") && !text.contains("tunnel"), "{text}");
        let programs = || [&scene.site.link.left, &second.left, &routing.left].map(programs_at_egress);
        assert_eq!(programs(), [1, 1, 1]);
        scene.host().write("default.toml", config("'eth0'"));
        let answer = guard.ask(&["reload"]);
        assert!(answer.status.success(), "{answer:?}");
        assert_eq!(programs(), [1, 0, 1]);
        scene.host().ip(&["route", "del", "100.64.0.0/10"]);
        wait::eventually("what is no way out any more is let go", SOON, || programs() == [1, 0, 0]);
        scene.host().write("default.toml", &both);
        let answer = guard.ask(&["reload"]);
        assert!(answer.status.success(), "{answer:?}");
        assert_eq!(programs(), [1, 1, 0]);
    });
}

#[test]
fn a_restart_loses_no_answer_and_no_question() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let _echo = UdpEcho::start_at(scene.peer(), scene.outside_at(9001));
        let config = scene.site.config(DROP);
        let options = Options { config: Some(&config), ..Options::default() };
        let mut guard = Guard::run(scene.host(), options);
        let transfer = scene.connection_out(0, 8000);
        let own = scene.datagrams_to(PORTS[0], PORTS[1]);
        own.send(b"question").unwrap();

        let [from, to] = [scene.site.link.right.mac(), scene.site.link.left.mac()];
        let (sources, own_address) = ([scene.outside, scene.stranger], scene.site.address());
        let answers = Stream::start(&scene.site.link, 2, move |kind, payload| {
            let frame = Frame::ethernet(from, to).ip(sources[usize::from(kind)], own_address);
            frame.udp(PORTS[1], PORTS[0]).payload(payload).build()
        });
        let (ended, asked) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            let _end = End(&ended);
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    transfer.assert_carries_bytes(1 << 20, "a transfer during restarts");
                    thread::sleep(PAUSE);
                }
            });
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let answer =
                        client::udp_exchange(scene.host(), own_address, scene.outside_at(9001), b"?", SOON).unwrap();
                    assert!(answer.is_some(), "question {} is not answered", asked.load(Ordering::Relaxed));
                    asked.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
            });
            for kills in [false, true, false] {
                if kills {
                    guard.kill();
                } else {
                    guard.stop();
                }
                guard = Guard::run(scene.host(), options);
            }
        });
        let arrivals = answers.stop();
        let strangers = arrivals.passed.iter().filter(|(_, kind)| *kind == 1).count();
        let missing = u64::from(arrivals.rounds) - (arrivals.passed.len() - strangers) as u64;
        println!(
            "{cell}: {} answers, {} questions over three restarts",
            arrivals.rounds,
            asked.load(Ordering::Relaxed)
        );
        assert!(missing <= arrivals.lost, "{missing} answers of {} missing, {} lost", arrivals.rounds, arrivals.lost);
        assert_eq!(strangers, 0, "a stranger's packets passed");
    });
}

/// Connects the guarded host to another by an interface that is not guarded and through which it reaches a gateway.
fn routing_interface(scene: &Scene) -> Link {
    let link = Link::between(scene.host(), "out0", scene.peer(), "out0");
    link.left.add_address("192.168.9.1/24");
    scene.host().ip(&["route", "add", "100.64.0.0/10", "via", "192.168.9.2", "dev", "out0"]);
    link
}
