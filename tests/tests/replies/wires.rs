//! Questions and answers by different interfaces, and interfaces that come later.

use guard_tests::{Cell, Guard, Link, Options, Sniffer, client, in_each_family, server::UdpEcho, wait, wire};

use crate::scene::{DROP, SHORTLY, SOON, Scene};

/// A guarded host with two wires to its peer: what it sends outside leaves by `eth0`, and comes back by `eth1`.
struct TwoWires {
    scene: Scene,
    _second: Link,
    _echo: UdpEcho,
}

impl TwoWires {
    fn new(cell: Cell) -> Self {
        let scene = Scene::new(cell);
        let second = second_wire(&scene);
        let echo = UdpEcho::start_at(scene.peer(), scene.outside_at(9000));
        Self { scene, _second: second, _echo: echo }
    }

    /// Sends what the host sends outside through a gateway, as to the internet.
    fn use_gateway(&self) {
        let Scene { site, .. } = &self.scene;
        let v4 = ("10.0.0.254", 24, "203.0.113.0/24");
        let v6 = ("2001:db8::fe", 64, "2001:db8:9::/48");
        let (gateway, length, network) = site.cell.pick(v4, v6);
        site.link.right.add_address(format!("{gateway}/{length}"));
        site.host().ip(&["route", "add", network, "via", gateway, "dev", "eth0"]);
    }
}

/// Connects the guarded host and its peer once more. What the peer sends to the guarded host leaves by this wire.
fn second_wire(scene: &Scene) -> Link {
    let second = Link::between(scene.host(), "eth1", scene.peer(), "eth1");
    second.left.add_addresses(["10.0.1.1/24", "2001:db8:f::1/64"]);
    second.right.add_addresses(["10.0.1.2/24", "2001:db8:f::2/64"]);
    let (own, via) = scene.site.cell.pick(("10.0.0.1/32", "10.0.1.1"), ("2001:db8::1/128", "2001:db8:f::1"));
    scene.peer().ip(&["route", "add", own, "via", via, "dev", "eth1"]);
    second
}

/// Starts a guard that drops by default.
fn guard(scene: &Scene, interfaces: &str, args: &[&str]) -> Guard {
    let config = format!("interfaces = [{interfaces}]\nxdp_mode = \"{}\"\n{DROP}", scene.site.cell.xdp_mode);
    Guard::run(scene.host(), Options { config: Some(&config), args, ..Options::default() })
}

/// Asks from a new port, and tells whether the answer comes.
fn is_answered(scene: &Scene) -> bool {
    let answer = client::udp_exchange(scene.host(), scene.site.address(), scene.outside_at(9000), b"?", SHORTLY);
    answer.expect("a question can be sent") == Some(b"?".to_vec())
}

#[test]
fn an_answer_may_come_by_another_guarded_interface() {
    in_each_family(|cell| {
        let wires = TwoWires::new(cell);
        let outside = wires.scene.outside;
        let _guard = guard(&wires.scene, "'eth0', 'eth1'", &[]);
        let came = Sniffer::start(wires.scene.host(), "eth1", move |frame| wire::source(frame) == Some(outside));
        assert!(is_answered(&wires.scene));
        wires.scene.connection_out(0, 8000).assert_carries_bytes(1 << 20, "over two wires");
        assert!(came.stop() > 10, "nothing came by the second wire");
    });
}

#[test]
fn a_question_may_leave_by_an_interface_that_only_routes() {
    in_each_family(|cell| {
        let wires = TwoWires::new(cell);
        wires.use_gateway();
        let _guard = guard(&wires.scene, "'eth1'", &[]);
        assert!(is_answered(&wires.scene), "right after the start");
        wires.scene.connection_out(0, 8000).assert_carries_bytes(1 << 20, "over two wires");
    });
}

#[test]
fn an_interface_that_routes_later_counts_from_then_on() {
    in_each_family(|cell| {
        let wires = TwoWires::new(cell);
        let _guard = guard(&wires.scene, "'eth1'", &[]);
        assert!(!is_answered(&wires.scene), "an interface that is neither guarded nor a way out counts");
        wires.use_gateway();
        wait::eventually("a new way out counts", SOON, || is_answered(&wires.scene));
    });
}

#[test]
fn an_interface_that_comes_later_is_answered_from_the_first_question_on() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let _echo = UdpEcho::start_at(scene.peer(), scene.outside_at(9000));
        let guard = guard(&scene, "'eth0', 'eth1'", &["--wait"]);
        assert!(is_answered(&scene), "by the interface that was there");
        let second = second_wire(&scene);
        let network = scene.site.cell.pick("203.0.113.9/32", "2001:db8:9::9/128");
        let via = scene.site.cell.pick("10.0.1.2", "2001:db8:f::2");
        scene.host().ip(&["route", "add", network, "via", via, "dev", "eth1"]);
        let guarded = || guard.status()["interfaces"].as_array().map(Vec::len) == Some(2);
        wait::eventually("the second interface is guarded", SOON, guarded);
        let left_by = second.right.received_frames();
        for question in 0..5 {
            assert!(is_answered(&scene), "question {question} by the new interface");
        }
        assert!(second.right.received_frames() >= left_by + 5, "the questions left by another interface");
    });
}
