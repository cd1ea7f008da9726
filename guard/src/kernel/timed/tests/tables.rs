//! The tables themselves: what is written, swept, refused and taken over.

use std::{collections::BTreeSet, net::Ipv4Addr, time::Instant};

use ipnet::Ipv4Net;
use nix::time::{ClockId, clock_gettime};

use super::*;

/// So many prefixes of IPv4, with the same length, from 10.0.0.0 on.
pub(super) fn many(table: TimedTable, count: usize, length: u8, lasts: Duration) -> Vec<TimedPrefix> {
    let ends = boot() + lasts;
    let address = |nth: usize| Ipv4Addr::from_bits(0x0a00_0000 + ((nth as u32) << (32 - length)));
    let prefix = |nth| Ipv4Net::new(address(nth), length).unwrap().into();
    (0..count).map(|nth| TimedPrefix { table, prefix: prefix(nth), ends }).collect()
}

/// The lengths that the words name, of each kind and family.
pub(super) fn named_lengths(machine: &Machine) -> BTreeSet<(u8, u8, u8)> {
    let mut named = BTreeSet::new();
    for kind in [Kind::Ban, Kind::Grant, Kind::ServiceGrant] {
        for version in [4, 6] {
            for length in 0..=if version == 4 { 32 } else { 128 } {
                let (word, bit) = length_bit(kind, version, length);
                if machine.timed.0.lengths.load(word) & bit != 0 {
                    named.insert((kind as u8, version, length));
                }
            }
        }
    }
    named
}

pub(super) fn change(written: usize, removed: usize, swept: usize) -> TimedChange {
    TimedChange { written, removed, swept }
}

/// The time that this thread has taken of a CPU.
pub(super) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn only_what_differs_is_written() {
    Machine::run(|machine| {
        let first = [ban("192.0.2.1"), ban("2001:db8::/32"), grant(0, "192.0.2.0/24"), grant(3, "192.0.2.2")];
        assert_eq!(set(machine, &first), change(5, 0, 0), "a grant of a service is two");
        assert_eq!(machine.timed.counts(), (2, 0, 2));
        assert_eq!(set(machine, &first), change(0, 0, 0));
        // As if each had been computed a moment later.
        let late = first.map(|it| TimedPrefix { ends: it.ends + Duration::from_millis(9), ..it });
        assert_eq!(set(machine, &late), change(0, 0, 0));
        let later = first.map(|it| TimedPrefix { ends: it.ends + Duration::from_secs(1), ..it });
        assert_eq!(set(machine, &later), change(5, 0, 0));
        assert_eq!(set(machine, &later[1..3]), change(0, 3, 0));
        assert_eq!(set(machine, &[]), change(0, 2, 0));
        assert_eq!(machine.timed.counts(), (0, 0, 0));
    });
}

#[test]
fn lengths_are_named_while_they_are_in_use() {
    Machine::run(|machine| {
        let wanted = [
            ban("192.0.2.1"),
            ban("192.0.2.2"),
            ban("0.0.0.0/0"),
            ban("2001:db8::1"),
            ban("2001:db8::/64"),
            grant(0, "192.0.2.0/24"),
            grant(0, "2001:db8::/63"),
            grant(3, "192.0.2.0/25"),
        ];
        let [of_bans, of_grants, of_service_grants] =
            [Kind::Ban, Kind::Grant, Kind::ServiceGrant].map(|kind| kind as u8);
        let names = [
            (of_bans, 4, 32),
            (of_bans, 4, 32),
            (of_bans, 4, 0),
            (of_bans, 6, 128),
            (of_bans, 6, 64),
            (of_grants, 4, 24),
            (of_grants, 6, 63),
            (of_service_grants, 4, 25),
        ];
        for from in 0..=wanted.len() {
            set(machine, &wanted[from..]);
            assert_eq!(named_lengths(machine), names[from..].iter().copied().collect(), "from the {from}th on");
        }
    });
}

#[test]
fn of_the_same_prefix_the_latest_end_counts() {
    Machine::run(|machine| {
        machine.install(policy());
        let short = Duration::from_millis(500);
        let by = |service| TimedTable::Grant { service };
        let wanted = [
            timed(by(1), STRANGERS[0], short),
            timed(by(2), STRANGERS[0], HOUR),
            timed(by(2), STRANGERS[1], short),
            timed(by(2), STRANGERS[1], HOUR),
            timed(by(2), STRANGERS[1], short),
        ];
        set(machine, &wanted);
        wait_until(wanted[4].ends);
        for (address, first) in [(STRANGERS[0], false), (STRANGERS[1], false)] {
            assert_eq!(machine.passes(ip(address)), first, "{address}");
            assert!(machine.lets_in(Sent::SynTo(SECOND_PORT), ip(address)), "{address}");
            assert!(machine.lets_in(Sent::Echo, ip(address)), "{address}: without ports as long as any grant lasts");
        }
    });
}

