//! A machine that lost its power: nothing in the kernel, everything on disk.

use guard_tests::{Guard, Options, Probe, Site, in_each_cell, xdp::program_on};

use super::scene::packets;

/// Sources by what lets them in; the last is in nothing.
const SOURCES: [(&str, [&str; 2], &str); 6] = [
    ("the file", ["192.0.2.1", "2001:db8:1::1"], "web pass allowed"),
    ("the environment", ["192.0.2.2", "2001:db8:1::2"], "web pass allowed"),
    ("the list file", ["192.0.2.3", "2001:db8:1::3"], "web pass allowed"),
    ("a set", ["192.0.2.4", "2001:db8:1::4"], "web pass allowed"),
    ("deny", ["192.0.2.5", "2001:db8:1::5"], "web drop blocked"),
    ("nothing", ["198.51.100.66", "2001:db8:66::66"], "web drop not_allowed"),
];

const CONFIG: &str = r#"
    allow.ips = ["192.0.2.1", "2001:db8:1::1", "192.0.2.5", "2001:db8:1::5", "@office"]
    deny.ips = ["192.0.2.5", "2001:db8:1::5"]
    sets.office = "/run/test/office.txt"
    service = [{ name = "web", ports = ["udp/3000"] }]
"#;

#[test]
fn everything_that_is_configured_is_back() {
    in_each_cell(|cell| {
        let site = Site::with_silent_peer(cell);
        site.host().write("office.txt", "192.0.2.4\n2001:db8:1::4\n");
        site.host().write("state/data/allowed_ips.json", r#"["192.0.2.3", "2001:db8:1::3"]"#);
        let config = site.config(CONFIG);
        let env = [("ALLOWED_IPS", "192.0.2.2 2001:db8:1::2")];
        let options = Options { config: Some(&config), env: &env, ..Options::default() };
        let mut before = Guard::run(site.host(), options);
        assert_enforced(&site, &before);
        before.down();
        assert_eq!(program_on(site.guarded()), None, "{cell}: a program is attached");
        assert!(!site.host().outside("/sys/fs/bpf/guard").exists(), "{cell}: pins are left");

        let after = Guard::run(site.host(), options);
        assert_eq!(packets(&after, "web pass allowed"), 0, "{cell}: the kernel forgot what was counted");
        assert_enforced(&site, &after);
    });
}

#[track_caller]
fn assert_enforced(site: &Site, guard: &Guard) {
    let mut probe = Probe::new(site, guard);
    probe.expect(SOURCES.map(|(what, [v4, v6], row)| {
        let source = site.cell.pick(v4, v6).parse().expect("an address");
        (what, site.packet(source).udp(1234, 3000).build(), row)
    }));
}
