//! Trusted sources: held to nothing, and no burden on what others share.

use guard_tests::{frame::Icmp, in_each_family};

use super::scene::{Scene, quiet};

#[test]
fn trusted_sources_are_held_to_nothing_and_use_up_nothing() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let scene = Scene::new(
            cell,
            "echo_rate = { limit = 10, window = '1h', per = 'service' }\n\
             trusted.ips = ['198.51.100.1', '2001:db8:51:1::1']\n\
             [[service]]\nname = 'web'\nports = ['tcp/3000', 'udp/3000']\n\
             rate = [{ unit = 'packets', limit = 10, window = '1h' },\n\
             { unit = 'bytes', limit = 65536, window = '1h' },\n\
             { unit = 'connections', limit = 10, window = '1h' },\n\
             { unit = 'packets', limit = 50, window = '1h', per = 'service' }]\n",
        );
        let mut probe = scene.probe();
        let echo = |source, count| {
            let request = cell.pick(Icmp::echo_request_v4(1, 1), Icmp::echo_request_v6(1, 1));
            vec![scene.from(source).layer(request).build(); count]
        };
        let large = vec![scene.from(1).udp(1234, 3000).payload([0; 1400]).build(); 500];
        let trusted = [probe.passed(&scene.syns(1, 3000, 500)), probe.passed(&large), probe.passed(&echo(1, 500))];
        println!("{cell}: of 500 SYNs, datagrams and echo requests of a trusted source passed {trusted:?}");
        assert_eq!(trusted, [500; 3], "{cell}");

        // What all others share is untouched.
        let others: Vec<u64> = (2..=7).map(|source| probe.passed(&scene.syns(source, 3000, 20))).collect();
        let echoes = [2, 3].map(|source| probe.passed(&echo(source, 7)));
        println!("{cell}: of 20 SYNs of six others each passed {others:?}, of 7 echo requests of two {echoes:?}");
        assert_eq!((others, echoes), (vec![10, 10, 10, 10, 10, 0], [7, 3]), "{cell}");
    });
}
