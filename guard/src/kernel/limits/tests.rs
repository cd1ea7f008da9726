//! Places over reloads, restarts and kills: which buckets go on, which begin anew, and which are freed.

use std::{
    collections::BTreeSet,
    num::NonZeroU64,
    thread,
    time::{Duration, Instant},
};

use aya::sys::SyscallError;

use super::*;
use crate::{
    kernel::{
        Generations,
        tests::{
            frames::Sent,
            limits::{hourly, passes, policy},
            machine::Machine,
        },
    },
    policy::{Limit, Mode, Per, Policy, Unit},
    samples,
};

const CLIENT: &str = "198.51.100.9";
const OTHER_CLIENT: &str = "2001:db8::9";

fn per_source() -> Limit {
    hourly(Unit::Packets, 5, Per::SOURCE)
}

fn per_service() -> Limit {
    hourly(Unit::Connections, 20, Per::Service)
}

/// Returns how many connection attempts of a client pass.
fn passed(machine: &Machine, client: &str) -> usize {
    passes(machine, Sent::Syn, client, 50)
}

/// Returns the numbers that the kernel gave the partitions, by place.
fn partitions(generations: &Generations) -> BTreeMap<u16, u32> {
    let partitions = &generations.places.partitions;
    let number = |place: u16| match partitions.get(&u32::from(place), 0) {
        Err(MapError::KeyNotFound) => None,
        number => Some((place, number.unwrap())),
    };
    (0..LIMIT_PLACES as u16).filter_map(number).collect()
}

/// Checks that limits in force have places of their own, that others have none, and that the table says so.
fn check(generations: &Generations, policy: &Policy) {
    let places = &generations.places;
    assert_eq!(owners(&places.table).unwrap(), places.owners, "the table and what the daemon knows of it");
    let key = |owner: &LimitPlace| (owner.row, owner.unit, owner.limit, owner.window_ms, owner.burst, owner.nth);
    let wanted: BTreeSet<_> = crate::generation::limits(policy).iter().map(key).collect();
    let owned: BTreeSet<_> = places.owners.values().map(key).collect();
    assert_eq!(owned, wanted, "the limits that have a place");
    assert_eq!(places.owners.len(), wanted.len(), "places");
    let of_sources = places.owners.iter().filter(|(_, owner)| owner.per_service == 0).map(|(place, _)| *place);
    assert!(partitions(generations).into_keys().eq(of_sources), "places with a partition");
}

