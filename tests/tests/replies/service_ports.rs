//! A host's own traffic from ports that are a service's.

use guard_tests::{client, connection::reaches, in_each_family, server::UdpEcho};

use crate::scene::{DROP, PASS, SHORTLY, Scene, arrives, packets, run};

#[test]
fn what_leaves_a_services_port_is_answered_by_tcp_and_not_by_udp() {
    in_each_family(|cell| {
        for (name, policy) in [("pass", PASS), ("drop", DROP)] {
            let scene = Scene::new(cell);
            let guard = scene.site.guard(policy);
            scene.connection_out(3000, 8000).assert_carries_bytes(1 << 20, name);
            assert!(packets(&guard, "web pass reply") > 0, "{name}: {:?}", guard.status()["counters"]);
            assert_eq!(packets(&guard, "web drop not_allowed"), 0, "{name}");

            let [near, far] = scene.datagrams_out(3000, 9000);
            assert!(arrives(&near, &far, SHORTLY), "{name}: guard keeps nothing in");
            assert!(!arrives(&far, &near, SHORTLY), "{name}: it can't be told from a question to the service");
            assert_eq!(packets(&guard, "web drop not_allowed"), 1, "{name}");
            let echo = UdpEcho::start_at(scene.peer(), scene.outside_at(9001));
            let own = scene.site.address();
            let answer = client::udp_exchange(scene.host(), own, scene.outside_at(9001), b"?", SHORTLY);
            assert_eq!((answer.unwrap(), echo.datagrams()), (Some(b"?".to_vec()), 1), "{name}: from another port");
        }
    });
}

#[test]
fn of_services_ports_only_own_connections_outlive_a_start() {
    in_each_family(|cell| {
        for (name, policy) in [("pass", PASS), ("drop", DROP)] {
            let scene = Scene::new(cell);
            track(&scene);
            let own = scene.connection_out(3001, 8000);
            let stranger = scene.connection_in(scene.stranger, 3000);
            own.assert_carries("before");
            stranger.assert_carries("before");
            let _guard = scene.site.guard(policy);
            own.assert_carries(name);
            for _ in 0..2 {
                let arrived = reaches(&stranger.opener, &stranger.acceptor, SHORTLY);
                assert!(!arrived, "{name}: a stranger's connection goes on");
                // What this side says must not open a way.
                reaches(&stranger.acceptor, &stranger.opener, SHORTLY);
            }
        }
    });
}

/// Has the guarded host's kernel keep track of connections: without that nobody knows who opened one.
fn track(scene: &Scene) {
    let chain = |hook| format!("chain {hook} {{ type filter hook {hook} priority 0; ct state new accept; }};");
    run(scene.host(), "nft", &[&format!("table inet t {{ {} {} }}", chain("input"), chain("output"))]);
}
