//! Flows that are older than guard, or than the policy that would not let them in.

use std::net::UdpSocket;

use guard_tests::{Connection, Guard, Options, connection::reaches, in_each_family};

use crate::scene::{DROP, PASS, SHORTLY, SOON, Scene, arrives};

#[test]
fn own_flows_that_are_older_go_on_and_strangers_do_not() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let flows = Flows::open(&scene);
        let _guard = scene.site.guard(DROP);
        flows.assert_own_only("after the start");
    });
}

#[test]
fn own_flows_outlive_a_reload_that_drops_by_default_and_strangers_do_not() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let guard = scene.site.guard(PASS);
        let flows = Flows::open(&scene);
        scene.host().write("default.toml", scene.site.config(DROP));
        let answer = guard.ask(&["reload"]);
        assert!(answer.status.success(), "{answer:?}");
        flows.assert_own_only("after the reload");
    });
}

#[test]
fn own_flows_outlive_restarts_and_strangers_get_no_way_in() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let flows = Flows::open(&scene);
        let config = scene.site.config(DROP);
        let options = Options { config: Some(&config), ..Options::default() };
        let mut guard = scene.site.guard(DROP);
        guard.stop();
        flows.assert_own_only("without a daemon");
        scene.connection_out(0, 8001).assert_carries("a new one without a daemon");
        guard = Guard::run(scene.host(), options);
        flows.assert_own_only("after a restart");
        guard.kill();
        let _guard = Guard::run(scene.host(), options);
        flows.assert_own_only("after kill -9 and a start");
    });
}

/// Connections and datagrams of both directions.
struct Flows {
    own: Connection,
    own_datagrams: [UdpSocket; 2],
    /// A stranger's to a port of no service, at which something listens.
    stranger: Connection,
}

impl Flows {
    /// Opens them, and leaves them idle.
    fn open(scene: &Scene) -> Self {
        let flows = Self {
            own: scene.connection_out(0, 8000),
            own_datagrams: scene.datagrams_out(0, 9000),
            stranger: scene.connection_in(scene.stranger, 5000),
        };
        flows.own.assert_carries("before");
        flows.stranger.assert_carries("before");
        let [near, far] = &flows.own_datagrams;
        assert!(arrives(near, far, SOON) && arrives(far, near, SOON));
        flows
    }

    /// Asserts that what the host opened goes on, when the other side speaks first, and that what a stranger opened
    /// does not, whatever this side says.
    #[track_caller]
    fn assert_own_only(&self, case: &str) {
        let [near, far] = &self.own_datagrams;
        self.own.assert_carries(case);
        assert!(arrives(far, near, SOON) && arrives(near, far, SOON), "{case}: datagrams");
        for _ in 0..2 {
            let arrived = reaches(&self.stranger.opener, &self.stranger.acceptor, SHORTLY);
            assert!(!arrived, "{case}: a stranger's connection goes on");
            // What this side says must not open a way.
            reaches(&self.stranger.acceptor, &self.stranger.opener, SHORTLY);
        }
    }
}
