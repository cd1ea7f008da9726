//! Random frames: mostly good ones of every shape that the parser knows, many of them with a fault. Shared with the fuzz
//! target.

use guard_common::packet::protocol;

use crate::{
    build::{
        ETHERNET_HEADER, Family, PPPOE_SESSION, PROVIDER_VLAN, V4_MORE, VLAN, extension, fragment_header, patched,
        pppoe, tagged, tcp_with_flags, udp, v4, v6,
    },
    random::Random,
};

const PROTOCOLS: [u8; 10] = [
    protocol::TCP,
    protocol::TCP,
    protocol::UDP,
    protocol::UDP,
    protocol::ICMP,
    protocol::IGMP,
    protocol::ICMPV6,
    protocol::ESP,
    protocol::AH,
    protocol::NO_NEXT_HEADER,
];

const EXTENSIONS: [u8; 9] = [
    protocol::HOP_BY_HOP,
    protocol::ROUTING,
    protocol::FRAGMENT,
    protocol::AH,
    protocol::DESTINATION_OPTIONS,
    protocol::DESTINATION_OPTIONS,
    protocol::MOBILITY,
    protocol::HIP,
    protocol::SHIM6,
];

/// Returns a frame that is good or, every second time, has been tampered with.
pub(crate) fn frame(random: &mut Random) -> Vec<u8> {
    let mut frame = good_frame(random);
    if random.one_in(2) {
        return frame;
    }
    for _ in 0..random.below(4) {
        // Most fields stand near the beginning.
        let reach = if random.one_in(2) { frame.len().min(64) } else { frame.len() };
        let place = ETHERNET_HEADER - 2 + random.below(reach - (ETHERNET_HEADER - 2));
        frame[place] = match random.below(4) {
            0 => random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            1 => random.pick(&PROTOCOLS),
            2 => frame[place] ^ 1 << random.below(8),
            _ => random.byte(),
        };
    }
    match random.below(4) {
        0 => frame.truncate(random.below(frame.len() + 1)),
        1 => frame.extend({
            let length = 1 + random.below(16);
            random.bytes(length)
        }),
        _ => {}
    }
    frame
}

fn good_frame(random: &mut Random) -> Vec<u8> {
    let tags = match random.below(12) {
        0 => 2,
        1 => 1,
        2 if random.one_in(2) => 3 + random.below(2),
        _ => 0,
    };
    let tags: Vec<u16> = (0..tags).map(|_| random.pick(&[VLAN, VLAN, PROVIDER_VLAN, 0x9100])).collect();
    if random.one_in(24) {
        let ether_type = random.pick(&[0x0806, 0x88cc, 0x888e, 0x8847, 0x88e5, 0x8863, 60, 1500, 0x0842]);
        let length = 28 + random.below(8);
        return tagged(&tags, ether_type, &random.bytes(length));
    }
    let family = random.pick(&Family::BOTH);
    let packet = match family {
        Family::V4 => v4_packet(random),
        Family::V6 => v6_packet(random),
    };
    if random.one_in(12) {
        return tagged(&tags, PPPOE_SESSION, &pppoe_session(random, family, &packet));
    }
    let frame = tagged(&tags, family.ether_type(), &packet);
    if random.one_in(4096) { longer_than_the_field(frame, family, tags.len()) } else { frame }
}

fn pppoe_session(random: &mut Random, family: Family, packet: &[u8]) -> Vec<u8> {
    let number = family.ppp_number();
    match random.below(4) {
        0 => pppoe(&[&[number][..], packet].concat()),
        1 => pppoe(&[&[random.pick(&[0xc0, 0x80]), number][..], packet].concat()),
        _ => pppoe(&[&[0, number][..], packet].concat()),
    }
}

/// Returns the frame as a packet too long for its length field, which says zero (BIG TCP).
fn longer_than_the_field(frame: Vec<u8>, family: Family, tags: usize) -> Vec<u8> {
    let zero_length = patched(frame, ETHERNET_HEADER + 4 * tags + family.length_field(), &[0, 0]);
    [zero_length, vec![0; 66_000]].concat()
}

fn v4_packet(random: &mut Random) -> Vec<u8> {
    let options = if random.one_in(4) { v4_options(random) } else { Vec::new() };
    let (offset, more) = fragment(random);
    let protocol = protocol(random);
    v4(&options, offset >> 3 | if more { V4_MORE } else { 0 }, protocol, &payload(random, protocol))
}

