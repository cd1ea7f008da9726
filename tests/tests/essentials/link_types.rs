//! Frames that carry no IP packet pass and are counted by type, with a warning where packets may hide in them.

use guard_tests::{
    Probe, Site,
    frame::{Arp, BROADCAST, Ethernet, Frame, Mac, SYN, Vlan},
    in_each_cell,
};
use serde_json::Value;

use crate::POLICY;

const NEAREST_BRIDGE: Mac = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
const PORT_ACCESS: Mac = [0x01, 0x80, 0xc2, 0, 0, 0x03];
const SPANNING_TREE: Mac = [0x01, 0x80, 0xc2, 0, 0, 0];

#[test]
fn frames_without_ip_are_counted_by_type() {
    in_each_cell(|cell| {
        let site = Site::with_silent_peer(cell);
        let guard = site.guard(POLICY);
        assert_eq!(warnings_of(&guard.status(), "frames passed"), Vec::<String>::new());

        let source = site.link.right.mac();
        let stranger = cell.pick("203.0.113.9", "2001:db8:9::9").parse().unwrap();
        let hidden = Frame::bare().ip(stranger, site.address()).tcp(40000, 3000, SYN).build();
        let plain = |to: Mac, ether_type: u16, bytes: &[u8]| {
            Frame::bare().layer(Ethernet::new(source, to).ether_type(ether_type)).payload(bytes).build()
        };
        let host = site.link.left.mac();
        let label = [0, 0, 0x11, 0x40];
        let who_has = Arp::request((source, [203, 0, 113, 9].into()), [10, 0, 0, 1]);
        Probe::new(&site, &guard).expect([
            ("ARP", Frame::ethernet(source, BROADCAST).layer(who_has).build(), "link arp"),
            ("LLDP", plain(NEAREST_BRIDGE, 0x88cc, &[0; 46]), "link lldp"),
            ("EAPOL", plain(PORT_ACCESS, 0x888e, &[2, 1, 0, 0]), "link eapol"),
            ("MPLS", plain(host, 0x8847, &[&label[..], &hidden].concat()), "link mpls"),
            ("MPLS multicast", plain(BROADCAST, 0x8848, &[&label[..], &hidden].concat()), "link mpls"),
            ("MACsec", plain(host, 0x88e5, &[&[0, 0, 0, 0, 0, 1][..], &hidden].concat()), "link macsec"),
            ("PPPoE discovery", plain(BROADCAST, 0x8863, &[0x11, 9, 0, 0, 0, 0]), "link pppoe_discovery"),
            ("spanning tree, in LLC", plain(SPANNING_TREE, 38, &[0x42; 38]), "link llc"),
            ("the largest length of LLC", plain(host, 1500, &[0xaa; 46]), "link llc"),
            ("the smallest EtherType that is none of these", plain(host, 0x0600, &[0; 46]), "link other"),
            ("LLDP in a tag", tagged(source, 0x88cc), "link lldp"),
        ]);

        let status = guard.status();
        assert_eq!(
            warnings_of(&status, "mpls"),
            ["2 mpls frames passed: IP packets may travel in them, which guard can't see"]
        );
        assert_eq!(warnings_of(&status, "macsec").len(), 1, "{status}");
        assert_eq!(warnings_of(&status, "frames passed").len(), 2, "{status}");
    });
}

fn tagged(source: Mac, ether_type: u16) -> Vec<u8> {
    let tag = Vlan::new(5).ether_type(ether_type);
    Frame::ethernet(source, NEAREST_BRIDGE).layer(tag).payload([0; 46]).build()
}

fn warnings_of(status: &Value, about: &str) -> Vec<String> {
    let warnings = status["warnings"].as_array().expect("a status has warnings").iter().filter_map(Value::as_str);
    warnings.filter(|warning| warning.contains(about)).map(Into::into).collect()
}
