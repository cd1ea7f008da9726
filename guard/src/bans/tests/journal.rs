//! What a journal keeps, however guard or the machine ends.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use super::*;

fn scene() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/bans.jsonl");
    (dir, path)
}

/// A moment in a boot.
fn moment(clock: Clock, boot_id: &str) -> Moment {
    Moment { clock, boot_id: Some(boot_id.to_owned()) }
}

/// The journal's text, had it been written at a moment.
fn written(bans: &Bans, now: &Moment) -> Vec<u8> {
    let mut text = Vec::new();
    bans.lines(now).iter().for_each(|line| line.write(&mut text));
    text
}

/// What a journal of a text comes to.
fn restored(text: &[u8], now: &Moment) -> (Bans, Vec<String>) {
    let (_dir, path) = scene();
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let bans = Bans::default();
    let (_, warnings) = Journal::restore(path.clone(), &bans, now).unwrap();
    (bans, warnings.iter().map(|warning| warning.replace(path.to_str().unwrap(), "bans.jsonl")).collect())
}

/// Prefixes in force, each with the seconds for which it still is, and what there was before.
fn brief(bans: &Bans, now: &Moment) -> Vec<(String, u64, u32)> {
    let in_force = bans.in_force(now.clock.boot);
    let brief = |ban: &Arc<MachineBan>| (ban.prefix.to_string(), (ban.ends - now.clock.boot).as_secs(), ban.past);
    in_force.iter().map(brief).collect()
}

/// One that is banned for the second time, one that was banned, and a wider prefix.
fn sample() -> Bans {
    let bans = Bans::default();
    let widening = BanPolicy { widen: Some(1.try_into().unwrap()), ..rule() };
    ban(&bans, "192.0.2.1", rule(), Duration::ZERO);
    ban(&bans, "198.51.100.1", rule(), Duration::ZERO);
    bans.end(at(10 * MINUTE).boot);
    ban(&bans, "192.0.2.1", rule(), 10 * MINUTE);
    ban(&bans, "2001:db8::1", widening, 10 * MINUTE);
    bans
}

#[test]
fn everything_is_kept_over_restarts_reboots_and_clocks_that_are_set() {
    let now = at(11 * MINUTE);
    let text = written(&sample(), &moment(now, "first"));
    let in_all = |seconds: [u64; 4]| -> Vec<(String, u64, u32)> {
        let bans = [("192.0.2.1/32", 1), ("2001:db8::/48", 0), ("2001:db8::/56", 0), ("2001:db8::/64", 0)];
        let all = bans.into_iter().zip(seconds).map(|((net, past), seconds)| (net.to_owned(), seconds, past));
        all.filter(|(_, seconds, _)| *seconds > 0).collect()
    };
    let after = |clock: Clock, minutes: u32| {
        let later = minutes * MINUTE;
        Clock { wall: clock.wall.checked_add(later).unwrap(), boot: clock.boot + later }
    };
    // A boot that began so many minutes after the journal was written, a minute ago.
    let rebooted = |minutes: u32| Clock { boot: MINUTE, ..after(now, minutes + 1) };
    let other_wall = |wall: &str, clock: Clock| Clock { wall: wall.parse().unwrap(), ..clock };
    for (case, clock, boot_id, expected) in [
        ("at once", now, "first", in_all([19 * 60, 9 * 60, 9 * 60, 9 * 60])),
        ("later", after(now, 10), "first", in_all([9 * 60, 0, 0, 0])),
        ("another boot", rebooted(2), "second", in_all([16 * 60, 6 * 60, 6 * 60, 6 * 60])),
        ("long after", rebooted(60), "second", vec![]),
        // Within a boot the wall clock says nothing.
        (
            "a clock set forward",
            other_wall("2036-01-01T00:00:00Z", after(now, 1)),
            "first",
            in_all([18 * 60, 480, 480, 480]),
        ),
        (
            "a clock set back",
            other_wall("1996-01-01T00:00:00Z", after(now, 1)),
            "first",
            in_all([18 * 60, 480, 480, 480]),
        ),
        // It stood still without power, so no time has passed but that since the boot.
        ("no clock", other_wall("1970-01-01T00:00:00Z", rebooted(0)), "second", in_all([18 * 60, 480, 480, 480])),
    ] {
        let now = moment(clock, boot_id);
        let (bans, warnings) = restored(&text, &now);
        assert_eq!((brief(&bans, &now), warnings), (expected, vec![]), "{case}");
        let (again, _) = restored(&written(&bans, &now), &now);
        assert_eq!(brief(&again, &now), brief(&bans, &now), "{case}: once more");
    }
}

#[test]
fn history_goes_on_and_is_forgotten_over_reboots() {
    let now = at(11 * MINUTE);
    let text = written(&sample(), &moment(now, "first"));
    for (case, hours, first, second) in [
        ("at once", 0, 2, 1),
        ("an hour later one is forgotten", 1, 1, 0),
        ("then the other", 2, 0, 0),
        ("years later", 9_000, 0, 0),
    ] {
        let later = Duration::from_hours(hours) + 30 * MINUTE;
        for (boot, boot_id) in [(now.boot + later, "first"), (MINUTE, "second")] {
            let clock = Clock { wall: now.wall.checked_add(later).unwrap(), boot };
            let (bans, _) = restored(&text, &moment(clock, boot_id));
            let past = |source: &str| {
                let offence = Offence { at: boot, ..offence(source, "web", rule(), Duration::ZERO) };
                bans.judge(&vec![offence; 3], |_| false, &clock);
                bans.of(&party(ip(source)), boot).unwrap().past
            };
            assert_eq!((past("192.0.2.1"), past("198.51.100.1")), (first, second), "{case}, {boot_id} boot");
        }
    }
}