fn v4_options(random: &mut Random) -> Vec<u8> {
    let mut options = Vec::new();
    for _ in 0..1 + random.below(4) {
        match random.below(8) {
            0 => options.push(0),
            1 => options.extend([random.pick(&[131, 137]), 3, 4]),
            2 | 3 => options.push(1),
            _ => {
                let length = 2 + random.below(7);
                options.extend([random.byte(), length as u8]);
                options.extend(random.bytes(length - 2));
            }
        }
    }
    options.truncate(40);
    options.resize(options.len().next_multiple_of(4), random.pick(&[0, 1]));
    options
}

/// Returns an offset in bytes, and whether more fragments follow.
fn fragment(random: &mut Random) -> (u16, bool) {
    match random.below(12) {
        0 => (0, true),
        1 => (8 * (1 + random.below(4) as u16), random.one_in(2)),
        2 if random.one_in(2) => (random.number() as u16 & 0xfff8, random.one_in(2)),
        _ => (0, false),
    }
}

fn v6_packet(random: &mut Random) -> Vec<u8> {
    let headers = match random.below(8) {
        0..4 => 0,
        4..7 => 1 + random.below(3),
        _ => 7 + random.below(4),
    };
    let last = protocol(random);
    let mut next_header = last;
    let mut behind = payload(random, last);
    for _ in 0..headers {
        let kind = random.pick(&EXTENSIONS);
        behind.splice(..0, extension_header(random, kind, next_header));
        next_header = kind;
    }
    // A chain that begins as it should is the likelier one.
    if headers > 0 && random.one_in(2) {
        behind.splice(..0, extension(protocol::HOP_BY_HOP, next_header));
        next_header = protocol::HOP_BY_HOP;
    }
    let packet = v6(next_header, &behind);
    if random.one_in(32) { patched(packet, Family::V6.length_field(), &[0, 0]) } else { packet }
}

fn extension_header(random: &mut Random, kind: u8, next_header: u8) -> Vec<u8> {
    let mut header = extension(kind, next_header);
    match kind {
        protocol::FRAGMENT => {
            let (offset, more) = fragment(random);
            header = fragment_header(next_header, offset, more).to_vec();
        }
        protocol::ROUTING => header[2] = random.below(5) as u8,
        protocol::AH if random.one_in(3) => {
            header[1] = 0;
            header.truncate(8);
        }
        _ => {
            let units = random.below(3);
            header[1] += units as u8 * if kind == protocol::AH { 2 } else { 1 };
            header.extend(random.bytes(units * 8));
        }
    }
    header
}

fn protocol(random: &mut Random) -> u8 {
    if random.one_in(16) { random.byte() } else { random.pick(&PROTOCOLS) }
}

fn payload(random: &mut Random, protocol: u8) -> Vec<u8> {
    let extra = if random.one_in(2) { random.below(24) } else { 0 };
    let data = random.bytes(extra);
    match protocol {
        protocol::TCP => {
            let words = if random.one_in(4) { random.below(16) } else { 5 };
            let options = random.bytes(words.saturating_sub(5) * 4);
            tcp_with_flags(words as u8, random.byte(), &[options, data].concat())
        }
        protocol::UDP => {
            let length = match random.below(8) {
                0 => random.below(10) as u16,
                1 => (8 + data.len() + random.below(3)) as u16,
                _ => 8 + data.len() as u16,
            };
            udp(length, &data)
        }
        // A whole packet, of which tampering may leave a part.
        protocol::ICMP if random.one_in(2) => error(random, &[3, 11, 12], v4_packet),
        protocol::ICMPV6 if random.one_in(2) => error(random, &[1, 2, 3, 4], v6_packet),
        protocol::ICMP | protocol::ICMPV6 => {
            let message_type = random.pick(&[0, 3, 8, 11, 13, 14, 17, 128, 133, 135, 136, 143]);
            [&[message_type, 0], &random.bytes(6)[..], &data].concat()
        }
        protocol::IGMP => {
            let message_type = random.pick(&[0x11, 0x12, 0x16, 0x17, 0x22]);
            [&[message_type, 0, 0, 0, 224, 0, 0, 1, 0, 0, 0, random.below(4) as u8][..], &data].concat()
        }
        protocol::AH => {
            let next = random.pick(&[protocol::TCP, protocol::UDP, protocol::ICMP]);
            [extension(protocol::AH, next), payload(random, next)].concat()
        }
        _ => data,
    }
}

/// Returns an ICMP error that quotes a packet, or as much of it as a router quotes.
fn error(random: &mut Random, types: &[u8], quoted: impl Fn(&mut Random) -> Vec<u8>) -> Vec<u8> {
    let message_type = random.pick(types);
    let mut packet = quoted(random);
    if random.one_in(2) {
        packet.truncate(28 + random.below(40));
    }
    [&[message_type, 0, 0, 0, 0, 0, 0, 0][..], &packet].concat()
}
