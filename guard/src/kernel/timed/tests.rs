//! Bans and grants in the kernel, and what its program makes of them.

mod by_machine;
mod tables;

use std::{net::IpAddr, thread};

use guard_common::{flow::FlowKey, packet::protocol};

use super::*;
use crate::{
    kernel::tests::{
        frames::{ASKING_PORT, SERVER_PORT, SERVICE_PORT, Sent, own_address},
        machine::Machine,
    },
    policy::{Mode, Policy, Protocol},
    samples,
};

/// The port of the second service, one of no service, and one that is failsafe.
const SECOND_PORT: u16 = 4_000;
const OTHER_PORT: u16 = 9_000;
const FAILSAFE_PORT: u16 = 22;

const HOUR: Duration = Duration::from_secs(3_600);

/// In `allow`, and an address of IPv6 that is.
const LISTED: [&str; 2] = ["10.1.2.3", "2001:db8:7::9"];
/// In no list.
const STRANGERS: [&str; 2] = ["198.51.100.9", "2001:db8:8::9"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two services; trusted are the first addresses of what is listed.
fn policy() -> Policy {
    let service = |name, port| samples::service(name, &[samples::port(Protocol::Tcp, port)], Mode::Enforce, &[]);
    let services = vec![service("first", SERVICE_PORT), service("second", SECOND_PORT)];
    let mut policy = samples::policy(&samples::prefixes(&["10.0.0.0/8", "2001:db8:7::/48"]), &[], services);
    policy.trusted = samples::entries(&["10.0.0.1", "2001:db8:7::1"].map(net));
    policy
}

fn boot() -> Duration {
    Clock::now().boot
}

/// Reads a prefix, or an address as the prefix of itself.
fn net(text: &str) -> IpNet {
    text.parse().unwrap_or_else(|_| ip(text).into())
}

fn timed(table: TimedTable, prefix: &str, lasts: Duration) -> TimedPrefix {
    TimedPrefix { table, prefix: net(prefix), ends: boot() + lasts }
}

fn ban(prefix: &str) -> TimedPrefix {
    timed(TimedTable::Ban, prefix, HOUR)
}

fn grant(service: u8, prefix: &str) -> TimedPrefix {
    timed(TimedTable::Grant { service }, prefix, HOUR)
}

fn set(machine: &Machine, wanted: &[TimedPrefix]) -> TimedChange {
    machine.timed.set(wanted, &Clock::now()).unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)))
}

fn add_by_machine(machine: &Machine, prefix: &str, lasts: Duration) {
    machine.timed.ban(&[(net(prefix), boot() + lasts)], &Clock::now()).unwrap();
}

/// Waits for a time since boot, and for one more of the kernel's ticks.
fn wait_until(time: Duration) {
    thread::sleep(time.saturating_sub(boot()) + Duration::from_millis(30));
}

#[test]
fn bans_of_several_lengths_keep_out_all_in_them() {
    Machine::run(|machine| {
        machine.install(policy());
        let bans = [
            "10.1.2.3/32",
            "10.2.0.0/24",
            "10.3.0.0/16",
            "2001:db8:7::9/128",
            "2001:db8:7:2::/64",
            "2001:db8:7:8000::/49",
        ];
        let cases = [
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("10.2.0.255", true),
            ("10.2.1.0", false),
            ("10.3.255.1", true),
            ("10.4.0.1", false),
            ("2001:db8:7::9", true),
            ("2001:db8:7::8", false),
            ("2001:db8:7:2:ffff::1", true),
            ("2001:db8:7:3::1", false),
            ("2001:db8:7:ffff::1", true),
            ("2001:db8:7:7fff::1", false),
        ];
        let bans = bans.map(ban);
        for nth in 0..=bans.len() {
            set(machine, &bans[..nth]);
            for (address, is_banned) in cases {
                let is_banned = is_banned && bans[..nth].iter().any(|ban| ban.prefix.contains(&ip(address)));
                assert_eq!(machine.passes(ip(address)), !is_banned, "{nth} bans: {address}");
            }
        }
        assert_eq!(machine.timed.counts(), (bans.len(), 0, 0));
        set(machine, &[]);
        assert!(cases.iter().all(|(address, _)| machine.passes(ip(address))), "no bans any more");
    });
}