#[test]
fn half_a_line_at_the_end_is_none_wherever_it_ends() {
    let now = moment(at(MINUTE), "first");
    let bans = Bans::default();
    let (mut text, mut states) = (Vec::new(), vec![(0, brief(&bans, &now))]);
    for source in ["192.0.2.1", "2001:db8::1", "192.0.2.2"] {
        ban(&bans, source, rule(), Duration::ZERO);
        bans.lines_of([party(ip(source))], &now).iter().for_each(|line| line.write(&mut text));
        states.push((text.len(), brief(&bans, &now)));
    }
    bans.lift(&[net("192.0.2.1/32")]);
    bans.lines_of([net("192.0.2.1/32")], &now).iter().for_each(|line| line.write(&mut text));
    states.push((text.len(), brief(&bans, &now)));
    for end in 0..=text.len() {
        let (found, warnings) = restored(&text[..end], &now);
        // Without what ends it a line is whole, too.
        let whole = states.iter().rfind(|(length, _)| *length <= end + usize::from(end > 0)).unwrap();
        assert_eq!((brief(&found, &now), warnings), (whole.1.clone(), vec![]), "{end} bytes");
        // As a power loss may leave it.
        let zeros = [&text[..end], &[0; 7]].concat();
        assert_eq!(restored(&zeros, &now).1, Vec::<String>::new(), "{end} bytes and zeros");
    }
}

#[test]
fn a_broken_line_is_named_and_passed_over() {
    let now = moment(at(MINUTE), "first");
    let bans = Bans::default();
    ban(&bans, "192.0.2.1", rule(), Duration::ZERO);
    let good = String::from_utf8(written(&bans, &now)).unwrap();
    for (case, line, expected) in [
        ("no JSON", "{\"ban\"", "EOF while parsing"),
        ("binary", "\u{0}\u{1}", "expected value"),
        ("control characters", r#"{"\u001b[2J":{}}"#, "unknown variant `\u{fffd}[2J`"),
        ("empty", "", "EOF while parsing"),
        ("another kind", r#"{"grant":{}}"#, "unknown variant `grant`"),
        ("an unknown field", r#"{"lift":{"prefix":"192.0.2.1/32","x":1}}"#, "unknown field `x`"),
        ("everybody", r#"{"lift":{"prefix":"0.0.0.0/0"}}"#, "0.0.0.0/0 is no prefix that the machine bans"),
        ("host bits", r#"{"lift":{"prefix":"192.0.2.1/24"}}"#, "192.0.2.1/24 is no prefix that the machine bans"),
    ] {
        let (found, warnings) = restored(format!("{line}\n{good}{line}\n").as_bytes(), &now);
        assert_eq!(brief(&found, &now), brief(&bans, &now), "{case}");
        assert_eq!(warnings.len(), 2, "{case}: {warnings:?}");
        for (warning, number) in warnings.iter().zip([1, 3]) {
            assert!(warning.starts_with(&format!("bans.jsonl:{number}: ")), "{case}: {warning}");
            assert!(warning.contains(expected) && warning.ends_with(": the line is passed over"), "{case}: {warning}");
        }
    }
    let long = format!("{{\"{}\":{{}}}}\n", "x".repeat(100_000));
    assert!(restored(long.as_bytes(), &now).1[0].len() < 300, "a long one is not told in full");
    let (_, warnings) = restored(&b"x\n".repeat(1_000), &now);
    assert_eq!((warnings.len(), warnings[10].as_str()), (11, "bans.jsonl: 990 more lines are passed over"));
}

#[test]
fn what_can_not_be_read_is_no_journal_and_stays_as_it_is() {
    let (dir, path) = scene();
    let restore = |path: &Path| Journal::restore(path.to_owned(), &Bans::default(), &Moment::now()).map(drop);
    assert!(restore(&path).is_ok(), "there may be none");
    assert!(restore(dir.path()).is_err(), "a directory");
    let pipe = dir.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    assert_eq!(restore(&pipe).unwrap_err().to_string(), "not a regular file");
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(restore(&dir.path().join("file/bans.jsonl")).is_err(), "in no directory");
    let link = dir.path().join("link");
    symlink("nowhere", &link).unwrap();
    assert_eq!(restore(&link).unwrap_err().to_string(), "a link that leads nowhere");
    let huge = dir.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let error = restore(&huge).unwrap_err().to_string();
    assert_eq!(error, "1099511627776 bytes, more than the 268435456 that a journal may have");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_file_grows_by_lines_until_most_say_nothing_any_more() {
    let (_dir, path) = scene();
    let bans = Bans::default();
    let (mut journal, _) = Journal::restore(path.clone(), &bans, &Moment::now()).unwrap();
    let clock = Clock::now();
    let since = |nth: u64| Clock { wall: clock.wall, boot: clock.boot + Duration::from_millis(nth) };
    let (mut before, mut rewritten) = (0, 0);
    for nth in 0..2_000 {
        let offence = Offence { at: since(nth).boot, ..offence("192.0.2.1", "web", rule(), SECOND) };
        bans.lift(&[net("192.0.2.1/32")]);
        bans.judge(&vec![offence; 3], |_| false, &since(nth));
        journal.append(&bans.lines_of([net("192.0.2.1/32")], &Moment::now()), &bans).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        assert!(size < 66 * 1024, "{size}");
        rewritten += u32::from(size < before);
        before = size;
    }
    assert!((5..20).contains(&rewritten), "{rewritten} times");
    journal.sync(&bans).unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o640, 0o750));
    let found = Bans::default();
    Journal::restore(path.clone(), &found, &Moment::now()).unwrap();
    assert_eq!(found.in_force(clock.boot).len(), 1);
    // Somebody takes it away.
    fs::remove_file(&path).unwrap();
    journal.sync(&bans).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}
