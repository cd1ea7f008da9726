//! Sessions that a change does not cut are no reason to refuse it.

use guard_tests::{Host, Link, in_each_family};

use super::{
    login::{KnownBy, Login},
    scene::{FAILSAFE, Scene, at},
};

#[test]
fn a_session_by_a_failsafe_port_is_not_cut_by_a_lockdown() {
    in_each_family(|cell| {
        for known in KnownBy::ALL {
            let scene = Scene::new(cell);
            let login = scene.login_at(known, FAILSAFE);
            scene.assert_done(&login, "lockdown");
            assert!(login.is_alive(), "{cell}: {known:?}");
            scene.assert_done(&login, "lockdown --lift");
            scene.assert_done(&login, "allow remove ADMIN");
            assert!(login.is_alive(), "{cell}: {known:?}");
            // What is blocked is blocked there, too.
            let output = scene.run(&login, "block add ADMIN");
            assert_eq!(output.status.code(), Some(1), "{cell}: {known:?}");
        }
    });
}

#[test]
fn a_session_by_an_interface_that_is_not_guarded_is_not_cut() {
    in_each_family(|cell| {
        for known in KnownBy::ALL {
            let scene = Scene::new(cell);
            let office = Host::new("office");
            let link = Link::between(scene.site.host(), "eth1", &office, "eth1");
            link.left.add_addresses(["10.9.0.1/24", "2001:db8:9::1/64"]);
            link.right.add_addresses(["10.9.0.7/24", "2001:db8:9::7/64"]);
            let (from, to) = (
                at(cell.pick("10.9.0.7:0", "[2001:db8:9::7]:0")),
                at(cell.pick("10.9.0.1:2222", "[2001:db8:9::1]:2222")),
            );
            let login = Login::new(known, &office, from.ip(), scene.site.host(), to);
            scene.assert_done(&login, &format!("block add {}", from.ip()));
            scene.assert_done(&login, "lockdown");
            assert!(login.is_alive(), "{cell}: {known:?}");
        }
    });
}

#[test]
fn a_session_from_here_and_one_that_is_over_are_not_cut() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let host = scene.site.host();
        let here = at(cell.pick("127.0.0.1:2222", "[::1]:2222"));
        let login = Login::new(KnownBy::Ancestor, host, here.ip(), host, here);
        scene.assert_done(&login, "lockdown");
        scene.assert_done(&login, "lockdown --lift");

        // As in a terminal multiplexer that outlives the session in which it was started.
        let login = scene.login(KnownBy::Environment);
        let mut asking = scene.command(&login, "allow remove ADMIN");
        drop(login);
        let output = asking.output().expect("a command can be run");
        assert!(output.status.success(), "{cell}: {output:?}");
    });
}

#[test]
fn changes_about_others_are_made() {
    in_each_family(|cell| {
        for known in KnownBy::ALL {
            let scene = Scene::new(cell);
            let login = scene.login(known);
            for command in [
                "allow add 192.0.2.9",
                "allow remove 192.0.2.9",
                "allow add ADMIN --comment me",
                "block add 203.0.113.0/24",
                "block add 2001:db8:77::/48 --for 1h",
                "reload",
            ] {
                scene.assert_done(&login, command);
                assert!(login.is_alive(), "{cell}: {known:?}: {command}");
            }
        }
    });
}
