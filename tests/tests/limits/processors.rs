//! Two CPUs that hammer one limit: together they pass what one would.

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use guard_tests::{
    Cell, Family, Guard, Link, Load, Options, Recorder, Site, Wire,
    cpu::{cpus, stay_on},
    frame::Frame,
};

use super::{
    measure::{Bucket, Passage},
    scene::{ALLOW, alone, source},
};

const TIME: Duration = Duration::from_millis(1_500);

/// Who shares a limit, with how many packets a second and what burst.
struct Case {
    per: &'static str,
    per_s: u32,
    burst: u32,
    /// The source that each of two senders has.
    sources: [u16; 2],
}

const CASES: [Case; 3] = [
    Case { per: "'source'", per_s: 5_000, burst: 500, sources: [1, 1] },
    Case { per: "'service'", per_s: 20_000, burst: 4_000, sources: [2, 3] },
    Case { per: "{ v4 = 24, v6 = 56 }", per_s: 5_000, burst: 500, sources: [4, 5] },
];

/// The port of the first case's service, which those of the others follow.
const FIRST_PORT: u16 = 3000;

fn service((port, Case { per, per_s, burst, .. }): (u16, &Case)) -> String {
    format!(
        "[[service]]\nname = 's{port}'\nports = ['udp/{port}']\n\
         rate = {{ unit = 'packets', limit = {per_s}, window = '1s', burst = {burst}, per = {per} }}\n"
    )
}

/// Sends packets to every service as fast as they are taken, from the end of a wire that stands for one of two senders, and
/// returns when. Each packet is of the load that has its case's number.
fn hammer(site: &Site, link: &Link, end: usize) -> Vec<SystemTime> {
    let frame = |(number, case): (u16, &Case)| {
        let frame = Frame::ethernet(link.right.mac(), link.left.mac());
        let frame = frame.ip(source(site.cell, case.sources[end]), site.address()).udp(1234, FIRST_PORT + number);
        frame.payload(Load::payload(number)).build()
    };
    let frames: Vec<_> = (0..).zip(&CASES).map(frame).collect();
    let wire = Wire::open(site.peer(), link.right.name());
    let (start, mut sent) = (Instant::now(), Vec::new());
    while start.elapsed() < TIME {
        sent.push(SystemTime::now());
        wire.send_all(&frames);
    }
    sent
}

/// Hammers each limit from two CPUs, and tells what came of it, in the order of [`CASES`].
fn passages(cell: Cell) -> Vec<Passage> {
    let [first, second, ..] = cpus()[..] else { panic!("this test needs two CPUs") };
    let site = Site::with_silent_peer(cell);
    let other = Link::between(site.host(), "eth1", site.peer(), "eth1");
    let services: String = (FIRST_PORT..).zip(&CASES).map(service).collect();
    let config = format!("interfaces = ['eth0', 'eth1']\nxdp_mode = '{}'\n{ALLOW}{services}", cell.xdp_mode);
    let _guard = Guard::run(site.host(), Options { config: Some(&config), ..Options::default() });

    let links = [&site.link, &other];
    let recorders = links.map(|link| Recorder::start(site.host(), link.left.name(), CASES.len(), Load::of));
    let sent = thread::scope(|scope| {
        let senders = [(0, first), (1, second)].map(|(end, cpu)| {
            let (site, links) = (&site, &links);
            scope.spawn(move || {
                stay_on(cpu);
                hammer(site, links[end], end)
            })
        });
        senders.map(|sender| sender.join().expect("sending does not panic")).concat()
    });
    let [mut passed, other_passed] = recorders.map(Recorder::stop);
    passed.iter_mut().zip(other_passed).for_each(|(passed, other)| passed.extend(other));
    let lost = links.map(|link| link.right.lost_frames());
    assert_eq!(lost, [0, 0], "{cell}: the wires lost packets, so that the rest proves nothing");
    passed.into_iter().map(|passed| Passage { sent: sent.clone(), passed }).collect()
}

#[test]
fn two_processors_pass_what_one_would() {
    let _alone = alone();
    for (family, xdp_mode) in [(Family::V4, "native"), (Family::V6, "native"), (Family::V4, "generic")] {
        let cell = Cell { family, xdp_mode };
        for (Case { per, per_s, burst, .. }, passage) in CASES.iter().zip(passages(cell)) {
            let accuracy = passage.against(format!("{cell}: two CPUs, per {per}"), Bucket::per_s(*per_s, *burst));
            assert!(accuracy.is_right(), "{accuracy}");
            assert!(accuracy.offered as f64 > 2.0 * accuracy.expected, "{accuracy}: not far above the limit");
        }
    }
}
