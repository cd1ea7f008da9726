//! The block log over reloads: every packet has its line, in the file where it belongs, and none has two.

use std::{fs, net::Ipv4Addr, process::Stdio, thread, time::Duration};

use guard_tests::{Guard, Options, Wire, in_each_cell, wait};
use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::Value;

use super::scene::{ANY_CELL, SOON, Scene, list};

/// A policy that writes blocks to a file, or to standard output.
fn policy(file: Option<&str>) -> String {
    let log = match file {
        Some(file) => format!("[log]\neve = {{ path = '{file}' }}\n"),
        None => String::new(),
    };
    format!("default = 'drop'\nallow.ips = {}\n{log}", list([1]))
}

/// The packets that drop lines stand for.
fn told(lines: &[Value]) -> u64 {
    let drops = lines.iter().filter(|line| line["event_type"] == "drop");
    drops.map(|line| line["guard"]["count"].as_u64().expect("a count is a number")).sum()
}

impl Scene {
    fn lines(&self, file: &str) -> Vec<Value> {
        let text = self.site.host().read(format!("state/{file}"));
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

#[test]
fn lines_go_where_the_policy_of_their_time_wanted_them() {
    in_each_cell(|cell| {
        let mut scene = Scene::new(cell, &policy(Some("first.json")));
        // One line at once, and a rest that is held back.
        scene.knock(3000, [10; 20]);
        scene.reload(&policy(Some("second.json")));
        wait::eventually("the first file is complete", SOON, || told(&scene.lines("first.json")) == 20);
        assert_eq!(told(&scene.lines("second.json")), 0);
        scene.knock(3000, [10; 7]);
        scene.knock(3000, [11; 3]);
        scene.reload(&policy(None));
        wait::eventually("the second file is complete", SOON, || told(&scene.lines("second.json")) == 10);
        scene.knock(3000, [12; 4]);
        scene.reload(&policy(None));
        scene.knock(3000, [12; 4]);
        assert!(scene.guard.stop().success());
        assert_eq!(told(&scene.guard.eve()), 8, "on standard output");
        assert_eq!((told(&scene.lines("first.json")), told(&scene.lines("second.json"))), (20, 10));
    });
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let mut scene = Scene::new(ANY_CELL, &policy(Some("eve.json")));
    scene.knock(3000, [10; 20]);
    let file = |name| scene.site.host().outside(Guard::state_directory(scene.site.host()).join(name));
    fs::rename(file("eve.json"), file("eve.json.1")).expect("both are in one directory");
    scene.hang_up(&policy(Some("eve.json")));
    scene.knock(3000, [11; 5]);
    // Not moved, and not opened again.
    scene.hang_up(&policy(Some("eve.json")));
    scene.knock(3000, [12; 3]);
    assert!(scene.guard.stop().success());
    assert_eq!((told(&scene.lines("eve.json.1")), told(&scene.lines("eve.json"))), (20, 8));
}

#[test]
fn a_pipe_that_nobody_reads_is_not_waited_for() {
    let scene = Scene::new(ANY_CELL, &policy(None));
    let pipe = scene.site.host().outside(Guard::state_directory(scene.site.host()).join("pipe"));
    mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe can be made");
    let said = scene.refused(&policy(Some("pipe")), 78).stderr.join("\n");
    assert!(said.contains("a pipe that nobody reads"), "{said}");
    scene.reload(&policy(None));
}

#[test]
fn a_flood_over_reloads_loses_no_count() {
    const PACKETS: u32 = 60_000;
    for xdp_mode in ["native", "generic"] {
        let cell = guard_tests::Cell { xdp_mode, ..ANY_CELL };
        let mut scene = Scene::new(cell, &policy(Some("0.json")));
        let frames: Vec<_> = (0..PACKETS).map(|number| scene.datagram(10 + (number % 200) as u8, 3000)).collect();
        let mut reloads = 0;
        thread::scope(|scope| {
            let wire = Wire::open(scene.site.peer(), "eth0");
            let flood = scope.spawn(move || {
                for frames in frames.chunks(600) {
                    wire.send_all(frames);
                    thread::sleep(Duration::from_millis(40));
                }
            });
            while !flood.is_finished() {
                reloads += 1;
                scene.reload(&policy(Some(if reloads % 2 == 0 { "0.json" } else { "1.json" })));
            }
        });
        let expected = u64::from(PACKETS) - scene.site.link.right.lost_frames();
        wait::eventually("every packet is dropped", SOON, || scene.dropped() == expected);
        assert!(scene.guard.stop().success());
        let (even, odd) = (scene.lines("0.json"), scene.lines("1.json"));
        let stats = if reloads % 2 == 0 { &even } else { &odd }.last().expect("a log ends with stats");
        let number = |key: &str| stats["guard"][key].as_u64().unwrap_or_else(|| panic!("no stats: {stats}"));
        let sums = [told(&even), told(&odd), number("merged"), number("lost")];
        println!("{xdp_mode}: {reloads} reloads, {expected} dropped: {sums:?}");
        assert_eq!(sums.iter().sum::<u64>(), expected, "{xdp_mode}: {reloads} reloads: {sums:?}");
        assert!(reloads > 10 && sums[0] > 0 && sums[1] > 0, "{xdp_mode}: {reloads} reloads: {sums:?}");
    }
}

#[test]
fn another_output_does_not_wait_for_a_reader_that_stalls() {
    let site = guard_tests::Site::with_silent_peer(ANY_CELL);
    let config = site.config(&policy(None));
    let mut command = Guard::command(site.host(), Options { config: Some(&config), ..Options::default() }, "run");
    let mut daemon = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("guard can be started");
    let ask = |subcommand: &str, args: &[&str]| {
        Guard::invoke(site.host(), Options { args, ..Options::default() }, subcommand)
    };
    wait::eventually("the guard is ready", SOON, || ask("status", &[]).status.success());
    let wire = Wire::open(site.peer(), "eth0");
    let datagram = |source: u32| site.packet(Ipv4Addr::from(0xc612_0000 + source).into()).udp(1234, 3000).build();
    let mut sources = 0_u32..;
    wait::eventually("lines are lost", Duration::from_secs(30), || {
        wire.send_all(&sources.by_ref().take(400).map(datagram).collect::<Vec<_>>());
        thread::sleep(Duration::from_millis(100));
        let status: Value = serde_json::from_str(&ask("status", &["--json"]).stdout.join("\n")).expect("JSON");
        status["events"]["lost"].as_u64().is_some_and(|lost| lost > 0)
    });
    site.host().write("default.toml", site.config(&policy(Some("file.json"))));
    let answer = ask("reload", &[]);
    assert!(answer.status.success(), "{answer:?}");
    wait::eventually("a line is in the file", SOON, || {
        wire.send(datagram(sources.next().expect("there are more")));
        site.host().read("state/file.json").contains("\"drop\"")
    });
    daemon.kill().expect("the daemon still runs");
    daemon.wait().expect("a child can be waited for");
}
