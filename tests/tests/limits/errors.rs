//! ICMP errors: judged by what they quote, and held to a rate that no router has cause to exceed.

use std::time::Duration;

use guard_tests::{
    Load,
    frame::{ACK, Frame, Icmp},
    in_each_family,
    load::Offer,
};

use super::{
    measure::Bucket,
    scene::{Scene, quiet},
};

/// What guard has built in for each source of errors.
const ERRORS: Bucket = Bucket::per_s(1_000, 1_000);

const TIME: Duration = Duration::from_secs(2);

#[test]
fn errors_are_held_to_their_rate() {
    let _quiet = quiet();
    in_each_family(|cell| {
        let scene = Scene::new(
            cell,
            "default = 'drop'\n[[service]]\nname = 'web'\nports = ['tcp/3000']\n\
             rate = { unit = 'packets', limit = 1, window = '1h' }\n",
        );
        let offer = |router: u16, load: Load| -> Offer<'_> {
            let scene = &scene;
            let router = cell.pick([203, 0, 113, router as u8].into(), [0x2001, 0xdb8, 9, router, 0, 0, 0, 1].into());
            let quoted = Frame::bare().ip(scene.site.address(), scene.source(1)).tcp(3000, 1234, ACK).build();
            let frame = move |_, payload: &[u8]| {
                let error = cell.pick(Icmp::v4(3, 4), Icmp::v6(2, 0)).rest([0, 0, 5, 0x14]);
                scene.site.packet(router).layer(error.body([&quoted, payload].concat())).build()
            };
            (load, Box::new(frame))
        };
        // Two routers, about packets to a listed client; the service's own limit has no part in it.
        let loads = [Load { at_once: 900, per_s: 500 }, Load { at_once: 1_500, per_s: 5_000 }];
        let offers: Vec<_> = (1..).zip(loads).map(|(router, load)| offer(router, load)).collect();
        let passages = scene.offer(&offers, TIME);
        let mut refused = 0;
        for (router, passage) in (1..).zip(&passages) {
            let accuracy = passage.against(format!("{cell}: errors of router {router}"), ERRORS);
            assert!(accuracy.is_right(), "{accuracy}");
            refused += accuracy.offered - accuracy.passed;
        }
        let counters = scene.counters();
        assert_eq!(counters.packets("web drop rate_errors"), refused, "{cell}: {counters:?}");
    });
}
