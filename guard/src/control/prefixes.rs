//! Prefixes as a command line, a file or a request has them.

use std::{collections::HashSet, fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

use crate::config::parse_prefix;

/// The most that an edit takes.
const MOST: usize = 1_000_000;

/// How many of those that were put right are named.
const NAMED_MAX: usize = 5;

/// Prefixes, as they were read one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefixes {
    list: Vec<IpNet>,
    /// The first of those with bits past their length, as they were written and as they were taken.
    put_right: Vec<(String, IpNet)>,
    put_right_count: usize,
}

impl Prefixes {
    /// Reads one more.
    ///
    /// # Errors
    /// Why it is no prefix, or one too many.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), String> {
        let prefix = parse_prefix(text)?;
        if self.list.len() == MOST {
            return Err(format!("more than {MOST} prefixes at once"));
        }
        if has_other_address(text, &prefix) {
            self.put_right_count += 1;
            if self.put_right.len() < NAMED_MAX {
                self.put_right.push((text.to_owned(), prefix));
            }
        }
        self.list.push(prefix);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the only one, if there is one.
    pub(crate) fn only(&self) -> Option<IpNet> {
        if let [only] = self.list[..] { Some(only) } else { None }
    }

    /// Says what was put right to understand them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let named = self.put_right.iter();
        let mut warnings: Vec<String> = named
            .map(|(text, prefix)| format!("`{text}` has bits set past its length: it is taken for {prefix}"))
            .collect();
        match self.put_right_count - self.put_right.len() {
            0 => {}
            more => warnings.push(format!("{more} more prefixes have bits set past their length")),
        }
        warnings
    }

    /// Returns them in their order, none twice.
    pub(super) fn into_unique(self) -> Vec<IpNet> {
        let mut list = self.list;
        let mut seen = HashSet::with_capacity(list.len());
        list.retain(|prefix| seen.insert(*prefix));
        list
    }
}

/// Tells whether the address that was written is not the prefix's.
fn has_other_address(text: &str, prefix: &IpNet) -> bool {
    let written = text.split('/').next().unwrap_or_default().trim().trim_matches(['[', ']']);
    written.parse().is_ok_and(|address: IpAddr| address.to_canonical() != prefix.addr())
}

impl Serialize for Prefixes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.list)
    }
}

impl<'de> Deserialize<'de> for Prefixes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader)
    }
}

/// Reads texts as they come, so that none is kept.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Prefixes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses and prefixes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Prefixes, A::Error> {
        let mut prefixes = Prefixes::default();
        while let Some(text) = texts.next_element::<String>()? {
            prefixes.push(&text).map_err(|error| {
                A::Error::custom(format_args!("prefix {} ({text:?}): {error}", prefixes.list.len() + 1))
            })?;
        }
        Ok(prefixes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Prefixes {
        serde_json::from_value(serde_json::json!(texts)).unwrap()
    }

    #[test]
    fn only_what_has_bits_past_its_length_is_told() {
        let good =
            ["10.0.0.1", "10.0.0.0/8", "[2001:db8::1]", "::ffff:10.0.0.1", "2001:db8::/48", "::ffff:10.0.0.0/104"];
        assert_eq!(read(&good).warnings(), [""; 0]);
        let odd = ["10.0.0.1/8", "2001:db8::1/48", "::ffff:10.0.0.5/104", "[2001:db8::1]/32"];
        assert_eq!(
            read(&odd).warnings(),
            [
                "`10.0.0.1/8` has bits set past its length: it is taken for 10.0.0.0/8",
                "`2001:db8::1/48` has bits set past its length: it is taken for 2001:db8::/48",
                "`::ffff:10.0.0.5/104` has bits set past its length: it is taken for 10.0.0.0/8",
                "`[2001:db8::1]/32` has bits set past its length: it is taken for 2001:db8::/32",
            ]
        );
        let many = read(&["10.0.0.1/8"; NAMED_MAX + 2]).warnings();
        assert_eq!(many.len(), NAMED_MAX + 1);
        assert_eq!(many[NAMED_MAX], "2 more prefixes have bits set past their length");
    }

    #[test]
    fn none_stands_twice() {
        let prefixes = read(&["10.0.0.2", "10.0.0.1", "10.0.0.2/32", "::ffff:10.0.0.1", "10.0.0.1/31"]);
        assert_eq!(prefixes.only(), None);
        let texts: Vec<String> = prefixes.into_unique().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.2/32", "10.0.0.1/32", "10.0.0.0/31"]);
    }

    #[test]
    fn a_million_and_no_more() {
        let mut prefixes = Prefixes::default();
        (0..MOST).for_each(|_| prefixes.push("10.0.0.1").unwrap());
        assert_eq!(prefixes.push("10.0.0.1").unwrap_err(), "more than 1000000 prefixes at once");
    }
}
