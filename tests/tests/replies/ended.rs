//! Flows that have ended, in real time: minutes each, so that they run only where asked for.

use std::{
    net::{TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use guard_tests::{Connection, Probe, frame::ACK, in_each_family};
use socket2::SockRef;

use crate::scene::{DROP, Scene, arrives};

#[test]
#[ignore = "waits more than three minutes"]
fn what_comes_after_a_flows_end_is_dropped() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let guard = scene.site.guard(DROP);
        let mut probe = Probe::new(&scene.site, &guard);
        let late = |stream: &TcpStream, from| {
            let port = stream.local_addr().expect("a socket has an address").port();
            scene.site.packet(scene.outside).tcp(from, port, ACK).build()
        };
        let late_datagram = |socket: &UdpSocket, from| {
            let port = socket.local_addr().expect("a socket has an address").port();
            scene.site.packet(scene.outside).udp(from, port).build()
        };

        let silent = scene.connection_out(0, 8000);
        let [once, _far] = scene.datagrams_out(0, 9000);
        let [again, far_of_again] = scene.datagrams_out(0, 9001);
        for socket in [&once, &again] {
            socket.send(b"question").expect("it can be sent");
        }
        let start = Instant::now();
        // What comes to a connection that is reset is answered by a reset, which ends it anew: each is asked once.
        let closed = [8001, 8002].map(|port| {
            let Connection { opener, acceptor, .. } = scene.connection_out(0, port);
            let frame = late(&opener, port);
            drop(opener);
            drop(acceptor);
            frame
        });
        let reset = [8003, 8004].map(|port| {
            let Connection { opener, acceptor, .. } = scene.connection_out(0, port);
            let frame = late(&opener, port);
            SockRef::from(&acceptor).set_linger(Some(Duration::ZERO)).expect("a socket can be reset");
            drop(acceptor);
            drop(opener);
            frame
        });
        let [open, datagram, datagram_again] =
            [late(&silent.opener, 8000), late_datagram(&once, 9000), late_datagram(&again, 9001)];

        let mut expect = |seconds, cases: &[(&str, &Vec<u8>, bool)]| {
            thread::sleep(Duration::from_secs(seconds).saturating_sub(start.elapsed()));
            for (name, frame, passes) in cases {
                assert_eq!(probe.passes(frame), *passes, "{cell}: {name} after {seconds} s");
            }
        };
        expect(110, &[("a closed connection", &closed[0], true), ("a reset one", &reset[0], true)]);
        assert!(arrives(&again, &far_of_again, Duration::from_secs(5)));
        expect(125, &[("a closed connection", &closed[1], false), ("a reset one", &reset[1], false)]);
        expect(170, &[("datagrams", &datagram, true)]);
        expect(
            185,
            &[("datagrams", &datagram, false), ("asked again", &datagram_again, true), ("a silent one", &open, true)],
        );
    });
}
