//! Every kind of edit, by command and by signal: who gets in and who does not, before and after.

use guard_tests::in_each_cell;

use super::scene::{Scene, list};

/// A policy of one service: who is let in, who is blocked, and the port.
fn policy(allow: &str, deny: &str, port: u16) -> String {
    format!(
        "default = 'drop'\nallow.ips = {allow}\ndeny.ips = {deny}\n[[service]]\nname = 'web'\nports = ['udp/{port}']\n"
    )
}

#[test]
fn an_allowed_a_blocked_and_a_removed_source() {
    in_each_cell(|cell| {
        for by_signal in [false, true] {
            let mut scene = Scene::new(cell, &policy(&list([1]), "[]", 3000));
            let cases = [
                ("at first", policy(&list([1]), "[]", 3000), "web pass allowed", "web drop not_allowed"),
                ("allowed", policy(&list([1, 2]), "[]", 3000), "web pass allowed", "web pass allowed"),
                ("blocked", policy(&list([1, 2]), &list([2]), 3000), "web pass allowed", "web drop blocked"),
                ("unblocked", policy(&list([1, 2]), "[]", 3000), "web pass allowed", "web pass allowed"),
                ("removed", policy(&list([2]), "[]", 3000), "web drop not_allowed", "web pass allowed"),
                ("another port", policy(&list([2]), "[]", 4000), "- drop not_allowed", "- pass allowed"),
            ];
            for (case, config, first, second) in cases {
                if by_signal {
                    scene.hang_up(&config);
                } else {
                    scene.reload(&config);
                }
                let frames = [(1, first), (2, second)]
                    .map(|(source, row)| (format!("{case}, source {source}"), scene.datagram(source, 3000), row));
                scene.probe().expect(frames);
            }
            assert_eq!(scene.generation(), 7);
        }
    });
}

#[test]
fn default_failsafe_ports_and_services() {
    in_each_cell(|cell| {
        let service = |name: &str, port: u16, source: u8| {
            format!("[[service]]\nname = '{name}'\nports = ['udp/{port}']\nallow = {}\n", list([source]))
        };
        let head = |default: &str, failsafe: &str| {
            format!("default = '{default}'\nfailsafe_ports = {failsafe}\nallow.ips = {}\n", list([9]))
        };
        let scene = Scene::new(cell, &(head("drop", "[]") + &service("web", 3000, 1)));
        // Source 1 to ports 3000, 4000 and 5000.
        let cases = [
            (
                "at first",
                head("drop", "[]") + &service("web", 3000, 1),
                ["web pass allowed", "- drop not_allowed", "- drop not_allowed"],
            ),
            (
                "default pass",
                head("pass", "[]") + &service("web", 3000, 1),
                ["web pass allowed", "- pass default", "- pass default"],
            ),
            (
                "failsafe",
                head("drop", "['udp/5000']") + &service("web", 3000, 1),
                ["web pass allowed", "- drop not_allowed", "- pass failsafe"],
            ),
            (
                "a second service",
                head("drop", "[]") + &service("web", 3000, 1) + &service("dns", 4000, 2),
                ["web pass allowed", "dns drop not_allowed", "- drop not_allowed"],
            ),
            (
                "ports swapped",
                head("drop", "[]") + &service("web", 4000, 1) + &service("dns", 3000, 2),
                ["dns drop not_allowed", "web pass allowed", "- drop not_allowed"],
            ),
            (
                "the first gone",
                head("drop", "[]") + &service("dns", 3000, 2),
                ["dns drop not_allowed", "- drop not_allowed", "- drop not_allowed"],
            ),
        ];
        for (case, config, rows) in cases {
            scene.reload(&config);
            let ports = [3000, 4000, 5000].into_iter().zip(rows);
            scene
                .probe()
                .expect(ports.map(|(port, row)| (format!("{case}, port {port}"), scene.datagram(1, port), row)));
        }
    });
}

#[test]
fn shared_addresses() {
    in_each_cell(|cell| {
        let policy = |shared: &str| format!("shared_addresses = {shared}\n{}", policy(&list([1]), "[]", 3000));
        let scene = Scene::new(cell, &policy("[]"));
        let own = scene.site.address();
        let frame = || scene.site.packet(own).udp(1234, 3000).build();
        for (shared, row) in [
            ("[]".to_owned(), "web drop spoofed"),
            (format!("['{own}']"), "web drop not_allowed"),
            ("[]".to_owned(), "web drop spoofed"),
        ] {
            scene.reload(&policy(&shared));
            scene.probe().expect([(format!("shared {shared}"), frame(), row)]);
        }
    });
}

#[test]
fn an_unchanged_policy() {
    in_each_cell(|cell| {
        let config = policy(&list([1]), "[]", 3000);
        let scene = Scene::new(cell, &config);
        let said = scene.reload(&config);
        assert_eq!(
            said,
            "generation 2 is enforced, in place of 1\nallow: 0 added, 0 removed\ndeny: 0 added, 0 removed\n\
             trusted: 0 added, 0 removed\nservice web: 0 added, 0 removed"
        );
        scene.probe().expect([
            ("listed", scene.datagram(1, 3000), "web pass allowed"),
            ("unlisted", scene.datagram(2, 3000), "web drop not_allowed"),
        ]);
        let status = scene.guard.status();
        assert_eq!(status["last_reload"]["outcome"], "ok", "{status:#}");
    });
}

#[test]
fn the_answer_counts_entries() {
    let service =
        |name: &str, allow: &str| format!("[[service]]\nname = '{name}'\nports = ['udp/3000']\nallow = {allow}\n");
    let lists = |allow: &str, deny: &str| format!("allow.ips = {allow}\ndeny.ips = {deny}\n");
    let scene = Scene::new(super::scene::ANY_CELL, &(lists(&list(1..4), "[]") + &service("web", &list([7]))));
    let said = scene.reload(&(lists(&list(2..9), &list([20])) + &service("www", &list([7, 8]))));
    for line in [
        "allow: 10 added, 2 removed",
        "deny: 2 added, 0 removed",
        "service www: 4 added, 0 removed",
        "service web: 0 added, 2 removed",
    ] {
        assert!(said.lines().any(|said| said == line), "no `{line}` in {said}");
    }
}
