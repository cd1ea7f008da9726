//! The JSON of a list file, taken element by element as it is read.

use std::io::BufReader;

use jiff::Timestamp;
use serde::de::{DeserializeSeed as _, IgnoredAny, MapAccess, SeqAccess};

use crate::policy::Origin;

use super::super::faults::{Quoted, Report};
use super::super::item::{self, List, Scope};
use super::super::json::{Json, Take, Taker};
use super::super::read::Text;
use super::{Expiring, ForService, ListFile};

const SHAPE: &str = "another shape: a list file is a JSON array, or `{\"allowedIps\": [...]}`";

/// A list file that is being read.
pub(super) struct Reading<'r> {
    list: ListFile,
    /// The element that is read.
    origin: Origin,
    report: &'r mut Report,
}

impl<'r> Reading<'r> {
    /// Begins with the element at `first`.
    pub(super) fn new(first: Origin, report: &'r mut Report) -> Self {
        Self { list: ListFile::default(), origin: first, report }
    }

    /// Reads the whole text; where it is JSON, but no list, says so.
    pub(super) fn read(mut self, text: &mut Text) -> serde_json::Result<Result<ListFile, String>> {
        let mut deserializer = serde_json::Deserializer::from_reader(BufReader::new(text));
        let shape = Taker(Whole(&mut self)).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(shape.map(|()| self.list))
    }

    fn add(&mut self, Element { ip, comment, services, expires }: Element) {
        let Self { list: ListFile { allow, services: by_name, expiring }, origin, report } = self;
        if let Some(expires) = expires {
            let mut list = List::default();
            list.read(&ip, comment.as_deref(), origin, Scope::List, report);
            allow.faulty |= list.faulty;
            let services = services.unwrap_or_default();
            return expiring.push(Expiring { list, services, expires, origin: origin.clone() });
        }
        let Some(services) = services else {
            return allow.read(&ip, comment.as_deref(), origin, Scope::List, report);
        };
        let pattern = item::parse(&ip, origin, Scope::List, report);
        for name in services {
            let first = || ForService { list: List::default(), first: origin.clone(), elements: Vec::new() };
            let service = by_name.entry(name).or_insert_with(first);
            service.list.push(pattern.clone(), comment.as_deref(), origin);
            service.elements.push(origin.number());
        }
    }
}

/// Takes the file's value: an array, or an object that holds one and nothing else.
struct Whole<'a, 'r>(&'a mut Reading<'r>);

impl Take for Whole<'_, '_> {
    type Taken = Result<(), String>;

    fn other(self, kind: &'static str) -> Self::Taken {
        Err(format!("{SHAPE}, not {kind}"))
    }

    fn array<'de, A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Taken, A::Error> {
        Elements(self.0).array(elements).map(|_| Ok(()))
    }

    fn object<'de, A: MapAccess<'de>>(self, mut keys: A) -> Result<Self::Taken, A::Error> {
        let (mut count, mut found) = (0, false);
        while let Some(key) = keys.next_key::<String>()? {
            count += 1;
            if key == "allowedIps" && count == 1 {
                found = keys.next_value_seed(Taker(Elements(self.0)))?;
            } else {
                keys.next_value::<IgnoredAny>()?;
            }
        }
        Ok(if found && count == 1 { Ok(()) } else { Err(SHAPE.to_owned()) })
    }
}

/// Takes the array of elements, and says whether it is one.
struct Elements<'a, 'r>(&'a mut Reading<'r>);

impl Take for Elements<'_, '_> {
    type Taken = bool;

    fn other(self, _: &'static str) -> bool {
        false
    }

    fn array<'de, A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        let Self(reading) = self;
        while elements.next_element_seed(Taker(One(reading)))?.is_some() {
            reading.origin.move_to(reading.origin.number() + 1);
        }
        Ok(true)
    }
}

/// Takes one element.
struct One<'a, 'r>(&'a mut Reading<'r>);

impl Take for One<'_, '_> {
    type Taken = ();

    fn other(self, kind: &'static str) {
        self.0.report.fault(&self.0.origin, format_args!("{kind} is neither a string nor an object"));
        self.0.list.allow.faulty = true;
    }

    fn string(self, ip: &str) {
        let Reading { list, origin, report } = self.0;
        list.allow.read(ip, None, origin, Scope::List, report);
    }

    fn object<'de, A: MapAccess<'de>>(self, keys: A) -> Result<(), A::Error> {
        match Element::read(keys, &self.0.origin, self.0.report)? {
            Some(element) => self.0.add(element),
            None => self.0.list.allow.faulty = true,
        }
        Ok(())
    }
}

/// One element's keys.
struct Element {
    ip: String,
    comment: Option<String>,
    services: Option<Vec<String>>,
    expires: Option<Timestamp>,
}

impl Element {
    fn read<'de, A: MapAccess<'de>>(
        mut keys: A,
        origin: &Origin,
        report: &mut Report,
    ) -> Result<Option<Self>, A::Error> {
        let (mut ip, mut comment, mut services, mut expires) = (None, None, None, None);
        let mut faulty = false;
        while let Some((key, value)) = keys.next_entry::<String, Json>()? {
            let result = match (key.as_str(), value) {
                ("ip", Json::String(text)) => set(&mut ip, text),
                ("comment", Json::String(text)) => set(&mut comment, text),
                ("services", Json::Array(names)) => service_names(names).and_then(|names| set(&mut services, names)),
                ("expires", Json::String(text)) => time(&text).and_then(|time| set(&mut expires, time)),
                ("ip" | "comment" | "expires", other) => Err(format!("is {}, not a string", other.kind())),
                ("services", other) => Err(format!("is {}, not an array of service names", other.kind())),
                _ => Err("is unknown".to_owned()),
            };
            if let Err(message) = result {
                report.fault(origin, format_args!("key {} {message}", Quoted(&key)));
                faulty = true;
            }
        }
        if ip.is_none() && !faulty {
            report.fault(origin, "an element without `ip`");
        }
        Ok(ip.filter(|_| !faulty).map(|ip| Self { ip, comment, services, expires }))
    }
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("is given twice".to_owned()),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("is {}, no time such as `2026-11-30T18:00:00Z`", Quoted(text)))
}

fn service_names(names: Vec<Json>) -> Result<Vec<String>, String> {
    if names.is_empty() {
        return Err("names no service: leave it out to mean every service".to_owned());
    }
    let name = |name| match name {
        Json::String(name) => Ok(name),
        other => Err(format!("holds {}, not a service's name", other.kind())),
    };
    names.into_iter().map(name).collect()
}
