//! Sources that lose their way in: their open connections are closed at once, though nothing is said on them.

use std::{net::IpAddr, time::Duration};

use guard_tests::{
    Cell, Counted, Crowd, Guard, KeptServer,
    counted::{WEB, open},
    in_each_family, wait,
};

use crate::scene::{SOON, close_lines, closed, wait_open};

const PLAIN: u16 = 4000;
const COUNT: usize = 5;
/// How soon a connection is closed after the answer to the command, or the end of what let its client in.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long the last grant here lasts; ends are looked for every second.
const TTL: Duration = Duration::from_secs(2);

/// How a client is let in, what cuts it, and how that is undone.
const CASES: [(&str, &str, &str); 5] = [
    ("allow add {0}", "block add {0} --for 1h", "block remove {0}"),
    ("allow add {0}", "block add {0}", "block remove {0}"),
    ("allow add {0}", "allow remove {0}", "allow add {0}"),
    ("allow add {0}", "lockdown --except {1}", "lockdown --lift"),
    ("allow add {0} --ttl 1h", "allow remove {0}", "allow add {0}"),
];

struct Scene {
    guard: Guard,
    _servers: [KeptServer; 2],
    counted: Counted,
    outsider: IpAddr,
}

impl Scene {
    fn new(cell: Cell) -> Self {
        let counted = Counted::new(cell, 2);
        let outsider = cell.pick([203, 0, 113, 1].into(), [0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 1].into());
        counted.site.add_sources([outsider]);
        let servers = [counted.serve(WEB), counted.serve(PLAIN)];
        let guard = counted.guard(&format!(
            "[[service]]\nname = 'web'\nports = ['tcp/{WEB}']\nmax_connections = 1000\n\
             [[service]]\nname = 'plain'\nports = ['tcp/{PLAIN}']\n"
        ));
        Self { guard, _servers: servers, counted, outsider }
    }

    #[track_caller]
    fn done(&self, command: &str) {
        let named =
            command.replace("{0}", &self.outsider.to_string()).replace("{1}", &self.counted.client(1).to_string());
        let answer = self.guard.ask(&named.split(' ').collect::<Vec<_>>());
        assert!(answer.status.success(), "{named}: {answer:?}");
    }

    /// Connections of a client to both services.
    fn connect(&self, client: IpAddr) -> [Crowd; 2] {
        [WEB, PLAIN].map(|port| {
            let mut crowd = Crowd::start(self.counted.site.peer(), [client; COUNT], self.counted.site.at(port));
            crowd.wait_connected(COUNT, SOON);
            crowd
        })
    }
}

/// Waits until connections of both crowds have ended, all of them.
#[track_caller]
fn wait_ended(case: &str, crowds: &mut [Crowd; 2], limit: Duration) {
    let mut ended = [0; 2];
    let all = wait::until(limit, || {
        ended = [ended[0] + crowds[0].ended(), ended[1] + crowds[1].ended()];
        (ended == [COUNT; 2]).then_some(())
    });
    assert!(all.is_some(), "{case}: of {COUNT} each have ended {ended:?}");
}

#[test]
fn their_connections_end_and_others_live_on() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let mut others = scene.connect(scene.counted.client(1));
        let mut cut_so_far = 0;
        for (way_in, cut, undo) in CASES {
            let case = format!("{cell}: {cut}");
            scene.done(way_in);
            let mut crowds = scene.connect(scene.outsider);
            wait_open(&scene.guard, &case, 2 * COUNT as u64, SOON);
            scene.done(cut);
            wait_ended(&case, &mut crowds, AT_ONCE);
            wait_open(&scene.guard, &case, COUNT as u64, AT_ONCE);
            cut_so_far += COUNT;
            for service in ["web", "plain"] {
                assert_eq!(closed(&scene.guard, service, "removed"), cut_so_far as u64, "{case}: {service}");
            }
            wait::eventually(&case, SOON, || close_lines(&scene.guard, "removed") == 2 * cut_so_far);
            scene.done(undo);
            scene.done("allow remove {0}");
        }

        scene.done("allow add {0} --ttl 2s");
        let mut crowds = scene.connect(scene.outsider);
        wait_ended(&format!("{cell}: a grant's end"), &mut crowds, TTL + AT_ONCE + AT_ONCE);

        assert_eq!(others.each_mut().map(Crowd::ended), [0, 0], "{cell}");
        assert!(others.iter().all(|crowd| crowd.echoes(SOON)), "{cell}: the others' connections");
        assert_eq!(open(&scene.guard), COUNT as u64, "{cell}");
    });
}