/// An address of which a bit is another one, counted from the first.
fn with_other_bit(address: IpAddr, bit: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() ^ 1 << (31 - bit)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() ^ 1 << (127 - bit)).into()),
    }
}

#[test]
fn every_length_ends_at_its_own_bit() {
    Machine::run(|machine| {
        let everybody = samples::prefixes(&["0.0.0.0/0", "::/0"]);
        for (kind, allow, table, inside) in [
            ("a ban", &everybody[..], TimedTable::Ban, false),
            ("a grant", &[], TimedTable::Grant { service: 0 }, true),
            ("a grant of a service", &[], TimedTable::Grant { service: 1 }, true),
        ] {
            machine.install(samples::policy(allow, &[], policy().services));
            // No address next to these, by whichever bit, is one that cannot be real.
            for address in ["10.170.85.170", "2001:db8:5555:aaaa:5555:aaaa:5555:aaaa"].map(ip) {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                for length in 0..=bits {
                    let prefix = IpNet::new(address, length).unwrap();
                    set(machine, &[TimedPrefix { table, prefix, ends: boot() + HOUR }]);
                    for sent in [Sent::Syn, Sent::Echo] {
                        let case = format!("{kind}: {prefix}, {sent:?}");
                        assert_eq!(machine.lets_in(sent, address), inside, "{case}");
                        if let Some(last) = length.checked_sub(1) {
                            assert_ne!(
                                machine.lets_in(sent, with_other_bit(address, last)),
                                inside,
                                "{case}, beside it"
                            );
                        }
                        if length < bits {
                            assert_eq!(machine.lets_in(sent, with_other_bit(address, length)), inside, "{case}, in it");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn everything_can_be_banned() {
    Machine::run(|machine| {
        machine.install(policy());
        for (prefix, banned) in [("0.0.0.0/0", [true, false]), ("::/0", [false, true]), ("128.0.0.0/1", [false, false])]
        {
            set(machine, &[ban(prefix)]);
            assert_eq!(LISTED.map(|address| !machine.passes(ip(address))), banned, "{prefix}");
        }
    });
}

#[test]
fn a_ban_by_hand_is_stronger_than_grants_own_flows_and_failsafe_ports() {
    Machine::run(|machine| {
        machine.install(policy());
        for address in STRANGERS {
            let own = own_address(ip(address));
            let key = FlowKey {
                local: Address::from(own).octets(),
                remote: Address::from(ip(address)).octets(),
                local_port: ASKING_PORT,
                remote_port: SERVER_PORT,
                protocol: protocol::UDP,
                ..FlowKey::default()
            };
            machine.flows.add([key]).unwrap();
            let all = [
                Sent::Syn,
                Sent::SynTo(OTHER_PORT),
                Sent::SynTo(FAILSAFE_PORT),
                Sent::Answer,
                Sent::Echo,
                Sent::Unreachable,
            ];
            set(machine, &[grant(0, address)]);
            for sent in all {
                assert!(machine.lets_in(sent, ip(address)), "{address} is granted everything: {sent:?}");
            }
            set(machine, &[grant(0, address), ban(address)]);
            for sent in all {
                assert!(!machine.lets_in(sent, ip(address)), "{address} is banned: {sent:?}");
            }
            set(machine, &[]);
            assert!(machine.lets_in(Sent::Answer, ip(address)), "{address}: an own flow");
            assert!(!machine.passes(ip(address)), "{address} is a stranger again");
        }
    });
}

#[test]
fn a_ban_by_machine_is_neither_for_the_trusted_nor_for_failsafe_ports() {
    Machine::run(|machine| {
        machine.install(policy());
        let trusted = ["10.0.0.1", "2001:db8:7::1"];
        for (address, is_trusted) in trusted.map(|it| (it, true)).into_iter().chain(LISTED.map(|it| (it, false))) {
            add_by_machine(machine, address, HOUR);
            assert_eq!(machine.passes(ip(address)), is_trusted, "{address}");
            assert_eq!(machine.lets_in(Sent::Echo, ip(address)), is_trusted, "{address}");
            assert!(machine.lets_in(Sent::SynTo(FAILSAFE_PORT), ip(address)), "{address}");
            // One by hand of another prefix is stronger.
            set(machine, &[ban(if ip(address).is_ipv4() { "10.0.0.0/8" } else { "2001:db8::/32" })]);
            assert!(!machine.lets_in(Sent::SynTo(FAILSAFE_PORT), ip(address)), "{address}, banned by hand too");
            set(machine, &[]);
            assert_eq!(machine.passes(ip(address)), is_trusted, "{address}: that by machine stays");
        }
    });
}

#[test]
fn a_grant_is_for_what_it_says() {
    Machine::run(|machine| {
        machine.install(policy());
        let asked = [Sent::Syn, Sent::SynTo(SECOND_PORT), Sent::SynTo(OTHER_PORT), Sent::Echo];
        for address in STRANGERS {
            let net = if ip(address).is_ipv4() { "198.51.100.0/24" } else { "2001:db8:8::/48" };
            for (name, grants, expected) in [
                ("nothing", vec![], [false; 4]),
                ("every service", vec![grant(0, address)], [true; 4]),
                ("every service, by prefix", vec![grant(0, net)], [true; 4]),
                ("the first", vec![grant(1, address)], [true, false, false, true]),
                ("the second", vec![grant(2, address)], [false, true, false, true]),
                ("both", vec![grant(1, net), grant(2, address)], [true, true, false, true]),
                ("the first behind every", vec![grant(1, address), grant(0, net)], [true; 4]),
                (
                    "a neighbour",
                    vec![grant(0, if net.contains(':') { "2001:db8:8::8" } else { "198.51.100.8" })],
                    [false; 4],
                ),
            ] {
                set(machine, &grants);
                let passes = asked.map(|sent| machine.lets_in(sent, ip(address)));
                assert_eq!(passes, expected, "{address}: {name}");
            }
        }
    });
}

#[test]
fn what_has_ended_counts_for_nothing_though_nobody_sweeps() {
    Machine::run(|machine| {
        machine.install(policy());
        let second = Duration::from_secs(1);
        let [listed, listed_v6] = LISTED;
        let [stranger, stranger_v6] = STRANGERS;
        let every = TimedTable::Grant { service: 0 };
        let wanted = [
            timed(TimedTable::Ban, listed, second),
            timed(TimedTable::Ban, listed_v6, second),
            // Longer ones that end hide no shorter one that goes on.
            timed(TimedTable::Ban, "10.9.9.9", second),
            ban("10.9.9.0/24"),
            timed(every, stranger, second),
            timed(every, stranger_v6, second),
            timed(every, "203.0.113.5", second),
            grant(1, "203.0.113.0/24"),
            timed(TimedTable::Grant { service: 1 }, "203.0.113.9", second),
        ];
        set(machine, &wanted);
        let passes = || {
            [listed, listed_v6, "10.9.9.9", stranger, stranger_v6, "203.0.113.5", "203.0.113.9"]
                .map(|it| machine.passes(ip(it)))
        };
        assert_eq!(passes(), [false, false, false, true, true, true, true]);
        wait_until(wanted[8].ends);
        assert_eq!(passes(), [true, true, false, false, false, true, true]);
        assert_eq!(machine.timed.counts(), (4, 0, 5), "nobody swept");
        assert_eq!(set(machine, &wanted), TimedChange { swept: 3 + 3 + 2, ..TimedChange::default() });
        assert_eq!(machine.timed.counts(), (1, 0, 1));
        assert_eq!(passes(), [true, true, false, false, false, true, true]);
    });
}

#[test]
fn grants_hold_only_where_the_policy_says() {
    Machine::run(|machine| {
        set(machine, &[grant(0, STRANGERS[0]), grant(1, STRANGERS[1]), ban("10.1.2.3")]);
        for grants_hold in [false, true, false] {
            machine.install(Policy { grants_hold, ..policy() });
            for address in STRANGERS {
                assert_eq!(machine.passes(ip(address)), grants_hold, "{address}, grants hold: {grants_hold}");
                assert_eq!(
                    machine.lets_in(Sent::Echo, ip(address)),
                    grants_hold,
                    "{address}, grants hold: {grants_hold}"
                );
            }
            assert!(!machine.passes(ip("10.1.2.3")), "a ban holds anyway");
            assert!(machine.passes(ip("10.1.2.4")));
        }
    });
}
