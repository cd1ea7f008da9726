//! Where odd frames are sent: the policy, who sends, and the parts that frames share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use guard_tests::{
    Cell, Probe, Site,
    frame::{Frame, Layer, SYN},
    in_each_cell,
};

/// A port of the service `web`, and one of no service.
pub(crate) const WEB: u16 = 3000;
pub(crate) const NO_SERVICE: u16 = 5000;

pub(crate) const LISTED_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const LISTED_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
pub(crate) const UNLISTED_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
pub(crate) const UNLISTED_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);
pub(crate) const OF_WEB_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
pub(crate) const OF_WEB_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7);
pub(crate) const HOST_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

const POLICY: &str = r#"
    allow.ips = ["192.0.2.1", "10.0.0.77", "2001:db8:1::1", "2001:db8::77"]
    [[service]]
    name = "web"
    ports = ["tcp/3000", "udp/3000"]
    allow = ["198.51.100.7", "2001:db8:2::7"]
"#;

/// A named frame and the row of the counters that it comes under.
pub(crate) type Case = (String, Vec<u8>, &'static str);

/// Whose packet it is.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    Listed,
    /// Only in the list of the service.
    OfWeb,
    Unlisted,
}

impl Source {
    pub(crate) fn address(self, cell: Cell) -> IpAddr {
        let (v4, v6) = match self {
            Self::Listed => (LISTED_V4, LISTED_V6),
            Self::OfWeb => (OF_WEB_V4, OF_WEB_V6),
            Self::Unlisted => (UNLISTED_V4, UNLISTED_V6),
        };
        cell.pick(v4.into(), v6.into())
    }
}

/// Cases of one question.
pub(crate) type Table = fn(&Site) -> Vec<Case>;

/// Sends the cases of all tables that a cell has to one guard with the default given.
pub(crate) fn expect_all(default: &str, tables: impl Fn(Cell) -> Vec<Table> + Sync) {
    in_each_cell(|cell| {
        let site = Site::with_silent_peer(cell);
        let guard = site.guard(&format!("default = \"{default}\"\n{POLICY}"));
        Probe::new(&site, &guard).expect(tables(cell).iter().flat_map(|table| table(&site)));
    });
}

/// A sound packet of the cell's family to the service, from the listed source, in layers below IP.
pub(crate) fn sound_in(site: &Site, below: Frame) -> Vec<u8> {
    below.ip(Source::Listed.address(site.cell), site.address()).tcp(40000, WEB, SYN).build()
}

/// A packet of the cell's family with a layer inside.
pub(crate) fn packet(site: &Site, source: Source, inside: impl Layer + 'static) -> Vec<u8> {
    site.packet(source.address(site.cell)).layer(inside).build()
}

/// Cuts a frame to its first bytes.
pub(crate) fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame.truncate(length);
    frame
}

/// A case that gets the same from whoever sent it.
pub(crate) fn case(name: impl Into<String>, frame: impl Into<Vec<u8>>, row: &'static str) -> Case {
    (name.into(), frame.into(), row)
}
