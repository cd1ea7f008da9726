//! One source: violations that make a ban, its length, and how it is forgotten.

use super::*;

#[test]
fn only_enough_violations_in_time_make_a_ban() {
    let web = |source, second| (source, "web", second);
    for (case, offences, banned_by) in [
        ("two", vec![web("192.0.2.1", 0), web("192.0.2.1", 1)], None),
        ("three", vec![web("192.0.2.1", 0), web("192.0.2.1", 1), web("192.0.2.1", 59)], Some("192.0.2.1/32")),
        ("the first is too long ago", vec![web("192.0.2.1", 0), web("192.0.2.1", 1), web("192.0.2.1", 60)], None),
        (
            "three of four in time",
            vec![web("192.0.2.1", 0), web("192.0.2.1", 30), web("192.0.2.1", 60), web("192.0.2.1", 89)],
            Some("192.0.2.1/32"),
        ),
        ("neighbours", vec![web("192.0.2.1", 0), web("192.0.2.2", 1), web("192.0.2.3", 2)], None),
        ("several services", vec![web("192.0.2.1", 0), ("192.0.2.1", "api", 1), web("192.0.2.1", 2)], None),
        ("out of order", vec![web("192.0.2.1", 5), web("192.0.2.1", 3), web("192.0.2.1", 4)], Some("192.0.2.1/32")),
        (
            "one /64",
            vec![web("2001:db8::1", 0), web("2001:db8::2", 1), web("2001:db8::ffff:0:0:1", 2)],
            Some("2001:db8::/64"),
        ),
        ("two /64", vec![web("2001:db8::1", 0), web("2001:db8::2", 1), web("2001:db8:0:1::1", 2)], None),
    ] {
        let bans = Bans::default();
        let count = offences.len();
        for (nth, (source, service, second)) in offences.into_iter().enumerate() {
            let since = second * SECOND;
            let banned = judge(&bans, &offence(source, service, rule(), since), since.max(5 * SECOND));
            let expected: Vec<IpNet> = banned_by.filter(|_| nth + 1 == count).map(net).into_iter().collect();
            assert_eq!(banned, expected, "{case}: the {nth}th");
        }
        assert_eq!(prefixes(&bans, 2 * MINUTE), banned_by.into_iter().collect::<Vec<_>>(), "{case}");
    }
}

#[test]
fn the_evidence_is_what_was_seen() {
    let bans = Bans::default();
    for second in [1, 2, 3] {
        let since = second * SECOND;
        let offence = Offence { handshakes: u64::from(second) * 10, ..offence("192.0.2.1", "web", rule(), since) };
        judge(&bans, &offence, since + SECOND);
    }
    let ban = bans.of(&net("192.0.2.1/32"), at(MINUTE).boot).unwrap();
    let expected = MachineBan {
        prefix: net("192.0.2.1/32"),
        since: at(4 * SECOND).wall,
        ends: at(4 * SECOND + 10 * MINUTE).boot,
        past: 0,
        evidence: Some(Evidence {
            service: "web".to_owned(),
            limit: "3 connections in 1 s".to_owned(),
            handshakes: 30,
            violations: 3,
            last_handshake: at(3 * SECOND).wall,
            last_violation: at(3 * SECOND).wall,
            offenders: 1,
        }),
    };
    assert_eq!(*ban, expected);
    assert_eq!(
        ban.describe(&at(4 * SECOND)),
        "192.0.2.1/32 until 2026-11-22T08:10:04Z: 3 violations of 3 connections in 1 s (web), 30 handshakes"
    );
    let once = Evidence { violations: 1, handshakes: 1, ..expected.evidence.clone().unwrap() };
    assert_eq!(once.to_string(), "1 violation of 3 connections in 1 s (web), 1 handshake");
    assert_eq!(format!("{}{}{}", BansBefore(0), BansBefore(1), BansBefore(2)), ", 1 ban before, 2 bans before");
    let again = MachineBan { past: 2, evidence: None, ..expected };
    assert_eq!(again.describe(&at(4 * SECOND)), "192.0.2.1/32 until 2026-11-22T08:10:04Z, 2 bans before");
}

#[test]
fn who_returns_is_banned_for_longer_and_who_stays_away_for_less() {
    let bans = Bans::default();
    let mut since = Duration::ZERO;
    for (case, away, past, lasts) in [
        ("the first", 0, 0, 10),
        ("at once again", 0, 1, 20),
        ("within an hour", 59, 2, 40),
        ("up to the longest", 0, 3, 60),
        ("and no longer", 0, 4, 60),
        ("one is forgotten", 60, 4, 60),
        ("three are forgotten", 3 * 60, 2, 40),
        ("three that there were and no more", 3 * 60 + 59, 0, 10),
        ("the first of all", 365 * 24 * 60, 0, 10),
    ] {
        since += away * MINUTE;
        bans.end(at(since).boot);
        let ban = ban(&bans, "192.0.2.1", rule(), since);
        assert_eq!((ban.past, ban.ends - at(since).boot), (past, lasts * MINUTE), "{case}");
        since += lasts * MINUTE;
        let ended = bans.end(at(since).boot);
        assert_eq!(ended, [ban], "{case}");
        assert!(bans.end(at(since).boot).is_empty(), "{case}: it ends once");
    }
}

