//! Connections that are nobody's concern: of those who are trusted, of the host to itself, to ports of other kinds, in other cgroups.

use guard_tests::{
    Cgroup, Counted, Crowd, KeptServer,
    counted::{WEB, connections, open},
    in_each_family,
};

use crate::scene::{SOON, wait_open};

#[test]
fn only_listed_clients_of_the_service_count() {
    in_each_family(|cell| {
        let counted = Counted::new(cell, 3);
        let elsewhere = Cgroup::new();
        let _servers = [counted.serve(WEB), counted.serve(4000), counted.serve(5000)];
        let _other = KeptServer::start(counted.site.host(), &elsewhere, 3001);
        let guard = counted.guard(&format!(
            "trusted.ips = ['{}']\n\
             [[service]]\nname = 'web'\nports = ['tcp/3000', 'tcp/3001']\nmax_connections_per_source = 5\nmax_connections = 10\n\
             [[service]]\nname = 'plain'\nports = ['tcp/4000']\n",
            counted.client(1)
        ));
        let connect = |client, port, count| {
            let mut crowd =
                Crowd::start(counted.site.peer(), vec![counted.client(client); count], counted.site.at(port));
            crowd.wait_connected(count, SOON);
            crowd
        };
        let mut of_host = Crowd::start(counted.site.host(), vec![counted.site.address(); 20], counted.site.at(WEB));
        of_host.wait_connected(20, SOON);
        let _uncounted = [connect(1, WEB, 20), connect(2, 4000, 20), connect(2, 5000, 20), connect(3, 3001, 5)];
        assert_eq!(open(&guard), 0, "{cell}");
        let mut counts = connect(2, WEB, 5);
        wait_open(&guard, &cell.to_string(), 5, SOON);
        // None of the others has taken its place, nor leaves one.
        drop(_uncounted);
        drop(of_host);
        let trusted = connect(1, WEB, 20);
        assert_eq!(open(&guard), 5, "{cell}: {}", connections(&guard, "plain"));
        counts.close(5);
        wait_open(&guard, &cell.to_string(), 0, SOON);
        drop(trusted);
    });
}
