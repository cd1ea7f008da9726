//! What of this host's own goes on in a lockdown, and what of others does not.

use guard_tests::{connection::reaches, in_each_cell};

use super::scene::{DROP, PASS, SHORTLY, SOON, Scene, arrives};

#[test]
fn own_flows_and_failsafe_ports_stay_and_clients_are_cut() {
    in_each_cell(|cell| {
        for (default, config) in [("drop", DROP), ("pass", PASS)] {
            let case = format!("{cell}, default {default}");
            let scene = Scene::new(cell);
            let older = scene.connection_out(0, 443);
            let guard = scene.site.guard(config);
            let own = scene.connection_out(0, 8443);
            let [asking, asked] = scene.datagrams_out(40_000, 53);
            assert!(arrives(&asking, &asked, SOON) && arrives(&asked, &asking, SOON), "{case}");
            let client = scene.connection_in(scene.office, 3000);
            let login = scene.connection_in(scene.stranger, 22);
            let locked = guard.ask(&["lockdown"]);
            assert!(locked.status.success(), "{case}: {locked:?}");

            older.assert_carries(&format!("{case}: a connection from here, older than guard"));
            own.assert_carries(&format!("{case}: a connection from here"));
            assert!(arrives(&asking, &asked, SOON) && arrives(&asked, &asking, SOON), "{case}: a question from here");
            scene.connection_out(0, 9443).assert_carries(&format!("{case}: a new connection from here"));
            login.assert_carries(&format!("{case}: a connection to port 22"));
            assert!(!reaches(&client.opener, &client.acceptor, SHORTLY), "{case}: a client's connection");
            let lifted = guard.ask(&["lockdown", "--lift"]);
            assert!(lifted.status.success(), "{case}: {lifted:?}");
        }
    });
}
