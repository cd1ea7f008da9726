//! What stands in lists, and in which order.

use std::path::Path;

use super::*;
use crate::{
    bans::Evidence,
    live::Lockdown,
    policy::{Entries, Mode, Protocol},
    samples,
};

const ENTRIES: &str = "/state/data/entries.json";
const LIST_FILE: &str = "/state/data/allowed_ips.json";
/// Time since boot; the wall clock says a thousand seconds since 1970.
const NOW: Duration = Duration::from_secs(100);

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn element(path: &str, index: u32) -> Origin {
    Origin::Element { path: Path::new(path).into(), index }
}

fn line(line: u32) -> Origin {
    Origin::Line { path: Path::new("guard.toml").into(), line }
}

fn entries<const N: usize>(list: [(&str, Origin, Option<&str>); N]) -> Entries {
    let mut entries = Entries::default();
    list.into_iter().for_each(|(prefix, origin, comment)| entries.push(net(prefix), &origin, comment));
    entries
}

fn alice() -> Who {
    Who { uid: 1000, user: Some("alice".to_owned()), pid: 7, command: "guard allow add".to_owned() }
}

fn live_entry(list: List, prefix: &str, services: &[&str], ends: Option<u64>) -> LiveEntry {
    LiveEntry {
        list,
        prefix: net(prefix),
        services: services.iter().map(|name| (*name).to_owned()).collect(),
        ends: ends.map(Duration::from_secs),
        comment: Some("live".to_owned()),
        name: Some("home".to_owned()),
        added: Timestamp::from_second(500).unwrap(),
        by: Some(alice()),
    }
}

fn timed(effect: Effect, prefix: &str, ends: u64, origin: Origin) -> Timed {
    Timed { effect, prefix: net(prefix), ends: Duration::from_secs(ends), origin, comment: None }
}

/// Lists of every kind of entry. What was added by command stands twice: in the policy or beside it, and in `live`.
fn sample(list: List) -> Listing {
    let mut web = samples::service("web", &[samples::port(Protocol::Tcp, 80)], Mode::Enforce, &[]);
    web.allow = entries([("10.2.0.0/16", line(5), None), ("10.0.0.7/32", element(ENTRIES, 1), None)]);
    let mut policy = samples::policy(&[], &[], vec![web]);
    policy.allow = entries([
        ("10.1.0.0/16", line(3), Some("office")),
        ("10.0.0.5/32", element(LIST_FILE, 0), None),
        ("10.0.0.6/32", element(LIST_FILE, 1), Some("of the file")),
        ("10.0.0.5/32", line(4), None),
    ]);
    policy.deny = entries([("192.0.2.0/24", line(9), None), ("192.0.2.9/32", element(ENTRIES, 2), None)]);
    let grant =
        |services: &[&str]| Effect::Grant { services: services.iter().map(|name| (*name).to_owned()).collect() };
    let live = Live {
        entries: vec![
            live_entry(List::Allow, "10.0.0.5/32", &[], None),
            live_entry(List::Allow, "10.0.0.7/32", &["web", "gone"], None),
            live_entry(List::Block, "192.0.2.9/32", &[], None),
            live_entry(List::Allow, "10.0.0.8/32", &["web"], Some(160)),
            live_entry(List::Block, "192.0.2.10/32", &[], Some(3700)),
            live_entry(List::Allow, "10.0.0.99/32", &[], Some(100)),
        ],
        lockdown: None,
    };
    Listing {
        list,
        policy: Arc::new(policy),
        timed: Arc::new(vec![
            timed(grant(&[]), "10.0.0.9/32", 200, element(LIST_FILE, 2)),
            timed(grant(&["web"]), "10.0.0.8/32", 160, element(ENTRIES, 3)),
            timed(Effect::Ban, "192.0.2.10/32", 3700, element(ENTRIES, 4)),
            timed(grant(&[]), "10.0.0.98/32", 99, element(LIST_FILE, 3)),
        ]),
        live: Arc::new(live),
        bans: Vec::new(),
        unenforced: Arc::default(),
        entries_file: ENTRIES.into(),
        used: vec![("10.0.0.5".parse().unwrap(), Duration::from_secs(30)), ("10.1.2.3".parse().unwrap(), NOW)],
        used_since: Timestamp::from_second(900).unwrap(),
        clock: Clock { wall: Timestamp::from_second(1000).unwrap(), boot: NOW },
        generation: 7,
    }
}

fn listed(listing: &Listing) -> Vec<Listed> {
    listing.pages().flat_map(|page| page.entries).collect()
}

/// The telling part of an entry: prefix, services, source, comment, name, and the seconds of added, expires, last used.
fn brief(entry: &Listed) -> String {
    let second = |time: Option<Timestamp>| time.map_or("-".to_owned(), |time| time.as_second().to_string());
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let Listed { ip, services, source, added, by, expires, comment, name, last_used, .. } = entry;
    assert_eq!(by.is_some(), added.is_some(), "{ip}");
    let times = [added, expires, last_used].map(|time| second(*time)).join(" ");
    format!("{ip} [{}] {source} | {} {} | {times}", services.join(","), or_none(comment), or_none(name))
}

