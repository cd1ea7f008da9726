//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

use super::Place;

/// The checksum over the bytes; 0 over bytes that contain their right checksum.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u64::from(low)));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("the carries were folded")
}

/// The checksum of a transport header and what follows, with the pseudo header of the IP header around it (RFC 9293,
/// section 3.1; RFC 8200, section 8.1).
pub(super) fn transport_checksum(place: &Place, protocol: u8, bytes: &[u8]) -> u16 {
    let (source, destination) = match place.addresses {
        Some((IpAddr::V4(source), IpAddr::V4(destination))) => {
            (source.octets().to_vec(), destination.octets().to_vec())
        }
        Some((IpAddr::V6(source), IpAddr::V6(destination))) => {
            (source.octets().to_vec(), destination.octets().to_vec())
        }
        _ => (Vec::new(), Vec::new()),
    };
    let length = u32::try_from(bytes.len()).expect("a frame is shorter than 4 GiB").to_be_bytes();
    checksum(&[&source[..], &destination, &length, &[0, 0, 0, protocol], bytes].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_example_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn agrees_with_a_known_ipv4_header() {
        let header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8,
            0x00, 0xc7,
        ];
        assert_eq!(checksum(&header), 0xb861);
    }

    #[test]
    fn pads_an_odd_byte_with_zero() {
        assert_eq!(checksum(&[0x12, 0x34, 0x56]), checksum(&[0x12, 0x34, 0x56, 0x00]));
    }
}
