//! Lists of prefixes as any source writes them: prefixes, `@set` and, for a service, `any`.

use ipnet::IpNet;

use crate::policy::{Entries, Origin};

use super::faults::{Quoted, Report};
use super::prefix;
use super::words::{NAME_FORM, is_name};

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// The items of one list, and whether some were refused, so that what is left says nothing about what was meant.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) pieces: Vec<Piece>,
    pub(super) faulty: bool,
}

/// Items of a list that follow each other; prefixes stand together, because there may be a million of them.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Prefixes(Entries),
    Set { name: String, origin: Origin, comment: Option<Box<str>> },
    Any(Origin),
}

/// Which sources an item stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Prefix(IpNet),
    /// The set of this name.
    Set(String),
    /// Every source.
    Any,
}

/// Where a list stands, which decides what may stand in it beside prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A service's `allow`: sets and `any`.
    Service,
    /// Any other list: sets.
    List,
    /// A set: nothing else, sets do not nest.
    Set,
}

impl List {
    /// Reads one item into the list, or reports why it is none.
    pub(super) fn read(
        &mut self,
        text: &str,
        comment: Option<&str>,
        origin: &Origin,
        scope: Scope,
        report: &mut Report,
    ) {
        self.push(parse(text, origin, scope, report), comment, origin);
    }

    /// Adds one item; none stands for one that was refused.
    pub(super) fn push(&mut self, pattern: Option<Pattern>, comment: Option<&str>, origin: &Origin) {
        let Some(pattern) = pattern else {
            self.faulty = true;
            return;
        };
        let piece = match (pattern, self.pieces.last_mut()) {
            (Pattern::Prefix(prefix), Some(Piece::Prefixes(entries))) => {
                return entries.push(prefix, origin, comment);
            }
            (Pattern::Prefix(prefix), _) => {
                let mut entries = Entries::default();
                entries.push(prefix, origin, comment);
                Piece::Prefixes(entries)
            }
            (Pattern::Set(name), _) => Piece::Set { name, origin: origin.clone(), comment: comment.map(Into::into) },
            (Pattern::Any, _) => Piece::Any(origin.clone()),
        };
        self.pieces.push(piece);
    }

    /// Adds another list's items after these.
    pub(super) fn join(&mut self, other: List) {
        self.pieces.extend(other.pieces);
        self.faulty |= other.faulty;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// Reads one item, or reports why it is none.
pub(super) fn parse(text: &str, origin: &Origin, scope: Scope, report: &mut Report) -> Option<Pattern> {
    let text = text.trim();
    match (text.strip_prefix('@'), scope) {
        (Some(_), Scope::Set) => {
            report.fault(origin, format_args!("{} in a set: sets do not nest", Quoted(text)));
            return None;
        }
        (Some(name), _) if is_name(name) => return Some(Pattern::Set(name.to_owned())),
        (Some(_), _) => {
            report.fault(origin, format_args!("{} names no set: {NAME_FORM}", Quoted(text)));
            return None;
        }
        (None, Scope::Service) if text == "any" => return Some(Pattern::Any),
        (None, _) if text == "any" => {
            report.fault(origin, "`any` may stand only in the `allow` of a [[service]], which makes it public");
            return None;
        }
        (None, _) => {}
    }
    parse_prefix(text, origin, report).map(Pattern::Prefix)
}

/// Reads an item that stands for one prefix, or reports why it does not.
pub(super) fn parse_prefix(text: &str, origin: &Origin, report: &mut Report) -> Option<IpNet> {
    let text = text.trim();
    let reading = prefix::parse(text)
        .map_err(|error| report.fault(origin, format_args!("prefix {}: {error}", Quoted(text))))
        .ok()?;
    warn(text, &reading, origin, report);
    Some(reading.prefix)
}

fn warn(text: &str, reading: &prefix::Reading, origin: &Origin, report: &mut Report) {
    let prefix::Reading { prefix, host_bits, zone } = reading;
    if *host_bits {
        report.warn(origin, format_args!("prefix {} has host bits: read as `{prefix}`", Quoted(text)));
    }
    if *zone {
        report.warn(origin, format_args!("the zone in {} is left out: read as `{prefix}`", Quoted(text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, scope: Scope) -> Result<(Pattern, Vec<String>), String> {
        let mut report = Report::default();
        let origin = Origin::Variable { name: "X".into(), item: None };
        let pattern = parse(text, &origin, scope, &mut report);
        let warnings = report.finish().map_err(|faults| faults.to_string())?;
        Ok((pattern.unwrap(), warnings.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn prefixes_stand_everywhere() {
        for scope in [Scope::Service, Scope::List, Scope::Set] {
            let expected = Pattern::Prefix("10.0.0.0/8".parse().unwrap());
            assert_eq!(read(" 10.0.0.0/8 ", scope), Ok((expected, vec![])), "{scope:?}");
        }
    }

    #[test]
    fn what_was_put_right_is_said() {
        let (pattern, warnings) = read("10.0.0.5/8", Scope::List).unwrap();
        assert_eq!(pattern, Pattern::Prefix("10.0.0.0/8".parse().unwrap()));
        assert_eq!(warnings, ["environment variable X: prefix `10.0.0.5/8` has host bits: read as `10.0.0.0/8`"]);
        let (pattern, warnings) = read("fe80::1%eth0", Scope::List).unwrap();
        assert_eq!(pattern, Pattern::Prefix("fe80::1/128".parse().unwrap()));
        assert_eq!(warnings, ["environment variable X: the zone in `fe80::1%eth0` is left out: read as `fe80::1/128`"]);
    }

    #[test]
    fn sets_stand_in_lists_only() {
        let office = Pattern::Set("office".to_owned());
        assert_eq!(read("@office", Scope::List), Ok((office.clone(), vec![])));
        assert_eq!(read("@office", Scope::Service), Ok((office, vec![])));
        let fault = read("@office", Scope::Set).unwrap_err();
        assert_eq!(fault, "environment variable X: `@office` in a set: sets do not nest");
        let fault = read("@of fice", Scope::List).unwrap_err();
        assert!(fault.starts_with("environment variable X: `@of fice` names no set: a name has"), "{fault}");
    }

    #[test]
    fn any_stands_in_a_service_only() {
        assert_eq!(read("any", Scope::Service), Ok((Pattern::Any, vec![])));
        for scope in [Scope::List, Scope::Set] {
            let fault = read("any", scope).unwrap_err();
            assert!(fault.contains("`any` may stand only in the `allow` of a [[service]]"), "{fault}");
        }
    }

    #[test]
    fn a_refused_item_leaves_the_list_faulty() {
        let (mut list, mut report) = (List::default(), Report::default());
        let origin = Origin::Variable { name: "X".into(), item: Some(1) };
        list.read("10.0.0.0/33", None, &origin, Scope::List, &mut report);
        assert!(list.faulty && list.is_empty());
        let faults = report.finish().unwrap_err().to_string();
        assert_eq!(faults, "environment variable X item 1: prefix `10.0.0.0/33`: length over 32");
    }
}
