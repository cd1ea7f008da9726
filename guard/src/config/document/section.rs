//! Walks a parsed `guard.toml` key by key, so that every fault is found and named with its line, not only the first.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::policy::{Origin, Word};

use super::super::amounts::within;
use super::super::faults::{Quoted, Report};
use super::super::item::Located;
use super::super::words::parse_word;

/// The text of a file and where its lines begin.
#[derive(Debug)]
pub(super) struct Source<'a> {
    path: Arc<Path>,
    text: &'a str,
    line_starts: Vec<usize>,
}

/// A table whose keys are taken one by one; what nobody has asked for at the end is unknown.
#[derive(Debug)]
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    /// How messages call the table; empty for the file's top.
    title: &'static str,
    origin: Origin,
    left: Vec<(&'a Spanned<Cow<'a, str>>, &'a Value<'a>)>,
    known: Vec<&'static str>,
}

type Value<'a> = Spanned<DeValue<'a>>;

/// Keys of the design that this version does not have yet, with the table they stand in.
const LATER: &[(&str, &[&str])] =
    &[("", &["metrics", "otlp", "tables"]), ("[log]", &["anonymize", "journald"]), ("`eve`", &["keep", "max_size"])];

impl<'a> Source<'a> {
    pub(super) fn new(path: Arc<Path>, text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { path, text, line_starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// Returns the line that a span begins on.
    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        let line = self.line_starts.partition_point(|start| *start <= span.start) as u32;
        Origin::Line { path: self.path.clone(), line }
    }

    /// Returns what stands in a span, as it was written.
    pub(super) fn quoted(&self, span: &Range<usize>) -> Quoted<'a> {
        Quoted(self.text.get(span.clone()).unwrap_or_default())
    }
}

impl<'a> Section<'a> {
    /// Begins at the top of the file.
    pub(super) fn top(source: &'a Source<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self::new(source, "", table.get_ref(), &(0..0))
    }

    fn new(source: &'a Source<'a>, title: &'static str, table: &'a DeTable<'a>, span: &Range<usize>) -> Self {
        let mut left: Vec<_> = table.iter().collect();
        left.sort_by_key(|(key, _)| key.span().start);
        Self { source, title, origin: source.origin(span), left, known: Vec::new() }
    }

    /// Returns where the table begins.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns how messages call the table.
    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    /// Says whether a key that nobody has taken yet is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Says whether a key that nobody has taken yet is a string.
    pub(super) fn is_string(&self, key: &str) -> bool {
        self.find(key).is_some_and(DeValue::is_str)
    }

