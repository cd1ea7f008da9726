//! Every change that would cut a session of which guard knows, in each way that it can know.

use guard_tests::in_each_family;

use super::{
    login::KnownBy,
    scene::{FAILSAFE, Scene, administrator, policy},
};

#[test]
fn a_change_that_would_cut_a_session_is_refused_unless_forced() {
    in_each_family(|cell| {
        for known in KnownBy::ALL {
            // The command, what would save the session, and what undoes the change.
            for (command, saved_by, undo) in [
                ("block add ADMIN", "leave ", "block remove ADMIN"),
                ("block add ADMIN --for 1h", "leave ", "block remove ADMIN"),
                ("allow remove ADMIN", "failsafe_ports", "allow add ADMIN"),
                ("allow add 192.0.2.9 --name home", "failsafe_ports", "allow add ADMIN --name home"),
                ("lockdown", "--except ", "lockdown --lift"),
                ("lockdown --except 192.0.2.9 --for 1h", "--except ", "lockdown --lift"),
            ] {
                let scene = Scene::new(cell);
                let login = scene.login(known);
                if command.contains("--name") {
                    scene.assert_done(&login, "allow add ADMIN --name home");
                }
                scene.assert_refused(&login, command, saved_by);
                scene.assert_done(&login, &format!("{command} --force"));
                assert!(!login.is_alive(), "{cell}: {known:?}: {command} is in force");
                let audit = scene.audit();
                let last = audit.last().expect("there is a line");
                assert_eq!((&last["outcome"], &last["forced"]), (&"enforced".into(), &true.into()), "{last:#}");

                // What is cut already, no further change cuts.
                scene.assert_done(&login, "allow add 192.0.2.77");
                scene.assert_done(&login, undo);
                assert!(login.revives(), "{cell}: {known:?}: {undo}");
            }
        }
    });
}

#[test]
fn a_reload_that_would_cut_a_session_is_refused_unless_forced() {
    in_each_family(|cell| {
        for known in KnownBy::ALL {
            let scene = Scene::new(cell);
            let login = scene.login(known);
            let blocking = scene.site.config(&policy(&format!("deny.ips = ['{}']", administrator(cell))));
            scene.site.host().write("default.toml", blocking);
            scene.assert_refused(&login, "reload", "leave ");
            scene.assert_done(&login, "reload --force");
            assert!(!login.is_alive(), "{cell}: {known:?}");
        }
    });
}

#[test]
fn what_the_message_says_saves_the_session() {
    in_each_family(|cell| {
        let scene = Scene::new(cell);
        let login = scene.login(KnownBy::Ancestor);
        scene.assert_refused(&login, "lockdown", "--except ");
        scene.assert_done(&login, "lockdown --except ADMIN");
        assert!(login.is_alive(), "{cell}: excepted");
        scene.assert_done(&login, "lockdown --lift");

        scene.assert_refused(&login, "allow remove ADMIN", "failsafe_ports");
        let failsafe = policy("").replace(&format!("['tcp/{FAILSAFE}']"), "['tcp/22', 'tcp/2222']");
        scene.site.host().write("default.toml", scene.site.config(&failsafe));
        scene.assert_done(&login, "reload");
        scene.assert_done(&login, "allow remove ADMIN");
        assert!(login.is_alive(), "{cell}: by a failsafe port");
    });
}
