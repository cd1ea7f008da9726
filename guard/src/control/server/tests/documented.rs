//! The protocol's documentation: each line of its samples is a request that is understood, or what an answer looks like.

use super::super::connection::parse;
use super::*;
use crate::{
    control::{Answer, FailureKind},
    listing::Page,
    under::Under,
};

const TEXT: &str = include_str!("../../../../../docs/control.md");

/// The samples: each the name of its section, and its lines.
fn samples() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut samples = Vec::new();
    let mut section = "";
    let mut lines = TEXT.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
            section = name;
        }
        if line == "```json" {
            samples.push((section, lines.by_ref().take_while(|line| *line != "```").collect()));
        }
    }
    samples
}

/// Asserts that nothing of a sample is lost on reading it, so that no field of it is unknown.
fn assert_is<T: serde::Serialize + serde::de::DeserializeOwned>(section: &str, text: &str) {
    let answer: Answer<T> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{section}: {error}: {text}"));
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&serde_json::to_string(&answer).unwrap()), value(text), "{section}");
}

#[test]
fn every_sample_is_one() {
    let samples = samples();
    let sections: Vec<&str> = samples.iter().map(|(section, _)| *section).collect();
    let requests = ["status", "reload", "add", "remove", "lockdown", "lift", "list", "under"];
    assert_eq!(sections, [&requests[..], &["What is refused"; 2]].concat());
    for (section, lines) in samples {
        let answers = match requests.contains(&section) {
            true => {
                assert!(parse(lines[0].as_bytes()).is_ok(), "{section}: {}", lines[0]);
                let value: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
                let asked = &value["request"];
                assert!(asked == section || asked.get(section).is_some(), "{section}: {asked}");
                &lines[1..]
            }
            false => &lines[..],
        };
        assert!(!answers.is_empty(), "{section}");
        for answer in answers {
            match section {
                "status" => assert_is::<Status>(section, answer),
                "reload" => assert_is::<Outcome>(section, answer),
                "list" => assert_is::<Page>(section, answer),
                "under" => assert_is::<Under>(section, answer),
                _ => assert_is::<EditOutcome>(section, answer),
            }
        }
    }
}

#[test]
fn every_kind_of_failure_is_named() {
    for kind in [FailureKind::Request, FailureKind::NotPermitted, FailureKind::Busy, FailureKind::Unavailable] {
        let name = serde_json::to_value(kind).unwrap();
        assert!(TEXT.contains(&format!("| `{}` |", name.as_str().unwrap())), "{name}");
    }
}
