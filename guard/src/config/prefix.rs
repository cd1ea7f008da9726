//! How an address or a prefix is written.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// A prefix as it was understood, and what had to be put right to understand it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Without host bits; an IPv4-mapped prefix is the IPv4 one.
    pub(super) prefix: IpNet,
    /// Bits past the prefix length were set, and are cleared.
    pub(super) host_bits: bool,
    /// A zone (`%eth0`) was written, and is left out: packets carry none.
    pub(super) zone: bool,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrefixError {
    #[error("empty")]
    Empty,
    #[error("neither an IPv4 nor an IPv6 address")]
    NoAddress,
    #[error("octet `{0}` has a leading zero, which some programs read as octal")]
    LeadingZero(String),
    #[error("brackets do not match")]
    Brackets,
    #[error("the zone after `%` is empty or stands behind an IPv4 address")]
    Zone,
    #[error("no length after `/`")]
    NoLength,
    #[error("length `{0}` is not a number")]
    Length(String),
    #[error("length over {0}")]
    TooLong(u8),
    #[error("an IPv4-mapped prefix shorter than /96 is no IPv4 prefix")]
    ShortMapped,
    #[error("a prefix, where one address is wanted")]
    NotOneAddress,
}

/// Bits of `::ffff:0:0/96`, under which IPv6 holds IPv4.
const MAPPED_LEN: u8 = 96;

/// Reads an address, or a prefix: `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/48`, `[2001:db8::1]`, `::ffff:10.0.0.1`,
/// `fe80::1%eth0`.
pub(super) fn parse(text: &str) -> Result<Reading, PrefixError> {
    let text = text.trim();
    let (address, len) = match text.split_once('/') {
        Some((address, len)) => (address, Some(len)),
        None => (text, None),
    };
    let (address, zone) = parse_address(unbracketed(address)?)?;
    let max_len = if address.is_ipv4() { 32 } else { 128 };
    let len = len.map_or(Ok(max_len), |len| parse_length(len, max_len))?;
    let (address, len) = unmapped(address, len)?;
    let written = IpNet::new(address, len).expect("the length was held to the family's");
    let prefix = written.trunc();
    Ok(Reading { prefix, host_bits: prefix != written, zone })
}

/// Reads one address, in the same forms.
pub(super) fn parse_one(text: &str) -> Result<IpAddr, PrefixError> {
    let prefix = parse(text)?.prefix;
    if prefix.prefix_len() == prefix.max_prefix_len() { Ok(prefix.addr()) } else { Err(PrefixError::NotOneAddress) }
}

fn unbracketed(text: &str) -> Result<&str, PrefixError> {
    match (text.strip_prefix('['), text.ends_with(']')) {
        (None, false) => Ok(text),
        (Some(rest), true) => Ok(&rest[..rest.len() - 1]),
        _ => Err(PrefixError::Brackets),
    }
}

fn parse_address(text: &str) -> Result<(IpAddr, bool), PrefixError> {
    if text.is_empty() {
        return Err(PrefixError::Empty);
    }
    if let Some((address, zone)) = text.split_once('%') {
        let address: Ipv6Addr = address.parse().map_err(|_| explain(address))?;
        let named = !zone.is_empty() && !zone.contains(|c: char| c.is_whitespace() || c == '%');
        return if named { Ok((address.into(), true)) } else { Err(PrefixError::Zone) };
    }
    text.parse().map(|address| (address, false)).map_err(|_| explain(text))
}

/// Names the trap where there is a known one.
fn explain(text: &str) -> PrefixError {
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return PrefixError::Zone;
    }
    let octets = || text.split('.');
    let all_digits = octets().count() == 4 && octets().all(is_number);
    match octets().find(|octet| octet.len() > 1 && octet.starts_with('0')) {
        Some(octet) if all_digits => PrefixError::LeadingZero(octet.to_owned()),
        _ => PrefixError::NoAddress,
    }
}

