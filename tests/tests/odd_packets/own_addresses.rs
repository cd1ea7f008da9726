//! The host's own addresses as sources: followed while they come and go, and exempt where they are shared.

use std::{net::IpAddr, time::Duration};

use guard_tests::{
    Guard, Host, Link, Options, Probe, Site,
    cell::{Cell, Family},
    frame::SYN,
    in_each_cell, wait,
};

use crate::scene::WEB;

/// Less than the interval in which guard looks by itself, so that what is seen is its answer to the kernel's news.
const PROMPTLY: Duration = Duration::from_secs(4);

const POLICY: &str = r#"
    allow.ips = ["10.0.0.0/24", "2001:db8::/64"]
    service = [{ name = "web", ports = ["tcp/3000"] }]
"#;

fn syn(site: &Site, source: IpAddr) -> Vec<u8> {
    site.packet(source).tcp(40000, WEB, SYN).build()
}

fn expect(site: &Site, guard: &Guard, name: &str, source: IpAddr, row: &'static str) {
    Probe::new(site, guard).expect([(name, syn(site, source), row)]);
}

#[test]
fn own_addresses_are_followed() {
    in_each_cell(|cell| {
        let site = Site::with_silent_peer(cell);
        let guard = site.guard(POLICY);
        let (text, length) = cell.pick(("10.0.0.77", 24), ("2001:db8::77", 64));
        let (address, with_length) = (text.parse().unwrap(), format!("{text}/{length}"));
        let passes = |probe: &mut Probe<'_>| probe.passes(&syn(&site, address));

        expect(&site, &guard, "a neighbour's address", address, "web pass allowed");
        let mut probe = Probe::new(&site, &guard);
        site.guarded().add_address(&with_length);
        wait::eventually("an added address is an own one", PROMPTLY, || !passes(&mut probe));
        expect(&site, &guard, "an added address", address, "web drop spoofed");
        site.guarded().remove_address(&with_length);
        wait::eventually("a removed address is a neighbour's again", PROMPTLY, || passes(&mut probe));
        expect(&site, &guard, "a removed address", address, "web pass allowed");
    });
}

#[test]
fn shared_addresses_may_be_anothers() {
    in_each_cell(|cell| {
        let site = Site::with_silent_peer(cell);
        let (shared, own) = cell.pick(("10.0.0.1", "10.0.0.2/24"), ("2001:db8::1", "2001:db8::2/64"));
        site.guarded().add_address(own);
        let guard = site.guard(&format!("shared_addresses = [\"{shared}\"]\n{POLICY}"));
        let own = own.split('/').next().unwrap();
        expect(&site, &guard, "a shared address", shared.parse().unwrap(), "web pass allowed");
        expect(&site, &guard, "an own address beside it", own.parse().unwrap(), "web drop spoofed");
    });
}

#[test]
fn a_link_local_address_is_own_on_its_link_alone() {
    let site = Site::with_silent_peer(Cell { family: Family::V6, xdp_mode: "native" });
    let silent = Host::new("silent");
    silent.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    let other = Link::between(site.host(), "eth1", &silent, "eth0");
    site.guarded().add_address("fe80::77/64");
    other.left.add_address("fe80::88/64");
    let config = r#"
        interfaces = ["eth0", "eth1"]
        allow.ips = ["fe80::/10"]
        service = [{ name = "web", ports = ["tcp/3000"] }]
    "#;
    let guard = Guard::run(site.host(), Options { config: Some(config), ..Options::default() });
    for (name, source, row) in [
        ("the own address", "fe80::77", "web drop spoofed"),
        ("the own address of another link", "fe80::88", "web pass allowed"),
    ] {
        expect(&site, &guard, name, source.parse().unwrap(), row);
    }
}
