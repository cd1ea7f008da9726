//! Below IP: tags, PPPoE, and EtherTypes that lie.

use guard_tests::{
    Site,
    frame::{Ethernet, Frame, Pppoe, SYN, Vlan},
};

use crate::scene::{Case, Source, WEB, case, cut, sound_in};

const MALFORMED: &str = "- drop malformed";
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ETHERNET: usize = 14;

/// Adds what stands between Ethernet and IP.
type Wrap = fn(Frame) -> Frame;

pub(crate) fn tags_and_sessions_are_looked_through(site: &Site) -> Vec<Case> {
    let wrapped: [(&str, Wrap); 9] = [
        ("no tag", |frame| frame),
        ("an 802.1Q tag", |frame| frame.vlan(5)),
        ("a priority tag", |frame| frame.vlan(0xe000)),
        ("an 802.1ad tag", |frame| frame.service_vlan(7)),
        ("an 802.1ad and an 802.1Q tag", |frame| frame.service_vlan(7).vlan(5)),
        ("two 802.1Q tags", |frame| frame.vlan(7).vlan(5)),
        ("two 802.1ad tags", |frame| frame.service_vlan(7).service_vlan(5)),
        ("PPPoE", |frame| frame.pppoe(1)),
        ("PPPoE behind two tags", |frame| frame.service_vlan(7).vlan(5).pppoe(1)),
    ];
    let tried = |(name, below): (&str, Wrap)| {
        [(Source::Listed, "listed", "web pass allowed"), (Source::Unlisted, "unlisted", "web drop not_allowed")].map(
            |(source, who, row)| {
                let packet = below(site.ethernet()).ip(source.address(site.cell), site.address());
                case(format!("{name}, {who}"), packet.tcp(40000, WEB, SYN).build(), row)
            },
        )
    };
    wrapped.into_iter().flat_map(tried).collect()
}

pub(crate) fn what_contradicts_itself_below_ip_is_malformed(site: &Site) -> Vec<Case> {
    let (own, other) = site.cell.pick((IPV4, IPV6), (IPV6, IPV4));
    let typed =
        |value| Frame::bare().layer(Ethernet::new(site.link.right.mac(), site.link.left.mac()).ether_type(value));
    let session = |pppoe: Pppoe| sound_in(site, site.ethernet().layer(pppoe));
    let mut cases = vec![
        case("three tags", sound_in(site, site.ethernet().vlan(1).vlan(2).vlan(3)), MALFORMED),
        case(
            "three service tags",
            sound_in(site, [1; 3].into_iter().fold(site.ethernet(), Frame::service_vlan)),
            MALFORMED,
        ),
        case("a tag without its second half", cut(sound_in(site, site.ethernet().vlan(1)), ETHERNET + 2), MALFORMED),
        case("a second tag cut off", cut(sound_in(site, site.ethernet().vlan(1).vlan(2)), ETHERNET + 4), MALFORMED),
        case("nothing behind the Ethernet header", typed(own).build(), MALFORMED),
        case("the other family's EtherType", sound_in(site, typed(other)), MALFORMED),
        case("the other family's EtherType in a tag", sound_in(site, tag(site, other)), MALFORMED),
        case("a PPPoE header cut off", cut(sound_in(site, site.ethernet().pppoe(1)), ETHERNET + 5), MALFORMED),
        case("PPPoE without a PPP protocol", cut(sound_in(site, site.ethernet().pppoe(1)), ETHERNET + 6), MALFORMED),
        case("a PPPoE length of zero", session(Pppoe::new(1).length(0)), MALFORMED),
        case("a PPPoE length of half a protocol", session(Pppoe::new(1).length(1)), MALFORMED),
        case("a PPPoE length beyond the frame", session(Pppoe::new(1).length(1000)), MALFORMED),
        case("a PPPoE length within the IP header", session(Pppoe::new(1).length(12)), MALFORMED),
        case("the other family's PPP protocol", session(Pppoe::new(1).protocol(site.cell.pick(0x57, 0x21))), MALFORMED),
        case("PPP's own protocol", session(Pppoe::new(1).protocol(0xc021)), "link ppp"),
    ];
    cases.extend(compressed(site));
    cases
}

fn tag(site: &Site, ether_type: u16) -> Frame {
    site.ethernet().layer(Vlan::new(5).ether_type(ether_type))
}

/// PPP protocol numbers of one byte (RFC 1661, section 6.5), which Linux expands unasked.
fn compressed(site: &Site) -> [Case; 2] {
    [(Source::Listed, "listed", "web pass allowed"), (Source::Unlisted, "unlisted", "web drop not_allowed")].map(
        |(source, who, row)| {
            let packet = Frame::bare().ip(source.address(site.cell), site.address()).tcp(40000, WEB, SYN).build();
            let length = u16::try_from(packet.len() + 1).expect("a packet fits a frame");
            // The Ethernet header and PPPoE's first six bytes, with one more byte for the protocol.
            let header = cut(sound_in(site, site.ethernet().layer(Pppoe::new(1).length(length))), ETHERNET + 6);
            let protocol = site.cell.pick(0x21, 0x57);
            case(format!("a PPP protocol of one byte, {who}"), [&header[..], &[protocol], &packet].concat(), row)
        },
    )
}