#[test]
fn the_allowlist_has_everybody_who_is_let_in_once() {
    let listed: Vec<String> = listed(&sample(List::Allow)).iter().map(brief).collect();
    assert_eq!(
        listed,
        [
            "10.1.0.0/16 [] guard.toml:3 | office - | - - 900",
            "10.0.0.5/32 [] /state/data/allowed_ips.json[0], command of alice | live home | 500 - 970",
            "10.0.0.6/32 [] /state/data/allowed_ips.json[1] | of the file - | - - -",
            "10.0.0.5/32 [] guard.toml:4 | - - | - - 970",
            "10.2.0.0/16 [web] guard.toml:5 | - - | - - -",
            "10.0.0.7/32 [web,gone] command of alice | live home | 500 - -",
            "10.0.0.9/32 [] /state/data/allowed_ips.json[2] | - - | - 1100 -",
            "10.0.0.8/32 [web] command of alice | live home | 500 1060 -",
        ]
    );
}

#[test]
fn the_blocklist_has_everybody_who_is_kept_out_once() {
    let listed: Vec<String> = listed(&sample(List::Block)).iter().map(brief).collect();
    assert_eq!(
        listed,
        [
            "192.0.2.0/24 [] guard.toml:9 | - - | - - -",
            "192.0.2.9/32 [] command of alice | live home | 500 - -",
            "192.0.2.10/32 [] command of alice | live home | 500 4600 -",
        ]
    );
}

#[test]
fn bans_by_machine_come_last_and_say_why() {
    let time = |seconds| Timestamp::from_second(seconds).unwrap();
    let evidence = Evidence {
        service: "web".to_owned(),
        limit: "3 connections in 1 s".to_owned(),
        handshakes: 7,
        violations: 5,
        last_handshake: time(980),
        last_violation: time(989),
        offenders: 1,
    };
    let ban = |prefix, past, evidence| {
        Arc::new(MachineBan { prefix: net(prefix), since: time(990), ends: Duration::from_secs(700), past, evidence })
    };
    let mut listing = sample(List::Block);
    listing.bans = vec![ban("192.0.2.66/32", 2, Some(evidence.clone())), ban("2001:db8::/64", 0, None)];
    listing.unenforced = Arc::new([net("2001:db8::/64")].into());
    let listed = &listed(&listing)[3..];
    let by_machine = |ip, ban| {
        let (added, expires) = (Some(time(990)), Some(time(1600)));
        Listed { added, expires, ban: Some(ban), ..Listed::new(net(ip), "machine".to_owned()) }
    };
    let [first, second] = [
        Why { past: 2, is_enforced: true, evidence: Some(evidence) },
        Why { past: 0, is_enforced: false, evidence: None },
    ];
    assert_eq!(first.to_string(), "5 violations of 3 connections in 1 s (web), 7 handshakes, 2 bans before");
    assert_eq!(second.to_string(), "nothing tells why; NOT ENFORCED, there is no room");
    assert_eq!(listed, [by_machine("192.0.2.66/32", first), by_machine("2001:db8::/64", second)]);
    assert_eq!(
        serde_json::to_value(&listed[0]).unwrap(),
        serde_json::json!({
            "ip": "192.0.2.66/32", "source": "machine", "added": "1970-01-01T00:16:30Z", "expires": "1970-01-01T00:26:40Z",
            "ban": {
                "past": 2, "enforced": true,
                "evidence": {
                    "service": "web", "limit": "3 connections in 1 s", "handshakes": 7, "violations": 5,
                    "last_handshake": "1970-01-01T00:16:20Z", "last_violation": "1970-01-01T00:16:29Z", "offenders": 1,
                },
            },
        })
    );
}

#[test]
fn pages_are_whole_and_the_last_says_so() {
    for (length, expected) in [
        (0, &[(0, true)][..]),
        (1, &[(1, true)]),
        (999, &[(999, true)]),
        (1000, &[(1000, true)]),
        (1001, &[(1000, false), (1, true)]),
        (2000, &[(1000, false), (1000, true)]),
    ] {
        let prefixes: Vec<IpNet> = (0..length).map(|number| net(&format!("2001:db8::{number:x}/128"))).collect();
        let mut listing = sample(List::Allow);
        listing.policy = Arc::new(samples::policy(&prefixes, &[], Vec::new()));
        (listing.live, listing.timed) = (Arc::default(), Arc::default());
        let pages: Vec<Page> = listing.pages().collect();
        let shape: Vec<(usize, bool)> = pages.iter().map(|page| (page.entries.len(), page.last)).collect();
        assert_eq!(shape, expected, "{length}");
        assert!(pages.iter().flat_map(|page| &page.entries).map(|entry| entry.ip).eq(prefixes), "{length}");
    }
}

#[test]
fn every_page_says_what_must_be_known_of_all() {
    let mut listing = sample(List::Allow);
    let lockdown = Lockdown {
        except: vec![net("10.0.0.1/32")],
        ends: Some(Duration::from_secs(160)),
        since: Timestamp::from_second(990).unwrap(),
        by: Some(alice()),
        kept: true,
    };
    Arc::make_mut(&mut listing.live).lockdown = Some(lockdown);
    let page = listing.pages().next().unwrap();
    assert_eq!((page.list, page.generation), (List::Allow, 7));
    assert_eq!(page.last_use, Some(Use { sampled: true, since: Timestamp::from_second(900).unwrap() }));
    let lockdown = page.lockdown.unwrap();
    assert_eq!(
        lockdown.to_string(),
        "LOCKDOWN since 1970-01-01T00:16:30Z, by alice, until 1970-01-01T00:17:40Z: closed but for failsafe ports, answers \
         to own flows, 10.0.0.1/32"
    );
    assert_eq!(sample(List::Block).pages().next().unwrap().last_use, None, "nobody is let in by it");
}
