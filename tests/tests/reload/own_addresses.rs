//! Own addresses that begin or cease to be shared by a reload: whichever policy decides, none that is forged passes.

use guard_tests::{Stream, frame::Frame, in_each_cell};

use super::scene::{Scene, list};

const LISTED: u8 = 0;
const FORGED: u8 = 1;

#[test]
fn none_that_is_forged_passes_while_they_change() {
    const RELOADS: u32 = 20;
    in_each_cell(|cell| {
        let own = guard_tests::Site::with_silent_peer(cell).address();
        // Either policy drops packets from the own address: one because it is not listed, the other because it is own. Where
        // the log goes to another place, what was blocked before is told first, which takes its time.
        let log = |name: &str| format!("[log]\neve = {{ path = '{name}' }}\n");
        let services = "[[service]]\nname = 'web'\nports = ['udp/3000']\n";
        let shared = format!("shared_addresses = ['{own}']\nallow.ips = {}\n{services}{}", list([1]), log("1.json"));
        let listed = list([1]).replace(']', &format!(", '{own}']"));
        let forbidden = format!("allow.ips = {listed}\n{services}{}", log("2.json"));

        let scene = Scene::new(cell, &shared);
        let (source, address) = (scene.source(1), scene.site.address());
        let (from, to) = (scene.site.link.right.mac(), scene.site.link.left.mac());
        let stream = Stream::start(&scene.site.link, 2, move |kind, payload| {
            let source = if kind == FORGED { address } else { source };
            Frame::ethernet(from, to).ip(source, address).udp(1234, 3000).payload(payload).build()
        });
        for reload in 0..RELOADS {
            scene.reload(if reload % 2 == 0 { &forbidden } else { &shared });
        }
        let arrivals = stream.stop();
        let passed = |kind| arrivals.passed.iter().filter(|(_, of)| *of == kind).count();
        assert_eq!((passed(LISTED), passed(FORGED)), (arrivals.rounds as usize, 0), "of {} rounds", arrivals.rounds);
        scene.probe().expect([(
            "shared, and not listed",
            scene.site.packet(own).udp(1234, 3000).build(),
            "web drop not_allowed",
        )]);
    });
}