fn parse_length(text: &str, max: u8) -> Result<u8, PrefixError> {
    if text.is_empty() {
        return Err(PrefixError::NoLength);
    }
    // A sign or a leading zero would parse, and is a typing error.
    if !is_number(text) || (text.len() > 1 && text.starts_with('0')) {
        return Err(PrefixError::Length(text.to_owned()));
    }
    text.parse().ok().filter(|len| *len <= max).ok_or(PrefixError::TooLong(max))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn unmapped(address: IpAddr, len: u8) -> Result<(IpAddr, u8), PrefixError> {
    let IpAddr::V6(v6) = address else { return Ok((address, len)) };
    match v6.to_ipv4_mapped() {
        None => Ok((address, len)),
        Some(v4) if len >= MAPPED_LEN => Ok((v4.into(), len - MAPPED_LEN)),
        Some(_) => Err(PrefixError::ShortMapped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_good_form() {
        for (text, prefix) in [
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("255.255.255.255/32", "255.255.255.255/32"),
            (" 192.168.1.5\t", "192.168.1.5/32"),
            ("[10.0.0.1]", "10.0.0.1/32"),
            ("::1", "::1/128"),
            ("2001:DB8::/48", "2001:db8::/48"),
            ("::/0", "::/0"),
            ("[2001:db8::1]", "2001:db8::1/128"),
            ("[2001:db8::]/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::FFFF:a00:1", "10.0.0.1/32"),
            ("[::ffff:10.0.0.1]", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            let expected = Reading { prefix: prefix.parse().unwrap(), host_bits: false, zone: false };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn reads_every_length() {
        for (address, max) in [("0.0.0.0", 32), ("::", 128)] {
            for len in 0..=max {
                let text = format!("{address}/{len}");
                assert_eq!(parse(&text).map(|reading| reading.prefix.to_string()), Ok(text));
            }
        }
    }

    #[test]
    fn clears_host_bits_and_zones_and_says_so() {
        for (text, prefix, host_bits, zone) in [
            ("10.0.0.5/8", "10.0.0.0/8", true, false),
            ("2001:db8::1/48", "2001:db8::/48", true, false),
            ("::ffff:10.0.0.5/104", "10.0.0.0/8", true, false),
            ("fe80::1%eth0", "fe80::1/128", false, true),
            ("[fe80::1%eth0]", "fe80::1/128", false, true),
            ("fe80::1%2/64", "fe80::/64", true, true),
        ] {
            let expected = Reading { prefix: prefix.parse().unwrap(), host_bits, zone };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_with_its_reason() {
        use PrefixError::*;
        for (text, error) in [
            ("", Empty),
            ("  ", Empty),
            ("[]", Empty),
            ("/8", Empty),
            ("10.0.0", NoAddress),
            ("10", NoAddress),
            ("10.0.0.256", NoAddress),
            ("10.0.0.0.0", NoAddress),
            ("-10.0.0.1", NoAddress),
            ("0x0a.0.0.1", NoAddress),
            ("10.0.0.1-10.0.0.9", NoAddress),
            ("10.0.0.1:3000", NoAddress),
            ("10.0.0.1 10.0.0.2", NoAddress),
            ("1:2:3", NoAddress),
            ("example.org", NoAddress),
            ("any", NoAddress),
            ("*", NoAddress),
            ("١٠.0.0.1", NoAddress),
            ("010.0.0.1", LeadingZero("010".to_owned())),
            ("10.00.0.1/8", LeadingZero("00".to_owned())),
            ("[::1", Brackets),
            ("::1]", Brackets),
            ("[", Brackets),
            ("]", Brackets),
            ("[::1/128]", Brackets),
            ("[::1]:3000", Brackets),
            ("fe80::1%", Zone),
            ("fe80::1%a%b", Zone),
            ("10.0.0.1%eth0", Zone),
            ("10.0.0.0/", NoLength),
            ("10.0.0.0/33", TooLong(32)),
            ("10.0.0.0/256", TooLong(32)),
            ("10.0.0.0/99999999999999999999", TooLong(32)),
            ("::/129", TooLong(128)),
            ("10.0.0.0/-1", Length("-1".to_owned())),
            ("10.0.0.0/+8", Length("+8".to_owned())),
            ("10.0.0.0/08", Length("08".to_owned())),
            ("10.0.0.0/8/8", Length("8/8".to_owned())),
            ("10.0.0.0/ 8", Length(" 8".to_owned())),
            ("10.0.0.0/255.0.0.0", Length("255.0.0.0".to_owned())),
            ("::ffff:10.0.0.0/95", ShortMapped),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn one_address_is_no_prefix() {
        assert_eq!(parse_one("[2001:db8::1]"), Ok("2001:db8::1".parse().unwrap()));
        assert_eq!(parse_one("10.0.0.1/32"), Ok("10.0.0.1".parse().unwrap()));
        assert_eq!(parse_one("10.0.0.0/31"), Err(PrefixError::NotOneAddress));
        assert_eq!(parse_one("10.0.0.0/33"), Err(PrefixError::TooLong(32)));
    }
}
