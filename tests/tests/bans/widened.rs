//! Networks in which several offenders are: banned whole, if the policy says so.

use guard_tests::{
    Cell, Counted, Family,
    client::Outcome::{Connected, TimedOut},
    in_each_family,
};

use crate::scene::{OTHER, Scene};

/// Clients by their numbers, whose high byte is that of the IPv4 /24 and of the IPv6 /56.
const FIRST: u16 = 0x0101;
const SECOND: u16 = 0x0102;
const BYSTANDER: u16 = 0x0103;
const IN_THE_NEXT: u16 = 0x0201;
const IN_THE_THIRD: u16 = 0x0301;

fn scene(cell: Cell, keys: &str) -> Scene {
    let counted = Counted::new(cell, 4);
    let clients = [FIRST, SECOND, BYSTANDER, IN_THE_NEXT, IN_THE_THIRD];
    counted.site.add_sources(clients.map(|number| counted.client(number)));
    Scene::at(counted, keys, "")
}

#[test]
fn a_network_is_banned_once_enough_offenders_lie_in_it() {
    in_each_family(|cell| {
        let scene = scene(cell, "for = '1h', widen = 2");
        scene.offend(FIRST);
        assert_eq!(scene.connects(scene.client(BYSTANDER), OTHER), Connected, "{cell}: one offender");
        scene.offend(SECOND);
        let line = scene.wait_for_ban_line("banned", 2);
        let network = cell.pick("198.51.101.0/24", "2001:db8:51:100::/56");
        assert_eq!(
            (&line["guard"]["prefix"], &line["guard"]["offenders"]),
            (&network.into(), &2.into()),
            "{cell}: {line}"
        );
        assert_eq!(scene.connects(scene.client(BYSTANDER), OTHER), TimedOut, "{cell}: two offenders");
        assert_eq!(scene.connects(scene.client(IN_THE_NEXT), OTHER), Connected, "{cell}: the next network");

        scene.offend(IN_THE_NEXT);
        let widest = scene.connects(scene.client(IN_THE_THIRD), OTHER);
        match cell.family {
            Family::V4 => assert_eq!(widest, Connected, "{cell}: nothing wider than a /24"),
            Family::V6 => {
                let line = scene.wait_for_ban_line("banned", 4);
                assert_eq!(line["guard"]["prefix"], "2001:db8:51::/48", "{cell}: {line}");
                assert_eq!(scene.connects(scene.client(IN_THE_THIRD), OTHER), TimedOut, "{cell}: the whole site");
            }
        }
        // Who is lifted leaves the others banned.
        scene.done(&format!("block remove {network}"));
        assert!(!scene.banned().contains(&network.to_owned()), "{cell}: {:?}", scene.banned());
        assert!(scene.banned().contains(&scene.prefix(FIRST)), "{cell}: {:?}", scene.banned());
    });
}

#[test]
fn no_network_is_banned_unless_the_policy_says_so() {
    in_each_family(|cell| {
        let scene = scene(cell, "for = '1h'");
        let clients = [FIRST, SECOND, BYSTANDER];
        for client in clients {
            scene.offend(client);
        }
        let mut banned = scene.banned();
        banned.sort();
        assert_eq!(banned, clients.map(|client| scene.prefix(client)), "{cell}");
        assert_eq!(scene.connects(scene.client(1), OTHER), Connected, "{cell}");
    });
}
