//! Other CPUs that come between, by hand.

use crate::host::{
    Client, Host,
    Point::{BeforeOpen, BeforeReplace},
    S, capped,
};

const NOW: u64 = 1_000 * S;
/// How often a CPU may find that others were before it.
const ATTEMPTS: u16 = 16;

fn of(port: u16) -> Client {
    Client::of(4, 2, port)
}

#[test]
fn others_that_are_first_are_counted_and_delay_at_most() {
    for others in 0..=ATTEMPTS + 1 {
        let host = Host::default();
        let caps = capped(0, 100);
        for nth in 0..others {
            host.meanwhile(BeforeReplace, move |host| assert!(host.syn(&of(100 + nth), &caps, NOW)));
        }
        let let_in = host.syn(&of(1), &caps, NOW);
        assert_eq!(let_in, others < ATTEMPTS, "{others} others");
        assert_eq!(host.is_quiet(), others <= ATTEMPTS, "{others} others");
        let counted = u64::from(others.min(ATTEMPTS)) + u64::from(let_in);
        assert_eq!(host.half_open_of(&of(1), NOW), counted, "{others} others");
        assert_eq!(host.known(&of(1)).is_some(), let_in, "{others} others");
    }
}

#[test]
fn of_those_who_ask_at_once_as_many_are_let_in_as_there_is_room() {
    for cap in 1..=8 {
        for open in 0..=cap {
            let host = Host::default();
            let caps = capped(0, cap);
            host.add_open(&of(0), u64::from(open));
            for nth in 0..8 {
                host.meanwhile(BeforeReplace, move |host| {
                    let is_room = u32::from(nth) + open < cap;
                    assert_eq!(host.syn(&of(100 + nth), &caps, NOW), is_room, "cap {cap}, {open} open, {nth} before");
                });
            }
            assert_eq!(host.syn(&of(1), &caps, NOW), open + 8 < cap, "cap {cap}, {open} open");
            assert_eq!(host.half_open_of(&of(1), NOW), u64::from(cap - open), "cap {cap}, {open} open");
        }
    }
}

#[test]
fn who_is_established_meanwhile_is_not_lost_from_sight() {
    // Both numbers are read, one after the other: whoever goes from one to the other between is seen twice, not never.
    let (host, caps) = (Host::default(), capped(0, 2));
    assert!(host.syn(&of(1), &caps, NOW));
    host.meanwhile(BeforeOpen, |host| assert!(host.establish(&of(1), NOW)));
    assert!(!host.syn(&of(2), &caps, NOW), "a moment too early");
    assert!(host.is_quiet() && host.syn(&of(2), &caps, NOW) && !host.syn(&of(3), &caps, NOW));
}

#[test]
fn one_established_and_another_begun_meanwhile_take_the_last_place() {
    let (host, caps) = (Host::default(), capped(0, 2));
    assert!(host.syn(&of(1), &caps, NOW));
    // The word of those under way is then what it was.
    host.meanwhile(BeforeReplace, move |host| {
        assert!(host.establish(&of(1), NOW));
        assert!(host.syn(&of(2), &caps, NOW), "one is open, and this is the second");
    });
    assert!(!host.syn(&of(3), &caps, NOW), "this would be the third");
    assert_eq!((host.open_of(&of(1)), host.half_open_of(&of(1), NOW)), (1, 1));
    assert_eq!(host.known(&of(3)), None);
}

#[test]
fn one_that_is_reset_meanwhile_makes_room() {
    let (host, caps) = (Host::default(), capped(0, 2));
    assert!(host.syn(&of(1), &caps, NOW));
    host.meanwhile(BeforeReplace, |host| host.end(&of(1), NOW));
    assert!(host.syn(&of(2), &caps, NOW) && host.syn(&of(3), &caps, NOW) && !host.syn(&of(4), &caps, NOW));
}

#[test]
fn the_end_of_a_handshake_may_be_delayed_too() {
    let (host, caps) = (Host::default(), capped(0, 50));
    assert!(host.syn(&of(1), &caps, NOW));
    for nth in 0..3 {
        host.meanwhile(BeforeReplace, move |host| assert!(host.syn(&of(100 + nth), &caps, NOW)));
    }
    host.end(&of(1), NOW);
    assert!(host.is_quiet());
    assert_eq!(host.half_open_of(&of(1), NOW), 3);
}
