//! Fragments: the first, which says to which service it goes, is held to that service's limits; those after it are let in
//! by their source alone.

use std::net::IpAddr;

use guard_tests::{
    Wire,
    frame::{Extension, Frame, Ipv4, Udp},
    in_each_family, wait,
};

use super::scene::{SOON, Scene, quiet};

const UDP: u8 = 17;

/// The parts of a datagram of 24 bytes: the first with its UDP header, two more of 8 bytes.
fn fragments(scene: &Scene, source: IpAddr, source_port: u16, port: u16) -> [Vec<u8>; 3] {
    let part = |offset: u16, more: bool| {
        let identification = source_port;
        match (source, scene.site.address()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let header = Ipv4::new(from, to).fragment(offset, more, identification);
                scene.site.ethernet().layer(if offset == 0 { header } else { header.protocol(UDP) })
            }
            _ => {
                let header = Extension::fragment(offset, more, identification.into());
                scene.site.packet(source).layer(if offset == 0 { header } else { header.next_header(UDP) })
            }
        }
    };
    let first = |frame: Frame| frame.layer(Udp::new(source_port, port).length(32)).payload([0; 8]);
    [first(part(0, true)).build(), part(2, true).payload([1; 8]).build(), part(3, false).payload([2; 8]).build()]
}

#[test]
fn the_first_fragment_counts_and_the_others_do_not() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let service = |name: &str, port: u16, rate: &str| {
            format!("[[service]]\nname = '{name}'\nports = ['udp/{port}']\nrate = {{ {rate}, window = '1h' }}\n")
        };
        let scene = Scene::new(
            cell,
            &[
                "default = 'drop'\n",
                &service("p", 3000, "unit = 'packets', limit = 10"),
                &service("c", 4000, "unit = 'connections', limit = 10"),
            ]
            .concat(),
        );
        let mut probe = scene.probe();
        for (port, reason) in [(3000, "p drop rate_packets"), (4000, "c drop rate_connections")] {
            let datagrams = (0..15).map(|number| fragments(&scene, scene.source(1), 20_000 + number, port));
            let mut firsts = Vec::new();
            let mut others = Vec::new();
            for [first, second, third] in datagrams {
                firsts.push(first);
                others.extend([second, third]);
            }
            let passed = [probe.passed(&firsts), probe.passed(&others)];
            println!("{cell}: port {port}: of 15 first and 30 other fragments passed {passed:?}, expected [10, 30]");
            assert_eq!(passed, [10, 30], "{cell}: {reason}");
            assert_eq!(scene.counters().packets(reason), 5, "{cell}");
        }
        assert_eq!(scene.counters().packets("- pass allowed"), 60, "{cell}: {:?}", scene.counters());
    });
}

#[test]
fn a_flood_of_fragments_is_counted_to_the_last() {
    const DATAGRAMS: u16 = 10_000;
    let _quiet = quiet();
    in_each_family(|cell| {
        let rate = "{ unit = 'packets', limit = 1000, window = '1h', per = 'service' }";
        let scene = Scene::new(
            cell,
            &format!("default = 'drop'\n[[service]]\nname = 'web'\nports = ['udp/3000']\nrate = {rate}\n"),
        );
        let unlisted = cell.pick("203.0.113.9", "2001:db8:9::9").parse().expect("an address");
        let source = |number: u16| if number.is_multiple_of(2) { scene.source(number % 1000) } else { unlisted };
        let frames = (0..DATAGRAMS).flat_map(|number| fragments(&scene, source(number), number, 3000));
        let frames: Vec<_> = frames.collect();
        Wire::open(scene.site.peer(), "eth0").send_all(&frames);
        let sent = frames.len() as u64 - scene.site.link.right.lost_frames();
        wait::eventually("every fragment is counted", SOON, || {
            let counters = scene.counters();
            let rows = ["pass", "drop"].map(|verdict| counters.with_verdict(verdict).values().sum::<u64>());
            rows[0] + rows[1] == sent
        });
        let counters = scene.counters();
        println!("{cell}: {sent} fragments: {counters:?}");
        assert_eq!(counters.packets("web pass allowed"), 1000, "{cell}: {counters:?}");
        assert!(counters.packets("- drop fragment") > u64::from(DATAGRAMS) / 2, "{cell}: {counters:?}");
    });
}