    /// Says whether a key that nobody has taken yet is a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.find(key).is_some_and(DeValue::is_table)
    }

    /// Takes a string.
    pub(super) fn string(&mut self, key: &'static str, report: &mut Report) -> Option<Located<&'a str>> {
        self.text(key, "a string", report)
    }

    /// Takes a string, which a message calls by what it stands for.
    pub(super) fn text(&mut self, key: &'static str, wanted: &str, report: &mut Report) -> Option<Located<&'a str>> {
        let value = self.take(key)?;
        let text = value.get_ref().as_str().or_else(|| self.wrong_type(key, value, wanted, report))?;
        Some(Located { value: text, origin: self.source.origin(&value.span()) })
    }

    /// Takes a whole number of a range.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<u64> {
        let value = self.take(key)?;
        let integer = value.get_ref().as_integer().or_else(|| self.wrong_type(key, value, "an integer", report))?;
        // What is too long even for this is over any range.
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
        let span = value.span();
        within(number, &integer.to_string(), range)
            .map_err(|error| report.fault(&self.source.origin(&span), format_args!("key `{key}`: {error}")))
            .ok()
    }

    /// Takes a number of a range, whole or not.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>, report: &mut Report) -> Option<f64> {
        let value = self.take(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|n| n as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => return self.wrong_type(key, value, "a number", report),
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (span, (least, most)) = (value.span(), range.into_inner());
            report.fault(
                &self.source.origin(&span),
                format_args!("key `{key}`: {} is not from {least} to {most}", self.source.quoted(&span)),
            );
        }
        number
    }

    /// Takes a choice that is written as one word.
    pub(super) fn word<T: Word>(&mut self, key: &'static str, report: &mut Report) -> Option<T> {
        let Located { value, origin } = self.string(key, report)?;
        parse_word(value).map_err(|error| report.fault(&origin, format_args!("key `{key}`: {error}"))).ok()
    }

    /// Takes `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, report: &mut Report) -> Option<bool> {
        let value = self.take(key)?;
        value.get_ref().as_bool().or_else(|| self.wrong_type(key, value, "`true` or `false`", report))
    }

    /// Takes a list of strings; where it has another type, or an element has, `faulty` is set.
    pub(super) fn strings(
        &mut self,
        key: &'static str,
        faulty: &mut bool,
        report: &mut Report,
    ) -> Option<Vec<Located<&'a str>>> {
        let value = self.take(key)?;
        let Some(array) = value.get_ref().as_array() else {
            *faulty = true;
            self.wrong_type::<()>(key, value, "a list of strings", report);
            return Some(Vec::new());
        };
        let mut strings = Vec::with_capacity(array.len());
        for element in array.iter() {
            match element.get_ref().as_str() {
                Some(value) => strings.push(Located { value, origin: self.source.origin(&element.span()) }),
                None => {
                    *faulty = true;
                    self.wrong_type::<()>(key, element, "a string", report);
                }
            }
        }
        Some(strings)
    }

    /// Takes a table; where it has another type, `faulty` is set.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        title: &'static str,
        faulty: &mut bool,
        report: &mut Report,
    ) -> Option<Self> {
        let value = self.take(key)?;
        let table = value.get_ref().as_table().or_else(|| self.wrong_type(key, value, "a table", report));
        *faulty |= table.is_none();
        Some(Self::new(self.source, title, table?, &value.span()))
    }

    /// Takes a list of tables, `[[key]]`; where it has another type, or an element has, `faulty` is set.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        title: &'static str,
        faulty: &mut bool,
        report: &mut Report,
    ) -> Vec<Self> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let elements = value.get_ref().as_array().or_else(|| self.wrong_type(key, value, "a list of tables", report));
        *faulty |= elements.is_none();
        let mut sections = Vec::new();
        for element in elements.into_iter().flat_map(|elements| elements.iter()) {
            match element.get_ref().as_table() {
                Some(table) => sections.push(Self::new(self.source, title, table, &element.span())),
                None => {
                    *faulty = true;
                    self.wrong_type::<()>(key, element, "a table", report);
                }
            }
        }
        sections
    }

    /// Takes a list of tables, where one may stand without the list; `faulty` is set as for a list.
    pub(super) fn one_or_more(
        &mut self,
        key: &'static str,
        title: &'static str,
        faulty: &mut bool,
        report: &mut Report,
    ) -> Vec<Self> {
        if self.is_table(key) {
            self.section(key, title, faulty, report).into_iter().collect()
        } else {
            self.sections(key, title, faulty, report)
        }
    }

    /// Takes every key that is left, where the keys are the operator's own names; each value is a string.
    pub(super) fn named_strings(&mut self, report: &mut Report) -> Vec<(Located<&'a str>, &'a str)> {
        let mut named = Vec::new();
        for (key, value) in std::mem::take(&mut self.left) {
            let name = key.get_ref();
            match value.get_ref().as_str() {
                Some(text) => {
                    named.push((Located { value: name.as_ref(), origin: self.source.origin(&key.span()) }, text));
                }
                None => drop(self.wrong_type::<()>(name, value, "a string", report)),
            }
        }
        named
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(mut self, report: &mut Report) {
        self.known.sort_unstable();
        let place = if self.title.is_empty() { String::new() } else { format!(" in {}", self.title) };
        let later = LATER.iter().find(|(title, _)| *title == self.title).map_or(&[][..], |(_, keys)| *keys);
        for (key, _) in self.left {
            let origin = self.source.origin(&key.span());
            let name = key.get_ref();
            let key = Quoted(name);
            if later.contains(&name.as_ref()) {
                report.fault(&origin, format_args!("unknown key {key}{place}: not supported by this version"));
            } else {
                report.fault(&origin, format_args!("unknown key {key}{place}; known are {}", self.known.join(", ")));
            }
        }
    }

    fn find(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.left.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value.get_ref())
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.known.push(key);
        let at = self.left.iter().position(|(name, _)| name.get_ref() == key)?;
        Some(self.left.remove(at).1)
    }

    /// Reports a value of another type than the key has; returns none of whatever was wanted.
    fn wrong_type<T>(&self, key: &str, value: &Value<'_>, wanted: &str, report: &mut Report) -> Option<T> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let (span, key) = (value.span(), Quoted(key));
        report.fault(
            &self.source.origin(&span),
            format_args!("key {key}: {} is {found}, not {wanted}", self.source.quoted(&span)),
        );
        None
    }
}
