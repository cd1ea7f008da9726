//! Whom and what a ban by the machine concerns.

use guard_tests::{
    Counted, Family,
    client::Outcome::{Connected, TimedOut},
    in_each_family,
};

use crate::scene::{LIMIT, OTHER, SOON, Scene};

const LOGIN: u16 = 22;

#[test]
fn failsafe_ports_stay_open_to_the_banned_unless_by_hand() {
    in_each_family(|cell| {
        let mut scene = Scene::new(cell, "for = '1h'", "failsafe_ports = ['tcp/22']");
        scene.serve(LOGIN);
        scene.offend(1);
        let client = scene.client(1);
        assert_eq!(
            [LOGIN, OTHER].map(|port| scene.connects(client, port)),
            [Connected, TimedOut],
            "{cell}: by the machine"
        );
        scene.done(&format!("block add {client} --for 1h --force"));
        assert_eq!([LOGIN, OTHER].map(|port| scene.connects(client, port)), [TimedOut, TimedOut], "{cell}: by hand");
    });
}

#[test]
fn an_ipv6_host_is_banned_with_all_its_addresses() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 4);
        let same = cell.pick("198.51.100.201", "2001:db8:51:1:ffff::2").parse().expect("an address");
        counted.site.add_sources([same]);
        let scene = Scene::at(counted, "for = '1h'", "");
        let line = scene.offend(1);
        assert_eq!(line["guard"]["prefix"], scene.prefix(1), "{cell}: {line}");
        let other_address = if cell.family == Family::V6 { TimedOut } else { Connected };
        assert_eq!(scene.connects(same, OTHER), other_address, "{cell}: of the same /64 or /24");
        assert_eq!(scene.connects(scene.client(2), OTHER), Connected, "{cell}: a neighbour");
    });
}

#[test]
fn the_trusted_are_never_banned() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 4);
        let trusted = format!("trusted.ips = ['{}']", counted.client(1));
        let scene = Scene::at(counted, "for = '1h'", &trusted);
        let mut many = scene.counted.crowd(1, 10 * LIMIT);
        many.wait_connected(10 * LIMIT, SOON);
        scene.offend(2);
        assert_eq!(scene.banned(), [scene.prefix(2)], "{cell}");
        assert_eq!(many.ended(), 0, "{cell}");
    });
}
