//! A mode that changes while packets come: what was dropped and what was only reported stay apart.

use guard_tests::{Counters, in_each_cell};

use super::scene::{Scene, list};

#[test]
fn a_flipped_mode_relabels_nothing() {
    in_each_cell(|cell| {
        let policy = |mode: &str, own: &str| {
            format!(
                "mode = '{mode}'\ndefault = 'drop'\nallow.ips = {}\n[[service]]\nname = 'web'\nports = ['udp/3000']\nmode = '{own}'\n",
                list([1])
            )
        };
        let scene = Scene::new(cell, &policy("enforce", "enforce"));
        let mut expected = Counters::default();
        let bytes = scene.datagram(2, 3000).len();
        for (round, (mode, own)) in
            [("enforce", "enforce"), ("enforce", "monitor"), ("monitor", "enforce"), ("enforce", "enforce")]
                .iter()
                .enumerate()
        {
            scene.reload(&policy(mode, own));
            let row = |mode: &str| if mode == "monitor" { "monitor" } else { "drop" };
            let (web, other) = (format!("web {} not_allowed", row(own)), format!("- {} not_allowed", row(mode)));
            for (port, name) in [(3000, &web), (4000, &other)] {
                for _ in 0..=round {
                    let passed = scene.probe().passes(&scene.datagram(2, port));
                    assert_eq!(passed, name.contains("monitor"), "{mode}, {own}: port {port}");
                    expected.add(name, bytes);
                }
            }
            let counted = scene.counters();
            for verdict in ["drop", "monitor"] {
                assert_eq!(counted.with_verdict(verdict), expected.with_verdict(verdict), "{mode}, {own}");
            }
        }
    });
}
