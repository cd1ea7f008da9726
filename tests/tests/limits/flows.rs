//! UDP has no connections: the first packet of a flow counts as one, and the flow is known from then on.

use std::{thread, time::Duration};

use guard_tests::in_each_family;

use super::scene::{Scene, quiet};

#[test]
fn the_first_packet_of_a_flow_counts_and_no_other() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let service = |name: &str, port: u16| {
            let rate = "{ unit = 'connections', limit = 2, window = '6s' }";
            format!("[[service]]\nname = '{name}'\nports = ['udp/{port}']\nrate = {rate}\n")
        };
        let scene = Scene::new(cell, &(service("a", 3000) + &service("b", 4000)));
        let mut probe = scene.probe();
        let mut passed_on = |source: u16, source_port: u16, port: u16, count: usize| {
            probe.passed(&vec![scene.from(source).udp(source_port, port).build(); count])
        };
        let expect = |what: &str, passed: u64, expected: u64| {
            println!("{cell}: {what}: passed {passed}, expected {expected}");
            assert_eq!(passed, expected, "{cell}: {what}");
        };

        expect("50 packets of one flow", passed_on(1, 1, 3000, 50), 50);
        expect("50 packets of the next", passed_on(1, 2, 3000, 50), 50);
        expect("50 packets of a third", passed_on(1, 3, 3000, 50), 0);
        expect("50 packets of the third again", passed_on(1, 3, 3000, 50), 0);
        expect("50 packets of the first again", passed_on(1, 1, 3000, 50), 50);
        expect("a flow of the same ports to another service", passed_on(1, 1, 4000, 50), 50);
        expect("a flow of the same ports from another source", passed_on(2, 1, 3000, 50), 50);

        thread::sleep(Duration::from_millis(3_100));
        expect("the third once there is room for it", passed_on(1, 3, 3000, 50), 50);
        expect("a fourth", passed_on(1, 4, 3000, 50), 0);
        expect(
            "all that are known",
            passed_on(1, 1, 3000, 9) + passed_on(1, 2, 3000, 9) + passed_on(1, 3, 3000, 9),
            27,
        );

        let counters = scene.counters();
        assert_eq!(counters.packets("a drop rate_connections"), 150, "{cell}: {counters:?}");
        assert_eq!(counters.packets("a pass allowed"), 50 + 50 + 50 + 50 + 50 + 27, "{cell}: {counters:?}");
    });
}
