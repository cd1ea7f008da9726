//! Echo requests: within `echo_rate` they are answered, beyond it they are dropped.

use std::time::Duration;

use guard_tests::{Counters, Site, client, in_each_family};

use super::scene::{ALLOW, SHORTLY, quiet, source};

const WEB: &str = "[[service]]\nname = 'web'\nports = ['tcp/3000']\n";

#[test]
fn ping_is_held_to_its_rate() {
    let _quiet = quiet();
    in_each_family(|cell| {
        // Where the default is to drop, an unlisted source gets no answer at all.
        for (default, unlisted_answers) in [("pass", 10), ("drop", 0)] {
            let site = Site::new(cell);
            let listed = source(cell, 1);
            let unlisted = cell.pick("203.0.113.9", "2001:db8:9::9").parse().expect("an address");
            site.add_sources([listed, unlisted]);
            let rate = "echo_rate = { limit = 10, window = '1h' }";
            let guard = site.guard(&format!("default = '{default}'\n{rate}\n{ALLOW}{WEB}"));

            let apart = Duration::from_millis(5);
            let answered = [(listed, 10), (unlisted, unlisted_answers)].map(|(source, expected)| {
                let answered = client::ping(site.peer(), source, site.address(), 15, apart, SHORTLY);
                (answered.expect("it can be tried"), expected)
            });
            println!("{cell}: default {default}: of 15 requests each answered, and expected, {answered:?}");
            assert!(
                answered.iter().all(|(answered, expected)| answered == expected),
                "{cell}: {default}: {answered:?}"
            );

            let counters = Counters::read(&guard);
            let refused = if unlisted_answers == 0 { 15 } else { 0 };
            let rows = ["- drop rate_echo", "- drop not_allowed"].map(|row| counters.packets(row));
            assert_eq!(rows, [30 - 10 - u64::from(unlisted_answers) - refused, refused], "{cell}: {counters:?}");
            let line = guard.wait_for_eve(|line| line["guard"]["reason"] == "rate_echo");
            assert_eq!(line["src_ip"], listed.to_string(), "{cell}: {line}");
        }
    });
}
