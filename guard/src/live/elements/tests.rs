use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn edit(text: &str, gone: &[&str], added: &[&str]) -> String {
    let elements = Elements::parse(text).unwrap();
    let gone: Vec<IpNet> = gone.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let removed: Vec<usize> = elements.find(|prefix| gone.contains(prefix)).iter().map(|found| found.index).collect();
    elements.edited(&removed, &added.iter().map(|ip| (*ip).to_owned()).collect::<Vec<_>>())
}

#[test]
fn only_what_changes_is_written_anew() {
    for (case, text, gone, added, expected) in [
        ("nothing", " [ \"10.0.0.1\" ] ", &[][..], &[][..], " [ \"10.0.0.1\" ] "),
        ("one line", r#"["10.0.0.1", "10.0.0.2"]"#, &[], &["10.0.0.3"], r#"["10.0.0.1", "10.0.0.2", "10.0.0.3"]"#),
        ("no spaces", r#"["10.0.0.1","10.0.0.2"]"#, &[], &["10.0.0.3"], r#"["10.0.0.1","10.0.0.2","10.0.0.3"]"#),
        ("one of one line", r#"["10.0.0.1"]"#, &[], &["10.0.0.3"], r#"["10.0.0.1", "10.0.0.3"]"#),
        (
            "lines",
            "[\n\t\"10.0.0.1\",\n\t\"10.0.0.2\"\n]\n",
            &[],
            &["10.0.0.3"],
            "[\n\t\"10.0.0.1\",\n\t\"10.0.0.2\",\n\t\"10.0.0.3\"\n]\n",
        ),
        (
            "one line of lines",
            "[\n    \"10.0.0.1\"\n]",
            &[],
            &["10.0.0.3"],
            "[\n    \"10.0.0.1\",\n    \"10.0.0.3\"\n]",
        ),
        (
            "ends of lines",
            "[\r\n  \"10.0.0.1\"\r\n]\r\n",
            &[],
            &["10.0.0.3"],
            "[\r\n  \"10.0.0.1\",\r\n  \"10.0.0.3\"\r\n]\r\n",
        ),
        ("none", "[]", &[], &["10.0.0.3", "10.0.0.4"], "[\n  \"10.0.0.3\",\n  \"10.0.0.4\"\n]"),
        ("none, with space", "[ \n ] \n", &[], &["10.0.0.3"], "[\n  \"10.0.0.3\"\n] \n"),
        ("first", "[\n  \"10.0.0.1\",\n  \"10.0.0.2\"\n]", &["10.0.0.1/32"], &[], "[\n  \"10.0.0.2\"\n]"),
        ("last", "[\n  \"10.0.0.1\",\n  \"10.0.0.2\"\n]", &["10.0.0.2/32"], &[], "[\n  \"10.0.0.1\"\n]"),
        ("only", "[\n  \"10.0.0.1\"\n]\n", &["10.0.0.1/32"], &[], "[]\n"),
        ("only, for another", "[\n  \"10.0.0.1\"\n]\n", &["10.0.0.1/32"], &["10.0.0.2"], "[\n  \"10.0.0.2\"\n]\n"),
        ("of three", r#"["10.0.0.1" ,"10.0.0.2",  "10.0.0.3"]"#, &["10.0.0.2/32"], &[], r#"["10.0.0.1",  "10.0.0.3"]"#),
        (
            "the object's form",
            r#"{ "allowedIps" : ["10.0.0.1"] }"#,
            &[],
            &["10.0.0.2"],
            r#"{ "allowedIps" : ["10.0.0.1", "10.0.0.2"] }"#,
        ),
        ("a mark", "\u{feff}[\"10.0.0.1\"]", &[], &["10.0.0.2"], "\u{feff}[\"10.0.0.1\", \"10.0.0.2\"]"),
        (
            "objects and escapes",
            r#"[{"ip": "10.0.0.1", "comment": "],\"["}, "10.0\u002e0.2", "@office", 7, {"ip":"10.0.0.3","services":["web"]}]"#,
            &["10.0.0.2/32", "10.0.0.3/32"],
            &["10.0.0.4"],
            r#"[{"ip": "10.0.0.1", "comment": "],\"["}, "@office", 7, "10.0.0.4"]"#,
        ),
        (
            "forms of a prefix",
            r#"["::ffff:10.0.0.1", "10.0.0.9/8", "[2001:db8::1]", "x"]"#,
            &["10.0.0.1/32", "10.0.0.0/8", "2001:db8::1/128"],
            &[],
            r#"["x"]"#,
        ),
    ] {
        assert_eq!(edit(text, gone, added), expected, "{case}");
    }
    assert_eq!(Elements::none().edited(&[], &["10.0.0.1".to_owned()]), "[\n  \"10.0.0.1\"\n]\n");
}

#[test]
fn elements_are_found_with_whom_they_are_for() {
    let text = r#"["10.0.0.1", {"ip": "10.0.0.1", "services": ["web", "db"]}, {"ip": "10.0.0.1", "expires": "2030-01-01T00:00:00Z"},
        {"ip": "10.0.0.2"}, {"comment": "10.0.0.1"}, null, ["10.0.0.1"]]"#;
    let prefix: IpNet = "10.0.0.1/32".parse().unwrap();
    let found = Elements::parse(text).unwrap().find(|wanted| *wanted == prefix);
    let found: Vec<_> = found.iter().map(|found| (found.index, found.services.join(" "), found.expires)).collect();
    assert_eq!(found, [(0, String::new(), false), (1, "web db".to_owned(), false), (2, String::new(), true)]);
}

#[test]
fn what_is_no_list_is_refused() {
    for text in [
        "",
        " ",
        "{}",
        "7",
        "\"10.0.0.1\"",
        "[",
        "[1,]",
        "[] []",
        r#"{"allowedIps": 7}"#,
        r#"{"allowedIps": [], "more": 1}"#,
    ] {
        assert!(Elements::parse(text).is_err(), "{text:?}");
    }
}

/// Some white space.
fn space() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just(' '), Just('\n'), Just('\t'), Just('\r')], 0..4)
        .prop_map(|characters| characters.into_iter().collect())
}