/// Waits until the kernel has freed a map: it does so behind a grace period.
fn wait_until_freed(number: u32) {
    let start = Instant::now();
    loop {
        match MapData::from_id(number) {
            Err(MapError::SyscallError(SyscallError { io_error, .. }))
                if io_error.raw_os_error() == Some(libc::ENOENT) =>
            {
                return;
            }
            map => drop(map.unwrap()),
        }
        assert!(start.elapsed() < Duration::from_secs(20), "map {number} is still there");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_limit_that_stays_keeps_its_buckets_over_a_reload() {
    Machine::run(|machine| {
        let first = policy(&[per_source(), per_service()]);
        machine.install(first.clone());
        let before = partitions(&machine.generations);
        assert_eq!(passed(machine, CLIENT), 5);
        assert_eq!(passed(machine, OTHER_CLIENT), 5);

        // In another order, beside another, and under a policy that differs in everything else.
        let mut second = policy(&[hourly(Unit::Packets, 1_000, Per::Service), per_service(), per_source()]);
        second.deny = samples::entries(&samples::prefixes(&["203.0.113.0/24"]));
        second.services[0].mode = Mode::Enforce;
        machine.install(second.clone());
        assert_eq!(partitions(&machine.generations), before);
        check(&machine.generations, &second);
        assert_eq!(passed(machine, CLIENT), 0);
        assert_eq!(passed(machine, OTHER_CLIENT), 0);
        let others = ["192.0.2.7", "192.0.2.8", "192.0.2.9"].map(|client| passed(machine, client));
        assert_eq!(others, [5, 5, 0], "ten of the service's twenty are left");
    });
}

#[test]
fn a_limit_that_changes_begins_anew() {
    let burst = |limit: Limit| Limit { burst: limit.burst + 1, ..limit };
    let window = |limit: Limit| Limit { window: limit.window + Duration::from_millis(1), ..limit };
    let number = |limit: Limit| Limit { limit: NonZeroU64::new(2).unwrap(), ..limit };
    let wider = |limit: Limit| Limit { per: Per::Prefix { v4: 31, v6: 64 }, ..limit };
    type Change = fn(Limit) -> Limit;
    let changes: [(&str, Change, usize); 4] =
        [("burst", burst, 6), ("window", window, 5), ("limit", number, 5), ("prefix", wider, 5)];
    Machine::run(|machine| {
        for (name, change, anew) in changes {
            machine.install(policy(&[per_source()]));
            let before = partitions(&machine.generations);
            assert_eq!(passed(machine, CLIENT), 5, "{name}");
            let changed = policy(&[change(per_source())]);
            machine.install(changed.clone());
            assert_eq!(passed(machine, CLIENT), anew, "{name}");
            check(&machine.generations, &changed);
            // That of the errors stays.
            let after = partitions(&machine.generations);
            assert_eq!(
                before.values().filter(|number| after.values().any(|other| other == *number)).count(),
                1,
                "{name}"
            );
        }
    });
}

#[test]
fn equal_limits_have_places_of_their_own() {
    Machine::run(|machine| {
        let twice = policy(&[per_source(), per_source()]);
        machine.install(twice.clone());
        check(&machine.generations, &twice);
        assert_eq!(partitions(&machine.generations).len(), 3);
        assert_eq!(passed(machine, CLIENT), 5);
        // One of the two goes; the other goes on.
        machine.install(policy(&[per_source()]));
        assert_eq!(passed(machine, CLIENT), 0);
        assert_eq!(passed(machine, OTHER_CLIENT), 5);
    });
}

#[test]
fn memory_is_given_back_with_the_limit() {
    Machine::run(|machine| {
        let limits =
            |count: u64| -> Vec<Limit> { (0..count).map(|nth| hourly(Unit::Packets, 5 + nth, Per::SOURCE)).collect() };
        for _ in 0..3 {
            machine.install(policy(&limits(4)));
            let many = partitions(&machine.generations);
            assert_eq!(many.len(), 5, "four limits, and that of errors");
            machine.install(policy(&limits(1)));
            let few = partitions(&machine.generations);
            assert_eq!(few.len(), 2);
            let gone: Vec<u32> = many.into_values().filter(|number| few.values().all(|kept| kept != number)).collect();
            assert_eq!(gone.len(), 3);
            gone.into_iter().for_each(wait_until_freed);
        }
        machine.install(policy(&[per_service()]));
        assert_eq!(partitions(&machine.generations).len(), 1, "a bucket that all share costs no map");
    });
}

#[test]
fn what_is_discarded_leaves_everything_as_it_was() {
    Machine::run(|machine| {
        let first = policy(&[per_source(), per_service()]);
        machine.install(first.clone());
        let before = partitions(&machine.generations);
        assert_eq!(passed(machine, CLIENT), 5);
        let second = policy(&[hourly(Unit::Packets, 7, Per::SOURCE), hourly(Unit::Bytes, 40, Per::Service)]);
        for _ in 0..3 {
            let prepared = machine.generations.prepare(&second, Some(&first)).unwrap();
            assert_eq!(partitions(&machine.generations).len(), before.len() + 1);
            assert_eq!(passed(machine, CLIENT), 0, "the first is in force");
            machine.generations.discard(prepared);
            assert_eq!(partitions(&machine.generations), before);
            check(&machine.generations, &first);
        }
        assert_eq!(passed(machine, CLIENT), 0);
        assert_eq!(passed(machine, OTHER_CLIENT), 5);
    });
}

#[test]
fn a_restart_goes_on_with_the_same_buckets() {
    Machine::run_unprivileged(|machine| {
        let same = policy(&[per_source(), per_service()]);
        machine.install(same.clone());
        let before = partitions(&machine.generations);
        assert_eq!(passed(machine, CLIENT), 5);
        assert_eq!(passed(machine, OTHER_CLIENT), 5);
        for run in 2..4 {
            let former = machine.restart();
            machine.install(same.clone());
            assert_eq!(partitions(&machine.generations), before, "run {run}");
            check(&machine.generations, &same);
            // The program of the run before decides until its links are replaced, and charges the same buckets.
            let [third, fourth] = [format!("192.0.2.{run}"), format!("2001:db8:{run}::1")];
            assert_eq!(passed(&former, CLIENT), 0, "run {run}");
            assert_eq!(passes(&former, Sent::Segment(40), &third, 3), 3, "run {run}");
            assert_eq!(passed(machine, CLIENT), 0, "run {run}");
            assert_eq!(passed(machine, &third), 2, "run {run}");
            assert_eq!(passed(machine, &fourth), if run == 2 { 5 } else { 1 }, "run {run}: the service's twenty");
        }
    });
}

#[test]
fn a_run_before_keeps_its_limits_until_it_is_replaced() {
    Machine::run(|machine| {
        machine.install(policy(&[per_source()]));
        let before = partitions(&machine.generations);
        assert_eq!(passed(machine, CLIENT), 5);
        let other = policy(&[hourly(Unit::Packets, 7, Per::SOURCE), per_service()]);

        // A start that fails after its generation was made.
        let former = machine.restart();
        machine.generations.install(&other, None).unwrap();
        assert_eq!(passed(machine, CLIENT), 7);
        assert_eq!(passed(&former, CLIENT), 0);
        machine.generations.withdraw_limits();
        assert_eq!(partitions(&machine.generations), before);
        assert_eq!(passed(&former, CLIENT), 0);

        // One that is killed there, and one that succeeds.
        machine.restart();
        machine.generations.install(&other, None).unwrap();
        machine.restart();
        machine.generations.install(&other, None).unwrap();
        assert_eq!(partitions(&machine.generations).len(), before.len() + 1);
        assert_eq!(passed(&former, CLIENT), 0);
        machine.generations.free_retired();
        check(&machine.generations, &other);
        assert_eq!(passed(machine, CLIENT), 7);
        before.into_values().skip(1).for_each(wait_until_freed);
    });
}

/// What a run has done that is killed while `new` takes the place of `gone`.
type Done = fn(&mut Places, new: &LimitPlace, gone: &LimitPlace);

/// Every state in which the tables can be left between the first change and the last.
const KILLS: [(&str, Done); 5] = [
    ("nothing", |_, _, _| {}),
    ("the new limit has a place, without a partition", |places, new, _| {
        places.take_place(new).unwrap();
    }),
    ("the new limit has its partition", |places, new, _| {
        places.place_of(new).unwrap();
    }),
    ("the former limit's partition is gone", |places, new, gone| {
        places.place_of(new).unwrap();
        let place = places.place_of(gone).unwrap();
        places.partitions.remove(&u32::from(place)).unwrap();
    }),
    ("the former limit's place is given up", |places, new, gone| {
        places.place_of(new).unwrap();
        let place = places.place_of(gone).unwrap();
        places.give_up(place).unwrap();
    }),
];

#[test]
fn a_kill_at_any_point_lifts_no_limit_and_mixes_none_up() {
    let before = policy(&[per_source(), hourly(Unit::Packets, 30, Per::SOURCE)]);
    let after = policy(&[per_source(), hourly(Unit::Packets, 9, Per::SOURCE)]);
    let [new, gone] = [&after, &before].map(|policy| *crate::generation::limits(policy).last().unwrap());
    for next in [&before, &after] {
        Machine::run(|machine| {
            for (name, done) in KILLS {
                machine.install(policy(&[]));
                machine.install(before.clone());
                assert_eq!(passed(machine, CLIENT), 5, "{name}");
                done(&mut machine.generations.places, &new, &gone);
                machine.restart();
                machine.install(next.clone());
                check(&machine.generations, next);
                assert_eq!(passed(machine, CLIENT), 0, "{name}: the limit that stays goes on");
                assert_eq!(passed(machine, OTHER_CLIENT), 5, "{name}: and lets others in");
            }
        });
    }
}

#[test]
fn more_limits_than_places_are_refused() {
    Machine::run(|machine| {
        let first = policy(&[per_source()]);
        machine.install(first.clone());
        assert_eq!(passed(machine, CLIENT), 5);
        // Limits that all sources share, so that they take no memory.
        let services = |numbers: std::ops::RangeInclusive<u8>, burst| {
            let service = |number| crate::policy::Service {
                number,
                limits: vec![Limit { burst, ..per_service() }; 4],
                ..samples::service(&format!("s{number}"), &[], Mode::Enforce, &[])
            };
            Policy { services: numbers.map(service).collect(), ..policy(&[]) }
        };
        // Four runs that are killed before they give up what the one before had.
        for burst in 0..4 {
            machine.restart();
            machine.generations.install(&services(1..=63, burst), None).unwrap();
        }
        let taken = 2 + 4 * 63 * 4;
        assert_eq!(machine.generations.places.owners.len(), taken);
        machine.restart();
        let error = machine.generations.install(&services(1..=63, 9), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no place is left for another limit: 1024 are taken by limits in force and former ones"
        );
        assert_eq!(machine.generations.places.owners.len(), taken, "nothing stays taken");
        // Those of before find theirs.
        machine.install(first.clone());
        check(&machine.generations, &first);
        assert_eq!(passed(machine, CLIENT), 0);
    });
}

/// Returns the tags in a partition: what the hash makes of its sources.
fn tags(machine: &Machine) -> Vec<u64> {
    let number = *partitions(&machine.generations).values().last().unwrap();
    let lines: Array<_, [u64; 8]> = Map::Array(MapData::from_id(number).unwrap()).try_into().unwrap();
    lines.iter().flat_map(|line| line.unwrap()[..4].to_vec()).filter(|tag| *tag != 0).collect()
}

#[test]
fn the_hash_has_a_key_of_its_own_that_a_restart_keeps() {
    let passed_and_tags = |machine: &mut Machine| {
        machine.install(policy(&[per_source()]));
        (passed(machine, CLIENT), tags(machine))
    };
    Machine::run(|machine| {
        let (5, first) = passed_and_tags(machine) else { panic!("five pass") };
        assert_eq!(first.len(), 1);
        machine.restart();
        assert_eq!(passed_and_tags(machine), (0, first.clone()));
        Machine::run(|other| assert_ne!(passed_and_tags(other), (5, first)));
    });
}

#[test]
fn what_proved_violations_of_a_limit_proves_none_of_the_next_one_in_its_place() {
    Machine::run(|machine| {
        let (stays, goes) = (per_source(), hourly(Unit::Connections, 7, Per::SOURCE));
        machine.install(policy(&[stays, goes]));
        let places = &machine.generations.places;
        let proof = Proof { idle_at: 1, ..Proof::default() };
        let keys: Vec<_> =
            places.owners.keys().map(|place| ProofKey { place: u32::from(*place), ..ProofKey::default() }).collect();
        bpf::write(places.proofs.as_fd(), &keys, &vec![proof; keys.len()]).unwrap();
        let proven = |machine: &Machine| {
            let mut places = BTreeSet::new();
            let proofs = machine.generations.places.proofs.as_fd();
            bpf::for_each(proofs, |key: &ProofKey, _: &Proof| _ = places.insert(key.place as u16)).unwrap();
            places
        };
        let before = machine.generations.places.owners.clone();
        machine.install(policy(std::slice::from_ref(&stays)));
        assert_eq!(proven(machine), before.keys().copied().collect(), "nobody else has a place");
        machine.install(policy(&[stays, Limit { burst: goes.burst - 1, ..goes }]));
        let after = &machine.generations.places.owners;
        assert!(after.keys().eq(before.keys()), "the place is another limit's by now");
        let same = after.iter().filter(|(place, owner)| before[place] == **owner).map(|(place, _)| *place);
        assert_eq!(proven(machine), same.collect());
    });
}
