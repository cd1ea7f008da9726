//! Bans by machine beside bans by hand.

use super::{
    tables::{change, cpu_time, many, named_lengths},
    *,
};

/// So many bans by machine, from 10.0.0.0 on.
fn many_by_machine(count: usize) -> Vec<(IpNet, Duration)> {
    many(TimedTable::Ban, count, 32, HOUR).into_iter().map(|ban| (ban.prefix, ban.ends)).collect()
}

fn is_full(result: Result<(), TimedError>, wanted: usize) {
    match result {
        Err(TimedError::Full { table: "BANS", size: BANS_MAX, wanted: told }) => assert_eq!(told, wanted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn they_stay_until_they_end_whatever_is_done_by_hand() {
    Machine::run(|machine| {
        machine.install(policy());
        add_by_machine(machine, LISTED[0], HOUR);
        assert_eq!(machine.timed.counts(), (0, 1, 0));
        for by_hand in [vec![ban("10.5.5.5")], vec![], vec![ban("10.6.6.6"), grant(0, STRANGERS[0])]] {
            set(machine, &by_hand);
            assert!(!machine.passes(ip(LISTED[0])), "{by_hand:?}");
            assert!(by_hand[..by_hand.len().min(1)].iter().all(|ban| !machine.passes(ban.prefix.addr())));
        }
        assert_eq!(machine.timed.counts(), (1, 1, 1));
        assert!(machine.passes(ip("10.5.5.5")));
        let ends = boot() + Duration::from_millis(300);
        machine.timed.ban(&[(net(LISTED[1]), ends)], &Clock::now()).unwrap();
        assert!(!machine.passes(ip(LISTED[1])));
        wait_until(ends);
        assert!(machine.passes(ip(LISTED[1])) && !machine.passes(ip(LISTED[0])));
        assert_eq!(set(machine, &[]), change(0, 2, 1), "that by machine is swept");
        assert_eq!((machine.timed.counts(), named_lengths(machine).len()), ((0, 1, 0), 1));
    });
}

#[test]
fn one_by_hand_takes_its_place_and_gives_it_back() {
    Machine::run(|machine| {
        machine.install(policy());
        let knock = |machine: &Machine| {
            (machine.passes(ip(LISTED[0])), machine.lets_in(Sent::SynTo(FAILSAFE_PORT), ip(LISTED[0])))
        };
        let (by_hand, by_machine, none) = ((false, false), (false, true), (true, true));
        let (first, machine_ends) = (ban(LISTED[0]), boot() + 2 * HOUR);
        let unban = |machine: &Machine| machine.timed.unban(&[net(LISTED[0])], &Clock::now()).unwrap();
        for (case, machine_first) in [("the machine's first", true), ("that by hand first", false)] {
            if machine_first {
                machine.timed.ban(&[(net(LISTED[0]), machine_ends)], &Clock::now()).unwrap();
                assert_eq!(knock(machine), by_machine, "{case}");
            }
            set(machine, &[first]);
            machine.timed.ban(&[(net(LISTED[0]), machine_ends)], &Clock::now()).unwrap();
            assert_eq!((knock(machine), machine.timed.counts()), (by_hand, (1, 1, 0)), "{case}");
            assert_eq!(set(machine, &[first]), change(0, 0, 0), "{case}");
            set(machine, &[]);
            assert_eq!((knock(machine), machine.timed.counts()), (by_machine, (0, 1, 0)), "{case}");
            set(machine, &[first]);
            assert_eq!((unban(machine), knock(machine)), (1, by_hand), "{case}: the other is lifted");
            assert_eq!((unban(machine), knock(machine)), (0, by_hand), "{case}: and there is none any more");
            set(machine, &[]);
            assert_eq!(knock(machine), none, "{case}");
        }
        // One by hand that has ended, and that nobody has swept, is in nobody's way.
        let short = || timed(TimedTable::Ban, LISTED[0], Duration::from_millis(100));
        let first = short();
        set(machine, &[first]);
        wait_until(first.ends);
        add_by_machine(machine, LISTED[0], HOUR);
        assert_eq!(knock(machine), by_machine);
        // Nobody need look at the clock where one follows the other, and a restart keeps both.
        let second = short();
        set(machine, &[second]);
        assert_eq!(knock(machine), by_hand);
        let ends = machine.timed.machine_bans()[0].1;
        let _former = machine.restart();
        machine.install(policy());
        let found = machine.timed.machine_bans()[0].1;
        assert!(found >= ends && found - ends <= Duration::from_secs(1), "{ends:?} {found:?}");
        wait_until(second.ends);
        assert_eq!(knock(machine), by_machine);
        assert_eq!(set(machine, &[]), change(1, 0, 0));
        assert_eq!((unban(machine), knock(machine)), (1, none));
    });
}

#[test]
fn none_is_shortened() {
    Machine::run(|machine| {
        let now = boot();
        let ends = |machine: &Machine| machine.timed.machine_bans();
        for (case, lasts, expected) in [
            ("the first", HOUR, HOUR),
            ("a shorter one", HOUR / 2, HOUR),
            ("a longer one", 2 * HOUR, 2 * HOUR),
            ("one that has ended", Duration::ZERO, 2 * HOUR),
        ] {
            machine.timed.ban(&[(net("192.0.2.1"), now + lasts)], &Clock::now()).unwrap();
            assert_eq!(ends(machine), [(net("192.0.2.1"), now + expected)], "{case}");
            assert_eq!(set(machine, &[]), change(0, 0, 0), "{case}: the kernel has it");
        }
    });
}

#[test]
fn lengths_are_named_while_they_are_in_use() {
    Machine::run(|machine| {
        let of_bans = Kind::Ban as u8;
        set(machine, &[ban("192.0.2.1")]);
        let bans = ["192.0.2.2/32", "192.0.2.0/24", "2001:db8::/64", "2001:db8:0:1::/64"].map(net);
        machine.timed.ban(&bans.map(|prefix| (prefix, boot() + HOUR)), &Clock::now()).unwrap();
        let all = [(of_bans, 4, 24), (of_bans, 4, 32), (of_bans, 6, 64)];
        for (gone, left) in [(0, &all[..]), (1, &all[1..]), (2, &all[1..]), (3, &all[1..2])] {
            assert_eq!(machine.timed.unban(&[bans[gone]], &Clock::now()).unwrap(), 1);
            let left = if gone == 0 { &all[..] } else { left };
            assert_eq!(named_lengths(machine), left.iter().copied().collect(), "{}", bans[gone]);
        }
    });
}

#[test]
fn where_there_is_no_room_they_wait_for_it() {
    Machine::run(|machine| {
        machine.install(policy());
        // The last address of those by hand is 10.1.255.253.
        let by_hand = many(TimedTable::Ban, BANS_MAX - 2, 32, HOUR);
        set(machine, &by_hand);
        let late = [("10.200.0.1", 3), ("10.200.0.2", 1), ("10.200.0.3", 2), ("10.200.0.4", 4)];
        let bans = late.map(|(address, hours)| (net(address), boot() + hours * HOUR));
        let passes = |machine: &Machine| late.map(|(address, _)| machine.passes(ip(address)));
        let waiting = |machine: &Machine| machine.timed.unenforced().len();
        is_full(machine.timed.ban(&bans, &Clock::now()), BANS_MAX + 2);
        assert_eq!((passes(machine), waiting(machine)), ([false, false, true, true], 2));
        assert_eq!(machine.timed.counts(), (BANS_MAX - 2, 4, 0));
        // Those that last longest are enforced once everything is gone through.
        set(machine, &by_hand);
        assert_eq!((passes(machine), waiting(machine)), ([false, true, true, false], 2));
        // Those by hand come first.
        set(machine, &many(TimedTable::Ban, BANS_MAX, 32, HOUR));
        assert_eq!((passes(machine), waiting(machine)), ([true; 4], 4));
        machine.timed.unban(&[bans[3].0], &Clock::now()).unwrap();
        assert_eq!(waiting(machine), 3);
        set(machine, &by_hand[1..]);
        assert_eq!((passes(machine), waiting(machine)), ([false, false, false, true], 0));
        is_full(machine.timed.ban(&bans[3..], &Clock::now()), BANS_MAX + 1);
        machine.timed.unban(&[bans[0].0], &Clock::now()).unwrap();
        machine.timed.ban(&bans[3..], &Clock::now()).unwrap();
        assert_eq!((passes(machine), waiting(machine)), ([true, false, false, false], 0), "it was tried again");
    });
}

#[test]
fn one_takes_no_longer_beside_a_hundred_thousand() {
    Machine::run(|machine| {
        let time = |machine: &Machine, what: &str| {
            let before = cpu_time();
            (0..100).for_each(|nth| add_by_machine(machine, &format!("192.0.2.{nth}"), HOUR));
            let took = cpu_time() - before;
            println!("100 bans {what}: {took:?} of a CPU");
            took
        };
        let alone = time(machine, "alone");
        machine.timed.ban(&many_by_machine(100_000), &Clock::now()).unwrap();
        let among_many = time(machine, "beside 100,000");
        assert!(among_many < 20 * alone, "{alone:?} {among_many:?}");
        assert_eq!(machine.timed.counts(), (0, 100_100, 0));
    });
}

#[test]
fn they_outlive_a_restart() {
    Machine::run(|machine| {
        machine.install(policy());
        set(machine, &[ban("10.5.5.5")]);
        add_by_machine(machine, LISTED[0], HOUR);
        let bans = machine.timed.machine_bans();
        let _former = machine.restart();
        machine.install(policy());
        let found = machine.timed.machine_bans();
        assert_eq!((found.len(), found[0].0), (1, bans[0].0));
        assert!(found[0].1.abs_diff(bans[0].1) < SLACK, "{found:?} {bans:?}");
        assert_eq!(machine.timed.counts(), (1, 1, 0));
        assert_eq!(set(machine, &[]), change(0, 1, 0));
        assert!(!machine.passes(ip(LISTED[0])) && machine.passes(ip("10.5.5.5")));
    });
}