#[test]
fn lengths_are_bounded_whatever_the_rule_says() {
    for (case, factor_percent, lasts, past, expected) in [
        ("no factor", 100, 10, u32::MAX, 10),
        ("a hundredth more", 101, 100, 2, 102),
        ("beyond every number", 10_000, 10, u32::MAX, 60 * 60),
        ("longer than the longest", 200, 2 * 60 * 60, 0, 60 * 60),
    ] {
        let rule = BanPolicy { factor_percent, lasts: lasts * SECOND, ..rule() };
        assert_eq!(crate::bans::history::lasts(&rule, past).as_secs(), expected, "{case}");
    }
}

#[test]
fn what_was_under_way_when_a_source_was_banned_counts_for_nothing() {
    let bans = Bans::default();
    let first = ban(&bans, "192.0.2.1", rule(), Duration::ZERO);
    for second in 1..10 * 60 {
        assert!(judge(&bans, &offence("192.0.2.1", "web", rule(), second * SECOND), second * SECOND).is_empty());
    }
    assert_eq!(bans.in_force(at(MINUTE).boot), [Arc::clone(&first)]);
    // That it has ended is told also where somebody offends before anybody looks.
    let (end, again) = (10 * MINUTE, offence("192.0.2.1", "web", rule(), 10 * MINUTE));
    assert_eq!(bans.judge(&[again.clone(), again.clone()], |_| false, &at(end)), [Change::Ended(first)]);
    assert_eq!(judge(&bans, &again, end), [net("192.0.2.1/32")]);
}

#[test]
fn who_is_trusted_is_never_banned() {
    let bans = Bans::default();
    for (source, trusted) in [("192.0.2.1", "192.0.2.0/24"), ("2001:db8::1", "2001:db8::1/128")] {
        let offences = vec![offence(source, "web", rule(), SECOND); 100];
        assert!(bans.judge(&offences, |source| net(trusted).contains(&source), &at(SECOND)).is_empty(), "{source}");
    }
    // Another address of the /64 is not; the kernel's program excepts the trusted one from the ban.
    let others = vec![offence("2001:db8::2", "web", rule(), SECOND); 3];
    let changes = bans.judge(&others, |source| source == ip("2001:db8::1"), &at(SECOND));
    assert_eq!(changes.len(), 1);
}

#[test]
fn what_is_lifted_is_forgotten() {
    let bans = Bans::default();
    let again = |minutes| ban(&bans, "192.0.2.1", rule(), minutes * MINUTE);
    again(0);
    bans.end(at(10 * MINUTE).boot);
    assert_eq!(again(10).past, 1);
    assert_eq!(bans.lift(&["192.0.2.2/32", "192.0.2.0/24"].map(net)), [], "those are none");
    let lifted = bans.lift(&[net("192.0.2.1/32")]);
    assert_eq!((lifted.len(), lifted[0].past, prefixes(&bans, 11 * MINUTE).len()), (1, 1, 0));
    assert_eq!(bans.lift(&[net("192.0.2.1/32")]), []);
    assert_eq!(again(11).past, 0);
}

#[test]
fn a_ban_that_only_the_kernel_knows_is_taken_up() {
    let bans = Bans::default();
    let (known, unknown) = (net("192.0.2.1/32"), net("2001:db8::/64"));
    let first = ban(&bans, "192.0.2.1", rule(), Duration::ZERO);
    for prefix in [known, unknown] {
        bans.adopt(prefix, at(5 * MINUTE).boot, &at(MINUTE));
    }
    assert_eq!(bans.of(&known, at(MINUTE).boot), Some(first));
    let taken_up = bans.of(&unknown, at(MINUTE).boot).unwrap();
    assert_eq!((taken_up.ends, &taken_up.evidence, taken_up.past), (at(5 * MINUTE).boot, &None, 0));
    assert_eq!(bans.end(at(5 * MINUTE).boot), [taken_up]);
    assert_eq!(ban(&bans, "2001:db8::1", rule(), 6 * MINUTE).past, 0, "nobody knows for what it was");
}

#[test]
fn no_service_makes_another_ones_bans_forgotten_sooner() {
    let brief = BanPolicy { lasts: MINUTE, max: MINUTE, ..rule() };
    for (case, first, second) in [("the brief one first", brief, rule()), ("the brief one last", rule(), brief)] {
        let bans = Bans::default();
        ban(&bans, "192.0.2.1", first, Duration::ZERO);
        bans.end(at(first.lasts).boot);
        let ends = first.lasts + ban(&bans, "192.0.2.1", second, first.lasts).ends - at(first.lasts).boot;
        bans.end(at(ends).boot);
        let past = |minutes: u32| {
            bans.end(at(ends + minutes * MINUTE).boot);
            bans.history().past(&net("192.0.2.1/32"))
        };
        assert_eq!([59, 60, 119, 120].map(past), [2, 1, 1, 0], "{case}");
    }
}

#[test]
fn where_everybody_is_banned_another_can_be_too() {
    let bans = Bans::default();
    bans.history().room = crate::bans::history::Room { records: 2, violations: 1_000 };
    for second in [1, 2] {
        ban(&bans, &format!("192.0.2.{second}"), rule(), second * SECOND);
    }
    let offend =
        |second| bans.judge(&[offence("192.0.2.3", "web", rule(), second * SECOND)], |_| false, &at(second * SECOND));
    assert_eq!((offend(3), offend(4)), (vec![], vec![]));
    let [Change::Banned(new), Change::Ended(old)] = &offend(5)[..] else { panic!("it takes the place of another") };
    assert_eq!((new.prefix, old.prefix), (net("192.0.2.3/32"), net("192.0.2.1/32")));
    bans.history().check();
}