/// An element as somebody may have written it.
fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0u8..8).prop_map(|last| format!("\"10.0.0.{last}\"")),
        1 => (0u8..8).prop_map(|last| format!("\"10.0.0\\u002e{last}/32\"")),
        1 => (0u8..8, space()).prop_map(|(last, space)| format!("{{{space}\"comment\" :\"],[{{\",{space}\"ip\": \"10.0.0.{last}\"}}")),
        1 => (0u8..8).prop_map(|last| format!("{{\"ip\":\"10.0.0.{last}\",\"services\":[\"web\"]}}")),
        1 => Just("\"@office\"".to_owned()),
    ]
}

fn list() -> impl Strategy<Value = String> {
    let elements = proptest::collection::vec((space(), element(), space()), 0..8);
    (any::<bool>(), any::<bool>(), space(), elements, space()).prop_map(|(marked, object, before, elements, after)| {
        let elements: Vec<String> = elements.into_iter().map(|(a, element, b)| format!("{a}{element}{b}")).collect();
        let array = format!("[{}{}]", elements.join(","), if elements.is_empty() { before.as_str() } else { "" });
        let whole = if object { format!("{{{after}\"allowedIps\"{after}:{before}{array}{before}}}") } else { array };
        format!("{}{before}{whole}{after}", if marked { "\u{feff}" } else { "" })
    })
}

/// The elements as values, and as they are written.
fn elements_of(text: &str) -> (Vec<Value>, Vec<String>) {
    let written: Vec<String> = Elements::parse(text).unwrap().elements.iter().map(|raw| raw.get().to_owned()).collect();
    let whole: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
    let values = whole.get("allowedIps").unwrap_or(&whole).as_array().unwrap().clone();
    (values, written)
}

proptest! {
    #[test]
    fn what_is_not_asked_for_stays_to_the_byte(
        text in list(),
        edits in proptest::collection::vec((any::<bool>(), 0u8..8), 0..8),
    ) {
        let (mut text, mut model) = (text.clone(), elements_of(&text).1);
        let around = |text: &str| {
            let start = text.find('[').unwrap();
            let object_end = text.rfind(']').unwrap();
            (text[..start].to_owned(), text[object_end..].to_owned())
        };
        let outside = around(&text);
        for (adds, last) in edits {
            let prefix: IpNet = format!("10.0.0.{last}/32").parse().unwrap();
            let elements = Elements::parse(&text).unwrap();
            if adds {
                text = elements.edited(&[], &[prefix.addr().to_string()]);
                model.push(format!("\"10.0.0.{last}\""));
            } else {
                let removed: Vec<usize> = elements.find(|wanted| *wanted == prefix).iter().map(|found| found.index).collect();
                text = elements.edited(&removed, &[]);
                let is_it = |element: &String| {
                    let value: Value = serde_json::from_str(element).unwrap();
                    let ip = value.get("ip").unwrap_or(&value).as_str().unwrap().to_owned();
                    parse_prefix(&ip).ok() == Some(prefix)
                };
                model.retain(|element| !is_it(element));
            }
            let (values, written) = elements_of(&text);
            prop_assert_eq!(&written, &model);
            let expected: Vec<Value> = model.iter().map(|element| serde_json::from_str(element).unwrap()).collect();
            prop_assert_eq!(values, expected);
            prop_assert_eq!(around(&text), outside.clone());
        }
    }
}