#[test]
fn a_hundred_thousand_bans_are_set_and_swept() {
    Machine::run(|machine| {
        machine.install(policy());
        let bans = many(TimedTable::Ban, 100_000, 32, HOUR);
        let took = |what: &str, wanted: &[TimedPrefix], clock: Clock, expected: TimedChange| {
            let (start, cpu_start) = (Instant::now(), cpu_time());
            assert_eq!(machine.timed.set(wanted, &clock).unwrap(), expected, "{what}");
            let used = cpu_time() - cpu_start;
            println!("{what}: {:?}, {used:?} of a CPU", start.elapsed());
        };
        let now = Clock::now();
        took("set", &bans, now, change(100_000, 0, 0));
        assert!(
            !machine.passes(ip("10.0.0.0"))
                && !machine.passes(ip("10.1.134.159"))
                && machine.passes(ip("10.1.134.160"))
        );
        took("set again", &bans, now, change(0, 0, 0));
        took("one more", &[&bans[..], &[ban("2001:db8::1")]].concat(), now, change(1, 0, 0));
        took("one less", &bans[1..], now, change(0, 2, 0));
        assert!(machine.passes(ip("10.0.0.0")) && !machine.passes(ip("10.0.0.1")));
        let later = Clock { boot: now.boot + 2 * HOUR, ..now };
        took("swept", &bans, later, change(0, 0, 99_999));
        assert!(machine.passes(ip("10.0.0.1")));
        assert_eq!((machine.timed.counts(), named_lengths(machine).len()), ((0, 0, 0), 0));
    });
}

#[test]
fn more_than_there_is_room_for_changes_nothing() {
    Machine::run(|machine| {
        machine.install(policy());
        let before = [ban("10.200.0.0/16"), grant(0, STRANGERS[0])];
        for (name, too_many) in [
            ("BANS", [&before[1..], &many(TimedTable::Ban, BANS_MAX + 1, 32, HOUR)].concat()),
            (
                "GRANTS",
                [&[ban("10.5.5.5")], &many(TimedTable::Grant { service: 0 }, GRANTS_MAX + 1, 32, HOUR)[..]].concat(),
            ),
            // Each takes two places.
            ("GRANTS", many(TimedTable::Grant { service: 1 }, GRANTS_MAX / 2 + 1, 32, HOUR)),
        ] {
            set(machine, &before);
            let error = machine.timed.set(&too_many, &Clock::now()).unwrap_err().to_string();
            assert!(error.contains(name) && (error.contains("65536") || error.contains("131072")), "{error}");
            assert_eq!(machine.timed.counts(), (1, 0, 1), "{error}");
            assert_eq!(set(machine, &before), change(0, 0, 0), "{error}: nothing has changed");
        }
    });
}

#[test]
fn a_table_can_be_full_and_hold_others_next() {
    Machine::run(|machine| {
        machine.install(policy());
        let first = many(TimedTable::Ban, BANS_MAX, 32, HOUR);
        assert_eq!(set(machine, &first), change(BANS_MAX, 0, 0));
        let second = many(TimedTable::Ban, BANS_MAX, 30, HOUR);
        assert_eq!(set(machine, &second), change(BANS_MAX, BANS_MAX, 0));
        assert!(!machine.passes(ip("10.0.0.3")) && machine.passes(ip("10.8.0.0")));
    });
}

#[test]
fn a_change_that_the_kernel_refuses_midway_is_undone() {
    Machine::run(|machine| {
        let bans = [ban("192.0.2.0/24"), ban("192.0.2.1"), ban("192.0.2.2")];
        set(machine, &bans[..2]);
        let Tables { bans: table, lengths, .. } = &*machine.timed.0;
        let before = table.read().unwrap();
        // One that goes, one with another end, and two new ones.
        let wanted = [TimedPrefix { ends: bans[1].ends + HOUR, ..bans[1] }, bans[2], ban("192.0.2.3")];
        let plan = Plan::new(table, entries(&wanted, slept()), boot()).unwrap();
        // Meanwhile somebody else leaves room for one.
        let others = entries(&many(TimedTable::Ban, BANS_MAX - before.len() - 1, 32, HOUR), slept());
        table.write(&others.into_iter().collect::<Vec<_>>()).unwrap();
        let error = plan.apply(lengths).unwrap_err();
        assert!(matches!(error, TimedError::Full { .. }), "{error}");
        assert_eq!(table.read().unwrap().len(), BANS_MAX, "something was written");
        plan.undo();
        assert_eq!(table.read().unwrap(), before);
    });
}

#[test]
fn what_there_is_outlives_a_restart() {
    Machine::run(|machine| {
        machine.install(policy());
        let wanted = [ban(LISTED[0]), ban("2001:db8:7::/64"), grant(1, STRANGERS[0])];
        set(machine, &wanted);
        // As if the words were those of another version.
        (0..LENGTH_WORDS).for_each(|word| machine.timed.0.lengths.store(word, 0));
        let former = machine.restart();
        machine.install(policy());
        for machine in [&former, machine] {
            assert!(!LISTED.iter().any(|address| machine.passes(ip(address))));
            assert!(machine.passes(ip(STRANGERS[0])));
        }
        assert_eq!(machine.timed.counts(), (2, 0, 1));
        assert_eq!(set(machine, &wanted), change(0, 0, 0), "it is what is wanted");
    });
}
