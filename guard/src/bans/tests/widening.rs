//! Wider prefixes: when they are banned, and for how long.

use super::*;

/// A rule by which two offenders make a wider ban.
fn widening() -> BanPolicy {
    BanPolicy { after: 1.try_into().unwrap(), widen: Some(2.try_into().unwrap()), ..rule() }
}

/// Has sources offend once each, a minute after another, and returns what is banned then.
fn banned(sources: &[(&str, BanPolicy)]) -> Vec<String> {
    let bans = Bans::default();
    for (minute, (source, rule)) in (0_u32..).zip(sources) {
        let since = minute * MINUTE;
        judge(&bans, &offence(source, "web", *rule, since), since);
    }
    prefixes(&bans, 5 * MINUTE)
}

#[test]
fn enough_distinct_offenders_make_a_wider_ban() {
    let narrow = BanPolicy { widen: None, ..widening() };
    let three = BanPolicy { widen: Some(3.try_into().unwrap()), ..widening() };
    let short = BanPolicy { lasts: MINUTE, ..widening() };
    let by = |rule: BanPolicy, sources: &[&'static str]| -> Vec<(&str, BanPolicy)> {
        sources.iter().map(|source| (*source, rule)).collect()
    };
    for (case, sources, wide) in [
        ("one", by(widening(), &["192.0.2.1"]), &[][..]),
        ("one that offends twice", by(widening(), &["192.0.2.1", "192.0.2.1"]), &[]),
        ("two", by(widening(), &["192.0.2.0", "192.0.2.255"]), &["192.0.2.0/24"]),
        ("two that are no neighbours", by(widening(), &["192.0.2.255", "192.0.3.0"]), &[]),
        ("two where it takes three", by(three, &["192.0.2.1", "192.0.2.2"]), &[]),
        ("three", by(three, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]), &["192.0.2.0/24"]),
        ("not by this service", by(narrow, &["192.0.2.1", "192.0.2.2"]), &[]),
        ("one by this service", vec![("192.0.2.1", narrow), ("192.0.2.2", widening())], &[]),
        ("one whose ban has ended", vec![("192.0.2.1", short), ("192.0.2.2", widening())], &[]),
        ("addresses of one /64", by(widening(), &["2001:db8::1", "2001:db8::2"]), &[]),
        ("two /64", by(widening(), &["2001:db8::1", "2001:db8:0:ff::1"]), &["2001:db8::/56"]),
        ("in two /56", by(widening(), &["2001:db8::1", "2001:db8:0:100::1"]), &["2001:db8::/48"]),
        (
            "two in one of two /56",
            by(widening(), &["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:100::1"]),
            &["2001:db8::/48", "2001:db8::/56"],
        ),
        ("in two /48", by(widening(), &["2001:db8::1", "2001:db8:1::1"]), &[]),
        ("two of three /56", by(three, &["2001:db8::1", "2001:db8:0:100::1", "2001:db8:0:101::1"]), &[]),
        ("three /56", by(three, &["2001:db8::1", "2001:db8:0:100::1", "2001:db8:0:200::1"]), &["2001:db8::/48"]),
    ] {
        let banned = banned(&sources);
        let found: Vec<&str> = banned.iter().map(String::as_str).filter(|net| !is_source(net)).collect();
        assert_eq!(found, wide, "{case}");
    }
}

fn is_source(prefix: &str) -> bool {
    prefix.ends_with("/32") || prefix.ends_with("/64")
}

#[test]
fn it_lasts_as_long_as_the_last_of_its_offenders_who_keep_their_own() {
    let bans = Bans::default();
    let longer = BanPolicy { lasts: 30 * MINUTE, ..widening() };
    for (second, source, rule) in [(0_u32, "192.0.2.1", longer), (1, "192.0.2.2", widening())] {
        let offence = Offence { handshakes: 10 + u64::from(second), ..offence(source, "web", rule, second * SECOND) };
        judge(&bans, &offence, second * SECOND);
    }
    let wide = bans.of(&net("192.0.2.0/24"), at(MINUTE).boot).unwrap();
    let evidence = wide.evidence.clone().unwrap();
    assert_eq!((wide.ends, wide.past), (at(30 * MINUTE).boot, 0));
    assert_eq!((evidence.offenders, evidence.violations, evidence.handshakes), (2, 2, 21));
    assert_eq!(evidence.last_violation, at(SECOND).wall);
    assert_eq!(evidence.to_string(), "2 offenders, 2 violations of 3 connections in 1 s (web), 21 handshakes");
    assert_eq!(judge(&bans, &offence("192.0.2.77", "web", widening(), MINUTE), MINUTE), [], "it was under way");
    let covering =
        |prefix| bans.covering(&net(prefix), at(MINUTE).boot).iter().map(|ban| ban.prefix).collect::<Vec<_>>();
    assert_eq!(covering("192.0.2.1/32"), ["192.0.2.1/32", "192.0.2.0/24"].map(net));
    assert_eq!(covering("192.0.2.77/32"), ["192.0.2.0/24"].map(net));
    assert_eq!(covering("192.0.2.0/23"), []);
    // The one goes without the others.
    assert_eq!(bans.lift(&[net("192.0.2.0/24")]).len(), 1);
    assert_eq!(prefixes(&bans, MINUTE), ["192.0.2.1/32", "192.0.2.2/32"]);
}

#[test]
fn who_led_to_a_wider_ban_that_was_lifted_leads_to_none_again() {
    let bans = Bans::default();
    let offend = |source, since| judge(&bans, &offence(source, "web", widening(), since), since);
    assert_eq!(offend("192.0.2.1", SECOND), [net("192.0.2.1/32")]);
    assert_eq!(offend("192.0.2.2", SECOND), ["192.0.2.2/32", "192.0.2.0/24"].map(net));
    bans.lift(&[net("192.0.2.0/24")]);
    let inside = ["192.0.2.1/32", "192.0.2.2/32"].map(net);
    assert_eq!(bans.known_in(&[net("192.0.2.0/24")]), inside);
    assert_eq!(offend("192.0.2.3", 2 * SECOND), [net("192.0.2.3/32")]);
    // As a restart finds them.
    let now = Moment { clock: at(2 * SECOND), boot_id: None };
    let restarted = Bans::default();
    bans.lines_of(bans.known_in(&[net("192.0.2.0/24")]), &now)
        .into_iter()
        .for_each(|line| restarted.restore(line, &now));
    for bans in [bans, restarted] {
        let offend =
            |source, second: u32| judge(&bans, &offence(source, "web", widening(), second * SECOND), second * SECOND);
        assert_eq!(offend("192.0.2.4", 3), ["192.0.2.4/32", "192.0.2.0/24"].map(net), "two that were not in it");
    }
}
