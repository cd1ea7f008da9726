//! Tables as they are read.

use super::*;

fn entry(json: serde_json::Value) -> Listed {
    serde_json::from_value(json).unwrap()
}

fn page(list: List, entries: Vec<Listed>) -> Page {
    Page { list, generation: 7, lockdown: None, last_use: None, entries, last: true }
}

fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

#[test]
fn columns_are_as_wide_as_they_must_be() {
    let entries = vec![
        entry(serde_json::json!({
            "ip": "10.0.0.5/32", "services": ["web", "api"], "source": "command of alice",
            "expires": "2026-11-22T10:30:00Z", "added": "2026-11-19T07:00:00Z", "last_used": "2026-11-22T07:58:20Z",
            "name": "home", "comment": "a laptop\u{1b}[2J",
        })),
        entry(serde_json::json!({ "ip": "2001:db8::/48", "source": "guard.toml:3" })),
    ];
    let mut table = Table::new(List::Allow, now());
    let rows = table.rows(&page(List::Allow, entries));
    let expected = "\
prefix         services  last used  ends     added   name  source            comment
10.0.0.5/32    web,api   1m ago     2h left  3d ago  home  command of alice  a laptop\\u{1b}[2J
2001:db8::/48  all       -          -        -       -     guard.toml:3      -
";
    assert_eq!(table.headings() + &rows, expected);
}

#[test]
fn a_later_page_widens_columns_and_never_narrows_them() {
    let one = |ip: &str| page(List::Block, vec![entry(serde_json::json!({ "ip": ip, "source": "x" }))]);
    let mut table = Table::new(List::Block, now());
    let mut width = |ip| table.rows(&one(ip)).find("  -  ").unwrap();
    let widths = ["10.0.0.1/32", "2001:db8::/48", "10.0.0.2/32"].map(&mut width);
    assert_eq!(widths, [11, 13, 13]);
    assert_eq!(table.rows(&one("10.0.0.2/32")), "10.0.0.2/32    -     -      -     x       -\n");
    assert!(!table.headings().contains("last used"), "nobody is let in by it");
}

#[test]
fn what_others_wrote_moves_nothing() {
    for (text, expected) in [
        ("über uns, 家", "über uns, 家"),
        ("a\u{1b}[2J", "a\\u{1b}[2J"),
        ("a\nb", "a\\nb"),
        ("a\u{9b}2J", "a\\u{9b}2J"),
        ("a\u{7f}", "a\\u{7f}"),
        ("a\u{202e}b", "a\\u{202e}b"),
        ("a\u{2067}b", "a\\u{2067}b"),
        ("a\u{2028}b", "a\\u{2028}b"),
    ] {
        assert_eq!(escape(text), expected);
    }
}

#[test]
fn times_are_rounded_down_to_one_unit() {
    for (seconds, expected) in [
        (-5, "now"),
        (0, "now"),
        (1, "1s ago"),
        (59, "59s ago"),
        (60, "1m ago"),
        (3599, "59m ago"),
        (3600, "1h ago"),
        (86_399, "23h ago"),
        (86_400 * 400, "400d ago"),
    ] {
        let time = now() - jiff::SignedDuration::from_secs(seconds);
        assert_eq!(ago(time, now()), expected, "{seconds}");
        assert_eq!(left(now(), time), expected.replace(" ago", " left"), "{seconds}");
    }
}
