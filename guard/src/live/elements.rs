//! The text of a list file, changed in place: elements go and come, and everything else stays as it is, to the byte.

use std::borrow::Cow;
use std::ops::Range;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::config::parse_prefix;

/// Before the first element of a list that had none.
const LEAD: &str = "\n  ";
/// Between elements of a list that had none.
const BETWEEN: &str = ",\n  ";

/// A list file's text and where its elements are.
#[derive(Debug)]
pub(super) struct Elements<'t> {
    text: &'t str,
    elements: Vec<&'t RawValue>,
    /// What stands between the brackets.
    inside: Range<usize>,
}

/// An element that was looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) index: usize,
    pub(super) prefix: IpNet,
    /// Empty if it is for all.
    pub(super) services: Vec<String>,
    /// Whether it ends.
    pub(super) expires: bool,
}

/// The form of a list file that is no array.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'t> {
    #[serde(borrow, rename = "allowedIps")]
    list: &'t RawValue,
}

/// An element that is no string, as far as it matters here; the rest is the configuration's to judge.
#[derive(Deserialize)]
struct Element<'t> {
    #[serde(borrow)]
    ip: Cow<'t, str>,
    #[serde(default)]
    services: Vec<String>,
    #[serde(default)]
    expires: Option<IgnoredAny>,
}

impl Found {
    /// Tells whether it is for all services and for good.
    pub(super) fn is_plain(&self) -> bool {
        self.services.is_empty() && !self.expires
    }
}

impl<'t> Elements<'t> {
    /// Stands for a file that is not there, and is to be an array.
    pub(super) fn none() -> Elements<'static> {
        Elements { text: "[]\n", elements: Vec::new(), inside: 1..1 }
    }

    /// Finds the elements of a list file.
    ///
    /// # Errors
    /// The text is no list.
    pub(super) fn parse(text: &'t str) -> serde_json::Result<Self> {
        let json = text.trim_start_matches('\u{feff}').trim_matches([' ', '\t', '\n', '\r']);
        let array = if json.starts_with('{') { serde_json::from_str::<Object<'t>>(json)?.list.get() } else { json };
        let elements = serde_json::from_str(array)?;
        let start = offset(text, array);
        Ok(Self { text, elements, inside: start + 1..start + array.len() - 1 })
    }

    /// Returns the elements that name a prefix that is looked for.
    pub(super) fn find(&self, wanted: impl Fn(&IpNet) -> bool) -> Vec<Found> {
        let found = |(index, element): (usize, &&RawValue)| {
            let Element { ip, services, expires } = read(element.get())?;
            let prefix = parse_prefix(&ip).ok().filter(&wanted)?;
            Some(Found { index, prefix, services, expires: expires.is_some() })
        };
        self.elements.iter().enumerate().filter_map(found).collect()
    }

    /// Returns the text without some elements, given by their indices in order, and with other elements at the end.
    pub(super) fn edited(&self, removed: &[usize], added: &[String]) -> String {
        let Range { start, end } = self.inside;
        let (lead, between, trail) = match self.elements.as_slice() {
            [] => (LEAD, Cow::from(BETWEEN), "\n"),
            [only] => {
                let lead = &self.text[start..self.span(only).start];
                let between = if lead.contains('\n') { format!(",{lead}").into() } else { ", ".into() };
                (lead, between, &self.text[self.span(only).end..end])
            }
            [first, .., before, last] | [first @ before, last] => {
                let between = &self.text[self.span(before).end..self.span(last).start];
                (&self.text[start..self.span(first).start], between.into(), &self.text[self.span(last).end..end])
            }
        };
        let mut text = String::with_capacity(self.text.len() + added.iter().map(|ip| ip.len() + 8).sum::<usize>());
        text.push_str(&self.text[..start]);
        let mut is_empty = true;
        let mut removed = removed.iter().peekable();
        let mut place = start;
        for (index, element) in self.elements.iter().enumerate() {
            let span = self.span(element);
            if removed.next_if_eq(&&index).is_none() {
                text.push_str(if is_empty { lead } else { &self.text[place..span.start] });
                text.push_str(element.get());
                is_empty = false;
            }
            place = span.end;
        }
        for ip in added {
            text.push_str(if is_empty { lead } else { &between });
            text.push_str(&serde_json::to_string(ip).expect("a string has a form in JSON"));
            is_empty = false;
        }
        if !is_empty {
            text.push_str(trail);
        }
        text.push_str(&self.text[end..]);
        text
    }

    fn span(&self, element: &RawValue) -> Range<usize> {
        let start = offset(self.text, element.get());
        start..start + element.get().len()
    }
}

/// Returns where in a text a part of it begins.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// Reads an element; none if it is of no known form.
fn read(element: &str) -> Option<Element<'_>> {
    if element.starts_with('"') {
        let ip = match element[1..element.len() - 1].contains('\\') {
            true => Cow::Owned(serde_json::from_str(element).ok()?),
            false => Cow::Borrowed(&element[1..element.len() - 1]),
        };
        return Some(Element { ip, services: Vec::new(), expires: None });
    }
    // An array would be taken for an object's values in order.
    element.starts_with('{').then(|| serde_json::from_str(element).ok())?
}

#[cfg(test)]
mod tests;
