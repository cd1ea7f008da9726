//! Which addresses a prefix holds: its edges, nested and doubled ones, exceptions, and all addresses of a family.

use guard_tests::{Counters, Family, Site, client, client::Outcome, in_each_cell, server::HttpServer};

use crate::scene::{SHORTLY, SOON, expect, ip};

const NOT_ALLOWED: Option<&str> = Some("web drop not_allowed");
const BLOCKED: Option<&str> = Some("web drop blocked");

/// Name, source of either family, row of the drop.
const CASES: &[(&str, [&str; 2], Option<&str>)] = &[
    ("below a prefix", ["192.0.2.7", "2001:db8:1::7"], NOT_ALLOWED),
    ("first of a prefix", ["192.0.2.8", "2001:db8:1::8"], None),
    ("last of a prefix", ["192.0.2.15", "2001:db8:1::f"], None),
    ("above a prefix", ["192.0.2.16", "2001:db8:1::10"], NOT_ALLOWED),
    ("below a single address", ["198.51.100.6", "2001:db8:2::6"], NOT_ALLOWED),
    ("a single address", ["198.51.100.7", "2001:db8:2::7"], None),
    ("above a single address", ["198.51.100.8", "2001:db8:2::8"], NOT_ALLOWED),
    ("below two nested prefixes", ["10.0.255.255", "2001:db8:2:ffff:ffff:ffff:ffff:ffff"], NOT_ALLOWED),
    ("first of the outer prefix", ["10.1.0.0", "2001:db8:3::"], None),
    ("before the inner prefix", ["10.1.2.255", "2001:db8:3:2:ffff:ffff:ffff:ffff"], None),
    ("first of the inner prefix", ["10.1.3.0", "2001:db8:3:3::"], None),
    ("behind the inner prefix", ["10.1.4.0", "2001:db8:3:4::"], None),
    ("last of the outer prefix", ["10.1.255.255", "2001:db8:3:ffff:ffff:ffff:ffff:ffff"], None),
    ("first of a prefix listed twice", ["10.3.0.0", "2001:db8:4::"], None),
    ("last of a prefix listed twice", ["10.3.0.255", "2001:db8:4::ff"], None),
    ("first of the prefix that adjoins it", ["10.3.1.0", "2001:db8:4::100"], None),
    ("above the prefix that adjoins it", ["10.3.2.0", "2001:db8:4::200"], NOT_ALLOWED),
    ("before a denied prefix", ["10.5.0.3", "2001:db8:5::3"], None),
    ("first of a denied prefix", ["10.5.0.4", "2001:db8:5::4"], BLOCKED),
    ("last of a denied prefix", ["10.5.0.7", "2001:db8:5::7"], BLOCKED),
    ("behind a denied prefix", ["10.5.0.8", "2001:db8:5::8"], None),
    ("listed inside a denied prefix", ["10.6.0.9", "2001:db8:6::9"], BLOCKED),
    ("denied and not listed", ["10.7.0.1", "2001:db8:7::1"], BLOCKED),
    ("other bytes, same end", ["100.51.100.7", "2001:db9:2::7"], NOT_ALLOWED),
];

#[test]
fn a_prefix_holds_its_addresses_and_no_other() {
    in_each_cell(|cell| {
        let site = Site::new(cell);
        let _server = HttpServer::start(site.host(), 3000);
        let guard = site.guard(
            r#"
            allow.ips = [
                "192.0.2.8/29", "198.51.100.7/32", "10.1.0.0/16", "10.1.3.0/24", "10.3.0.0/24", "10.3.0.0/24",
                "10.3.1.0/24", "10.5.0.0/24", "10.6.0.9",
                "2001:db8:1::8/125", "2001:db8:2::7/128", "2001:db8:3::/48", "2001:db8:3:3::/64", "2001:db8:4::/120",
                "2001:db8:4::/120", "2001:db8:4::100/120", "2001:db8:5::/64", "2001:db8:6::9",
            ]
            deny.ips = [
                "10.5.0.4/30", "10.6.0.0/16", "10.7.0.1", "2001:db8:5::4/126", "2001:db8:6::/48", "2001:db8:7::1",
            ]
            [[service]]
            name = "web"
            ports = ["tcp/3000"]
            "#,
        );
        let attempt = |&(name, [v4, v6], row): &(_, [&str; 2], _)| (name, ip(cell.pick(v4, v6)), 3000, row);
        expect(&site, &guard, &CASES.iter().map(attempt).collect::<Vec<_>>());
    });
}

#[test]
fn all_of_one_family_is_none_of_the_other() {
    in_each_cell(|cell| {
        let site = Site::new(cell);
        let _server = HttpServer::start(site.host(), 3000);
        let every = cell.pick("0.0.0.0/0", "::/0");
        let guard = site.guard(&format!(
            r#"
            allow_wide = true
            allow.ips = ["{every}"]
            service = [{{ name = "web", ports = ["tcp/3000"] }}]
            "#
        ));
        let own = cell.pick(["1.0.0.1", "223.255.255.254"], ["2000::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]);
        expect(&site, &guard, &own.map(|source| ("of the family", ip(source), 3000, None)));

        let other = match cell.family {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        };
        let source = ip(other.pick("192.0.2.1", "2001:db8:1::1"));
        let destination = ip(other.pick("10.0.0.1", "2001:db8::1"));
        site.add_sources([source]);
        let outcome = client::connects(site.peer(), source, (destination, 3000).into(), SHORTLY);
        assert_eq!(outcome, Outcome::TimedOut, "{other}");
        assert_eq!(Counters::read(&guard).packets("web drop not_allowed"), 1);
        let again = client::connects(site.peer(), ip(own[0]), site.at(3000), SOON);
        assert_eq!(again, Outcome::Connected);
    });
}
