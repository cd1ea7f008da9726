//! JSON taken value by value as it is read, so that a long list is never held whole. Unlike `serde_json::Value` this
//! lets a key be seen that stands twice, which must not hide a part of a list.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::policy::Origin;

/// Returns where in a file an error was found.
pub(super) fn place_of(error: &serde_json::Error, path: &Arc<Path>) -> Origin {
    Origin::Column { path: path.clone(), line: error.line() as u32, column: error.column() as u32 }
}

/// Returns what an error says, but for where it was found.
pub(super) fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

/// What is made of a value, by its kind. A kind that is not wanted is read over and named.
pub(super) trait Take: Sized {
    type Taken;

    /// Takes any other kind, called by its name with an article.
    fn other(self, kind: &'static str) -> Self::Taken;

    fn string(self, _: &str) -> Self::Taken {
        self.other("a string")
    }

    fn array<'de, A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Taken, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other("an array"))
    }

    fn object<'de, A: MapAccess<'de>>(self, mut keys: A) -> Result<Self::Taken, A::Error> {
        while keys.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other("an object"))
    }
}

/// Lets serde hand a value to a [`Take`].
pub(super) struct Taker<T>(pub(super) T);

impl<'de, T: Take> DeserializeSeed<'de> for Taker<T> {
    type Value = T::Taken;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Taken, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take> Visitor<'de> for Taker<T> {
    type Value = T::Taken;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<T::Taken, E> {
        Ok(self.0.other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<T::Taken, E> {
        Ok(self.0.other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<T::Taken, E> {
        Ok(self.0.other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<T::Taken, E> {
        Ok(self.0.other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<T::Taken, E> {
        Ok(self.0.other("a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<T::Taken, E> {
        Ok(self.0.string(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<T::Taken, A::Error> {
        self.0.array(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<T::Taken, A::Error> {
        self.0.object(keys)
    }
}

/// A value that is kept, as far as an element of a list may hold one.
#[derive(Debug, PartialEq)]
pub(super) enum Json {
    String(String),
    Array(Vec<Json>),
    /// Any other, by its kind.
    Other(&'static str),
}

impl Json {
    /// Says what kind of value it is, with an article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Other(kind) => kind,
        }
    }
}

struct Keep;

impl Take for Keep {
    type Taken = Json;

    fn other(self, kind: &'static str) -> Json {
        Json::Other(kind)
    }

    fn string(self, text: &str) -> Json {
        Json::String(text.to_owned())
    }

    fn array<'de, A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Json::Array(array))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Taker(Keep).deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_an_element_may_hold_and_names_the_rest() {
        let json: Json =
            serde_json::from_str(r#"[null, true, 1, -1, 1.5, "a", {"k": "a", "k": []}, [["b"]]]"#).unwrap();
        let string = |text: &str| Json::String(text.to_owned());
        let number = || Json::Other("a number");
        assert_eq!(
            json,
            Json::Array(vec![
                Json::Other("null"),
                Json::Other("a boolean"),
                number(),
                number(),
                number(),
                string("a"),
                Json::Other("an object"),
                Json::Array(vec![Json::Array(vec![string("b")])]),
            ])
        );
        assert_eq!(json.kind(), "an array");
    }

    #[test]
    fn what_is_not_wanted_is_read_over() {
        struct Kind;
        impl Take for Kind {
            type Taken = &'static str;

            fn other(self, kind: &'static str) -> &'static str {
                kind
            }
        }
        for (text, kind) in [
            ("null", "null"),
            ("false", "a boolean"),
            ("1e3", "a number"),
            ("\"a\"", "a string"),
            ("[1, [2], {\"k\": 3}]", "an array"),
            ("{\"k\": [1], \"k\": {}}", "an object"),
        ] {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            assert_eq!(Taker(Kind).deserialize(&mut deserializer).unwrap(), kind, "{text}");
            assert!(deserializer.end().is_ok(), "{text}");
        }
    }
}
