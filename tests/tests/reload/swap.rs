//! Two policies that have nothing in common, swapped over and over: each packet is judged by one of them, whole.

use std::{collections::BTreeMap, fs};

use guard_tests::{Stream, frame::Frame, in_each_cell, process::resident};

use super::scene::{ANY_CELL, SOON, Scene, list};

const SWAPS: u32 = 200;

/// The sources, ports and kinds of packets that the first and the second policy let in; a third is listed by neither.
const LISTED: [(u8, u16); 2] = [(1, 3000), (2, 4000)];
const UNLISTED: (u8, u16) = (3, 5000);

/// A policy that lets in one source at one port, and drops or only reports at port 5000.
fn policy(second: bool) -> String {
    let (source, port) = LISTED[usize::from(second)];
    let (name, mode) = if second { ("b", "enforce") } else { ("a", "monitor") };
    let own = format!("[[service]]\nname = '{name}'\nports = ['udp/{port}']\nallow = {}\n", list([source]));
    let third = format!("[[service]]\nname = 'c'\nports = ['udp/5000']\nmode = '{mode}'\n");
    // The services' order swaps their places as well.
    format!("default = 'drop'\n{}", if second { third + &own } else { own + &third })
}

#[test]
fn each_packet_is_judged_by_one_policy() {
    in_each_cell(|cell| {
        let scene = Scene::new(cell, &policy(false));
        let frames = {
            let kinds = [LISTED[0], LISTED[1], UNLISTED];
            let (from, to) = (scene.site.link.right.mac(), scene.site.link.left.mac());
            let ends = kinds.map(|(source, port)| (scene.source(source), port));
            let address = scene.site.address();
            move |kind: u8, payload: Vec<u8>| {
                let (source, port) = ends[usize::from(kind)];
                let frame = Frame::ethernet(from, to).ip(source, address);
                frame.udp(1234, port).payload(payload).build()
            }
        };
        let stream = Stream::start(&scene.site.link, 3, frames);
        for swap in 1..=SWAPS {
            scene.reload(&policy(swap % 2 == 1));
            stream.go_on(2);
        }
        let arrivals = stream.stop();
        assert_eq!(arrivals.lost, 0, "{cell}: the wire lost packets, so that the others prove nothing");
        assert_eq!(scene.generation(), u64::from(SWAPS) + 1);

        // Of what becomes of a packet follows which policy judged it.
        let second = |round, kind| arrivals.passed.contains(&(round, kind)) == (kind == 1);
        let in_order = (1..=arrivals.rounds).flat_map(|round| (0..3).map(move |kind| second(round, kind)));
        let judged: Vec<bool> = in_order.collect();
        let changes = judged.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let packets = judged.len();
        println!("{cell}: {changes} changes over {packets} packets");
        assert_eq!((changes, judged[0]), (SWAPS as usize, false), "{cell}: {packets} packets");

        // What neither policy says would come under another row.
        let row = |(at, second): (usize, &bool)| match (at % 3, second) {
            (0, false) => "a pass allowed",
            (1, true) => "b pass allowed",
            (2, false) => "c monitor not_allowed",
            (2, true) => "c drop not_allowed",
            _ => "- drop not_allowed",
        };
        let mut expected = BTreeMap::new();
        judged.iter().enumerate().map(row).for_each(|row| *expected.entry(row.to_owned()).or_insert(0) += 1);
        let counters = scene.counters();
        let rows = ["pass", "drop", "monitor"].into_iter().flat_map(|verdict| counters.with_verdict(verdict));
        assert_eq!(rows.collect::<BTreeMap<_, _>>(), expected, "{cell}");
    });
}

#[test]
fn reloads_leave_nothing_behind_in_memory() {
    /// Entries, so many that a policy that is kept shows.
    const ENTRIES: u32 = 5_000;
    let json = |first: u32| {
        let entries = (0..ENTRIES).map(|number| format!("\"10.{first}.{}.{}\"", number / 256, number % 256));
        format!("[{}]", entries.collect::<Vec<_>>().join(","))
    };
    let mut scene =
        Scene::new(ANY_CELL, "allow.ips = ['192.0.2.1']\n[[service]]\nname = 'web'\nports = ['tcp/3000']\n");
    let pid = scene.guard.process().id();
    let mut swap = |number: u32| {
        scene.site.host().write("state/data/allowed_ips.json", json(number % 2));
        let answer = scene.guard.ask(&["reload", "--force"]);
        assert!(answer.status.success(), "{answer:?}");
    };
    (0..20).for_each(&mut swap);
    let (memory, descriptors) = (resident(pid), bpf_descriptors(pid));
    (0..SWAPS).for_each(&mut swap);
    let (memory_after, descriptors_after) = (resident(pid), bpf_descriptors(pid));
    println!("{memory} kB and {descriptors:?} before, {memory_after} kB and {descriptors_after:?} after");
    assert!(descriptors.len() > 5, "the descriptors of the tables are seen: {descriptors:?}");
    assert_eq!(descriptors_after, descriptors);
    // One policy of these is more than half a megabyte.
    assert!(memory_after < memory + 8 * 1024, "{memory} kB before, {memory_after} kB after {SWAPS} reloads");
    guard_tests::wait::eventually("the daemon answers", SOON, || scene.guard.ask(&["status"]).status.success());
}

/// What the descriptors of a process are, sorted.
fn bpf_descriptors(pid: u32) -> Vec<String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon runs");
    let target = |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.ok()?.path()).ok();
    let targets = descriptors.filter_map(target).map(|target| target.to_string_lossy().into_owned());
    let mut targets: Vec<String> = targets.filter(|target| target.contains("bpf")).collect();
    targets.sort();
    targets
}
