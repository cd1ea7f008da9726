//! What lists look like, page by page.

use serde_json::{Value, json};

use super::*;

fn pages(pages: Value) -> Vec<Page> {
    serde_json::from_value(pages).unwrap()
}

fn printed(pages: &[Page], json: bool) -> String {
    let mut view = View::new(List::Allow, &Output { json }, "2026-11-22T08:00:00Z".parse().unwrap());
    let mut out = Vec::new();
    pages.iter().for_each(|page| view.print(page, &mut out).unwrap());
    String::from_utf8(out).unwrap()
}

fn two_pages() -> Vec<Page> {
    let lockdown = json!({ "since": "2026-11-22T07:00:00Z", "except": ["10.0.0.1/32"] });
    let last_use = json!({ "sampled": true, "since": "2026-11-22T06:00:00Z" });
    let page = |ip: &str, last: bool| {
        let entries = json!([{ "ip": ip, "source": "guard.toml:3" }]);
        json!({ "list": "allow", "generation": 7, "lockdown": lockdown, "last_use": last_use, "entries": entries, "last": last })
    };
    pages(json!([page("10.0.0.1/32", false), page("10.0.0.2/32", true)]))
}

#[test]
fn text_is_a_table_with_what_must_be_known_around_it() {
    let expected = "\
LOCKDOWN since 2026-11-22T07:00:00Z, until it is lifted: closed but for failsafe ports, answers to own flows, 10.0.0.1/32

prefix       services  last used  ends  added  name  source        comment
10.0.0.1/32  all       -          -     -      -     guard.toml:3  -
10.0.0.2/32  all       -          -     -      -     guard.toml:3  -

last used: seen in a sample of the packets that were let in since 2026-11-22T06:00:00Z; `-` is not seen
";
    assert_eq!(printed(&two_pages(), false), expected);
}

#[test]
fn json_is_one_object_over_all_pages() {
    let text = printed(&two_pages(), true);
    let expected = json!({
        "list": "allow",
        "generation": 7,
        "lockdown": { "since": "2026-11-22T07:00:00Z", "except": ["10.0.0.1/32"] },
        "last_use": { "sampled": true, "since": "2026-11-22T06:00:00Z" },
        "entries": [
            { "ip": "10.0.0.1/32", "source": "guard.toml:3" },
            { "ip": "10.0.0.2/32", "source": "guard.toml:3" },
        ],
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
    assert_eq!(text.lines().count(), 4, "an entry a line: {text}");
}

#[test]
fn an_empty_list_says_so() {
    let empty = pages(json!([{ "list": "allow", "generation": 7, "entries": [], "last": true }]));
    assert_eq!(printed(&empty, false), "no entries\n");
    let value: Value = serde_json::from_str(&printed(&empty, true)).unwrap();
    assert_eq!(value, json!({ "list": "allow", "generation": 7, "entries": [] }));
}
